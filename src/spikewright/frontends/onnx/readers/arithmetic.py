"""Elementwise arithmetic of signals and constants, broadcast against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.layout import Layout
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.activation import clipped
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Unreadable, View
from spikewright.graph.layers import (
    Activation,
    Add,
    Broadcast,
    Divide,
    Identity,
    Layer,
    Maximum,
    Minimum,
    Multiply,
    ScaleShift,
    Shape,
)

MASKED = -1e4
"""Replaces minus infinity where a constant masks a signal: it is finite, its exponential zero."""

_LEAST = -1e30


@dataclass(frozen=True)
class Operands:
    """The inputs of an elementwise operator: signals, constants as a sample sees them, by index."""

    signals: dict[int, View]
    constants: dict[int, NDArray]
    layout: Layout

    @property
    def shape(self) -> Shape:
        """Unbatched shape of the result; raises `Unreadable` where none fits all operands."""
        shapes = [view.shape for view in self.signals.values()]
        return broadcast([*shapes, *(constant.shape for constant in self.constants.values())])

    def result(self, name: str, comparable: bool = True) -> Signal:
        """The result as a value."""
        return Signal(name, self.layout, comparable)


def operands(node: OnnxNode, needed: Sequence[int] = ()) -> Operands:
    """All inputs; raises `Unreadable` where batches do not meet, or are on an axis `needed`."""
    indices = range(len(node.inputs))
    constant = {index for index in indices if node.is_constant(index)}
    signals = [index for index in indices if index not in constant]
    if not signals:
        node.view(0)  # raises: nothing here depends on the data
    least = max((world.ndim for i in constant for world in node.worlds(i) or ()), default=0)
    views, layout, rank = node.aligned(signals, least, needed)
    constants = {index: node.per_sample(index, rank, layout) for index in sorted(constant)}
    return Operands(dict(zip(signals, views, strict=True)), constants, layout)


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape that all broadcast to; raises `Unreadable` where there is none."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise Unreadable(f"its inputs of shapes {list(shapes)} do not broadcast") from None


def spread(node: OnnxNode, view: View, shape: Shape, part: str) -> str:
    """The signal repeated along axes where it holds one value, up to this shape."""
    return view.name if view.shape == shape else node.add(Broadcast(shape), view.name, part=part)


@reads("Add", "Sum", "Mean")
def add(node: OnnxNode) -> Signal:
    """Sum or mean of signals and constants."""
    given = operands(node)
    count = len(node.inputs) if node.kind == "Mean" else 1
    return _sum(node, given, {}, count)


@reads("Sub")
def subtract(node: OnnxNode) -> Signal:
    """A difference of signals, or of a signal and a constant on either side."""
    return _sum(node, operands(node), {1: -1.0}, 1)


def _sum(node: OnnxNode, given: Operands, signs: dict[int, float], count: int) -> Signal:
    """`(sum of signs x operands) / count`, the sign one unless it is given."""
    shape = given.shape
    terms = [signs.get(i, 1.0) * np.asarray(c) for i, c in given.constants.items()]
    shift, masked = finite(sum(terms[1:], terms[0])) if terms else (None, False)
    names = []
    for index, view in given.signals.items():
        name = spread(node, view, shape, f"repeated {index}" if index else "repeated")
        if len(given.signals) > 1 and signs.get(index, 1.0) < 0:
            name = node.add(ScaleShift(np.array(-1.0)), name, part="negative")
        names.append(name)
    scale = np.array(1.0 / count) if count > 1 else None
    if len(names) == 1:
        (index,) = given.signals
        if signs.get(index, 1.0) < 0:
            scale = np.array(-1.0)
    elif shift is None and scale is None:
        return given.result(node.add(Add(), *names))
    else:
        names = [node.add(Add(), *names, part="sum")]
    if shift is not None and count > 1:
        shift = shift / count
    plain = scale is None and shift is None
    layer: Layer = Identity() if plain else ScaleShift(scale, shift)
    return given.result(node.add(layer, *names), not masked)


def finite(value: NDArray) -> tuple[NDArray, bool]:
    """A constant with `MASKED` for minus infinity, and whether it had any.

    The smallest number of a floating-point type means it as well: some exporters write that.
    """
    if not np.issubdtype(value.dtype, np.floating):
        return value, False
    masked = value <= _LEAST
    return (np.where(masked, MASKED, value), True) if masked.any() else (value, False)


@reads("Mul")
def multiply(node: OnnxNode) -> Signal:
    """A product of signals, or of a signal and a constant."""
    given = operands(node)
    views = list(given.signals.values())
    if given.constants:
        return _scaled(node, given, lambda c: ScaleShift(c))
    if views[0].name == views[1].name:
        return given.result(node.add(Activation("square"), views[0].name))
    return given.result(node.add(Multiply(), *(view.name for view in views)))


@reads("Div")
def divide(node: OnnxNode) -> Signal:
    """A quotient of signals, or of a signal and a constant on either side."""
    given = operands(node)
    if 1 in given.constants:
        return _scaled(node, given, lambda c: ScaleShift(_reciprocal(c)))
    if 0 in given.constants:
        inverse = node.add(Activation("reciprocal"), given.signals[1].name, part="reciprocal")
        turned = View(inverse, given.signals[1].shape, given.signals[1].layout)
        again = Operands({1: turned}, given.constants, given.layout)
        return _scaled(node, again, lambda c: ScaleShift(c))
    return given.result(node.add(Divide(), *(view.name for view in given.signals.values())))


def _reciprocal(value: NDArray) -> NDArray:
    with np.errstate(divide="ignore"):  # infinity is reported when the graph is built
        return np.asarray(1.0 / np.asarray(value, np.float64))


def _scaled(node: OnnxNode, given: Operands, layer: Callable[[NDArray], ScaleShift]) -> Signal:
    """An elementwise layer made of the constant that is the other of two inputs."""
    ((_, view),) = given.signals.items()
    ((_, constant),) = given.constants.items()
    name = spread(node, view, given.shape, "repeated")
    return given.result(node.add(layer(np.asarray(constant)), name))


@reads("Max", "Min")
def extremum(node: OnnxNode) -> Signal:
    """The larger, or smaller, of signals and constants; of one signal and one number, a bound."""
    given = operands(node)
    views = list(given.signals.values())
    constants = [np.asarray(constant, np.float64) for constant in given.constants.values()]
    largest = node.kind == "Max"
    if len(views) == 1 and all(constant.size == 1 for constant in constants):
        shape = given.shape
        view = View(spread(node, views[0], shape, "repeated"), shape, given.layout)
        if not constants:
            return view.signal(node.add(Identity(), view.name))
        bounds = [float(constant.ravel()[0]) for constant in constants]
        bound = (np.max if largest else np.min)(bounds)
        return clipped(node, view, *((bound, np.inf) if largest else (-np.inf, bound)))
    names = [view.name for view in views]
    if constants:
        choose = np.maximum if largest else np.minimum
        merged = constants[0]
        for constant in constants[1:]:
            merged = choose(merged, constant)
        names.append(node.add_constant(merged, "constant"))
    return given.result(node.add(Maximum() if largest else Minimum(), *names))
