"""Signals of time: band-limited, presented one after the other, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import frozen, is_number
from spikewright._base.optional import require
from spikewright.errors import NetworkError
from spikewright.network.processes.base import (
    SourceProcess,
    State,
    Step,
    register,
)
from spikewright.network.shapes import (
    Shape,
    above_zero,
    as_seed,
    finite,
    fixed_numbers,
    number,
)

_EARLY = 1e-7  # of a step or presentation by which a change may come early: rounding of times


@register
@dataclass(frozen=True)
class WhiteSignal(SourceProcess):
    """A periodic random signal without frequencies above `high` (Hz), each equally strong.

    `period` is in seconds; every dimension has the root mean square `rms` over it. With `y0` each
    starts where it is nearest to that value. Raises `NetworkError` where `high` is below one period
    or above half the steps' frequency.
    """

    period: float
    high: float
    rms: float = 0.5
    y0: float | None = None
    _: KW_ONLY
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("period", "high", "rms"):
            above_zero(getattr(self, name), f"WhiteSignal.{name}")
        if self.high < 1.0 / self.period:
            raise NetworkError(
                f"WhiteSignal.high must be at least 1 / period = {1 / self.period:g} Hz, or the "
                f"signal is zero; got {self.high!r}"
            )
        if self.y0 is not None:
            number(self.y0, "WhiteSignal.y0")
        as_seed(self.seed, "WhiteSignal")

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: State
    ) -> Step:
        if self.high > 0.5 / dt:
            raise NetworkError(
                f"WhiteSignal.high must be at most half the steps' frequency, {0.5 / dt:g} Hz at "
                f"dt = {dt:g} s, got {self.high!r}"
            )
        n, size = max(2, round(self.period / dt)), int(np.prod(shape_out))
        frequencies = np.fft.rfftfreq(n, dt)
        drawn = rng.standard_normal((2, len(frequencies), size))
        kept = (frequencies > 0) & (frequencies <= self.high * (1 + 1e-12))
        kept[1] |= not kept.any()
        signal = np.fft.irfft(np.where(kept[:, None], drawn[0] + 1j * drawn[1], 0.0), n, axis=0)
        signal *= self.rms / np.sqrt(np.mean(signal**2, axis=0))
        if self.y0 is not None:
            first = np.argmin(np.abs(signal - self.y0), axis=0)
            signal = np.stack([np.roll(s, -i) for s, i in zip(signal.T, first, strict=True)], 1)
        signal = signal.reshape(n, *shape_out)

        def step(t: float) -> NDArray:
            found: NDArray = signal[(round(t / dt) - 1) % n]
            return found

        return step


@register
@dataclass(frozen=True, eq=False)
class PresentInput(SourceProcess):
    """Each of `inputs` `(n, values)` for `presentation_time` seconds, again and again."""

    inputs: NDArray
    presentation_time: float
    gives = "inputs"

    def __post_init__(self) -> None:
        inputs = finite(self.inputs, "PresentInput.inputs", truth_values=True)
        if inputs.ndim < 1 or inputs.size == 0:
            raise NetworkError(f"PresentInput.inputs must be (n, values), got shape {inputs.shape}")
        object.__setattr__(self, "inputs", frozen(inputs.reshape(len(inputs), -1)))
        above_zero(self.presentation_time, "PresentInput.presentation_time", " s")

    @property
    def default_size_out(self) -> int:  # type: ignore[override]
        """Number of values of an input."""
        return int(self.inputs.shape[1])

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: State
    ) -> Step:
        n, inputs = len(self.inputs), self.inputs.reshape(len(self.inputs), *shape_out)

        def step(t: float) -> NDArray:
            found: NDArray = inputs[int((t - dt) / self.presentation_time + _EARLY) % n]
            return found

        return step


@register
@dataclass(frozen=True, eq=False)
class EachStep(SourceProcess):
    """One of `values` `(steps, ...)` in each of the first steps, and zero in all after them.

    A value is a number, or an array that broadcasts to the shape of what is given. Steps are
    counted, whatever their length. Raises `NetworkError` unless all are finite numbers.
    """

    values: NDArray
    gives = "values"

    def __post_init__(self) -> None:
        values = fixed_numbers(self, "values")
        if values.ndim < 1 or len(values) == 0:
            raise NetworkError(
                f"EachStep.values must be finite numbers (steps, ...), got shape {values.shape}"
            )

    @property
    def default_size_out(self) -> int:  # type: ignore[override]
        """Number of values of a step."""
        return int(self.values[0].size)

    def check_shapes(self, shape_in: Shape, shape_out: Shape) -> None:
        shape = self.values.shape[1:]
        try:
            fits = np.broadcast_shapes(shape, shape_out) == shape_out
        except ValueError:
            fits = False
        super().check_shapes(shape_in, shape if fits else shape_out)
        if not fits:
            raise NetworkError(
                f"EachStep gives values of shape {shape} a step, which do not broadcast to "
                f"{shape_out}"
            )

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: State
    ) -> Step:
        steps, after = len(self.values), np.zeros(shape_out)

        def step(t: float) -> NDArray:
            index = round(t / dt) - 1
            return np.broadcast_to(self.values[index], shape_out) if index < steps else after

        return step


Piece = Callable[[float], Any]
_KINDS = ("zero", "linear", "nearest", "slinear", "quadratic", "cubic")


class Piecewise(SourceProcess):
    """Values that change at given times: `Piecewise({0.0: 0, 0.5: [1.0], 1.0: np.sin})`.

    Keys are seconds; before the first the output is zero. With `interpolation` "zero" each value
    holds, or each function of time is called, until the next time; "linear", "nearest", "slinear",
    "quadratic" and "cubic" (the last three need SciPy) go through values; before the first time and
    after the last the output is zero, as in Nengo.
    """

    gives = "pieces"

    def __init__(
        self,
        data: Mapping[float, Any],
        interpolation: Literal[
            "zero", "linear", "nearest", "slinear", "quadratic", "cubic"
        ] = "zero",
    ) -> None:
        if not isinstance(data, Mapping) or not data or not all(map(is_number, data)):
            raise NetworkError(f"Piecewise: data are {{seconds: value}}, got {data!r}")
        if interpolation not in _KINDS:
            raise NetworkError(
                f"Piecewise.interpolation must be one of {_KINDS}, got {interpolation!r}"
            )
        self.data = dict(sorted(data.items()))
        self.interpolation = interpolation
        self._pieces = [self._piece(t, value) for t, value in self.data.items()]
        sizes = {np.size(piece(t)) for t, piece in zip(self.data, self._pieces, strict=True)}
        if len(sizes) != 1:
            raise NetworkError(f"Piecewise: pieces have different sizes, {sorted(sizes)}")
        self._size = sizes.pop()
        if interpolation != "zero" and any(map(callable, self.data.values())):
            raise NetworkError(
                f"Piecewise: functions hold until the next time, interpolation={interpolation!r} "
                "needs values"
            )

    def _piece(self, t: float, value: Any) -> Piece:
        if callable(value):
            return lambda now: np.ravel(np.asarray(value(now), np.float64))
        fixed = np.ravel(finite(value, f"Piecewise: the value at {t!r} s", truth_values=True))
        return lambda now: fixed

    @property
    def default_size_out(self) -> int:  # type: ignore[override]
        """Number of values of a piece."""
        return self._size

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: State
    ) -> Step:
        times = np.array(list(self.data), np.float64)
        if self.interpolation != "zero":
            return self._between(times, shape_out, _EARLY * dt)

        def step(t: float) -> NDArray:
            index = int(np.searchsorted(times, t + _EARLY * dt, "right")) - 1
            return np.zeros(shape_out) if index < 0 else self._pieces[index](t).reshape(shape_out)

        return step

    def _between(self, times: NDArray, shape_out: Shape, rounding: float) -> Step:
        """The step of values that are interpolated, zeros outside of the times."""
        path, first, last = self._path(times), times[0], times[-1]

        def step(t: float) -> NDArray:
            if not first - rounding <= t <= last + rounding:
                return np.zeros(shape_out)
            return path(min(max(t, first), last)).reshape(shape_out)

        return step

    def _path(self, times: NDArray) -> Callable[[float], NDArray]:
        values = np.stack([piece(0.0) for piece in self._pieces])
        if len(times) == 1:
            return lambda t: values[0]
        if self.interpolation == "linear":
            return lambda t: np.array([np.interp(t, times, v) for v in values.T])
        if self.interpolation == "nearest":
            halves = (times[1:] + times[:-1]) / 2
            return lambda t: values[np.searchsorted(halves, t)]
        made = require("scipy.interpolate").interp1d(times, values, self.interpolation, axis=0)
        return lambda t: np.asarray(made(t))
