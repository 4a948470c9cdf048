"""Recurrent layers and cells, unrolled over their sequence: see `frontends/unrolling/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.frontends.pytorch.registry import TorchCall, reads, to_array
from spikewright.frontends.reading.arithmetic import function
from spikewright.frontends.reading.call import UnsupportedInput, UnsupportedOp, Value
from spikewright.frontends.reading.selection import entry, stacked
from spikewright.frontends.reading.truth import greater
from spikewright.frontends.unrolling import MaskedCell, UnrolledCell, beside_mask, stack, unroll
from spikewright.frontends.unrolling.cells import Weights, gru, lstm, simple
from spikewright.graph.layers import Concatenate, Constant, Identity, Multiply, Reshape, Take

Make = Callable[[Weights, NDArray | None], UnrolledCell]
"""From the weights of one direction of one layer, and its projection, to a cell."""


def _lstm(weights: Weights, projection: NDArray | None) -> UnrolledCell:
    gate, tanh = function("sigmoid"), function("tanh")
    return lstm(weights, "ifgo", gate, tanh, tanh, projection=projection)


_MAKE: Mapping[str, Make] = {
    "rnn_tanh": lambda weights, projection: simple(weights, function("tanh")),
    "rnn_relu": lambda weights, projection: simple(weights, function("relu")),
    "gru": lambda weights, projection: gru(
        weights, "rzn", function("sigmoid"), function("tanh"), reset_after=True
    ),
    "lstm": _lstm,
}


@reads(*(f"aten.{name}.input" for name in _MAKE))
def _layer(call: TorchCall) -> Any:
    return _recurrent(call, _MAKE[call.target.split(".")[1]])


@reads("spikewright.recurrent.default")
def _over_lengths(call: TorchCall) -> Any:
    """Layers over as many steps as a length says, which keep their states behind it."""
    call = replace(call, arguments={**call.arguments, "batch_first": True, "train": False})
    steps = np.arange(call.results[0].shape[1], dtype=float)[:, None]
    lengths, places = call.operands(call["lengths"], steps)
    if isinstance(lengths, Value):
        inside = greater(call.inside("inside"), lengths, places, strict=True)
    else:
        inside = call.constant_like((lengths > places) * 1.0, call.value("input"), "inside")
    return _recurrent(call, _MAKE[call["mode"].lower()], inside)


def _recurrent(call: TorchCall, make: Make, inside: Value | None = None) -> Any:
    """Layers one above the other, in one direction or two: the sequence, and the last states.

    Steps that are not `inside` leave the states as they are, and the sequence is zero there.
    """
    if call["train"] and call["dropout"]:
        raise UnsupportedOp("it drops values at random", "Export the model in evaluation mode.")
    ways = 2 if call["bidirectional"] else 1
    cells = [make(*weights) for weights in _weights(call, ways * call["num_layers"])]
    sequences = _sequences(call)
    rows = []
    for index, sequence in enumerate(sequences):
        own = call.inside(f"sequence_{index}" if len(sequences) > 1 else "")
        initial = _initial(own, len(cells), index, len(sequences))
        result = "padded" if inside else "result" if len(sequences) > 1 else ""
        rows.append(_layers(own, cells, ways, sequence, initial, inside=inside, result=result))
    if len(rows) == 1:
        return tuple(call.placed(name) for name in rows[0])
    axis = 0 if call["batch_first"] else 1
    parts = ["", *(f"last_state_{kind}" for kind in range(len(rows[0]) - 1))]
    return tuple(
        stacked(call.inside(part), [call.placed(name) for name in each], 1 if part else axis)
        for part, each in zip(parts, zip(*rows, strict=True), strict=True)
    )


def _layers(
    call: TorchCall,
    cells: Sequence[UnrolledCell],
    ways: int,
    sequence: str,
    initial: Sequence[tuple[str | None, ...]],
    inside: Value | None,
    result: str,
) -> list[str]:
    """The nodes of the result and of the last states for one sequence `(time, units)`."""
    steps, mask = call.builder.shapes[sequence][0], None if inside is None else str(inside.name)
    below: str | Sequence[str] = sequence
    last: list[tuple[str, ...]] = []
    for first in range(0, len(cells), ways):
        made: list[Sequence[str]] = []
        layer = call.inside(f"layer_{first // ways}")
        if mask is not None:
            below = beside_mask(layer, below, mask)
        for way, cell in enumerate(cells[first : first + ways]):
            cell = cell if mask is None else MaskedCell(cell)
            adder = layer.inside("reverse" if way else "").node
            found = unroll(adder, cell, below, steps, initial[first + way], way == 1)
            last.append(found.states)
            made.append(found.outputs)
        below = made[0]
        if ways > 1:
            below = [
                layer.node(Concatenate(-1), *both, part=f"step_{time}/both")
                for time, both in enumerate(zip(*made, strict=True))
            ]
    name = _stacked(call, below, result)
    if mask is not None:
        name = call.node(Multiply(), name, mask)
    states = zip(*last, strict=True)
    return [name, *(_stacked(call, row, f"last_state_{i}") for i, row in enumerate(states))]


def _sequences(call: TorchCall) -> list[str]:
    """The nodes of the sequences `(time, units)`; several where the batch is merged with others."""
    value = call.value("input")
    if value.name is None:
        raise UnsupportedInput
    sizes = (*(1,) * (value.rank - len(value.shape)), *value.shape)
    if len(sizes) == 2:
        sizes = (1, *sizes)
    elif not call["batch_first"]:
        sizes = (sizes[1], sizes[0], sizes[2])
    count, *shape = sizes
    if count == 1:
        own = value.shape == tuple(shape)
        return [value.name if own else call.node(Reshape(tuple(shape)), value.name, part="time")]
    axis = call.axis(value, 0 if call["batch_first"] else 1)
    found = []
    for index in range(count):
        part = f"sequence_{index}/time"
        row = entry(call.inside(f"{part}/row"), value, axis, index)
        found.append(call.node(Reshape(tuple(shape)), str(row.name), part=part))
    return found


def _weights(call: TorchCall, count: int) -> list[tuple[Weights, NDArray | None]]:
    """The parameters of every direction of every layer."""
    params = call["params"]
    if not all(isinstance(param, torch.Tensor) for param in params):
        raise UnsupportedOp("its weights depend on the input", "Only constant weights can be read.")
    arrays = [to_array(param) for param in params]
    each = len(arrays) // count
    found = []
    for start in range(0, len(arrays), each):
        given, fed_back, *rest = arrays[start : start + each]
        first, second = (rest.pop(0), rest.pop(0)) if call["has_biases"] else (None, None)
        found.append((Weights(given, fed_back, first, second), rest[0] if rest else None))
    return found


def _initial(
    call: TorchCall, count: int, index: int, sequences: int
) -> list[tuple[str | None, ...]]:
    """The states that each direction of each layer begins with, None for zeros."""
    given = call["hx"]
    several = given if isinstance(given, list | tuple) else [given]
    of_kind = []
    for kind, state in enumerate(several):
        part = f"initial_{kind}"
        rows = _rows(call, state, count * sequences, part)
        every = range(index, count * sequences, sequences)
        of_kind.append([_state(call, rows, row, f"{part}/{row}") for row in every])
    return list(zip(*of_kind, strict=True))


def _rows(call: TorchCall, state: Any, count: int, part: str) -> Any:
    """States `(layers, sequences, units)` as rows of units: a node, or an array."""
    if not isinstance(state, Value):
        return to_array(state).reshape(count, -1)
    if state.name is None:
        raise UnsupportedInput
    shape = (count, state.shape[-1])
    return state.name if state.shape == shape else call.node(Reshape(shape), state.name, part=part)


def _state(call: TorchCall, rows: Any, row: int, part: str) -> str | None:
    if isinstance(rows, str):
        return call.node(Take(np.array(row), 0), rows, part=part)
    return call.node(Constant(rows[row]), part=part) if rows[row].any() else None


def _stacked(call: TorchCall, names: Sequence[str], part: str) -> str:
    return stack(call.node, names, call.builder.shapes[names[0]], part)


@reads(*(f"aten.{name}_cell.default" for name in _MAKE))
def _cell(call: TorchCall) -> Any:
    """One step of a loop that the program has unrolled itself."""
    value = call.value("input")
    if value.name is None:
        raise UnsupportedInput
    sizes = call.results[0].shape if isinstance(call.results, tuple | list) else call.results.shape
    biases = (call.optional_array("b_ih"), call.optional_array("b_hh"))
    name = call.target.split(".")[1].removesuffix("_cell")
    cell = _MAKE[name](Weights(call.array("w_ih"), call.array("w_hh"), *biases), None)
    given = call["hx"]
    several = given if isinstance(given, list | tuple) else [given]
    count = sizes[0] if len(sizes) > 1 else 1
    if count > 1:
        raise UnsupportedOp(f"it is applied to {count} vectors of one sample")
    adder, units = call.node, value.shape[-1]
    rows = [_rows(call, state, 1, f"initial_{i}") for i, state in enumerate(several)]
    initial = tuple(_state(call, row, 0, f"initial_{i}") for i, row in enumerate(rows))
    sequence = adder(Reshape((1, units)), value.name, part="sequence")
    first, *rest = unroll(adder, cell, sequence, 1, initial).states
    made = tuple(call.placed(name) for name in (adder(Identity(), first), *rest))
    return made if len(made) > 1 else made[0]
