"""Semantic pointers: vectors with an algebra (holographic reduced representations, Plate 1995)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import is_number
from spikewright.errors import NetworkError
from spikewright.network.shapes import finite

_VECTOR = "a vector of finite numbers"
_ZERO = 1e-12  # spectra below it have no direction


class SemanticPointer:
    """A vector `v` of `d` values that stands for a concept, and its algebra.

    `A + B` is similar to both. `A * B` binds them by circular convolution, and is similar to
    neither. `~B` is the involution of `B`: `A * B * ~B` is similar to `A`, and equal to it where
    `B` is unitary. Numbers scale: `0.5 * A`, `A / 2`. Pointers are immutable: every operation gives
    a new one. Raises `NetworkError` unless `v` is a vector of finite numbers, and for two of
    different lengths.
    """

    __slots__ = ("v",)
    v: NDArray

    def __init__(self, data: ArrayLike | SemanticPointer) -> None:
        given = data.v if isinstance(data, SemanticPointer) else data
        v = finite(given, "a semantic pointer", _VECTOR, truth_values=True)
        if v.ndim != 1 or v.size == 0:
            raise NetworkError(f"a semantic pointer must be {_VECTOR}, got {given!r}")
        v.setflags(write=False)
        object.__setattr__(self, "v", v)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a semantic pointer does not change; make a new one")

    def __reduce__(self) -> tuple[type[SemanticPointer], tuple[NDArray]]:
        return SemanticPointer, (np.array(self.v),)

    @staticmethod
    def random(dimensions: int, rng: np.random.Generator) -> SemanticPointer:
        """A random direction of length 1."""
        return SemanticPointer(rng.normal(size=dimensions)).normalized()

    @staticmethod
    def identity(dimensions: int) -> SemanticPointer:
        """The identity of binding: `A * identity` is `A`."""
        return SemanticPointer(np.eye(1, dimensions)[0])

    def __len__(self) -> int:
        return len(self.v)

    def __repr__(self) -> str:
        return f"SemanticPointer({np.array2string(self.v, threshold=6, precision=3)})"

    def _other(self, other: Any) -> NDArray:
        if not isinstance(other, SemanticPointer):
            raise NetworkError(f"a semantic pointer is needed here, got {other!r}")
        if len(other) != len(self):
            raise NetworkError(
                f"semantic pointers of {len(self)} and of {len(other)} dimensions do not go "
                "together; vocabularies translate with `transform_to`"
            )
        return other.v

    def __add__(self, other: SemanticPointer) -> SemanticPointer:
        if _operates(other):
            return NotImplemented
        return SemanticPointer(self.v + self._other(other))

    def __sub__(self, other: SemanticPointer) -> SemanticPointer:
        if _operates(other):
            return NotImplemented
        return SemanticPointer(self.v - self._other(other))

    def __neg__(self) -> SemanticPointer:
        return SemanticPointer(-self.v)

    def __invert__(self) -> SemanticPointer:
        return SemanticPointer(self.v[involution(len(self))])

    def __mul__(self, other: SemanticPointer | float) -> SemanticPointer:
        if _operates(other):
            return NotImplemented
        if is_number(other):
            return SemanticPointer(self.v * float(other))  # type: ignore[arg-type]
        b = self._other(other)
        spectrum = np.fft.rfft(self.v) * np.fft.rfft(b)
        return SemanticPointer(np.fft.irfft(spectrum, len(self)))

    def __rmul__(self, other: float) -> SemanticPointer:
        return self * other

    def __truediv__(self, other: float) -> SemanticPointer:
        if not is_number(other) or other == 0:
            raise NetworkError(f"a pointer is divided by a number other than 0, got {other!r}")
        return SemanticPointer(self.v / float(other))

    def length(self) -> float:
        """Euclidean length."""
        return float(np.linalg.norm(self.v))

    def normalized(self) -> SemanticPointer:
        """The same direction, of length 1; zero stays zero."""
        length = self.length()
        return SemanticPointer(self.v / length) if length > 0 else self

    def unitary(self) -> SemanticPointer:
        """The nearest unitary pointer: all its Fourier coefficients have magnitude 1."""
        spectrum = np.fft.rfft(self.v)
        size = np.abs(spectrum)
        turned = np.where(size > _ZERO, spectrum / np.maximum(size, _ZERO), 1.0)
        return SemanticPointer(np.fft.irfft(turned, len(self)))

    def dot(self, other: SemanticPointer) -> float:
        """Dot product."""
        return float(self.v @ self._other(other))

    def compare(self, other: SemanticPointer) -> float:
        """Cosine of the angle between the two, 0 where one is zero."""
        lengths = self.length() * float(np.linalg.norm(self._other(other)))
        return self.dot(other) / lengths if lengths > 0 else 0.0

    def mse(self, other: SemanticPointer) -> float:
        """Mean square of the differences."""
        return float(np.mean((self.v - self._other(other)) ** 2))

    def binding_matrix(self) -> NDArray:
        """`(d, d)`: `binding_matrix() @ x` binds this pointer to `x`."""
        n = np.arange(len(self))
        return self.v[(n[:, None] - n[None, :]) % len(self)]


def _operates(other: Any) -> bool:
    """Whether something has operators that take pointers, as modules have."""
    return hasattr(other, "expression")


def involution(dimensions: int) -> NDArray:
    """Indices into a vector that give its involution."""
    return -np.arange(dimensions) % dimensions


def applied(pointer: SemanticPointer, method: str) -> SemanticPointer:
    """A pointer after a method without arguments: "unitary" or "normalized"."""
    return pointer.unitary() if method == "unitary" else pointer.normalized()
