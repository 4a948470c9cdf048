"""What a contestant is: something that runs a workload, and says what it computed.

Nothing here needs more than NumPy, so that a library may live in another Python.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.network import Workload

Role = Literal["yardstick", "own", "peer"]
Spikes = Literal["none", "one", "many"]
Layout = Literal["contiguous", "channels_last"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run computed: outputs `(batch, 10)` summed over the steps, float64.

    `counts` holds the spikes of each spiking layer over all samples and steps, in order.
    """

    outputs: NDArray
    counts: tuple[float, ...]

    def as_dict(self) -> dict[str, list]:
        """Plain data, ready for JSON."""
        return {"outputs": self.outputs.tolist(), "counts": list(self.counts)}

    @classmethod
    def from_dict(cls, data: dict[str, list]) -> Outcome:
        """What `as_dict` gave."""
        return cls(np.array(data["outputs"]), tuple(data["counts"]))


class Runner(ABC):
    """A contestant, built for one workload and one batch size."""

    @abstractmethod
    def run(self) -> object:
        """What is timed: all steps from a fresh state, outputs read."""

    @abstractmethod
    def outcome(self) -> Outcome:
        """Run once more with spikes counted."""


@dataclass(frozen=True, eq=False)
class Contestant:
    """One way to run a workload.

    `spikes` says which neuron it has: "one" sends at most one spike a step and keeps the rest of
    its voltage, "many" sends all that it can. `compiled` contestants went through torch.compile.
    `layouts` are the memory formats to try for convolutions: the faster one is timed.
    """

    name: str
    role: Role
    spikes: Spikes
    build: Callable[[Workload, Layout], Runner]
    compiled: bool = False
    layouts: tuple[Layout, ...] = ("contiguous",)

    def describe(self) -> dict[str, object]:
        """Everything but how it is built, ready for JSON."""
        return {
            "name": self.name,
            "role": self.role,
            "spikes": self.spikes,
            "compiled": self.compiled,
        }


def clocked(
    work: Callable[[], object], repeats: int = 1, now: Callable[[], float] = time.process_time
) -> float:
    """Seconds by `now`, processor time, of one of `repeats` runs of `work` in this process."""
    begun = now()
    for _ in range(repeats):
        work()
    return (now() - begun) / repeats
