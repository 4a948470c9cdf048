"""Values put elsewhere by constant positions, wherever these count samples along with values.

An operator moves values and their positions alike. So it is run on the numbers of positions, once
for each batch size tried, and their new places say where each sample's values go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.lookup import values_of_a_row
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Unreadable, same
from spikewright.frontends.reading.layout import UNBATCHED, Layout
from spikewright.frontends.reading.spending import afford
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import Concatenate, Reshape, Take

_SAMPLES = "Only axes beside the batch can be cut"


def by_position(
    node: OnnxNode, operands: Sequence[int], run: Callable[[int, list[NDArray]], NDArray]
) -> Value:
    """The result of an operator that puts values of its operands elsewhere, and does no more.

    `run(world, arrays)` is the operator on arrays of the operands' full shapes.
    """
    found = [
        _of_a_sample(node, operands, world, batch, run) for world, batch in enumerate(node.batches)
    ]
    (layout, chosen, constants), *others = found
    for other, positions, values in others:
        if other != layout or not same(positions, chosen) or not same(values, constants):
            raise Unreadable("which values it takes depends on the batch size", _SAMPLES)
    views = [node.view(index) for index in operands if not node.is_constant(index)]
    parts: list[Value] = []
    for number, view in enumerate(views):
        flat = replace(view, layout=layout)  # each sample's parts, wherever samples are
        part = f"flat {number or ''}".strip()
        parts.append(node.add(Reshape((math.prod(view.shape),)), flat, part=part))
    if constants.size:
        parts.append(node.constant_like(constants, parts[0], "constants"))
    together = node.add(Concatenate(0), *parts, part="values") if len(parts) > 1 else parts[0]
    return node.add(Take(chosen, 0), together)


def _of_a_sample(
    node: OnnxNode,
    operands: Sequence[int],
    world: int,
    batch: int,
    run: Callable[[int, list[NDArray]], NDArray],
) -> tuple[Layout, NDArray, NDArray]:
    """Layout of the result, position of each of its values in those of one sample, constants.

    Values of signals have numbers from 0, `width` for each sample; constants follow from `end`.
    """
    signals = [node.view(index) for index in operands if not node.is_constant(index)]
    sizes = [int(np.prod(view.shape)) for view in signals]
    width = sum(sizes)
    end = width * batch
    afford(end)
    rows = np.split(np.arange(end).reshape(batch, width), np.cumsum(sizes)[:-1], axis=1)
    numbered = iter(
        view.layout.batch_back(part.reshape(batch, *view.shape))
        for view, part in zip(signals, rows, strict=True)
    )
    arrays, constants = [], [np.zeros(0)]
    for index in operands:
        if not node.is_constant(index):
            arrays.append(next(numbered))
            continue
        value = (node.worlds(index) or ())[world]
        start = end + sum(given.size for given in constants)
        arrays.append(start + np.arange(value.size).reshape(value.shape))
        constants.append(np.ravel(value).astype(np.float64))
    try:
        made, known = run(world, arrays), np.concatenate(constants)
    except (IndexError, ValueError) as error:
        raise Unreadable(f"its positions do not fit ({error})") from error
    if node.alone:
        return UNBATCHED, *_numbered(made, np.zeros_like(made), width, end, known)
    for axis in (axis for axis, extent in enumerate(made.shape) if extent == batch):
        first = np.moveaxis(made, axis, 0)
        sample = np.arange(batch).reshape(-1, *[1] * (made.ndim - 1))
        own = (first >= end) | (first // width == sample)
        local, values = _numbered(first, sample, width, end, known)
        if own.all() and (local == local[:1]).all():
            return Layout(axis), local[0], values
    raise Unreadable("it takes values of other samples, or other values of other samples", _SAMPLES)


def _numbered(
    made: NDArray, sample: NDArray, width: int, end: int, constants: NDArray
) -> tuple[NDArray, NDArray]:
    """Positions in a sample's own values, then those of the constants, each value once."""
    constant = made >= end
    if not constant.any():
        return made - sample * width, np.zeros(0)
    values, position = np.unique(constants[np.where(constant, made - end, 0)], return_inverse=True)
    position = position.reshape(made.shape)
    return np.where(constant, width + position, made - sample * width), values


def _indices(node: OnnxNode) -> tuple[NDArray, ...]:
    """Constant positions for every batch size."""
    node.integer_worlds(1)  # raises where they are none
    return node.worlds(1) or ()


@reads("GatherND")
def gather_nd(node: OnnxNode) -> Value:
    """Values, or runs of them, by constant positions along the first axes."""
    shared, indices = int(node.attributes.get("batch_dims", 0)), _indices(node)

    def run(world: int, arrays: list[NDArray]) -> NDArray:
        (data,), lead = arrays, arrays[0].shape[:shared]
        runs = zip(
            data.reshape(-1, *data.shape[shared:]),
            indices[world].reshape(-1, *indices[world].shape[shared:]),
            strict=True,
        )
        taken = np.stack([values[tuple(np.moveaxis(at, -1, 0))] for values, at in runs])
        return taken.reshape(*lead, *taken.shape[1:])

    return by_position(node, [0], run)


def _within(data: NDArray, indices: NDArray, axis: int) -> NDArray:
    """The part of the data that has the indices' extents along all other axes."""
    return data[tuple(slice(None if k == axis else n) for k, n in enumerate(indices.shape))]


@reads("GatherElements")
def gather_elements(node: OnnxNode) -> Value:
    """A value for each constant position along an axis, or of a constant for each whole number."""
    if node.is_constant(0) and not node.is_constant(1):
        return values_of_a_row(node, int(node.attributes.get("axis", 0)))
    indices, axis = _indices(node), node.view(0).full_axis(int(node.attributes.get("axis", 0)))

    def run(world: int, arrays: list[NDArray]) -> NDArray:
        within = _within(arrays[0], indices[world], axis)
        return np.take_along_axis(within, indices[world], axis)

    return by_position(node, [0], run)


def _refuse_reduction(node: OnnxNode) -> None:
    reduction = node.attributes.get("reduction", "none")
    if reduction != "none":
        raise Unreadable(
            f"it combines new values with old ones ({reduction})",
            "Add, multiply or compare the two, and put the result there",
        )


@reads("ScatterElements", "Scatter")
def scatter_elements(node: OnnxNode) -> Value:
    """Values put to constant positions along an axis of others."""
    _refuse_reduction(node)
    indices, axis = _indices(node), int(node.attributes.get("axis", 0))

    def run(world: int, arrays: list[NDArray]) -> NDArray:
        made = arrays[0].copy()
        along = axis % made.ndim
        np.put_along_axis(_within(made, indices[world], along), indices[world], arrays[1], along)
        return made

    return by_position(node, [0, 2], run)


@reads("ScatterND")
def scatter_nd(node: OnnxNode) -> Value:
    """Values, or runs of them, put to constant positions along the first axes of others."""
    _refuse_reduction(node)
    indices = _indices(node)

    def run(world: int, arrays: list[NDArray]) -> NDArray:
        made = arrays[0].copy()
        made[tuple(np.moveaxis(indices[world], -1, 0))] = arrays[1]
        return made

    return by_position(node, [0, 2], run)
