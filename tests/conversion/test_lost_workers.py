"""A cluster that loses a worker gives what one process gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import psutil
import pytest
from benchmarks.evaluation import with_a_worker_killed

import spikewright as sw
from spikewright import demo
from spikewright.evaluation import sharded
from spikewright.executors import Function
from spikewright.executors.clusters import Ray


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


class Killing(Ray):
    """Ray, of which a worker that is at work is killed after so many results."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after, self.killed = after, 0

    def completed(self, function: Function, shared: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        for number, result in enumerate(super().completed(function, shared, tasks), 1):
            if number >= self.after and not self.killed:
                self.killed = self._kill()
            yield result

    def _kill(self) -> int:
        """How many were killed: one, or none where all wait for work."""
        for process in psutil.Process().children(recursive=True):
            if process.name().startswith("ray::do"):
                process.kill()
                return 1
        return 0


@pytest.mark.ray
@pytest.mark.usefixtures("shards")
def test_ray_does_them_again_too(conversion: sw.Conversion) -> None:
    """SIGKILL to one of two workers of a Ray on this machine: the same records, bit for bit."""
    import ray

    x, y = demo.held_out(300)
    expected = conversion.evaluate(x, y, 200)
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        executor = Killing(75)
        found = conversion.evaluate(x, y, 200, executor=executor)
        assert executor.killed == 1
        assert ray.is_initialized()
        assert found.records == expected.records
        assert conversion.evaluate(x, y, 200, executor="ray").records == expected.records
    finally:
        ray.shutdown()
