"""Nengo itself beside Spikewright, where it is installed (the project does not install it)."""

from __future__ import annotations

import pytest

pytest.importorskip("nengo.exceptions", reason="Nengo is not installed: pip install 'nengo>=4.1'")

from benchmarks.nengo_models import CHAOTIC, MODELS, compare


@pytest.mark.parametrize("name", MODELS)
def test_models_are_the_same_spike_by_spike(name: str) -> None:
    """Counts of spikes within one at every step, outputs within a thousandth of the radius."""
    found = compare(name, 0.3)

    assert found.spikes > 100
    assert found.counts <= 1
    assert found.outputs <= 1e-3
    assert found.apart is None or name in CHAOTIC
