"""Sums of products over named axes, wherever the batch is among the axes of the operands."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from numpy.typing import NDArray

from spikewright.frontends.pytorch.call import MIXES, Call, Cannot, Lost, Value, finite, to_array
from spikewright.frontends.reading import contraction
from spikewright.frontends.reading.contraction import Factor
from spikewright.frontends.reading.equation import Labels, batch_label
from spikewright.frontends.reading.layout import BATCH, Layout, of_groups
from spikewright.graph.layers import Shape

_SAMPLES = ("samples",)  # the batch axis itself, among labels
_Around = tuple[Shape, Shape]


def contract(
    call: Call,
    operands: Sequence[tuple[Any, Labels]],
    result: Labels,
    part: str = "",
    bias: NDArray | None = None,
) -> Value:
    """The sum of the operands' product over all labels that `result` does not have.

    Operands have a label for every axis of the program; one at least depends on the input. `bias`
    broadcasts against the result's axes behind the batch.
    """
    pairs = [(finite(x), labels) for x, labels in operands if isinstance(x, Value)]
    batch = batch_label([(labels, x.layout.axis) for x, labels in pairs], result)
    if len({_around(value) for value, _ in pairs}) > 1:
        raise Cannot("the batch axis is merged with different axes in its operands", MIXES)
    own = _around(pairs[0][0])
    if any(value.name is None for value, _ in pairs):
        raise Lost
    factors = [_factor(call, operand, labels, batch, own) for operand, labels in operands]
    groups = [_group(label, own) if label == batch else [label] for label in result]
    wanted = tuple(label for group in groups for label in group if label != _SAMPLES)
    made = contraction.contract(call.node, factors, wanted, part, bias)
    places = [[BATCH if label == _SAMPLES else 0 for label in group] for group in groups]
    return Value(made.node, made.shape, of_groups(places))


def _around(value: Value) -> _Around:
    """Extents of the own axes that are merged with the batch, before and after it."""
    layout, shape = value.layout, value.shape
    return shape[layout.axis : layout.before], shape[layout.before : layout.before + layout.inner]


def _group(label: Hashable, own: _Around) -> list[Hashable]:
    return [*[(label, "outer")] * len(own[0]), _SAMPLES, *[(label, "inner")] * len(own[1])]


def _factor(call: Call, operand: Any, labels: Labels, batch: Hashable, own: _Around) -> Factor:
    """A value or a constant, without the batch axis."""
    merged = [label for label in _group(batch, own) if label != _SAMPLES]
    flat = tuple(one for label in labels for one in (merged if label == batch else [label]))
    if isinstance(operand, Value):
        return Factor(flat, operand.shape, operand.name or "")
    array = to_array(operand)
    if batch in labels:
        like = Value(None, own[0] + own[1], Layout(len(own[0]), bool(own[0]), bool(own[1])))
        array = call.without_batch(array, labels.index(batch), like)
    return Factor.of(array, flat)
