"""The base class of encoders: from the samples of a batch to an input's values at every step."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.samples import held_constant
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
