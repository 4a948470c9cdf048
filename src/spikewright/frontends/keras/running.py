"""Running: a walk that calls every Keras layer on real tensors, and calls of layers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import readable
from spikewright._base.optional import require
from spikewright.frontends.fallback import python_call
from spikewright.frontends.keras.quantized import inputs_as_they_are
from spikewright.frontends.keras.registry import Value, array
from spikewright.frontends.keras.walking import Application, Walk, filled, flatten, values_in
from spikewright.frontends.source import COARSEST_FIRST, Values
from spikewright.graph import Graph, checked_inputs
from spikewright.graph.layers import PythonCall
from spikewright.graph.lookups import whole_inputs


class KerasRun(Walk[Any]):
    """Keeps, as NumPy arrays, the outputs that `nodes` names: {(call, number): node}."""

    def __init__(self, graph: Any, nodes: Mapping[tuple[str, int], str]) -> None:
        super().__init__(graph)
        self._nodes = nodes
        self.values: dict[str, NDArray] = {}

    def apply(self, call: Application[Any]) -> Sequence[Any]:
        """Call a layer or operation as inference does."""
        return self.leave(call, run_operation(call.operation, call.args, call.kwargs))

    def leave(self, call: Application[Any], outputs: Sequence[Any]) -> Sequence[Any]:
        """Keep the wanted outputs of a layer or a nested model."""
        for index, value in enumerate(outputs):
            node = self._nodes.get((call.name, index))
            if node is not None:
                self.values[node] = array(value)
        return outputs


class KerasMasks(Walk[Any]):
    """Notes which arguments of each call have a mask when the model runs.

    Keras takes masks off the inputs of attention, so that the next layer may find none there.
    """

    def __init__(self, graph: Any) -> None:
        super().__init__(graph)
        self.found: dict[str, list[bool]] = {}

    def apply(self, call: Application[Any]) -> Sequence[Any]:
        """Call a layer or operation as inference does."""
        self.note(call)
        return run_operation(call.operation, call.args, call.kwargs)

    def enter(self, call: Application[Any], graph: Any) -> Sequence[Any]:
        """As of any walk."""
        self.note(call)
        return super().enter(call, graph)

    def note(self, call: Application[Any]) -> None:
        """Note which of the leaves of a call's arguments have a mask."""
        leaves = flatten([call.args, dict(call.kwargs)])
        self.found[call.name] = [getattr(x, "_keras_mask", None) is not None for x in leaves]


def masks_when_run(
    graph: Any, shapes: Sequence[Sequence[int]], name: str
) -> Mapping[str, Sequence[bool]]:
    """For every call by name, which leaves of its arguments have a mask when the graph runs.

    `shapes` are those of samples of its inputs, and `name` stands before the names of calls.
    """
    walk, ops = KerasMasks(graph), require("keras").ops
    tensors = [
        ops.zeros((1, *shape), tensor.dtype)
        for shape, tensor in zip(shapes, graph.inputs, strict=True)
    ]
    given = dict(zip(map(id, graph.inputs), tensors, strict=True))
    for tensor, made in zip(graph.inputs, tensors, strict=True):
        mask = getattr(tensor, "_keras_mask", None)
        if id(mask) in given:
            require("keras.src.backend").set_keras_mask(made, given[id(mask)])
    with without_gradients():
        walk.through(graph, tensors, name)
    return walk.found


def run_operation(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The outputs of a layer or operation at inference, in Keras's order."""
    keras = require("keras")
    given = dict(kwargs)
    if isinstance(operation, keras.Layer):
        given["training"] = False  # for the layers inside too, whether or not it takes it itself
    return list(keras.tree.flatten(operation(*args, **given)))


def activations(
    model: Any,
    keras_graph: Any,
    ends: Sequence[Any],
    names: Sequence[str],
    nodes: Mapping[tuple[str, int], str],
    graph: Graph,
    inputs: Values,
) -> dict[str, NDArray]:
    """Run Keras on `{input name: (batch, *shape)}`: `{node name: value}` in float32 or float64.

    `names` are the inputs in Keras's order, of which the graph may have fewer where only some
    tensors, `ends`, are kept. Raises `GraphError` when an input is missing,
    unknown or of the wrong shape.
    """
    arrays, tensors = _given(keras_graph, names, graph, inputs)
    running = KerasRun(keras_graph, {key: node for key, node in nodes.items() if node in graph})
    with without_gradients(), inputs_as_they_are(model):
        running.through(keras_graph, tensors, ends=ends)
    return {**arrays, **running.values}


def call(
    model: Any,
    keras_graph: Any,
    names: Sequence[str],
    outputs: Sequence[str],
    graph: Graph,
    inputs: Values,
) -> dict[str, NDArray]:
    """Call the model itself on `{input name: (batch, *shape)}`: `{output name: value}`.

    Quantised layers take their inputs as they are.

    `names` are its inputs and `outputs` its outputs in Keras's order. Raises as `activations` does.
    """
    _, tensors = _given(keras_graph, names, graph, inputs)
    if any(tensor is None for tensor in tensors):
        return {}  # it cannot be called without
    tree = require("keras").tree
    with without_gradients(), inputs_as_they_are(model):
        made = model(tree.pack_sequence_as(keras_graph._inputs_struct, tensors), training=False)
    found = zip(outputs, tree.flatten(made), strict=True)
    return {name: array(value) for name, value in found if name in graph.outputs}


def _given(
    keras_graph: Any, names: Sequence[str], graph: Graph, inputs: Values
) -> tuple[dict[str, NDArray], list[Any]]:
    """The inputs as arrays by name, and as tensors in Keras's order; None for one that is cut."""
    arrays = checked(graph, [name for name in names if name in graph], inputs)
    whole = whole_inputs(graph)
    tensors: list[Any] = []
    for name, tensor in zip(names, keras_graph.inputs, strict=True):
        if name not in graph:
            tensors.append(None)
            continue
        exact = tensor.dtype in ("float64", "bool") or name in whole
        dtype = tensor.dtype if exact else "float32"
        arrays[name] = arrays[name].astype(dtype)
        tensors.append(require("keras").ops.convert_to_tensor(arrays[name], dtype))
    return arrays, tensors


def ran(as_they_are: bool = False) -> str:
    """The framework that runs a model: Keras's version and backend.

    `as_they_are` says that it rounds inputs of layers, and was run without that.
    """
    keras = require("keras")
    without = ", its inputs of layers not rounded," if as_they_are else ""
    return f"Keras {keras.__version__} on {keras.backend.backend()}{without}"


def precision_of(model: Any) -> str:
    """The coarsest precision that a layer of a model computes in."""
    found = {layer.compute_dtype for layer in model._flatten_layers()}
    return next((name for name in COARSEST_FIRST if name in found), "float32")


def to_numpy(value: Any) -> NDArray:
    """An array or tensor of any framework as a NumPy array."""
    return np.asarray(readable(value))


def checked(graph: Graph, names: Sequence[str], inputs: Values) -> dict[str, NDArray]:
    """The inputs of these names as arrays; raises `GraphError` where they misfit."""
    return checked_inputs({name: graph.shapes[name] for name in names}, inputs)


@contextmanager
def without_gradients() -> Iterator[None]:
    """A context in which no gradients are recorded."""
    if require("keras").backend.backend() != "torch":
        yield  # only PyTorch records gradients unasked
        return
    with require("torch").no_grad():
        yield


def values_of(call: Application[Value]) -> list[Value]:
    """The arguments of a layer's call that depend on the inputs, in order."""
    return values_in([call.args, dict(call.kwargs)])


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One output of a layer's or an operation's call, as a function of arrays."""

    call: Application[Value]
    index: int

    @property
    def held(self) -> Sequence[Any]:
        """The layer, and constants that it is called with."""
        return self.call.operation, self.call.args, dict(self.call.kwargs)

    @property
    def whole(self) -> list[bool]:
        """For each argument, whether it holds whole numbers."""
        return [bool(value.whole) for value in values_of(self.call)]

    def __call__(self, *arrays: NDArray) -> NDArray:
        """The output for these arguments."""
        call, convert = self.call, require("keras").ops.convert_to_tensor
        dtypes = ["int32" if whole else _dtype(call.operation) for whole in self.whole]
        given = [convert(x, dtype) for x, dtype in zip(arrays, dtypes, strict=True)]
        args, kwargs = filled([list(call.args), dict(call.kwargs)], given)
        with without_gradients():
            return array(run_operation(call.operation, args, kwargs)[self.index])


def calling_layer(call: Application[Value], index: int, kind: str) -> PythonCall:
    """The layer that calls a layer or operation for one of its outputs; raises `CannotCall`."""
    function, shapes = LayerCall(call, index), [value.shape for value in values_of(call)]
    return python_call(
        function, shapes, function.whole, f"{kind} {call.source!r} of Keras", function.held
    )


def _dtype(operation: Any) -> str:
    return str(getattr(operation, "compute_dtype", None) or require("keras").config.floatx())
