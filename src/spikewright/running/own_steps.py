"""Runs of networks whose layers start one after the other, in the steps of each layer's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines import Program
from spikewright.errors import SimulationError
from spikewright.lower import Lowered
from spikewright.measure.readout import EveryStep
from spikewright.network import Ensemble
from spikewright.network.connection import Object, object_of
from spikewright.network.layer_times import LayerTimes, OwnStepsDone
from spikewright.running.protocols import ConversionLike


@dataclass(frozen=True, eq=False)
class OwnSteps:
    """The steps of a run as each layer counts them; `times` is None where all run in all steps.

    A run of `steps` steps of each layer takes `length` steps of the program. That is as many where
    layers run `side_by_side` in it.
    """

    steps: int
    times: LayerTimes | None = None
    side_by_side: bool = True

    @classmethod
    def of(cls, lowered: Lowered, steps: int | None, program: Program) -> OwnSteps:
        """The own steps of a run of so many steps; raises as `steps_of` does."""
        times = lowered.times
        counted = _steps_of(times, lowered, steps)
        return cls(counted, times, program.whole_steps is not None)

    @property
    def length(self) -> int:
        """The steps of the program."""
        return self.steps if self.times is None or self.side_by_side else self.times.network_steps

    def stops(self, lowered: Lowered, own: int) -> int:
        """The program's step in which the last output has done so many steps of its own."""
        return own if self.times is None or self.side_by_side else network_step(lowered, own)

    def kept(
        self, lowered: Lowered, program: Program, recorded: Iterable[NDArray]
    ) -> list[NDArray]:
        """Recordings `(batch, length, *shape)` in own steps of their places, `(batch, steps, ...)`.

        All that comes before the first of them counts as a part of that. Outputs are such that
        their mean over the steps so far is what is known of the complete value.
        """
        found = list(recorded)
        if self.times is None:
            return found
        if not self.side_by_side:
            places = [object_of(recording.probe.obj) for recording in program.recordings]
            found = [self._own(*one) for one in zip(places, found, strict=True)]
        outputs, steps = len(lowered.outputs), self.times.steps
        return [*(_known_by_mean(value, steps) for value in found[:outputs]), *found[outputs:]]

    def _own(self, place: Object, values: NDArray) -> NDArray:
        assert self.times is not None
        start = self.times.starts.get(place, 0)
        first = values[:, : start + 1].sum(axis=1, keepdims=True, dtype=np.float64)
        found = values[:, start : start + self.steps].copy()
        found[:, :1] = first
        return found


def _known_by_mean(values: NDArray, steps: int) -> NDArray:
    """Values whose mean over the first k steps is the sum of the given ones over all `steps`.

    Values are `(batch, rows x steps, *shape)`; every row is a run of its own.
    """
    rows = values.reshape(len(values), -1, steps, *values.shape[2:])
    numbers = np.arange(1, steps + 1).reshape(1, 1, -1, *(1,) * (values.ndim - 2))
    known = np.cumsum(rows, axis=2, dtype=np.float64) / steps
    return np.diff(known * numbers, axis=2, prepend=0.0).reshape(values.shape)


def steps_of(lowered: Lowered, steps: Any) -> Any:
    """The steps of a run: of layers with steps of their own as many as these have.

    Those of sequences follow from their lengths. Raises `SimulationError` for another number.
    """
    return _steps_of(lowered.times, lowered, steps)


def _steps_of(times: LayerTimes | None, lowered: Lowered, steps: Any) -> Any:
    if times is None or lowered.stepping is not None:
        return steps
    if steps is not None and steps != times.steps:
        raise SimulationError(
            f"layers say their digits in {times.steps} steps each, got steps={steps!r}: leave "
            f"steps out, or convert with coding=sw.SignedDigits(steps={steps!r})"
        )
    return times.steps


def run_steps(conversion: ConversionLike, steps: Any) -> Any:
    """The steps of a run that was given so many, or None: those that its code has, if it has any.

    Raises `SimulationError` where layers have another number of steps of their own.
    """
    return steps_of(conversion.lowered, conversion.coding.run_steps(steps))


def network_steps(lowered: Lowered, steps: int) -> int:
    """The steps of the network in a run in which each layer has so many of its own."""
    times = lowered.times
    if times is None:
        return steps
    others = steps // times.steps - 1  # rows or frames, each of which follows the one before
    return others * times.pace + times.network_steps


def network_step(lowered: Lowered, own: int) -> int:
    """The step of the network in which the last output has done so many steps of its own."""
    times = lowered.times
    if times is None:
        return own
    rows, rest = divmod(own, times.steps)
    start = max(times.starts.get(place, 0) for place in lowered.outputs.values()) if rest else 0
    return rows * times.network_steps + start + rest


def steps_done(
    lowered: Lowered, populations: Mapping[str, Ensemble], own: int
) -> dict[str, OwnStepsDone] | None:
    """The own steps and updates of each population until the last output has done `own` steps.

    None where all layers run in all steps.
    """
    times = lowered.times
    if times is None:
        return None
    step = network_step(lowered, own)
    return {name: times.done(ensemble, step) for name, ensemble in populations.items()}


def in_network_steps(
    lowered: Lowered, place: Object, values: NDArray, stays: bool = False
) -> NDArray:
    """Values `(steps, *shape)` of a place's own steps in the steps of the network.

    They are zero before its start; behind its end the last one `stays`, or they are zero.
    """
    times = lowered.times
    if times is None:
        return values
    start = times.starts.get(place, 0)
    found = np.zeros((times.network_steps, *values.shape[1:]), values.dtype)
    found[start : start + len(values)] = values
    if stays:
        found[start + len(values) :] = values[-1]
    return found


def complete_readouts(lowered: Lowered, readouts: Sequence[EveryStep]) -> tuple[EveryStep, ...]:
    """The readouts of an evaluation: of digits the complete value alone, whose name is "mean".

    Raises `SimulationError` for others, unless they are those that are meant where none are given.
    """
    found = tuple(readouts)
    if lowered.times is None or found == ("mean",):
        return found
    if found == ("mean", "last"):
        return ("mean",)
    raise SimulationError(
        f"signed digits have one readout, the complete value, got {list(map(str, found))}: leave "
        'readouts out, or give "mean"'
    )
