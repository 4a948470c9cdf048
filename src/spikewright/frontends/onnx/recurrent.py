"""RNN, LSTM and GRU, unrolled over the steps of their sequence: see `frontends/unrolling/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.elementwise import NAMED
from spikewright.frontends.onnx.registry import OnnxNode, reads
from spikewright.frontends.onnx.values import SignalValue, UnsupportedOp
from spikewright.frontends.reading.arithmetic import function
from spikewright.frontends.reading.call import UNBATCHED, layout_of, sample_shape
from spikewright.frontends.unrolling import UnrolledCell, stack, unroll
from spikewright.frontends.unrolling.cells import Weights, gru, lstm, simple
from spikewright.graph.clipping import Steps
from spikewright.graph.layers import (
    Activation,
    Concatenate,
    Constant,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    Take,
)

_FUNCTIONS = {
    name: NAMED[name]
    for name in (
        "Relu", "Tanh", "Sigmoid", "Softsign", "Softplus", "LeakyRelu", "ThresholdedRelu",
        "HardSigmoid", "Elu",
    )
}  # fmt: skip
"""Functions by ONNX's names; their parameters, with defaults, are alpha and beta in this order."""

_WAYS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_TIME = "Transpose the input so that axis 0 is time and axis 1 the batch, or set layout to 1"


Functions = Sequence[Steps]
Make = Callable[[OnnxNode, Weights, NDArray | None, Functions], UnrolledCell]
"""From the weights of one direction, its peepholes and its functions to a cell."""


def _gru(node: OnnxNode, weights: Weights, seen: NDArray | None, given: Functions) -> UnrolledCell:
    """A GRU, its reset gate before or behind the product with the state."""
    gate, candidate = given
    after = bool(node.attributes.get("linear_before_reset", 0))
    return gru(weights, "zrn", gate, candidate, after)


def _lstm(node: OnnxNode, weights: Weights, seen: NDArray | None, given: Functions) -> UnrolledCell:
    """An LSTM; its peepholes are those of input, output and forget gate, in this order."""
    if node.attributes.get("input_forget", 0):
        raise UnsupportedOp("its input gate is coupled to the forget gate", "Train it without")
    peepholes = None if seen is None else seen.reshape(3, -1)[[0, 2, 1]]
    gate, candidate, output = given
    return lstm(weights, "iofg", gate, candidate, output, peepholes)


_MAKE: Mapping[str, tuple[Make, Sequence[str]]] = {
    "RNN": (lambda node, weights, seen, given: simple(weights, given[0]), ("Tanh",)),
    "GRU": (_gru, ("Sigmoid", "Tanh")),
    "LSTM": (_lstm, ("Sigmoid", "Tanh", "Tanh")),
}
"""The cell of each operator, and the functions that it has unless others are said."""


class _Sequence(NamedTuple):
    """A node that holds `(steps, *lead, inputs)`, and whether the batch comes before time.

    `lead` is the extent of ONNX's axis of the batch where one sample has several entries there.
    """

    name: str
    steps: int
    lead: Shape
    batch_first: bool


@reads(*_MAKE)
def recurrent(node: OnnxNode) -> list[SignalValue]:
    """The outputs of all steps, and the last states."""
    make, default = _MAKE[node.kind]
    direction = node.attributes.get("direction", "forward")
    if direction not in _WAYS:
        raise UnsupportedOp(f"its direction {direction!r} is none that the standard knows")
    ways = _WAYS[direction]
    functions = _functions(node, default, len(ways))
    cells = [
        make(node, *weights, functions[way])
        for way, weights in enumerate(_weights(node, len(ways)))
    ]
    sequence = _sequence(node)
    initial = [_initial(node, sequence, way, cells[0].states) for way in range(len(ways))]
    made = [
        unroll(
            node.inside("reverse" if way else "").node,
            cell,
            sequence.name,
            steps=sequence.steps,
            initial=initial[way],
            backwards=ways[way],
            lead=sequence.lead,
        )
        for way, cell in enumerate(cells)
    ]
    outputs = [_all_outputs(node, sequence, [found.outputs for found in made])]
    names = ("last output", "last cell")
    for kind in range(cells[0].states):
        outputs.append(_last(node, sequence, [found.states[kind] for found in made], names[kind]))
    return outputs


def _functions(node: OnnxNode, default: Sequence[str], ways: int) -> list[Functions]:
    """The functions of each direction; alphas and betas are used up by those that have some."""
    names = [str(_text(name)) for name in node.attributes.get("activations") or [*default] * ways]
    if len(names) != len(default) * ways:
        raise UnsupportedOp(f"its activations {names} are not {len(default) * ways}")
    alphas, betas = (
        [float(value) for value in node.attributes.get(f"activation_{name}") or []]
        for name in ("alpha", "beta")
    )
    clip = float(node.attributes.get("clip") or 0.0)
    made = [_function(name, alphas, betas, clip) for name in names]
    return [made[start : start + len(default)] for start in range(0, len(made), len(default))]


def _text(name: Any) -> Any:
    return name.decode() if isinstance(name, bytes) else name


def _function(name: str, alphas: list[float], betas: list[float], clip: float) -> Steps:
    steps: Steps = ()
    if clip:
        steps = (("clipped", Activation("clip", {"minimum": -clip, "maximum": clip})),)
    if name in ("Affine", "ScaledTanh"):
        if not (alphas and betas):
            raise UnsupportedOp(f"its activation {name!r} lacks an alpha or a beta", "Give both")
        alpha, beta = alphas.pop(0), betas.pop(0)
        if name == "Affine":
            return (*steps, ("", ScaleShift(np.array(alpha), np.array(beta))))
        inner = ScaleShift(np.array(beta))
        outer = ScaleShift(np.array(alpha))
        return (*steps, ("scaled", inner), ("tanh", Activation("tanh")), ("", outer))
    if name not in _FUNCTIONS:
        raise UnsupportedOp(f"its activation {name!r} is none that the standard knows")
    found = _FUNCTIONS[name]
    attributes = zip(found.parameters.values(), (alphas, betas), strict=False)
    given = {theirs: values.pop(0) for (theirs, _), values in attributes if values}
    return (*steps, *function(found.function, **found.values(given)))


def _weights(node: OnnxNode, ways: int) -> list[tuple[Weights, NDArray | None]]:
    """The constant operands of each direction."""
    given, fed_back = node.parameter(1), node.parameter(2)
    biases, peepholes = node.optional(3), node.optional(7)
    operands = (given, fed_back, biases, peepholes)
    shapes = [operand.shape for operand in operands if operand is not None]
    if any(shape[0] != ways for shape in shapes):
        raise UnsupportedOp(f"its operands of shapes {shapes} are not for {ways} direction(s)")
    found = []
    for way in range(ways):
        both = (None, None) if biases is None else np.split(biases[way], 2)
        weights = Weights(given[way], fed_back[way], *both)
        found.append((weights, None if peepholes is None else peepholes[way]))
    return found


def _sequence(node: OnnxNode) -> _Sequence:
    """The input of one sample, time first."""
    batch_first = bool(node.attributes.get("layout", 0))
    view = node.view(0)
    if view.rank != 3:
        raise UnsupportedOp(f"its input has {view.rank} axes, not time, batch and values", _TIME)
    steps, samples, inputs = (view.full[axis] for axis in (batch_first, not batch_first, 2))
    lead = () if samples == 1 else (samples,)
    lengths = node.constant(4)
    if lengths is not None and not (lengths == steps).all():
        raise UnsupportedOp("its sequences differ in length", "Feed sequences of one length")
    name = _flat(node, view, (steps, *lead, inputs), batch_first and bool(lead), "sequence")
    return _Sequence(name, steps, lead, batch_first)


def _flat(node: OnnxNode, view: SignalValue, shape: Shape, turned: bool, part: str) -> str:
    """The node that holds the values of a signal in this shape, its first two axes turned or not.

    Axes of one are put beside the sample's for ONNX; what they were put beside is taken instead.
    """
    if turned:
        return node.node(Permute((1, 0, 2)), view.node, part=part)
    made = node.made(view.node)
    if view.shape == shape:
        return view.node
    if isinstance(made.layer, Reshape) and node.builder.shapes[made.inputs[0]] == shape:
        return made.inputs[0]
    return node.node(Reshape(shape), view.node, part=part)


def _initial(node: OnnxNode, sequence: _Sequence, way: int, count: int) -> tuple[str | None, ...]:
    """The states that a direction begins with, None for zeros."""
    return tuple(_state(node, sequence, way, 5 + kind) for kind in range(count))


def _state(node: OnnxNode, sequence: _Sequence, way: int, index: int) -> str | None:
    if not node.has(index):
        return None
    part = f"initial/{index - 5}/{way}"
    axis, lead = int(sequence.batch_first), sequence.lead
    if node.is_constant(index):
        values = np.take(node.known(index), way, axis)
        values = values if lead else values.reshape(-1)
        return node.node(Constant(values), part=part) if values.any() else None
    view = node.view(index)
    if view.rank != 3 or view.full[1 - axis] != (lead or (1,))[0]:
        raise UnsupportedOp(f"its initial state of one sample has shape {view.full}", _TIME)
    shape = (view.full[axis], *lead, view.full[2])
    all_ways = _flat(node, view, shape, bool(axis and lead), f"{part}/all")
    return node.node(Take(np.array(way), 0), all_ways, part=part)


def _all_outputs(node: OnnxNode, sequence: _Sequence, ways: Sequence[Sequence[str]]) -> SignalValue:
    """`(steps, directions, batch, units)`, or with the batch first."""
    several, lead = [], sequence.lead
    batch_first = sequence.batch_first and not lead
    for way, names in enumerate(ways):
        units = node.builder.shapes[names[0]][-1]
        part = f"sequence/{way}"
        samples = () if batch_first else (lead or (1,))
        stacked = stack(node.node, names, (*lead, units), part)
        shape = (len(names), 1, *samples, units)
        several.append(node.node(Reshape(shape), stacked, part=f"{part}/way"))
    full = (sequence.steps, len(ways), *(lead or (1,)), units)
    if not sequence.batch_first:
        return _signal(node, node.node(Concatenate(1), *several), full)
    if not lead:
        return _signal(node, node.node(Concatenate(1), *several), (1, *full[:2], units))
    turned = node.node(Concatenate(1), *several, part="turned")
    return node.placed(node.node(Permute((2, 0, 1, 3)), turned), UNBATCHED)


def _last(node: OnnxNode, sequence: _Sequence, states: Sequence[str], part: str) -> SignalValue:
    """`(directions, batch, units)`, or with the batch first."""
    shape = node.builder.shapes[states[0]]
    name = stack(node.node, states, shape, part)
    if not sequence.batch_first:
        samples = sequence.lead or (1,)
        return _signal(node, name, (len(states), *samples, shape[-1]), part)
    if not sequence.lead:
        return _signal(node, name, (1, len(states), shape[-1]), part)
    return node.placed(node.node(Permute((1, 0, 2)), name, part=f"{part} turned"), UNBATCHED)


def _signal(node: OnnxNode, name: str, full: Shape, part: str = "") -> SignalValue:
    """A node's values as ONNX has them for one sample."""
    shape = sample_shape(full)
    if node.builder.shapes[name] != shape:
        name = node.node(Reshape(shape), name, part=f"{part}/batch")
    return node.placed(name, layout_of(full))
