"""Whole numbers: inputs, and values made of them until they are cast, compared or looked up by.

Only operators that do the same to whole numbers as to real ones may stand on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikewright._base.optional import require
from spikewright.frontends.onnx.files import type_name
from spikewright.frontends.onnx.values import Constant, Signal, Unreadable, Value

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

    Raises `Unreadable` where it makes something else of whole numbers than of real ones.
    """
    kinds = [value.whole for value in inputs if isinstance(value, Signal) and value.whole]
    if operator == "Cast":
        known = kinds or _holds_truth(inputs[0])
        return _cast_type(kinds, int(attributes["to"])) if known else 0
    if not kinds:
        return 0
    if operator in _PICKING and isinstance(inputs[0], Constant):
        return _element_type(inputs[0])
    if operator in _CHOOSING:
        return kinds[0]
    if operator in _COUNTING:
        return _counted(kinds[0])
    if operator in _ANSWERING:
        return 0
    raise Unreadable(
        "it reads whole numbers, and treats them otherwise than real ones",
        "Look rows of a table up by them, or export the model behind the layer that reads them "
        "and feed its output, as inputs_embeds of a language model",
    )


def is_truth(operator: str, inputs: Sequence[Value | None], attributes: Mapping[str, Any]) -> bool:
    """Whether a standard operator makes truth values, which are ones and zeros here."""
    if operator == "Cast":
        return int(attributes["to"]) == int(require("onnx").TensorProto.BOOL)
    if operator in _PICKING and isinstance(inputs[0], Constant):
        return inputs[0].array.dtype == bool
    chosen = inputs[1:] if operator == "Where" else inputs[:1]
    return operator in _TRUTHS or (operator in _CHOOSING and any(map(_holds_truth, chosen)))


def _holds_truth(value: Value | None) -> bool:
    return isinstance(value, Signal) and value.truth


def _cast_type(kinds: Sequence[int], to: int) -> int:
    """The `whole` type of a cast of whole numbers, or of truth values."""
    if to not in integer_types():
        return 0
    if kinds and not (_is_wide(to) or to == kinds[0]):
        raise Unreadable(
            f"numbers that {type_name(to)} does not hold become others",
            "Cast to INT64, or leave the cast out",
        )
    return to


def _counted(kind: int) -> int:
    """The type of a number that counts entries, which must not overflow."""
    if not _is_wide(kind):
        raise Unreadable(
            f"it counts in {type_name(kind)}, where numbers too large or below zero become others",
            "Cast to INT64 before",
        )
    return kind


def _is_wide(kind: int) -> bool:
    """Whether all numbers that count something lie within a type."""
    types = require("onnx").TensorProto
    return kind in (types.INT32, types.INT64)


def _element_type(constant: Constant) -> int:
    """The element type of a constant of whole numbers, 0 for one of real ones."""
    kind = int(require("onnx").helper.np_dtype_to_tensor_dtype(constant.array.dtype))
    return kind if kind in integer_types() else 0
