"""Recurrent layers, unrolled over the steps of their sequence: see `frontends/unrolling/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from spikewright.frontends.keras.choices import truth_of
from spikewright.frontends.keras.elementwise import of_function
from spikewright.frontends.keras.registry import (
    KerasCall,
    OwnCode,
    UnsupportedInput,
    UnsupportedOp,
    Value,
    array,
    of_keras,
    reads,
)
from spikewright.frontends.keras.traversal import flatten
from spikewright.frontends.reading.selection import flipped
from spikewright.frontends.unrolling import (
    MaskedCell,
    UnrolledCell,
    beside_mask,
    elementwise,
    stack,
    unroll,
)
from spikewright.frontends.unrolling.cells import Weights, gru, lstm, simple
from spikewright.graph.clipping import Steps
from spikewright.graph.layers import (
    Add,
    Concatenate,
    Identity,
    Layer,
    Multiply,
    Reshape,
    ScaleShift,
    Take,
)

_CELLS = "Use SimpleRNN, LSTM or GRU, or an RNN of their cells"


class _MadeCell(NamedTuple):
    """The results of a recurrent layer: nodes of its outputs, in order, and of its last states."""

    outputs: Sequence[str]
    states: tuple[str, ...]


@reads("SimpleRNN", "LSTM", "GRU", "RNN", arguments=("initial_state", "mask"))
def recurrent(call: KerasCall) -> list[Value]:
    """With zeros or given states at the start, forwards or backwards, all outputs or the last.

    At steps that a mask leaves out states stay, and so does the output, unless it is to be zero.
    """
    layer = call.layer
    cells = _cells_of(layer)
    value, *states = _inputs(call)
    mask = _mask(call)
    made = _run(call, layer, cells, value=value, states=states, mask=mask)
    output = _output(call, layer, made, mask)
    kept = made.states if layer.return_state else ()
    return [output, *(call.placed(name) for name in kept)]


@reads("Bidirectional", arguments=("initial_state", "mask"))
def bidirectional(call: KerasCall) -> list[Value]:
    """One layer from the start and one from the end, merged step by step."""
    layer = call.layer
    inner = {"forward": layer.forward_layer, "backward": layer.backward_layer}
    cells = {part: _cells_of(each) for part, each in inner.items()}
    value, *states = _inputs(call)
    half, mask = len(states) // 2, _mask(call)
    own = {"forward": states[:half], "backward": states[half:]}
    outputs: list[Value] = []
    kept: list[str] = []
    for part, each in inner.items():
        inside = call.inside(part)
        made = _run(inside, each, cells[part], value=value, states=own[part], mask=mask)
        if part == "backward" and layer.return_sequences:
            made = _MadeCell(made.outputs[::-1], made.states)  # in the order of time
        outputs.append(_output(inside, each, made, mask, in_time=True))
        kept += made.states if layer.return_state else ()
    merged = _merged(call, layer.merge_mode, outputs)
    return [*merged, *(call.placed(name) for name in kept)]


def _merged(call: KerasCall, mode: str | None, outputs: list[Value]) -> list[Value]:
    if mode is None:
        return outputs
    if mode == "ave":
        total = call.add(Add(), *outputs, part="sum")
        return [call.add(ScaleShift(np.array(0.5)), total)]
    layers: Mapping[str, Layer] = {"concat": Concatenate(-1), "sum": Add(), "mul": Multiply()}
    return [call.add(layers[mode], *outputs)]


def _mask(call: KerasCall) -> Value | None:
    """The mask of the steps as a column `(steps, 1)`, if there is one."""
    given = [mask for mask in flatten(call.arguments.get("mask")) if mask is not None]
    if not given:
        return None
    mask = truth_of(call.inside("mask"), given[0])
    return call.add(Reshape((*mask.shape, 1)), mask, part="mask/column")


def _inputs(call: KerasCall) -> list[Value]:
    """The sequence, and the states to begin with."""
    if any(value.name is None for value in call.inputs):
        raise UnsupportedInput
    sequence, *_ = call.inputs
    given = flatten(call.arguments.get("initial_state"))
    states = [state for state in given if state is not None]
    if not all(isinstance(state, Value) for state in states):
        raise UnsupportedOp(
            "its initial state is a constant", "Leave it out, or make it an input of the model"
        )
    if len(sequence.shape) != 2:
        raise UnsupportedOp(
            f"its input of shape {sequence.shape} is not a sequence of vectors",
            "Flatten the values of one step, keras.layers.TimeDistributed(Flatten())",
        )
    return [sequence, *states]


def _run(
    call: KerasCall,
    layer: Any,
    cells: list[UnrolledCell],
    value: Value,
    states: Sequence[Value],
    mask: Value | None,
) -> _MadeCell:
    """Unroll a layer; with several cells, one after the other over the whole sequence."""
    left = [state.name for state in states]
    if left and len(left) != sum(cell.states for cell in cells):
        raise UnsupportedOp(f"it begins with {len(left)} states, which its cells do not have")
    steps = value.shape[0]
    sequence: str | Sequence[str] = str(value.name)
    last: list[str] = []
    outputs: Sequence[str] = ()
    for number, cell in enumerate(cells):
        own, left = tuple(left[: cell.states]), left[cell.states :]
        inside = call.inside(f"cell_{number}" if len(cells) > 1 else "")
        if mask is not None:
            sequence = beside_mask(inside, sequence, str(mask.name))
            cell = MaskedCell(cell, apart=bool(own))
            own = (None, *own) if own else ()
        outputs, found = unroll(inside.node, cell, sequence, steps, own, layer.go_backwards)
        last += found[1:] if len(own) > 1 and own[0] is None else found
        sequence = outputs
    return _MadeCell(outputs[::-1] if layer.go_backwards else outputs, tuple(last))


def _output(
    call: KerasCall, layer: Any, made: _MadeCell, mask: Value | None, in_time: bool = False
) -> Value:
    """All outputs, maybe in the order of time, or the last one; zeros at masked steps if asked."""
    cut = mask is not None and layer.zero_output_for_mask
    own = "unmasked" if cut else ""
    if layer.return_sequences:
        shape = call.builder.shapes[made.outputs[0]]
        found = call.placed(stack(call.node, made.outputs, shape, own))
    else:
        found = call.placed(call.node(Identity(), made.outputs[-1], part=own))
    if not cut or mask is None:
        return found
    if not layer.return_sequences:
        last = 0 if layer.go_backwards else mask.shape[0] - 1
        mask = call.add(Take(np.array(last), 0), mask, part="last_mask")
    elif layer.go_backwards and not in_time:
        mask = flipped(call.inside("turned"), mask, (0,))
    return call.add(Multiply(), found, mask)


def _cells_of(layer: Any) -> list[UnrolledCell]:
    """The cells of a recurrent layer, more than one where they are stacked."""
    if type(layer).__name__ not in ("SimpleRNN", "LSTM", "GRU", "RNN") or not of_keras(layer):
        raise UnsupportedOp(f"it runs a {type(layer).__name__}, whose steps are not known", _CELLS)
    if layer.stateful:
        raise UnsupportedOp(
            "it is stateful: its outputs for a sequence depend on those before",
            "Build it with stateful=False",
        )
    cell = layer.cell
    stacked = type(cell).__name__ == "StackedRNNCells" and of_keras(cell)
    return [_cell(each) for each in (cell.cells if stacked else [cell])]


def _cell(cell: Any) -> UnrolledCell:
    make = _KINDS.get(type(cell).__name__) if of_keras(cell) else None
    if make is None:
        name = f"{type(cell).__module__}.{type(cell).__name__}"
        raise OwnCode(f"its cell {name} is code of its own", _CELLS)
    return make(cell)


def _simple(cell: Any) -> UnrolledCell:
    return simple(_weights(cell), of_function(cell.activation, (cell.units,)))


def _lstm(cell: Any) -> UnrolledCell:
    function = of_function(cell.activation, (cell.units,))
    return lstm(_weights(cell), "ifgo", _gate(cell), function, function)


def _gru(cell: Any) -> UnrolledCell:
    function = of_function(cell.activation, (cell.units,))
    return gru(_weights(cell), "zrn", _gate(cell), function, cell.reset_after)


_KINDS: Mapping[str, Callable[[Any], UnrolledCell]] = {
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
        raise UnsupportedOp("its recurrent activation is not elementwise", "Use sigmoid")
    return steps
