"""Truth values of `keras.ops`, choices by them or by places, the order of values, and tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.keras.parameters import note_inputs, reversed_table_of, table_of
from spikewright.frontends.keras.registry import (
    KerasCall,
    UnsupportedOp,
    Value,
    array,
    plain_array,
    reads,
    unsupported_reason,
)
from spikewright.frontends.keras.running import constant_value, operands, run_operation
from spikewright.frontends.keras.traversal import filled
from spikewright.frontends.reading.arithmetic import combined, extremum, soft_capped
from spikewright.frontends.reading.call import afford
from spikewright.frontends.reading.reductions import reduced
from spikewright.frontends.reading.truth import (
    NOT,
    are_whole,
    choice,
    equal,
    greater,
    in_order,
    place_of_extremum,
)
from spikewright.graph.layers import (
    Activation,
    Affine,
    Broadcast,
    Crop,
    Identity,
    Input,
    Lookup,
    Multiply,
    Permute,
    Reshape,
    Slice,
    Take,
    UpsampleNearest,
)


@reads("ops.Equal", "ops.NotEqual")
def equality(call: KerasCall) -> Value:
    """Of whole numbers and truth values; of real inputs of the model, to a constant."""
    x, y = operands(call, "x1", "x2")
    if are_whole(x, y):
        return equal(call, x, y, call.kind == "ops.Equal")
    value, other = (x, y) if isinstance(x, Value) else (y, x)
    if isinstance(other, Value):
        raise UnsupportedOp(*unsupported_reason(call.kind))
    if call.kind == "ops.NotEqual":
        return unequal_to(call, value, other)
    return call.add(NOT, unequal_to(call.inside("unequal"), value, other))


def unequal_to(call: KerasCall, x: Value, constant: NDArray) -> Value:
    """Whether a value differs from a constant: whole numbers, or an input as it is given.

    Raises `UnsupportedOp` for real numbers that a layer has computed.
    """
    if are_whole(x, constant):
        return equal(call, x, constant, same=False)
    if x.name is not None and not _is_given(call, x):
        raise UnsupportedOp(*unsupported_reason("ops.NotEqual"))
    difference = combined(call.inside("difference"), (1.0, x), (-1.0, constant))
    distance = call.add(Activation("abs"), difference, part="distance")
    return greater(call, distance, np.zeros(()), strict=True)


def truth_of(call: KerasCall, mask: Any) -> Value:
    """A mask as truth values: of numbers, those that are not zero."""
    if not isinstance(mask, Value):
        return constant_value(call.builder, plain_array(mask).astype(bool), *call.named(""))
    return mask if mask.truth else unequal_to(call, mask, np.zeros(()))


_MOVES = (Identity, Reshape, Permute, Broadcast, Crop, Slice, Take, UpsampleNearest)


def _is_given(call: KerasCall, x: Value) -> bool:
    """Whether values are those of an input of the model, at whatever places."""
    nodes = {node.name: node for node in call.builder.nodes}
    name = x.name
    while name in nodes and isinstance(nodes[name].layer, _MOVES):
        (name,) = nodes[name].inputs
    return name in nodes and isinstance(nodes[name].layer, Input)


@reads("ops.LogicalAnd", "ops.LogicalOr", "ops.LogicalNot", "ops.LogicalXor")
def connective(call: KerasCall) -> Value:
    """The smaller, or larger, of truth values, one minus one, or whether two differ."""
    if not all(value.truth for value in call.inputs):
        raise UnsupportedOp(*unsupported_reason(call.kind))
    if call.kind == "ops.LogicalNot":
        return call.add(NOT, *call.inputs)
    if call.kind == "ops.LogicalXor":
        x, y = operands(call, "x1", "x2")
        return equal(call, x, y, same=False)
    return extremum(call, call.kind == "ops.LogicalOr", *operands(call, "x1", "x2"))


@reads("ops.Any", "ops.All")
def over_axes(call: KerasCall) -> Value:
    """Whether some, or all, of truth values hold along axes."""
    (x,) = call.inputs
    if not x.truth:
        raise UnsupportedOp(*unsupported_reason("ops.LogicalAnd"))
    kind = "max" if call.kind == "ops.Any" else "min"
    return reduced(call, x, kind, call.axes, bool(call.layer.keepdims))


@reads("ops.Select")
def select(call: KerasCall) -> Value:
    """The first of several choices whose condition holds."""
    names = ("condlist", "choicelist")
    conditions, choices = (
        [x if isinstance(x, Value) else plain_array(x) for x in call.arguments[name]]
        for name in names
    )
    made = call.arguments.get("default", 0.0)
    made = made if isinstance(made, Value) else array(made)
    for index, (condition, chosen) in reversed(
        list(enumerate(zip(conditions, choices, strict=True)))
    ):
        if isinstance(condition, Value) and not condition.truth:
            raise UnsupportedOp("its condition holds numbers", "Compare them, such as x > 0")
        part = call.inside(f"choice_{index}") if index else call
        made = choice(part, *part.operands(condition, chosen, made))
    return made


@reads("ops.Where")
def where(call: KerasCall) -> Value:
    """A choice between tensors and constants, by a constant condition or by a truth value."""
    condition, x, y = operands(call, "condition", "x1", "x2")
    if isinstance(condition, Value) and not condition.truth:
        raise UnsupportedOp("its condition holds numbers", "Compare them, such as x > 0")
    return choice(call, condition, x, y)


@reads("ops.Argmax", "ops.Argmin")
def place(call: KerasCall) -> Value:
    """The place of the largest or smallest value along an axis, the first of equal ones."""
    largest = call.kind == "ops.Argmax"
    return place_of_extremum(call, call.inputs[0], call.axis, call.layer.keepdims, largest)


@reads("ops.Sort", "ops.Argsort")
def sort(call: KerasCall) -> Value:
    """All values along an axis in rising order, or the places where they stand."""
    (x,) = call.inputs
    axis = call.axis
    values, places = in_order(call, x, axis, x.shape[axis], falling=False)
    return values if call.kind == "ops.Sort" else places


@reads("ops.TopK")
def largest(call: KerasCall) -> tuple[Value, Value]:
    """The largest values along the last axis in falling order, and their places."""
    (x,) = call.inputs
    return in_order(call, x, len(x.shape) - 1, int(call.layer.k), falling=True)


@reads("Embedding")
def embedding(call: KerasCall) -> Value:
    """The row of each number."""
    return call.add(Lookup(table_of(call.layer)))


@reads("Masking")
def masking(call: KerasCall) -> Value:
    """Steps all of whose values are a given number, as zeros; the layers behind it skip them."""
    (x,) = call.inputs
    if call.layer.mask_value == 0:
        return call.add(Identity())
    unequal = unequal_to(call.inside("unequal"), x, array(call.layer.mask_value))
    kept = reduced(call.inside("mask"), unequal, "max", (len(x.shape) - 1,), True)
    return call.add(Multiply(), x, call.expand(kept, x.shape))


@reads("ReversibleEmbedding", arguments=("reverse",))
def reversible_embedding(call: KerasCall) -> Value:
    """The row of each number, or (in reverse) the products of a value with all rows."""
    layer = call.layer
    if not call.arguments.get("reverse"):
        return call.add(Lookup(table_of(layer)))
    note_inputs(call.builder, layer, call.source)
    rows, cap = Affine(reversed_table_of(layer).T), layer.logit_soft_cap
    if cap is None:
        return call.add(rows)
    return call.chain(call.add(rows, part="logits"), *soft_capped(cap))


@reads("ops.OneHot")
def one_hot(call: KerasCall) -> Value:
    """The row of a unit matrix."""
    layer = call.layer
    if layer.axis not in (-1, len(call.shape) + 1):
        raise UnsupportedOp(f"its new axis is {layer.axis}", "Put it last, axis=-1, and transpose")
    afford(int(layer.num_classes) ** 2)
    return call.add(Lookup(np.eye(layer.num_classes)))


_CHOOSING = (
    "CropImages", "Diagonal", "Dsplit", "ExtractPatches", "Fliplr", "Hsplit", "Rot90",
    "Slice", "TakeAlongAxis", "Unfold",
)  # fmt: skip


@reads(*(f"ops.{name}" for name in _CHOOSING))
def chosen_values(call: KerasCall) -> list[Value]:
    """Values of one tensor at other places, by constant indices."""
    if len(call.inputs) != 1:
        raise UnsupportedOp(
            "it chooses by computed positions", "Use constant positions, or keras.ops.where"
        )
    (x,) = call.inputs
    flat = call.add(Reshape((math.prod(x.shape),)), x, part="flat")
    outputs = _positions(call)
    names = [f"{index}" if index else "" for index in range(len(outputs))]
    return [
        call.add(Take(places, 0), flat, part=name)
        for places, name in zip(outputs, names, strict=True)
    ]


def _positions(call: KerasCall) -> list[NDArray]:
    """For each output, the place in a flat sample of every value of it."""
    (x,), n = call.inputs, math.prod(call.shape)
    afford(n)
    samples = 1 if call.batch == 1 else 2
    places = np.arange(1, samples * n + 1, dtype=np.float64).reshape(samples, *x.shape)
    given = filled(dict(call.arguments), [require("keras").ops.convert_to_tensor(places)])
    try:
        made = [array(one) for one in run_operation(call.layer, (), given)]
    except (RuntimeError, ValueError, IndexError, TypeError):
        made = []  # it needs another number of samples
    apart = all(
        len(one) == samples and all((row == one[0] + i * n).all() for i, row in enumerate(one))
        for one in made
    )
    if not made or not apart or any((one[:1] < 1).any() for one in made):
        raise UnsupportedOp(
            "it chooses among the samples of the batch", "Choose along other axes than 0"
        )
    return [np.asarray(one[0] - 1, np.int64) for one in made]
