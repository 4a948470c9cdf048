"""Recurrent layers and cells, unrolled over their sequence: see `frontends/unrolling/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.frontends.pytorch.call import Call, to_array
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.call import MIXES
from spikewright.frontends.reading.functions import function
from spikewright.frontends.reading.layout import BATCH_FIRST, Layout
from spikewright.frontends.reading.refusal import Unknown, Unreadable
from spikewright.frontends.reading.values import Value, alike
from spikewright.frontends.unrolling import (
    Adder,
    Cell,
    stack,
    unroll,
)
from spikewright.frontends.unrolling.weights import Weights, gru, lstm, simple
from spikewright.graph.layers import (
    Concatenate,
    Constant,
    Identity,
    Reshape,
    Take,
)

_BESIDE = Layout(1)
"""The layout of states, `(layers, batch, units)`, and of sequences that begin with time."""

_TIME = "Build the layer with batch_first=True, or give it x.transpose(0, 1)."


Make = Callable[[Weights, NDArray | None], Cell]
"""From the weights of one direction of one layer, and its projection, to a cell."""


def _simple(name: str) -> Make:
    return lambda weights, projection: simple(weights, function(name))


def _lstm(weights: Weights, projection: NDArray | None) -> Cell:
    gate, tanh = function("sigmoid"), function("tanh")
    return lstm(weights, "ifgo", gate, tanh, tanh, projection=projection)


def _gru(weights: Weights, projection: NDArray | None) -> Cell:
    return gru(weights, "rzn", function("sigmoid"), function("tanh"), reset_after=True)


@reads("aten.rnn_tanh.input")
def _rnn_tanh(call: Call) -> Any:
    return _recurrent(call, _simple("tanh"))


@reads("aten.rnn_relu.input")
def _rnn_relu(call: Call) -> Any:
    return _recurrent(call, _simple("relu"))


@reads("aten.lstm.input")
def _lstm_layer(call: Call) -> Any:
    return _recurrent(call, _lstm)


@reads("aten.gru.input")
def _gru_layer(call: Call) -> Any:
    return _recurrent(call, _gru)


def _recurrent(call: Call, make: Make) -> Any:
    """Layers one above the other, in one direction or two: the sequence, and the last states."""
    layout = BATCH_FIRST if call["batch_first"] else _BESIDE
    sequence = _sequence(call, layout)
    if call["train"] and call["dropout"]:
        raise Unreadable("it drops values at random", "Export the model in evaluation mode.")
    ways = 2 if call["bidirectional"] else 1
    cells = [make(*weights) for weights in _weights(call, ways * call["num_layers"])]
    adder = call.node
    initial = _initial(call, adder, len(cells))
    steps = sequence.shape[0]
    if sequence.name is None:
        raise Unknown
    below: str | Sequence[str] = sequence.name
    last: list[tuple[str, ...]] = []
    for first in range(0, len(cells), ways):
        made: list[Sequence[str]] = []
        for way, cell in enumerate(cells[first : first + ways]):
            place = f"layer_{first // ways}/{'reverse/' if way else ''}"
            found = unroll(adder, cell, below, steps, initial[first + way], way == 1, place)
            last.append(found.states)
            made.append(found.outputs)
        place = f"layer_{first // ways}/step"
        below = made[0]
        if ways > 1:
            below = [
                adder(Concatenate(-1), *both, part=f"{place}_{time}/both")
                for time, both in enumerate(zip(*made, strict=True))
            ]
    name = _stacked(call, adder, below, "")
    states = zip(*last, strict=True)
    kept = [_stacked(call, adder, row, f"last_state_{i}") for i, row in enumerate(states)]
    return (call.placed(name, layout), *(call.placed(state, _BESIDE) for state in kept))


def _sequence(call: Call, layout: Layout) -> Value:
    sequence = call.value("input")
    if sequence.layout != layout:
        raise Unreadable("its sequence has the batch axis where time is", _TIME)
    if len(sequence.shape) != 2:
        raise Unreadable(f"its input {sequence.shape} is not a sequence of vectors", _TIME)
    return sequence


def _weights(call: Call, count: int) -> list[tuple[Weights, NDArray | None]]:
    """The parameters of every direction of every layer."""
    params = call["params"]
    if not all(isinstance(param, torch.Tensor) for param in params):
        raise Unreadable("its weights depend on the input", "Only constant weights can be read.")
    arrays = [to_array(param) for param in params]
    each = len(arrays) // count
    found = []
    for start in range(0, len(arrays), each):
        given, fed_back, *rest = arrays[start : start + each]
        first, second = (rest.pop(0), rest.pop(0)) if call["has_biases"] else (None, None)
        found.append((Weights(given, fed_back, first, second), rest[0] if rest else None))
    return found


def _initial(call: Call, adder: Adder, count: int) -> list[tuple[str | None, ...]]:
    """The states that each direction of each layer begins with, None for zeros."""
    given = call["hx"]
    several = given if isinstance(given, list | tuple) else [given]
    of_kind = [
        [_state(call, adder, state, row, f"initial_{kind}") for row in range(count)]
        for kind, state in enumerate(several)
    ]
    return list(zip(*of_kind, strict=True))


def _state(call: Call, adder: Adder, state: Any, row: int, part: str) -> str | None:
    """One row of states `(rows, batch, units)`."""
    if isinstance(state, Value):
        if state.layout != _BESIDE:
            raise Unreadable("the batch axis of its initial state is not its axis 1", MIXES)
        if state.name is None:
            raise Unknown
        return adder(Take(np.array(row), 0), state.name, part=f"{part}/{row}")
    values = to_array(state)[row]
    if not alike(values, values[:1]):
        raise Unreadable("its initial state differs from sample to sample", MIXES)
    return adder(Constant(values[0]), part=f"{part}/{row}") if values.any() else None


def _stacked(call: Call, adder: Adder, names: Sequence[str], part: str) -> str:
    return stack(adder, names, call.builder.shapes[names[0]], part)


@reads("aten.rnn_tanh_cell.default")
def _rnn_tanh_cell(call: Call) -> Any:
    return _single(call, _simple("tanh"))[0]


@reads("aten.rnn_relu_cell.default")
def _rnn_relu_cell(call: Call) -> Any:
    return _single(call, _simple("relu"))[0]


@reads("aten.gru_cell.default")
def _gru_cell(call: Call) -> Any:
    return _single(call, _gru)[0]


@reads("aten.lstm_cell.default")
def _lstm_cell(call: Call) -> Any:
    return _single(call, _lstm)


def _single(call: Call, make: Make) -> tuple[Value, ...]:
    """One step of a loop that the program has unrolled itself."""
    value = call.sample("input")
    if len(value.shape) != 1:
        raise Unreadable(f"its input {value.shape} is not a vector", MIXES)
    if value.name is None:
        raise Unknown
    biases = (call.optional_array("b_ih"), call.optional_array("b_hh"))
    cell = make(Weights(call.array("w_ih"), call.array("w_hh"), *biases), None)
    given = call["hx"]
    several = given if isinstance(given, list | tuple) else [given]
    adder = call.node
    initial = tuple(_cell_state(adder, state, i) for i, state in enumerate(several))
    sequence = adder(Reshape((1, *value.shape)), value.name, part="sequence")
    first, *rest = unroll(adder, cell, sequence, 1, initial).states
    return tuple(call.placed(name) for name in (adder(Identity(), first), *rest))


def _cell_state(adder: Adder, state: Any, index: int) -> str | None:
    """The state `(batch, units)` of a cell, or None for zeros."""
    if isinstance(state, Value):
        if state.layout != BATCH_FIRST:
            raise Unreadable("its state does not have the batch axis first and apart", MIXES)
        if state.name is None:
            raise Unknown
        return state.name
    values = to_array(state)
    if not alike(values, values[:1]):
        raise Unreadable("its state differs from sample to sample", MIXES)
    return adder(Constant(values[0]), part=f"initial_{index}") if values.any() else None
