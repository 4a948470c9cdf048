"""Readouts: how the values of an output over time become one value, of a run or one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.registries import Registry
from spikewright.errors import SimulationError

_LATE = (2, 4, 8)  # steps that late readouts leave out in a search


@dataclass(frozen=True)
class Window:
    """The mean over a stretch of time: `seconds` long, the last ones or from `start` (s) on.

    Raises `SimulationError` for times that are no numbers, or below 0.
    """

    seconds: float
    start: float | None = None

    def __post_init__(self) -> None:
        lasts = is_number(self.seconds) and self.seconds > 0
        starts = self.start is None or (is_number(self.start) and self.start >= 0)
        if not (lasts and starts):
            raise SimulationError(
                f"a readout window lasts more than 0 s and starts at 0 s or later, got {self}"
            )

    def read(self, values: NDArray, dt: float) -> NDArray:
        """`(batch, steps, *out)` read out as `(batch, *out)`; raises where no step lies in it."""
        steps, count = values.shape[1], max(1, round(self.seconds / dt))
        start = steps - count if self.start is None else round(self.start / dt)
        if start < 0 or start + count > steps:
            raise SimulationError(
                f"{self} does not lie within the {steps} steps of {dt} s that were run"
            )
        found: NDArray = values[:, start : start + count].mean(axis=1)
        return found


class AtEveryStep(ABC):
    """A readout that a run has at every step: the mean over all steps but the first ones.

    A kind that takes no arguments goes by the name that it is registered under. Kinds are frozen
    dataclasses.
    """

    @abstractmethod
    def left_out(self, steps: int, dt: float) -> int:
        """The number of first steps that are left out of a run of `steps` steps of `dt` seconds."""

    def fits(self, steps: int, dt: float) -> bool:
        """Whether it differs, in a run of so many steps, from the mean over all of them."""
        return True

    def read(self, values: NDArray, dt: float) -> NDArray:
        """`(batch, steps, *out)` read out as `(batch, *out)`."""
        found: NDArray = values[:, self.left_out(values.shape[1], dt) :].mean(axis=1)
        return found

    def read_at_every_step(self, values: NDArray, dt: float) -> NDArray:
        """The readout of the run had it ended at each step, `(batch, steps, *out)`."""
        numbers = np.arange(1, values.shape[1] + 1)
        left = np.array([self.left_out(int(number), dt) for number in numbers], int)
        sums = np.cumsum(values, axis=1, dtype=np.float64)
        later = left > 0
        if later.any():
            sums[:, later] -= sums[:, left[later] - 1]
        found: NDArray = sums / (numbers - left).reshape(1, -1, *(1,) * (values.ndim - 2))
        return found

    @classmethod
    def searched(cls, name: str, steps: int, dt: float) -> Mapping[str, EveryStep]:
        """The readouts of this kind that `tune` reads a run of `steps` steps by, by name."""
        return {} if fields(cls) else {name: name}  # type: ignore[arg-type]

    @classmethod
    def compared(cls, name: str, steps: int, dt: float) -> Sequence[EveryStep]:
        """The readouts of this kind that `best_rule` compares for `steps` steps."""
        return tuple(cls.searched(name, steps, dt).values())


READOUTS: Registry[type[AtEveryStep]] = Registry("readout")
"""Every kind of readout at every step, by name (read only)."""

register = READOUTS.named
"""Class decorator: make a kind of readout known to runs, searches and commands."""


@register("mean")
@dataclass(frozen=True)
class Mean(AtEveryStep):
    """The mean over the run."""

    def left_out(self, steps: int, dt: float) -> int:
        """None."""
        return 0


@register("last")
@dataclass(frozen=True)
class Last(AtEveryStep):
    """The value in the last step, as it is."""

    def left_out(self, steps: int, dt: float) -> int:
        """All steps but the last."""
        return steps - 1

    def read(self, values: NDArray, dt: float) -> NDArray:
        return values[:, -1]

    def read_at_every_step(self, values: NDArray, dt: float) -> NDArray:
        return values

    @classmethod
    def compared(cls, name: str, steps: int, dt: float) -> Sequence[EveryStep]:
        """No readouts: the last step is less accurate than the mean of several."""
        return ()


@register("mean-after")
@dataclass(frozen=True)
class MeanAfter(AtEveryStep):
    """The mean from `start` (s) to the end, however long the run: a delayed readout (Bu 2024).

    It leaves out the steps in which spikes were still on their way through the layers. Of a run, or
    up to a step, that ends before `start` is over, it is the mean of all steps so far. Raises
    `SimulationError` for a start that is no number, or below 0.
    """

    start: float

    def __post_init__(self) -> None:
        if not (is_number(self.start) and self.start >= 0):
            raise SimulationError(f"a readout starts at 0 s or later, got {self}")

    def steps(self, dt: float) -> int:
        """The number of steps of `dt` seconds that it leaves out."""
        return round(self.start / dt)

    def left_out(self, steps: int, dt: float) -> int:
        """The steps before its start, if any are left after it."""
        return self.steps(dt) if self.fits(steps, dt) else 0

    def fits(self, steps: int, dt: float) -> bool:
        """Whether some steps are left."""
        return self.steps(dt) < steps

    @classmethod
    def searched(cls, name: str, steps: int, dt: float) -> Mapping[str, EveryStep]:
        """Without two, four or eight steps."""
        return {f"after {left}": cls(left * dt) for left in _LATE if left < steps}

    @classmethod
    def compared(cls, name: str, steps: int, dt: float) -> Sequence[EveryStep]:
        """Without the first eighth, quarter and half of the steps."""
        starts = sorted({steps // part for part in (8, 4, 2)} - {0})
        return tuple(cls(start * dt) for start in starts)


EveryStep = str | AtEveryStep
"""Readouts that a run has at every step: "mean", "last" or another name of one, or `MeanAfter`."""

Readout = EveryStep | Window


def named() -> tuple[str, ...]:
    """The names of readouts that take no arguments."""
    return tuple(name for name, kind in READOUTS.items() if not fields(kind))  # type: ignore[arg-type]


def known() -> str:
    """All readouts at every step, in words."""
    names = ", ".join(f'"{name}"' for name in named())
    return f"{names} or MeanAfter(seconds)"


def kind_of(readout: object) -> AtEveryStep | None:
    """The kind of a readout at every step; None for anything else."""
    if isinstance(readout, AtEveryStep):
        return readout
    return READOUTS[readout]() if isinstance(readout, str) and readout in named() else None


def _kind(readout: Readout) -> AtEveryStep:
    """The kind of a readout that is no window; raises `SimulationError` for anything else."""
    kind = kind_of(readout)
    if kind is None:
        raise SimulationError(f"a readout is {known()} or a Window, got {readout!r}")
    return kind


def read_out(values: NDArray, readout: Readout, dt: float) -> NDArray:
    """Read `(batch, steps, *out)` out as `(batch, *out)`.

    "last" is the last step, "mean" the mean over the run, a `Window` the mean over a part of it,
    `MeanAfter` that of the steps after a time. Raises `SimulationError` for an unknown readout or a
    window that no step lies in.
    """
    return (readout if isinstance(readout, Window) else _kind(readout)).read(values, dt)


def read_out_at_every_step(values: NDArray, readout: EveryStep, dt: float = 0.001) -> NDArray:
    """The readout of the run had it ended at each step, `(batch, steps, *out)`.

    `dt` is the length of a step in seconds, which `MeanAfter` needs. Raises `SimulationError` for
    other readouts.
    """
    kind = kind_of(readout)
    if kind is None:
        raise SimulationError(f"readouts at every step are {known()}, got {readout!r}")
    return kind.read_at_every_step(values, dt)


class StreamingReadout(Protocol):
    """A readout of values that come one by one, each `(batch, *out)`."""

    def add(self, value: NDArray) -> None:
        """Add the value of the next step."""

    def read(self) -> NDArray:
        """The readout, `(batch, *out)`, of one value or more."""


class _StreamingMean:
    """A mean that may begin anew, which is how readouts at every step leave steps out."""

    def __init__(self, kind: AtEveryStep, dt: float) -> None:
        self._kind, self._dt = kind, dt
        self._steps = self._left_out = 0
        self._sum: NDArray = np.zeros(())

    def add(self, value: NDArray) -> None:
        self._steps += 1
        left_out = self._kind.left_out(self._steps, self._dt)
        if left_out not in (self._left_out, self._steps - 1):
            raise SimulationError(
                f"{self._kind!r} leaves out steps that were kept, so no stream can follow it: use "
                f"{known()} or a Window"
            )
        self._sum = value + (self._sum if left_out == self._left_out else 0.0)
        self._left_out = left_out

    def read(self) -> NDArray:
        return self._sum / (self._steps - self._left_out)


class _SlidingMean:
    """The mean of the last values, or of all while there are fewer."""

    def __init__(self, count: int) -> None:
        self._values: deque[NDArray] = deque(maxlen=count)

    def add(self, value: NDArray) -> None:
        self._values.append(value)

    def read(self) -> NDArray:
        found: NDArray = np.mean(self._values, axis=0)
        return found


def streaming_readout(readout: Readout, dt: float) -> StreamingReadout:
    """A readout of values that come one by one, `dt` seconds apart.

    It is that of a run which ended with the last value. A `Window` is over the last values, or over
    all of them while they are fewer. Raises `SimulationError` for an unknown readout, and for a
    window with a start, which the values of an endless stream leave behind.
    """
    if isinstance(readout, Window):
        if readout.start is not None:
            raise SimulationError(
                f"{readout} ends while values still come: leave out its start for the last "
                f"{readout.seconds:g} s, or use MeanAfter({readout.start:g})"
            )
        return _SlidingMean(max(1, round(readout.seconds / dt)))
    return _StreamingMean(_kind(readout), dt)
