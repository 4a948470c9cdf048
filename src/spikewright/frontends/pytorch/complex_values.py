"""Complex values of a program: their real and imaginary parts, side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch.utils import _pytree as pytree

from spikewright.frontends.reading.refusal import Unknown
from spikewright.frontends.reading.values import Value

BY_PARTS = frozenset((
    "aten.view.default", "aten.reshape.default", "aten.permute.default", "aten.transpose.int",
    "aten.squeeze.dim", "aten.squeeze.default", "aten.unsqueeze.default", "aten.slice.Tensor",
    "aten.select.int", "aten.clone.default", "aten.contiguous.default", "aten.flatten.using_ints",
    "aten.mT.default",
))  # fmt: skip
"""Operators that move values, which do to a complex one what they do to its parts."""

NOT_READ = (
    "it computes with complex numbers, of which only the parts and the size are read",
    "Use torch.view_as_real, .real, .imag or .abs() before it.",
)


@dataclass(frozen=True)
class Complex(Value):
    """The real part, and the imaginary part of the same shape beside it."""

    imaginary: Value | None = None

    @classmethod
    def of(cls, real: Value, imaginary: Value) -> Complex:
        """The complex value of these parts."""
        return cls(real.name, real.shape, real.layout, imaginary=imaginary)

    @property
    def parts(self) -> tuple[Value, Value]:
        """The real part and the imaginary part."""
        if self.imaginary is None:
            raise Unknown
        return Value(self.name, self.shape, self.layout), self.imaginary


def part_of(arguments: Any, index: int) -> Any:
    """Arguments with the real (0) or imaginary (1) parts of their complex values."""
    return pytree.tree_map_only(Complex, lambda value: value.parts[index], arguments)


def with_kind(value: Value, kind: Any) -> Value:
    """A value that knows whether the program holds whole numbers or truth values, by its type."""
    truth = str(kind) == "torch.bool"
    whole = not (truth or kind.is_floating_point or kind.is_complex)
    return replace(value, whole=int(whole), truth=truth)
