"""Runs of networks whose layers start one after the other, in the steps of each layer's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines import Program
from spikewright.errors import SimulationError
from spikewright.lower import Lowered
from spikewright.network.layer_times import LayerTimes, Place


@dataclass(frozen=True, eq=False)
class OwnSteps:
    """The steps of a run as each layer counts them; `times` is None where the program has these.

    A run of `steps` steps of each layer takes `length` steps of the program.
    """

    steps: int
    times: LayerTimes | None = None

    @classmethod
    def of(cls, lowered: Lowered, steps: int | None, program: Program) -> OwnSteps:
        """Those of a run of so many steps; raises as `steps_of` does."""
        counted = steps_of(lowered, steps)
        return cls(counted, lowered.times if program.whole_steps is None else None)

    @property
    def length(self) -> int:
        """The steps of the program."""
        return self.steps if self.times is None else self.times.network_steps

    def stops(self, lowered: Lowered, own: int) -> int:
        """The program's step in which the last output has done so many steps of its own."""
        if self.times is None:
            return own
        if own == self.steps:
            return self.length
        starts = [self.times.starts.get(place, 0) for place in lowered.outputs.values()]
        return max(starts) + own

    def kept(self, program: Program, recorded: Iterable[NDArray]) -> list[NDArray]:
        """Recordings `(batch, length, *shape)` in own steps of their places, `(batch, steps, ...)`.

        All that comes before the first of them counts as a part of that.
        """
        if self.times is None:
            return list(recorded)
        places = [_place(recording.probe.obj) for recording in program.recordings]
        return [self._own(*one) for one in zip(places, recorded, strict=True)]

    def _own(self, place: Place, values: NDArray) -> NDArray:
        assert self.times is not None
        start = self.times.starts.get(place, 0)
        first = values[:, : start + 1].sum(axis=1, keepdims=True, dtype=np.float64)
        found = values[:, start : start + self.steps].copy()
        found[:, :1] = first
        return found


def _place(item: Any) -> Place:
    """The ensemble or node that a probe records."""
    found: Place = getattr(item, "ensemble", item)
    return found


def steps_of(lowered: Lowered, steps: Any) -> Any:
    """The steps of a run: of layers with steps of their own as many as these have.

    Raises `SimulationError` for another number.
    """
    times = lowered.times
    if times is None:
        return steps
    if steps is not None and steps != times.steps:
        raise SimulationError(
            f"layers say their digits in {times.steps} steps each, got steps={steps!r}: leave "
            f"steps out, or convert with coding=sw.SignedDigits(steps={steps!r})"
        )
    return times.steps


def network_steps(lowered: Lowered, steps: int) -> int:
    """The steps of the network in a run in which each layer has so many of its own."""
    times = lowered.times
    return steps if times is None else times.network_steps
