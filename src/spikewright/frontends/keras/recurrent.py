"""Recurrent layers, unrolled over the steps of their sequence: see `frontends/unrolling/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from spikewright.frontends.keras.activations import of_function
from spikewright.frontends.keras.registry import (
    Call,
    OwnCode,
    Unknown,
    Unreadable,
    Value,
    array,
    of_keras,
    reads,
)
from spikewright.frontends.keras.walking import flatten
from spikewright.frontends.unrolling import (
    Cell,
    elementwise,
    stack,
    unroll,
)
from spikewright.frontends.unrolling.weights import Weights, gru, lstm, simple
from spikewright.graph.clipping import Steps
from spikewright.graph.layers import Add, Concatenate, Identity, Layer, Multiply, ScaleShift

_CELLS = "Use SimpleRNN, LSTM or GRU, or an RNN of their cells"


class _Made(NamedTuple):
    """The results of a recurrent layer: nodes of its outputs, in order, and of its last states."""

    outputs: Sequence[str]
    states: tuple[str, ...]


@reads("SimpleRNN", "LSTM", "GRU", "RNN", arguments=("initial_state",))
def recurrent(call: Call) -> list[Value]:
    """With zeros or given states at the start, forwards or backwards, all outputs or the last."""
    layer = call.layer
    cells = _cells_of(layer)
    value, *states = _inputs(call)
    made = _run(call, layer, cells, value, states, "")
    output = _output(call, layer, made)
    kept = made.states if layer.return_state else ()
    return [output, *(call.placed(name) for name in kept)]


@reads("Bidirectional", arguments=("initial_state",))
def bidirectional(call: Call) -> list[Value]:
    """One layer from the start and one from the end, merged step by step."""
    layer = call.layer
    inner = {"forward": layer.forward_layer, "backward": layer.backward_layer}
    cells = {part: _cells_of(each) for part, each in inner.items()}
    value, *states = _inputs(call)
    half = len(states) // 2
    own = {"forward": states[:half], "backward": states[half:]}
    outputs: list[Value] = []
    kept: list[str] = []
    for part, each in inner.items():
        made = _run(call, each, cells[part], value, own[part], f"{part}/")
        if part == "backward" and layer.return_sequences:
            made = _Made(made.outputs[::-1], made.states)  # in the order of time
        outputs.append(_output(call, each, made, part))
        kept += made.states if layer.return_state else ()
    merged = _merged(call, layer.merge_mode, outputs)
    return [*merged, *(call.placed(name) for name in kept)]


def _merged(call: Call, mode: str | None, outputs: list[Value]) -> list[Value]:
    if mode is None:
        return outputs
    if mode == "ave":
        total = call.add(Add(), *outputs, part="sum")
        return [call.add(ScaleShift(np.array(0.5)), total)]
    layers: Mapping[str, Layer] = {"concat": Concatenate(-1), "sum": Add(), "mul": Multiply()}
    return [call.add(layers[mode], *outputs)]


def _inputs(call: Call) -> list[Value]:
    """The sequence, and the states to begin with."""
    if any(value.name is None for value in call.inputs):
        raise Unknown
    sequence, *_ = call.inputs
    given = flatten(call.arguments.get("initial_state"))
    states = [state for state in given if state is not None]
    if not all(isinstance(state, Value) for state in states):
        raise Unreadable(
            "its initial state is a constant", "Leave it out, or make it an input of the model"
        )
    if len(sequence.shape) != 2:
        raise Unreadable(
            f"its input of shape {sequence.shape} is not a sequence of vectors",
            "Flatten the values of one step, keras.layers.TimeDistributed(Flatten())",
        )
    return [sequence, *states]


def _run(
    call: Call, layer: Any, cells: list[Cell], value: Value, states: Sequence[Value], prefix: str
) -> _Made:
    """Unroll a layer; with several cells, one after the other over the whole sequence."""
    add = call.node
    left = [state.name for state in states]
    if left and len(left) != sum(cell.states for cell in cells):
        raise Unreadable(f"it begins with {len(left)} states, which its cells do not have")
    sequence: str | Sequence[str] = str(value.name)
    last: list[str] = []
    outputs: Sequence[str] = ()
    for number, cell in enumerate(cells):
        own, left = tuple(left[: cell.states]), left[cell.states :]
        place = f"{prefix}cell_{number}/" if len(cells) > 1 else prefix
        outputs, found = unroll(add, cell, sequence, value.shape[0], own, layer.go_backwards, place)
        last += found
        sequence = outputs
    return _Made(outputs[::-1] if layer.go_backwards else outputs, tuple(last))


def _output(call: Call, layer: Any, made: _Made, part: str = "") -> Value:
    add = call.node
    if not layer.return_sequences:
        return call.placed(add(Identity(), made.outputs[-1], part=part))
    shape = call.builder.shapes[made.outputs[0]]
    return call.placed(stack(add, made.outputs, shape, part))


def _cells_of(layer: Any) -> list[Cell]:
    """The cells of a recurrent layer, more than one where they are stacked."""
    if type(layer).__name__ not in ("SimpleRNN", "LSTM", "GRU", "RNN") or not of_keras(layer):
        raise Unreadable(f"it runs a {type(layer).__name__}, whose steps are not known", _CELLS)
    if layer.stateful:
        raise Unreadable(
            "it is stateful: its outputs for a sequence depend on those before",
            "Build it with stateful=False",
        )
    cell = layer.cell
    stacked = type(cell).__name__ == "StackedRNNCells" and of_keras(cell)
    return [_cell(each) for each in (cell.cells if stacked else [cell])]


def _cell(cell: Any) -> Cell:
    make = _KINDS.get(type(cell).__name__) if of_keras(cell) else None
    if make is None:
        name = f"{type(cell).__module__}.{type(cell).__name__}"
        raise OwnCode(f"its cell {name} is code of its own", _CELLS)
    return make(cell)


def _simple(cell: Any) -> Cell:
    return simple(_weights(cell), of_function(cell.activation, (cell.units,)))


def _lstm(cell: Any) -> Cell:
    function = of_function(cell.activation, (cell.units,))
    return lstm(_weights(cell), "ifgo", _gate(cell), function, function)


def _gru(cell: Any) -> Cell:
    function = of_function(cell.activation, (cell.units,))
    return gru(_weights(cell), "zrn", _gate(cell), function, cell.reset_after)


_KINDS: Mapping[str, Callable[[Any], Cell]] = {
    "SimpleRNNCell": _simple,
    "LSTMCell": _lstm,
    "GRUCell": _gru,
}


def _weights(cell: Any) -> Weights:
    """The cell's weights, which Keras holds as (in, out), and its biases, two where it resets."""
    biases = np.atleast_2d(array(cell.bias)) if cell.use_bias else ()
    return Weights(array(cell.kernel).T, array(cell.recurrent_kernel).T, *biases)


def _gate(cell: Any) -> Steps:
    steps = of_function(cell.recurrent_activation, (cell.units,))
    if not elementwise(steps):
        raise Unreadable("its recurrent activation is not elementwise", "Use sigmoid")
    return steps
