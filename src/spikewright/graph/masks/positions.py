"""The positions of a sequence that the entries of a layer's value belong to.

An entry belongs to a position where it is made of that position's values by layers that act on
every position alone. One that is made of several positions, such as a mean over a window, belongs
to all of them: it is padding where all of them are. A score of a query and a key belongs to two,
and is padding where either is. A state that the mask of one step keeps, `m x + (1 - m) y`, belongs
to no position: padding never reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import layers as g
from spikewright.graph.graph import Graph, GraphNode, leading_to
from spikewright.graph.layers import Layer, Shape
from spikewright.graph.layers.pooling import OverAxes

_MOVES = (
    g.Broadcast, g.Crop, g.Identity, g.Pad, g.Permute, g.Reshape, g.Slice, g.Take, g.Tile,
    g.UpsampleNearest, g.ZeroPad,
)  # fmt: skip
_SAME = (
    g.Activation, g.BatchNormalization, g.GroupNormalization, g.LayerNormalization,
    g.ParametricReLU, g.RMSNormalization, g.ScaleShift, g.UnitNormalization,
)  # fmt: skip
_TOGETHER = (g.Add, g.Divide, g.Maximum, g.Minimum, g.Multiply)


@dataclass(frozen=True, eq=False)
class Span:
    """The positions from `first` to `last` of every entry, counted from 1; 0 where it has none.

    Both are arrays of one shape, which broadcasts to that of the value, the batch left out.
    """

    first: NDArray
    last: NDArray

    @classmethod
    def along(cls, shape: Shape, axis: int, start: int) -> Span:
        """One position an entry of an axis, the first of them `start + 1`."""
        at = start + 1 + np.arange(shape[axis])
        at = at.reshape(tuple(n if i == axis else 1 for i, n in enumerate(shape)))
        return cls(at, at)

    def __eq__(self, other: object) -> bool:
        """Whether all entries belong to the same positions, axes of one in front aside."""
        return isinstance(other, Span) and all(
            np.array_equal(_trimmed(a), _trimmed(b))
            for a, b in zip(self.ends, other.ends, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def ends(self) -> tuple[NDArray, NDArray]:
        """`first` and `last`."""
        return self.first, self.last

    @property
    def varies(self) -> bool:
        """Whether entries belong to different positions."""
        return self.first.size > 1

    def real(self, real: NDArray) -> NDArray:
        """Whether entries count, `(batch, ...)`, where positions `(batch, positions)` are real."""
        before = np.pad(np.cumsum(real, axis=1), ((0, 0), (1, 0)))
        found: NDArray = before[:, self.last] > before[:, np.maximum(self.first, 1) - 1]
        return found | (self.first == 0)


@dataclass(frozen=True, eq=False)
class MaskPlace:
    """The spans of a value: an entry is padding where all positions of one of them are.

    `content` says whether it depends on more than masks and constants. Of a value that does not,
    `values` `(2, *shape)` are those where all positions are real, and where all are padding.
    """

    spans: tuple[Span, ...] = ()
    content: bool = True
    values: NDArray | None = None


def places(
    graph: Graph, given: Mapping[str, MaskPlace], of: str | None = None
) -> dict[str, MaskPlace]:
    """The place of every node's value, or of those that the node `of` is computed of.

    `given` are those of inputs, and of computed masks.
    """
    found: dict[str, MaskPlace] = {}
    wanted = None if of is None else leading_to(graph, [of])
    for node in graph:
        if wanted is not None and node.name not in wanted:
            continue
        if node.name in given:
            found[node.name] = given[node.name]
            continue
        inputs = [found[name] for name in node.inputs]
        shapes = [graph.shapes[name] for name in node.inputs]
        joined = _parts_read(graph, node)
        if joined:  # a mask beside values, of which weights take one or the other
            inputs = [_weighed(found, graph, joined)]
        made = _made(node.layer, inputs, shapes)
        rank = len(graph.shapes[node.name])
        spans = _different(_compact(_of_rank(span, rank)) for span in made.spans)
        found[node.name] = replace(made, spans=spans, **_plain(node, inputs))
    return found


def acts_one_by_one(layer: Layer) -> bool:
    """Whether every entry of a layer's value is made of those of its inputs at the same place."""
    if isinstance(layer, g.Activation):
        return layer.elementwise
    return isinstance(layer, (g.Identity, g.ParametricReLU, g.ScaleShift, *_TOGETHER))


def _parts_read(graph: Graph, node: GraphNode) -> dict[str, bool]:
    """The parts, side by side, that a dense layer reads, and whether its weights take them.

    Empty where they take all of them, or where it reads no such parts.
    """
    before = graph[node.inputs[0]] if isinstance(node.layer, g.Affine) else node
    if not isinstance(before.layer, g.Concatenate) or before is node:
        return {}
    rank = len(graph.shapes[before.name])
    widths = [graph.shapes[name][-1] for name in before.inputs]
    if before.layer.axis % rank != rank - 1 or len({*before.inputs}) < len(widths):
        return {}
    columns = np.split(np.any(node.layer.weight != 0, axis=0), np.cumsum(widths)[:-1])  # type: ignore[attr-defined]
    taken = [bool(part.any()) for part in columns]
    return {} if all(taken) else dict(zip(before.inputs, taken, strict=True))


def _weighed(found: Mapping[str, MaskPlace], graph: Graph, parts: Mapping[str, bool]) -> MaskPlace:
    """The place of parts side by side, as if there were none but those that are taken."""
    taken = [found[name] for name, here in parts.items() if here]
    spans = tuple(span for place in taken for span in place.spans)
    if any(place.content for place in taken):
        return MaskPlace(spans)
    values = [
        found[name].values if here else np.zeros((2, *graph.shapes[name]))
        for name, here in parts.items()
    ]
    return MaskPlace(spans, False, np.concatenate([v for v in values if v is not None], axis=-1))


def _plain(node: GraphNode, inputs: Sequence[MaskPlace]) -> dict[str, Any]:
    """The values of a node that depends on masks and constants alone."""
    if isinstance(node.layer, g.Input | g.PythonCall) or any(x.content for x in inputs):
        return {"content": True}
    values = [x.values for x in inputs if x.values is not None]
    with np.errstate(all="ignore"):
        made = node.layer.evaluate(*values)
    return {"content": False, "values": np.broadcast_to(made, (2, *made.shape[1:]))}


def _made(layer: Layer, inputs: Sequence[MaskPlace], shapes: Sequence[Shape]) -> MaskPlace:
    """The spans of a layer's value."""
    if isinstance(layer, _TOGETHER):
        return _together(layer, inputs)
    if isinstance(layer, g.Concatenate):
        return MaskPlace(_joined(layer, inputs, shapes))
    if isinstance(layer, g.MatMul):
        return MaskPlace(_of_products(layer, inputs))
    if isinstance(layer, g.Recurrence):
        return MaskPlace(_of_sequences(layer, inputs, shapes))
    if not inputs or isinstance(layer, g.PythonCall):
        return MaskPlace()
    change = _changes(layer, shapes[0])
    return MaskPlace(tuple(map(change, inputs[0].spans)))


def _changes(layer: Layer, shape: Shape) -> Callable[[Span], Span]:
    """How a layer of one input changes a span of it."""
    if isinstance(layer, _SAME):
        return lambda span: span
    if isinstance(layer, g.Lookup):
        more = (1,) * (layer.table.ndim - 1)
        return lambda span: Span(*(end.reshape(*end.shape, *more) for end in span.ends))
    if isinstance(layer, _MOVES):
        return lambda span: _moved(layer, span, shape)
    if isinstance(layer, g.Affine):
        return lambda span: _over(span, (-1,))
    if isinstance(layer, OverAxes):
        return lambda span: _over(span, layer.axes, layer.keepdims, len(shape))
    return lambda span: _mixed(layer, span, shape)


def _moved(layer: Layer, span: Span, shape: Shape) -> Span:
    """The span of values that are moved as they are; zeros that are added have no position."""
    first, last = (
        layer.evaluate(np.broadcast_to(end, shape)[None].astype(np.float64))[0] for end in span.ends
    )
    return Span(first.astype(int), last.astype(int))


def _over(span: Span, axes: Any, keepdims: bool = True, rank: int | None = None) -> Span:
    """The span of what is made of all values along some axes."""
    rank = span.first.ndim if rank is None else rank
    along = tuple(axis % rank for axis in axes)
    first, last = _of_rank(span, rank).ends
    none = np.iinfo(np.int64).max
    low = np.where(first > 0, first, none).min(axis=along, keepdims=keepdims)
    high = last.max(axis=along, keepdims=keepdims)
    return Span(np.where(high > 0, low, 0), high)


def _mixed(layer: Layer, span: Span, shape: Shape) -> Span:
    """The span of what is made of windows, or by matrices along axes."""
    first, last = (np.broadcast_to(end, shape)[None].astype(np.float64) for end in span.ends)
    sides = [np.where(end > 0, sign * end, -np.inf) for sign, end in ((-1, first), (1, last))]
    low, high = (_largest(layer, side)[0] for side in sides)
    made = np.isfinite(high)
    low, high = (np.where(made, end, 0.0) for end in (low, high))
    first, last = (np.where(made, sign * end, 0) for sign, end in ((-1, low), (1, high)))
    return Span(first.astype(int), last.astype(int))


def _largest(layer: Any, x: NDArray) -> NDArray:
    """The largest of the values that each result is made of, over all channels of kernels."""
    if isinstance(layer, g.MaxPool):
        return layer.evaluate(x)
    if isinstance(layer, g.AveragePool):
        windows = layer.windows
        return g.MaxPool(
            windows.size, windows.stride, windows.padding, windows.dilation, windows.ceil_mode,
            layer.channels_last,
        ).evaluate(x)  # fmt: skip
    if isinstance(layer, g.Convolution):
        windows, together = layer.windows, _of_groups(layer, x, layer.weight.shape[0])
        return g.MaxPool(
            windows.size, windows.stride, windows.padding, windows.dilation,
            channels_last=layer.channels_last,
        ).evaluate(together)  # fmt: skip
    if isinstance(layer, g.Interpolate):
        pairs = zip(layer.axes, layer.matrices, strict=True)
        return _by_matrices(x, [(axis % (x.ndim - 1) + 1, m) for axis, m in pairs])
    if isinstance(layer, g.AdaptiveAveragePool):
        start = 1 if layer.channels_last else 2
        spatial = x.shape[start : start + len(layer.output)]
        return _by_matrices(x, list(enumerate(layer.matrices(spatial), start=start)))
    if isinstance(layer, g.ConvolutionTranspose):
        return _spread(layer, x)
    return np.full((1, *(1,) * (x.ndim - 1)), -np.inf)  # unknown: no positions


def _of_groups(layer: Any, x: NDArray, channels: int) -> NDArray:
    """The largest of the values that each of so many channels of a result is made of."""
    axis = x.ndim - 1 if layer.channels_last else 1
    parts = np.split(x, layer.groups, axis)
    largest = np.concatenate([part.max(axis=axis, keepdims=True) for part in parts], axis)
    return np.repeat(largest, channels // layer.groups, axis)


def _by_matrices(x: NDArray, along: Sequence[tuple[int, NDArray]]) -> NDArray:
    """The largest of the values along axes that rows of matrices take."""
    for axis, matrix in along:
        taken = (np.take(x, np.flatnonzero(row), axis) for row in matrix)
        rows = [each.max(axis=axis, initial=-np.inf) for each in taken]  # of none: no positions
        x = np.stack(rows, axis=axis)
    return x


def _spread(layer: g.ConvolutionTranspose, x: NDArray) -> NDArray:
    """The largest of the values that reach each result of a transposed convolution."""
    channels = layer.weight.shape[1] * layer.groups
    together = _of_groups(layer, x, channels)
    ones = np.ones((channels, 1, *layer.weight.shape[2:]))
    taps = replace(layer, weight=ones, bias=None, groups=channels)
    found: NDArray | None = None
    for value in np.unique(together[np.isfinite(together)]):
        reached = taps.evaluate((together == value).astype(np.float64)) > 0
        found = np.full(reached.shape, -np.inf) if found is None else found
        found[reached] = value  # in order, so that the largest stays
    return np.full((1, *(1,) * (x.ndim - 1)), -np.inf) if found is None else found


def _joined(
    layer: g.Concatenate, inputs: Sequence[MaskPlace], shapes: Sequence[Shape]
) -> tuple[Span, ...]:
    """Spans side by side; of fewer in some inputs the others have none there."""
    made = []
    for index in range(max(len(place.spans) for place in inputs)):
        parts: list[tuple[NDArray, NDArray]] = []
        for place, shape in zip(inputs, shapes, strict=True):
            none = np.zeros((1,) * len(shape), int)
            span = place.spans[index] if index < len(place.spans) else Span(none, none)
            first, last = (np.broadcast_to(end, shape) for end in span.ends)
            parts.append((first, last))
        ends = (np.concatenate(end, axis=layer.axis) for end in zip(*parts, strict=True))
        made.append(Span(*ends))
    return tuple(made)


def _of_sequences(
    layer: g.Recurrence, inputs: Sequence[MaskPlace], shapes: Sequence[Shape]
) -> tuple[Span, ...]:
    """Spans of the steps of the sequences that a recurrence reads."""
    rank = 1 + len(layer.cell.shapes[layer.result])
    made = []
    for place, shape in zip(inputs, shapes[: len(layer.cell.inputs)], strict=False):
        for span in place.spans:
            found = _over(span, range(1, len(shape)), False, len(shape))
            made.append(Span(*(end.reshape(-1, *(1,) * (rank - 1)) for end in found.ends)))
    return tuple(made)


def _of_products(layer: g.MatMul, inputs: Sequence[MaskPlace]) -> tuple[Span, ...]:
    """Spans of the rows of one factor, and of the columns of the other."""
    made = []
    sides = ((-1, layer.transpose_a), (-2, layer.transpose_b))
    for place, (inner, transposed) in zip(inputs, sides, strict=True):
        for span in place.spans:
            turned = [np.swapaxes(end, -1, -2) if transposed else end for end in span.ends]
            made.append(_over(Span(*turned), (inner,)))
    return tuple(made)


def _together(layer: Layer, inputs: Sequence[MaskPlace]) -> MaskPlace:
    """Spans of values that are put together one by one.

    A mask, or what follows from it, says nothing of other values, unless it makes them zero.
    """
    content = [place for place in inputs if place.content]
    if not content:
        return MaskPlace(tuple(span for place in inputs for span in place.spans))
    if isinstance(layer, g.Multiply) and len(content) < len(inputs):
        return _masked(content, [place for place in inputs if not place.content])
    return MaskPlace(tuple(span for place in content for span in place.spans))


def _masked(content: Sequence[MaskPlace], masks: Sequence[MaskPlace]) -> MaskPlace:
    """The spans of a product with masks and constants.

    What is zero at padding is padding there; of one step alone it is a part of a state.
    """
    spans = tuple(span for place in content for span in place.spans)
    of_masks = _different(_compact(span) for place in masks for span in place.spans)
    if not of_masks or not _zero_at_padding(masks, of_masks):
        return MaskPlace(spans)
    if any(span.varies for span in of_masks):
        return MaskPlace((*spans, *of_masks))
    return MaskPlace(tuple(span for span in spans if _compact(span) not in of_masks))


def _zero_at_padding(masks: Sequence[MaskPlace], spans: Sequence[Span]) -> bool:
    """Whether a product of masks and constants is zero at padding, wherever it has a position."""
    values = [place.values[1] for place in masks if place.values is not None]
    shape = np.broadcast_shapes(*(array.shape for array in (*values, *(s.last for s in spans))))
    has = np.any([np.broadcast_to(span.last > 0, shape) for span in spans], axis=0)
    zero = np.any([np.broadcast_to(value == 0, shape) for value in values], axis=0)
    return bool(np.all(zero[has]))


def _of_rank(span: Span, rank: int) -> Span:
    """The same with axes of one in front, up to so many axes."""
    return Span(*(end.reshape((1,) * (rank - end.ndim) + end.shape) for end in span.ends))


def _compact(span: Span) -> Span:
    """The same with axes of one where nothing changes along them."""
    first, last = span.ends
    for axis in range(first.ndim):
        ends = [np.take(end, [0], axis) for end in (first, last)]
        if all(np.all(a == b) for a, b in zip(ends, (first, last), strict=True)):
            first, last = ends
    return Span(first, last)


def _trimmed(array: NDArray) -> NDArray:
    """An array without axes of one in front."""
    while array.ndim and len(array) == 1:
        array = array[0]
    return array


def _different(spans: Any) -> tuple[Span, ...]:
    """Every span once, those without any position left out."""
    found: list[Span] = []
    for span in spans:
        if span.last.any() and span not in found:
            found.append(span)
    return tuple(found)
