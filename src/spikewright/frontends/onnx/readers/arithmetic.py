"""Sums of signals, and elementwise arithmetic with constants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.node import OnnxNode, Unreadable
from spikewright.frontends.onnx.registry import reads
from spikewright.graph.layers import Add, Identity, ScaleShift, Shape, UpsampleNearest


@reads("Add", "Sum")
def add(node: OnnxNode) -> str:
    """Sum of signals and constants, broadcast against each other."""
    indices = [index for index in range(len(node.inputs)) if not node.is_constant(index)]
    if not indices:
        return node.signal(0)  # raises: nothing here depends on the data
    shapes = [node.shape(index) for index in indices]
    _same_rank(shapes)
    constants = [
        _operand(node, index, shapes[0])
        for index in range(len(node.inputs))
        if index not in indices
    ]
    shape = _broadcast([*shapes, *(constant.shape for constant in constants)])
    signals = [_spread(node, index, shape) for index in indices]
    shift = sum(constants[1:], constants[0]) if constants else None
    if len(signals) == 1:
        return node.add(ScaleShift(shift=shift) if constants else Identity(), *signals)
    if not constants:
        return node.add(Add(), *signals)
    total = node.add(Add(), *signals, part="sum")
    return node.add(ScaleShift(shift=shift), total)


@reads("Expand")
def expand(node: OnnxNode) -> str:
    """Repeat along axes where the signal holds one value."""
    targets = node.integer_worlds(1)
    if targets is None:
        raise Unreadable("its target shape is missing")
    own = node.shape()
    found = set()
    for batch, target in zip(node.batches, targets, strict=True):
        full = _broadcast([(batch, *own), target])
        if len(full) != len(own) + 1 or full[0] != batch:
            raise Unreadable(f"it turns shape {(batch, *own)} into {full}: the batch does not stay")
        found.add(full[1:])
    if len(found) > 1:
        raise Unreadable("how often it repeats depends on the batch size")
    factors = tuple(wide // narrow for wide, narrow in zip(found.pop(), own, strict=True))
    return node.add(UpsampleNearest(factors), node.signal(0))


@reads("Sub")
def subtract(node: OnnxNode) -> str:
    """A difference of signals, or of a signal and a constant on either side."""
    minus_one = np.array(-1.0)
    if node.is_constant(1):
        return _with_constant(node, 0, lambda c: ScaleShift(shift=-c))
    if node.is_constant(0):
        return _with_constant(node, 1, lambda c: ScaleShift(minus_one, c))
    shapes = [node.shape(0), node.shape(1)]
    _same_rank(shapes)
    shape = _broadcast(shapes)
    left, right = _spread(node, 0, shape), _spread(node, 1, shape)
    negative = node.add(ScaleShift(minus_one), right, part="negative")
    return node.add(Add(), left, negative)


@reads("Mul")
def multiply(node: OnnxNode) -> str:
    """A signal times a constant."""
    for signal, constant in ((0, 1), (1, 0)):
        if node.is_constant(constant):
            return _with_constant(node, signal, lambda c: ScaleShift(c))
    raise _two_signals(node, "multiplies two signals with each other")


@reads("Div")
def divide(node: OnnxNode) -> str:
    """A signal divided by a constant."""
    if node.is_constant(1):
        return _with_constant(node, 0, lambda c: ScaleShift(_reciprocal(c)))
    raise _two_signals(node, "divides by a signal")


def _two_signals(node: OnnxNode, what: str) -> Unreadable:
    for index in range(2):
        if not node.is_constant(index):
            node.signal(index)  # raises where a refusal explains the input already
    return Unreadable(
        f"it {what}",
        "Only products of a signal with a constant can be read: replace gates, "
        "attention and self-gated activations",
    )


def _reciprocal(value: NDArray) -> NDArray:
    with np.errstate(divide="ignore"):  # infinity is reported when the graph is built
        return np.asarray(1.0 / np.asarray(value, np.float64))


def _with_constant(node: OnnxNode, signal: int, layer: Callable[[NDArray], ScaleShift]) -> str:
    """An elementwise layer made of the constant that is the other of two inputs."""
    shape = node.shape(signal)
    constant = _operand(node, 1 - signal, shape)
    spread = _spread(node, signal, _broadcast([shape, constant.shape]))
    return node.add(layer(constant), spread)


def _operand(node: OnnxNode, index: int, shape: Shape) -> NDArray:
    return np.asarray(node.per_sample(index, len(shape) + 1))


def _same_rank(shapes: list[Shape]) -> None:
    if len({len(shape) for shape in shapes}) > 1:
        raise Unreadable(
            f"its signals have unbatched shapes {shapes}: with different numbers of axes the "
            "batch axis of one would meet another axis of the other",
            "Give both the same number of axes",
        )


def _broadcast(shapes: list[Shape]) -> Shape:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise Unreadable(f"its inputs of shapes {shapes} do not broadcast") from None


def _spread(node: OnnxNode, index: int, shape: Shape) -> str:
    """The signal repeated along axes where it holds one value, up to this shape."""
    own, name = node.shape(index), node.signal(index)
    if own == shape:
        return name
    if len(own) != len(shape):
        raise Unreadable(f"a constant gives its signal of unbatched shape {own} more axes: {shape}")
    factors = tuple(wide // narrow for wide, narrow in zip(shape, own, strict=True))
    return node.add(UpsampleNearest(factors), name, part="repeated")
