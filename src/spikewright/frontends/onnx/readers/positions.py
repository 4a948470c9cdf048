"""Values put elsewhere by constant positions.

An operator moves values and their positions alike. So it is run on the numbers of positions, and
their new places say where each value goes.
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
from spikewright.frontends.onnx.values import Unreadable
from spikewright.frontends.reading.layout import layout_of, sample_shape
from spikewright.frontends.reading.spending import afford
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import Concatenate, Reshape, Take


def by_position(
    node: OnnxNode, operands: Sequence[int], run: Callable[[list[NDArray]], NDArray]
) -> Value:
    """The result of an operator that puts values of its operands elsewhere, and does no more.

    `run(arrays)` is the operator on arrays of the operands' full shapes. Values of signals are
    numbered from 0, those of constants follow.
    """
    views = {index: node.view(index) for index in operands if not node.is_constant(index)}
    arrays, constants, start = [], [np.zeros(0)], 0
    end = sum(math.prod(view.shape) for view in views.values())
    afford(end)
    for index in operands:
        if index in views:
            shape = views[index].full
            first, start = start, start + math.prod(shape)
        else:
            value = node.known(index)
            shape, first = value.shape, end + sum(given.size for given in constants)
            constants.append(np.ravel(value).astype(np.float64))
        arrays.append(first + np.arange(math.prod(shape)).reshape(shape))
    try:
        made = run(arrays)
    except (IndexError, ValueError) as error:
        raise Unreadable(f"its positions do not fit ({error})") from error
    chosen, values = _numbered(made, end, np.concatenate(constants))
    shape, layout = sample_shape(made.shape), layout_of(made.shape)
    parts: list[Value] = [
        replace(
            node.add(Reshape((math.prod(view.shape),)), view, part=f"flat {k or ''}".strip()),
            layout=layout,
        )
        for k, view in enumerate(views.values())
    ]
    if values.size:
        parts.append(node.constant_like(values, parts[0], "constants"))
    together = node.add(Concatenate(0), *parts, part="values") if len(parts) > 1 else parts[0]
    return node.add(Take(chosen.reshape(shape), 0), together)


def _numbered(made: NDArray, end: int, constants: NDArray) -> tuple[NDArray, NDArray]:
    """Positions in a sample's own values, then those of the constants, each value once."""
    constant = made >= end
    if not constant.any():
        return made, np.zeros(0)
    values, position = np.unique(constants[np.where(constant, made - end, 0)], return_inverse=True)
    return np.where(constant, end + position.reshape(made.shape), made), values


def _indices(node: OnnxNode) -> NDArray:
    """Constant positions."""
    node.whole_numbers(1)  # raises where they are none
    return node.known(1)


@reads("GatherND")
def gather_nd(node: OnnxNode) -> Value:
    """Values, or runs of them, by constant positions along the first axes."""
    shared, indices = int(node.attributes.get("batch_dims", 0)), _indices(node)

    def run(arrays: list[NDArray]) -> NDArray:
        (data,), lead = arrays, arrays[0].shape[:shared]
        runs = zip(
            data.reshape(-1, *data.shape[shared:]),
            indices.reshape(-1, *indices.shape[shared:]),
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

    def run(arrays: list[NDArray]) -> NDArray:
        return np.take_along_axis(_within(arrays[0], indices, axis), indices, axis)

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

    def run(arrays: list[NDArray]) -> NDArray:
        made = arrays[0].copy()
        along = axis % made.ndim
        np.put_along_axis(_within(made, indices, along), indices, arrays[1], along)
        return made

    return by_position(node, [0, 2], run)


@reads("ScatterND")
def scatter_nd(node: OnnxNode) -> Value:
    """Values, or runs of them, put to constant positions along the first axes of others."""
    _refuse_reduction(node)
    indices = _indices(node)

    def run(arrays: list[NDArray]) -> NDArray:
        made = arrays[0].copy()
        made[tuple(np.moveaxis(indices, -1, 0))] = arrays[1]
        return made

    return by_position(node, [0, 2], run)
