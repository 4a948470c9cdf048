"""A cluster that loses a worker gives what one process gives."""

from __future__ import annotations

import pytest
from benchmarks.evaluation import with_a_worker_killed

import spikewright as sw
from spikewright import demo
from spikewright.conversion.evaluation import sharded


@pytest.mark.slow
def test_shards_of_a_killed_worker_are_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL to one of two Dask workers half way: the same records, bit for bit."""
    monkeypatch.setattr(sharded, "_MOST", 2)
    conversion = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=20.0)
    x, y = demo.held_out(300)
    expected = conversion.evaluate(x, y, 200)

    found, done = with_a_worker_killed(conversion, x, y, 75, steps=200)
    assert 75 <= done < 150
    assert found.records == expected.records
