"""A cluster that loses a worker gives what one process gives."""

from __future__ import annotations

import pytest
from benchmarks.evaluation import with_a_worker_killed

import spikewright as sw
from spikewright import demo
from spikewright.evaluation import sharded


@pytest.fixture
def shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two samples each, so that the data makes 150."""
    monkeypatch.setattr(sharded, "_MOST", 2)


@pytest.fixture
def conversion() -> sw.Conversion:
    """The demo network with spikes."""
    return sw.convert(demo.MODEL, spiking=True, scale_firing_rates=20.0)


@pytest.mark.slow
@pytest.mark.usefixtures("shards")
def test_shards_of_a_killed_worker_are_done_again(conversion: sw.Conversion) -> None:
    """SIGKILL to one of two Dask workers half way: the same records, bit for bit."""
    x, y = demo.held_out(300)
    expected = conversion.evaluate(x, y, 200)

    found, done = with_a_worker_killed(conversion, x, y, 75, steps=200)
    assert 75 <= done < 150
    assert found.records == expected.records
