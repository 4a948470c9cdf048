"""The values of an ONNX model while it is read: signals, constants, missing ones, whole numbers.

Only operators that do the same to whole numbers as to real ones may stand on the way to what casts,
compares or looks up by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.onnx.files import type_name
from spikewright.frontends.reading.call import BATCH_FIRST, UnsupportedOp
from spikewright.frontends.reading.call import Value as ReadValue
from spikewright.graph.layers import Shape


@dataclass(frozen=True)
class SignalValue(ReadValue):
    """A value that depends on the data, as readers see it.

    The graph's value has the full axes of ONNX's for one sample, without the leading one where
    that is the batch. One that is not `comparable` differs from the ONNX value by design: an
    infinity that a mask adds is a large finite number here. `whole` is the element type of whole
    numbers, on which some operators do otherwise than on real ones, else 0.
    """

    comparable: bool = True

    @property
    def node(self) -> str:
        """The name of the graph's node, which is known."""
        return str(self.name)

    @property
    def full(self) -> Shape:
        """The shape that ONNX has for one sample."""
        return self.layout.full(self.shape)

    def is_batch(self, axis: int) -> bool:
        """Whether a full axis is the one that the graph leaves out."""
        return self.layout == BATCH_FIRST and axis % max(self.rank, 1) == 0

    def full_axis(self, axis: int) -> int:
        """A full axis counted from the front; raises `UnsupportedOp` where there is none."""
        if not -self.rank <= axis < self.rank:
            raise UnsupportedOp(f"its axis {axis} does not exist in {self.rank} axes")
        return axis % self.rank

    def axis(self, axis: int) -> int:
        """The graph's axis that a full axis is; raises `UnsupportedOp` for the batch's."""
        full = self.full_axis(axis)
        if self.is_batch(full):
            raise UnsupportedOp(
                f"its axis {axis} is the batch: samples would influence each other",
                "Only the other axes can be read",
            )
        return full - (self.layout == BATCH_FIRST)

    def axes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """The same for several axes, in order, each once."""
        return tuple(sorted({self.axis(axis) for axis in axes}))

    def every_axis(self) -> tuple[int, ...]:
        """All full axes."""
        return tuple(range(self.rank))


@dataclass(frozen=True)
class ConstantValue:
    """A value that does not depend on the data."""

    array: NDArray


@dataclass(frozen=True)
class Missing:
    """A value that no graph node holds; `why` is empty where a refusal has said it already."""

    why: str = ""


@dataclass(frozen=True)
class Label(Missing):
    """The class of the largest score, which models end in: outputs before it cut it off."""

    why: str = "it is the label of the largest score, which jumps where two are equal"


Value = SignalValue | ConstantValue | Missing


def full_shape(value: Value | None) -> Shape:
    """The shape that ONNX has of a value for one sample."""
    if isinstance(value, SignalValue):
        return value.full
    return value.array.shape if isinstance(value, ConstantValue) else ()


_MOVING = """
    Expand Flatten Gather GatherElements GatherND Identity Reshape Slice Split Squeeze Tile
    Transpose Unsqueeze
"""
_MOVES = frozenset(_MOVING.split())


_PICKING = ("Gather", "GatherElements", "GatherND")


def integer_types() -> tuple[int, ...]:
    """The element types of whole numbers."""
    types = require("onnx").TensorProto
    return (
        types.INT8, types.INT16, types.INT32, types.INT64,
        types.UINT8, types.UINT16, types.UINT32, types.UINT64,
    )  # fmt: skip


_CHOICES = "Clip Concat Max Min Pad ReduceMax ReduceMin ScatterElements ScatterND Where"
_CHOOSING = _MOVES | frozenset(_CHOICES.split())
_SUMS = "Abs Add CumSum Mul Neg ReduceSum Sub Sum"
_COUNTING = frozenset(_SUMS.split())
_COMPARING = "Equal Greater GreaterOrEqual Less LessOrEqual"
_ANSWERING = frozenset((*_COMPARING.split(), "OneHot"))
_TRUTHS = frozenset((*_COMPARING.split(), "And", "IsInf", "IsNaN", "Not", "Or", "Xor"))


def whole_type(operator: str, inputs: Sequence[Value | None], attributes: Mapping[str, Any]) -> int:
    """The element type of the whole numbers that a standard operator makes, 0 of real ones.

    Raises `UnsupportedOp` where it makes something else of whole numbers than of real ones.
    """
    kinds = [value.whole for value in inputs if isinstance(value, SignalValue) and value.whole]
    if operator == "Cast":
        known = kinds or _holds_truth(inputs[0])
        return _cast_type(kinds, int(attributes["to"])) if known else 0
    if not kinds:
        return 0
    if operator in _PICKING and isinstance(inputs[0], ConstantValue):
        return _element_type(inputs[0])
    if operator in _CHOOSING:
        return kinds[0]
    if operator in _COUNTING:
        return _counted(kinds[0])
    if operator in _ANSWERING:
        return 0
    raise UnsupportedOp(
        "it reads whole numbers, and treats them otherwise than real ones",
        "Look rows of a table up by them, or export the model behind the layer that reads them "
        "and feed its output, as inputs_embeds of a language model",
    )


def is_truth(operator: str, inputs: Sequence[Value | None], attributes: Mapping[str, Any]) -> bool:
    """Whether a standard operator makes truth values, which are ones and zeros here."""
    if operator == "Cast":
        return int(attributes["to"]) == int(require("onnx").TensorProto.BOOL)
    if operator in _PICKING and isinstance(inputs[0], ConstantValue):
        return inputs[0].array.dtype == bool
    chosen = inputs[1:] if operator == "Where" else inputs[:1]
    return operator in _TRUTHS or (operator in _CHOOSING and any(map(_holds_truth, chosen)))


def _holds_truth(value: Value | None) -> bool:
    return isinstance(value, SignalValue) and value.truth


def _cast_type(kinds: Sequence[int], to: int) -> int:
    """The `whole` type of a cast of whole numbers, or of truth values."""
    if to not in integer_types():
        return 0
    if kinds and not (_is_wide(to) or to == kinds[0]):
        raise UnsupportedOp(
            f"numbers that {type_name(to)} does not hold become others",
            "Cast to INT64, or leave the cast out",
        )
    return to


def _counted(kind: int) -> int:
    """The type of a number that counts entries, which must not overflow."""
    if not _is_wide(kind):
        raise UnsupportedOp(
            f"it counts in {type_name(kind)}, where numbers too large or below zero become others",
            "Cast to INT64 before",
        )
    return kind


def _is_wide(kind: int) -> bool:
    """Whether all numbers that count something lie within a type."""
    types = require("onnx").TensorProto
    return kind in (types.INT32, types.INT64)


def _element_type(constant: ConstantValue) -> int:
    """The element type of a constant of whole numbers, 0 for one of real ones."""
    kind = int(require("onnx").helper.np_dtype_to_tensor_dtype(constant.array.dtype))
    return kind if kind in integer_types() else 0
