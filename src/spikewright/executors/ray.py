"""The nodes of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from spikewright._base.optional import require
from spikewright.executors.base import Executor, Function, connecting

_AHEAD = 2  # tasks a processor of the cluster, so that none waits for the next


class Ray(Executor):
    """A Ray cluster by its address; without one, or the cluster in use, Ray starts on this machine.

    A task has one processor, and is done again where its worker is lost.
    """

    def __init__(self, address: str | None = None) -> None:
        self._ray = require("ray")
        self._address = address

    def completed(self, function: Function, shared: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        ray = self._ray
        ours = not ray.is_initialized()
        if ours:
            with connecting("Ray", self._address, "10.0.0.5:6379"):
                ray.init(address=self._address)
        try:
            remote = ray.remote(num_cpus=1, max_retries=3)(function)
            held, waiting = ray.put(shared), iter(tasks)
            ahead = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
            running = [remote.remote(held, task, 1) for task in islice(waiting, ahead)]
            while running:
                done, running = ray.wait(running, num_returns=1)
                yield from ray.get(done)
                drawn = islice(waiting, ahead - len(running))
                running += [remote.remote(held, task, 1) for task in drawn]
        finally:
            if ours:
                ray.shutdown()
