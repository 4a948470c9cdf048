"""Encoders: from the samples of a batch to an input's values at every step.

Values are held, or become spikes at equal distances or at random; frames are held one by one."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number, is_whole
from spikewright._base.samples import format_shape, held_constant, held_over
from spikewright.errors import SimulationError

Shape = tuple[int, ...]


class Encoder(ABC):
    """Turns the samples of one input into currents, step by step.

    The encoding of a sample depends on that sample, the seed and the settings of the run alone. The
    other samples of the batch, their number and their order do not matter.
    """

    def samples(self, given: Any, name: str, shape: Shape) -> Sequence[Any]:
        """The samples of the input `name` of this shape, one entry a sample.

        By default arrays `(batch, *shape)` of finite numbers, which `given` is already. Raises
        `SimulationError`.
        """
        try:
            found: Sequence[Any] = held_constant(given, shape, f" for {self!r}")
        except ValueError as error:
            raise SimulationError(f"input {name!r} {error}") from None
        return found

    def needed(self, samples: Sequence[Any], dt: float) -> int | None:
        """The number of steps that the samples themselves last, or None where any number will do.

        A run without a number of steps takes this one.
        """
        return None

    @abstractmethod
    def encode(
        self, samples: Sequence[Any], shape: Shape, steps: int, dt: float, key: tuple[int, ...]
    ) -> NDArray:
        """Currents `(len(samples), steps or 1, *shape)`; one step stands for a constant current.

        `dt` is in seconds, `key` holds the seed and the key of the input. Raises `SimulationError`
        for samples that do not fit the run.
        """

    def spike_height(self, dt: float) -> float | None:
        """The height of a spike, of which currents are whole multiples; None where they are not."""
        return None

    @property
    def takes_arrays(self) -> bool:
        """Whether a user gives arrays or tensors of numbers, `(batch, ...)`."""
        return True


def check_rate(owner: object, rate: Any) -> None:
    """Raise `SimulationError` unless a rate is a finite number above zero."""
    if not (is_number(rate) and rate > 0):
        raise SimulationError(
            f"{type(owner).__name__}: the rate is a number above 0, in Hz for a value of 1, got "
            f"{rate!r}"
        )


def generator_of(sample: NDArray, key: tuple[int, ...]) -> np.random.Generator:
    """Random numbers of one sample: a function of its values and the key.

    Two samples that differ draw apart, and a sample draws the same wherever it stands in a batch.
    """
    values = np.ascontiguousarray(sample + 0.0)  # -0 is 0
    digest = hashlib.blake2b(values.tobytes(), digest_size=16).digest()
    words = np.frombuffer(digest, np.uint32)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([*key, *map(int, words)])))


_TOLERANCE = 2.0**-16  # of a spike: what rounding may take from a sum that is whole
_FLOAT32 = np.finfo(np.float32)
_MOST = 1e9  # expected spikes a step: beyond, counts are no longer whole numbers that can be drawn


@dataclass(frozen=True)
class ConstantCurrent(Encoder):
    """Every value held as a constant current: the default of a run."""

    def encode(
        self, samples: Sequence[Any], shape: Shape, steps: int, dt: float, key: tuple[int, ...]
    ) -> NDArray:
        return np.asarray(samples, np.float64)[:, None]


@dataclass(frozen=True)
class _Spikes(Encoder):
    """Values as spikes, `rate` of them a second for a value of 1."""

    rate: float = 1000.0

    def __post_init__(self) -> None:
        check_rate(self, self.rate)

    def spike_height(self, dt: float) -> float | None:
        return 1.0 / (self.rate * dt)

    def encode(
        self, samples: Sequence[Any], shape: Shape, steps: int, dt: float, key: tuple[int, ...]
    ) -> NDArray:
        rate, found = self.rate * dt, np.empty((len(samples), steps, *shape))
        for sample, row in zip(np.asarray(samples, np.float64), found, strict=True):
            # A sample at a time stays in the processor's cache.
            np.multiply(np.sign(sample), self._counts(sample, steps, rate, key), out=row)
            row /= rate
        return found

    @abstractmethod
    def _counts(self, sample: NDArray, steps: int, rate: float, key: tuple[int, ...]) -> NDArray:
        """The numbers of spikes `(steps, *shape)` of a sample, `rate` a step for a size of 1."""


@dataclass(frozen=True)
class Regular(_Spikes):
    """Spikes at equal distances, several a step where there must be, negative ones below zero.

    A value x spikes `rate |x|` times a second, starting from half a spike, and a spike is
    `1 / (rate dt)` high. Over T seconds the mean is within `1 / (2 rate T)` of x. `rate` is in Hz
    for a value of 1.
    """

    def _counts(self, sample: NDArray, steps: int, rate: float, key: tuple[int, ...]) -> NDArray:
        ends = np.arange(steps + 1).reshape(-1, *(1,) * sample.ndim) * (np.abs(sample) * rate)
        ends += 0.5 + _TOLERANCE
        np.floor(ends, out=ends)
        return ends[1:] - ends[:-1]


@dataclass(frozen=True)
class Poisson(_Spikes):
    """A Poisson number of spikes at every step, independent of all others, negative below zero.

    A value x spikes `rate |x|` times a second on average, and a spike is `1 / (rate dt)` high. Over
    T seconds the mean is x with a standard deviation of `sqrt(|x| / (rate T))`. `rate` is in Hz for
    a value of 1. Draws follow from the seed of the run, the name of the input and the sample's own
    values: not from the batch that it is in, nor from its place there.
    """

    def _counts(self, sample: NDArray, steps: int, rate: float, key: tuple[int, ...]) -> NDArray:
        expected = np.abs(sample) * rate
        if expected.size and expected.max() > _MOST:
            raise SimulationError(
                f"{self!r}: a value of {np.abs(sample).max():g} makes {expected.max():g} spikes a "
                f"step, and {_MOST:g} are the limit; scale the input down, or lower the rate"
            )
        return generator_of(sample, key).poisson(expected, (steps, *sample.shape))


@dataclass(frozen=True)
class Frames(Encoder):
    """Samples are `(frames, *shape)`, and every frame is held for `hold` steps.

    A run that is given no number of steps lasts as long as the frames do; a longer one holds the
    last frame, a shorter one is refused. With `hold=1` it equals a run of `(batch, steps, *shape)`
    without an encoder.

    Values are multiplied by a `scale`, in float32: with `scale=1 / 255` frames of bytes are from 0
    to 1. Products with values from 0 to 255 are exact, and run faster than other numbers.
    """

    hold: int = 1
    scale: float | None = None

    def __post_init__(self) -> None:
        if not (is_whole(self.hold) and self.hold >= 1):
            raise SimulationError(f"Frames: hold is a whole number from 1, got {self.hold!r}")
        scale, least, most = self.scale, *map(float, (_FLOAT32.tiny, _FLOAT32.max))
        if scale is not None and not (is_number(scale) and least <= abs(scale) <= most):
            raise SimulationError(
                f"Frames: scale is a number other than 0 that float32 holds, got {scale!r}"
            )

    def samples(self, given: Any, name: str, shape: Shape) -> Sequence[Any]:
        found: Sequence[Any] | None = held_over(given, shape)
        if found is None:
            raise SimulationError(
                f"input {name!r} must be {format_shape(shape, 'frames')} for {self!r}, got shape "
                f"{given.shape}"
            )
        return found

    def needed(self, samples: Sequence[Any], dt: float) -> int | None:
        return len(samples[0]) * self.hold

    def encode(
        self, samples: Sequence[Any], shape: Shape, steps: int, dt: float, key: tuple[int, ...]
    ) -> NDArray:
        frames = np.asarray(samples)
        count = frames.shape[1]
        if steps < count * self.hold:
            raise SimulationError(
                f"{count} frames held for {self.hold} steps each take {count * self.hold} steps, "
                f"the run has {steps}"
            )
        if self.scale is not None:
            frames = np.float64(np.float32(self.scale)) * frames
        if steps == count:
            return frames
        return frames[:, np.minimum(np.arange(steps) // self.hold, count - 1)]
