"""Readouts of values that come one by one, in memory that does not grow with them."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import SimulationError
from spikewright.measure.readout import AtEveryStep, Readout, Window, kind_of, known


class SoFar(Protocol):
    """The readout of the values until now, each `(batch, *out)`."""

    def add(self, value: NDArray) -> None:
        """Take the value of the next step."""

    def read(self) -> NDArray:
        """The readout, `(batch, *out)`, of one value or more."""


class _Mean:
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


class _Sliding:
    """The mean of the last values, or of all while there are fewer."""

    def __init__(self, count: int) -> None:
        self._values: deque[NDArray] = deque(maxlen=count)

    def add(self, value: NDArray) -> None:
        self._values.append(value)

    def read(self) -> NDArray:
        found: NDArray = np.mean(self._values, axis=0)
        return found


def so_far(readout: Readout, dt: float) -> SoFar:
    """A readout of values that come one by one, `dt` seconds apart.

    It is that of a run which ended with the last value. A `Window` is over the last values, or over
    all of them while they are fewer. Raises `SimulationError` for an unknown readout, and for a
    window with a start, which the values of an endless stream leave behind.
    """
    if isinstance(readout, Window):
        if readout.start is not None:
            raise SimulationError(
                f"{readout} ends while values still come: leave out its start for the last "
                f"{readout.seconds:g} s, or use After({readout.start:g})"
            )
        return _Sliding(max(1, round(readout.seconds / dt)))
    kind = kind_of(readout)
    if kind is None:
        raise SimulationError(f"a readout is {known()} or a Window, got {readout!r}")
    return _Mean(kind, dt)
