"""Running: a walk that calls every Keras layer on real tensors, and arguments of calls.

Values that depend on no input (position embeddings, class tokens, whatever is made of them) are
arrays while a model is read; one whose first axis is the batch has an extent of one there.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import readable
from spikewright._base.optional import require
from spikewright.frontends.fallback import python_call
from spikewright.frontends.keras.parameters import inputs_as_they_are
from spikewright.frontends.keras.registry import (
    KerasCall,
    UnsupportedInput,
    UnsupportedOp,
    Value,
    array,
    plain_array,
)
from spikewright.frontends.keras.traversal import (
    Application,
    CallTraversal,
    filled,
    flatten,
    map_structure,
    values_in,
)
from spikewright.frontends.reading.call import afford
from spikewright.frontends.source import COARSEST_FIRST, GraphBuilder, Values
from spikewright.graph import Graph, checked_inputs
from spikewright.graph.integer_inputs import whole_inputs
from spikewright.graph.layers import Constant, PythonCall, Shape


class KerasRun(CallTraversal[Any]):
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


class KerasMasks(CallTraversal[Any]):
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


@dataclass(frozen=True)
class GraphRun:
    """Runs a model, or the graph of Keras that it is read from, on arrays by the names of inputs.

    `inputs` are the model's in Keras's order, of which the `graph` may have fewer where only some
    tensors, `ends`, are kept; `outputs` are the model's outputs. `nodes` are those of the outputs
    of calls. `ask` calls the model with tensors. A graph of Keras that is of one sample runs on
    one after another. Both raise `GraphError` where an input is missing, unknown or of another
    shape; quantised layers take their inputs as they are.
    """

    model: Any
    keras_graph: Any
    graph: Graph
    inputs: Sequence[str]
    outputs: Sequence[str]
    ends: Sequence[Any]
    nodes: Mapping[tuple[str, int], str]
    ask: Callable[[Sequence[Any]], Any]

    def activations(self, inputs: Values) -> dict[str, NDArray]:
        """As `Source.activations`, in float32 or float64."""
        arrays, tensors = self._given(inputs)
        if self.keras_graph.inputs[0].shape[0] != 1:
            return {**arrays, **self._values(tensors)}
        count = len(next(iter(arrays.values())))
        each = [
            self._values([None if x is None else x[i : i + 1] for x in tensors])
            for i in range(count)
        ]
        return {**arrays, **{n: np.concatenate([one[n] for one in each]) for n in each[0]}}

    def _values(self, tensors: Sequence[Any]) -> dict[str, NDArray]:
        running = KerasRun(self.keras_graph, self.nodes)
        with without_gradients(), inputs_as_they_are(self.model):
            running.through(self.keras_graph, tensors, ends=self.ends)
        return running.values

    def call(self, inputs: Values) -> dict[str, NDArray]:
        """As `Source.call`."""
        _, tensors = self._given(inputs)
        if any(tensor is None for tensor in tensors):
            return {}  # it cannot be called without
        with without_gradients(), inputs_as_they_are(self.model):
            made = require("keras").tree.flatten(self.ask(tensors))
        found = zip(self.outputs, made, strict=True)
        return {name: array(value) for name, value in found if name in self.graph.outputs}

    def _given(self, inputs: Values) -> tuple[dict[str, NDArray], list[Any]]:
        """The inputs as arrays, and as tensors in Keras's order; None for one that is cut."""
        arrays = checked(self.graph, [name for name in self.inputs if name in self.graph], inputs)
        whole, convert = whole_inputs(self.graph), require("keras").ops.convert_to_tensor
        tensors: list[Any] = []
        for name, tensor in zip(self.inputs, self.keras_graph.inputs, strict=True):
            if name not in self.graph:
                tensors.append(None)
                continue
            exact = "int" not in tensor.dtype or name in whole
            dtype = tensor.dtype if exact else "float32"
            arrays[name] = arrays[name].astype(dtype)
            tensors.append(convert(arrays[name], dtype))
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


_INPUTS = ("inputs", "query", "value", "key")


def folded(call: Application[Any]) -> Sequence[Any]:
    """The outputs of a layer or operation that is applied to constants alone."""
    afford(sum(math.prod(n or 1 for n in tensor.shape) for tensor in call.outputs))
    with without_gradients():
        return [plain_array(x) for x in run_operation(call.operation, call.args, call.kwargs)]


def is_constant(leaf: Any) -> bool:
    """Whether an argument is an array or tensor."""
    return isinstance(leaf, np.ndarray) or require("keras").ops.is_tensor(leaf)


def with_constants(call: KerasCall) -> KerasCall:
    """The call of a layer with values in the place of constants among its inputs.

    Raises `UnsupportedOp` for a constant that differs from sample to sample, or has no batch axis.
    """
    first = next(iter(call.arguments), "")
    given = {name: call.arguments[name] for name in {first, *_INPUTS} & set(call.arguments)}
    if not any(is_constant(leaf) for leaf in flatten(given)):
        return call
    made = map_structure(lambda leaf: _as_value(call, leaf) if is_constant(leaf) else leaf, given)
    arguments = {**call.arguments, **made}
    values = tuple(v for v in flatten(arguments) if isinstance(v, Value))
    return replace(call, arguments=arguments, inputs=values)


def as_values(call: KerasCall, tensors: Sequence[Any]) -> list[Value]:
    """Tensors that a call joins, with values in the place of constants; raises `UnsupportedOp`."""
    return [x if isinstance(x, Value) else _as_value(call, x) for x in tensors]


def _as_value(call: KerasCall, constant: Any) -> Value:
    found = plain_array(constant)
    ranks = {len(value.shape) + 1 for value in call.inputs}
    if found.ndim not in ranks or found.shape[0] != 1:
        raise UnsupportedOp(
            f"its constant of shape {found.shape} has no batch axis of extent 1",
            "Give the constant that axis, constant[None]",
        )
    name, source, kind = call.named("constant")
    return constant_value(call.builder, found, name, source, kind)


def constant_value(
    builder: GraphBuilder, constant: NDArray, name: str, source: str, kind: str
) -> Value:
    """A constant `(1, *shape)` as a value of the graph."""
    value = np.asarray(constant[0], np.float64)
    node = builder.add(name, Constant(value), source=source, kind=kind)
    if node is None:
        raise UnsupportedInput
    whole, truth = constant.dtype.kind in "iu", constant.dtype.kind == "b"
    return Value(node, value.shape, whole=int(whole), truth=truth)


def given_masks(
    operation: Any, arguments: Mapping[str, Any], masks: Mapping[str, Value]
) -> dict[str, Any]:
    """The arguments of a layer's call with the masks that Keras adds to them, by node of values."""
    parameters = inspect.signature(operation.call).parameters
    tensors = {name: given for name, given in arguments.items() if values_in(given)}
    names = {name: "mask" if len(tensors) == 1 else f"{name}_mask" for name in tensors}
    made = dict(arguments)
    for name, mask_name in names.items():
        if mask_name not in parameters or arguments.get(mask_name) is not None:
            continue
        found = map_structure(partial(_mask_of, masks), tensors[name])
        if values_in(found):
            made[mask_name] = found
    return made


def _mask_of(masks: Mapping[str, Value], leaf: Any) -> Value | None:
    return masks.get(leaf.name or "") if isinstance(leaf, Value) else None


def operands(call: KerasCall, *names: str) -> list[Any]:
    """The arguments of these names: values, or constants that broadcast against them.

    Raises `UnsupportedOp` where ranks differ, so that Keras would mix samples of a batch.
    """
    given = [call.arguments[name] for name in names]
    ranks = {len(x.shape) for x in given if isinstance(x, Value)}
    if len(ranks) > 1:
        shapes = [x.shape for x in given if isinstance(x, Value)]
        raise UnsupportedOp(
            f"its inputs of shapes {shapes} have different ranks, so that Keras aligns the batch "
            f"of one with another axis of the other",
            "Make the ranks equal with a Reshape layer",
        )
    shape = next((x.shape for x in given if isinstance(x, Value)), ())
    return call.operands(
        *(x if isinstance(x, Value) else unbatched_constant(array(x), shape) for x in given)
    )


def unbatched_constant(constant: NDArray, shape: Shape) -> NDArray:
    """A constant that broadcasts against `(batch, *shape)`, made to do so against `shape`."""
    if constant.ndim <= len(shape):
        return constant
    if constant.ndim == len(shape) + 1 and len(constant) == 1:
        return constant[0]
    raise UnsupportedOp(
        f"its constant of shape {constant.shape} differs from sample to sample",
        "Use a constant without a batch axis",
    )
