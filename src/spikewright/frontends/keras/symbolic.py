"""Python code in layers as the graph of Keras that it applies, and checks of that graph.

Code that is called with symbolic tensors records what it applies to them, as a functional model
does. So it is read by the same readers, under the same names. Its own call says whether it was
recorded right, and whether it mixes samples.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright._base.samples import TreePath, leaves
from spikewright.frontends.keras.parameters import inputs_as_they_are
from spikewright.frontends.keras.registry import KerasCall, Value, plain_array
from spikewright.frontends.keras.running import KerasRun, without_gradients
from spikewright.frontends.keras.torch_trace import called
from spikewright.frontends.keras.traversal import filled, values_in
from spikewright.frontends.mixing import parted
from spikewright.frontends.preserving import preserved

_BOOKKEEPING = {"_inbound_nodes", "_outbound_nodes", "_called", "_losses", "_loss_ids"}
"""Attributes of layers that Keras itself sets when it calls them."""


class Recorded(NamedTuple):
    """A recorded call of code: a graph of Keras, and its outputs, tensors of it or constants.

    `places` are the ways to the outputs in what the code returns. There is no graph where no output
    depends on an input.
    """

    graph: Any
    outputs: Sequence[Any]
    places: Sequence[TreePath]


def record(
    layer: Any,
    arguments: Mapping[str, Any],
    values: Sequence[Value],
    batch: int | None,
    masks: Mapping[str, Value],
) -> Recorded | None:
    """The graph of a layer's call at inference, or None where symbolic tensors do not do.

    `arguments` are the call's, with these values in the place of tensors; `batch` is the extent of
    the batch axis, None for a free one. `masks` of values, by node, are further inputs of the
    graph, in the order of the values. Code that changes its layer is not recorded: its next call
    may give something else.
    """
    keras = require("keras")
    with preserved(layer) as before, _recording(layer), keras.StatelessScope() as scope:
        given = [_input(layer, value, batch) for value in values]
        beside = _masks(layer, dict(zip(given, values, strict=True)), batch, masks)
        try:
            with symbolic_operators():
                made = layer.call(**_at_inference(layer, filled(dict(arguments), given)))
            outputs = list(keras.tree.flatten(made))  # in the order of keys, where there are some
            known = {id(leaf): place for place, leaf in leaves(made)}
            places = [known.get(id(leaf), ()) for leaf in outputs]
            ends = [output for output in outputs if isinstance(output, keras.KerasTensor)]
            graph = _graph([*given, *beside], ends) if ends else None
        except Exception:
            return None
        written = any(scope.get_current_value(v) is not None for v in layer.variables)
        if written or any(_changed(before, part) for part in layer._flatten_layers()):
            return None
        return Recorded(graph, outputs, places)


def masks_beside(values: Sequence[Value], masks: Mapping[str, Value]) -> list[Value]:
    """The values of a recorded graph's further inputs: masks of others."""
    return [masks[value.name] for value in values if value.name is not None and value.name in masks]


def _input(layer: Any, value: Value, batch: int | None) -> Any:
    dtype = "bool" if value.truth else "int32" if value.whole else _real(layer)
    return require("keras").Input(batch_shape=(batch, *value.shape), dtype=dtype)


def _masks(
    layer: Any, given: Mapping[Any, Value], batch: int | None, masks: Mapping[str, Value]
) -> list[Any]:
    """Inputs for the masks of others, at which layers find them."""
    made = []
    for tensor, value in given.items():
        mask = masks.get(value.name or "")
        if mask is not None:
            made.append(_input(layer, mask, batch))
            require("keras.src.backend").set_keras_mask(tensor, made[-1])
    return made


def _real(layer: Any) -> str:
    """The type of real numbers that a layer's code is given."""
    keras = require("keras")
    return str(layer.compute_dtype if layer.autocast else keras.config.floatx())


def _at_inference(layer: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of the layer's call with `training=False` where it knows that."""
    parameters = inspect.signature(layer.call).parameters
    known = {"training": False} if "training" in parameters else {}
    bound = inspect.signature(layer.call).bind_partial()
    bound.arguments.update({**arguments, **known})
    return {**dict(zip(parameters, bound.args, strict=False)), **bound.kwargs}


def _graph(inputs: Sequence[Any], ends: Sequence[Any]) -> Any:
    """The graph between tensors; it keeps the numbers of calls, which layers forget afterwards."""
    graph = require("keras").Function(list(inputs), list(ends))
    nodes = [node for nodes in graph._nodes_by_depth.values() for node in nodes]
    graph.call_numbers = {id(node): node.operation._inbound_nodes.index(node) for node in nodes}
    return graph


def _changed(before: Any, part: Any) -> list[str]:
    return [name for name in before.changes(part) if name not in _BOOKKEEPING]


@contextmanager
def _recording(layer: Any) -> Iterator[None]:
    """A context of calls at inference, in which the names of operations begin anew."""
    state, backend = require("keras.src.backend.common.global_state"), require("keras.src.backend")
    context = require("keras.src.layers.layer").CallContext(entry_layer=None)
    context.set_value("training", False)
    own = {"object_name_uids": defaultdict(int), "current_call_ctx": context}
    before = {name: state.get_global_attribute(name) for name in own}
    mixed = layer.compute_dtype != layer.variable_dtype
    try:
        for name, value in own.items():
            state.set_global_attribute(name, value)
        autocast = backend.AutocastScope(layer.compute_dtype if mixed else None)
        with autocast, inputs_as_they_are(layer):
            yield
    finally:
        for name, value in before.items():
            state.set_global_attribute(name, value)


_OPERATORS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "add": "add",
    "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "mod", "pow": "power", "matmul": "matmul", "and": "logical_and", "or": "logical_or",
    "xor": "logical_xor", "eq": "equal", "ne": "not_equal",
}  # fmt: skip


@contextmanager
def symbolic_operators() -> Iterator[None]:
    """A context in which `variable * x` and `x == y` are operations of symbolic tensors.

    Keras computes the first with numbers, which fails, and takes the second for `x is y`.
    """
    keras = require("keras")
    tensor, variable = keras.KerasTensor, keras.Variable
    replaced = [(variable, f"__{name}__", name) for name in _OPERATORS]
    replaced.append((tensor, "__eq__", "eq"))
    before = [(owner, name, owner.__dict__.get(name)) for owner, name, _ in replaced]
    for owner, name, operation in replaced:
        function = getattr(keras.ops, _OPERATORS[operation])
        setattr(owner, name, _operator(getattr(owner, name), function, tensor))
    try:
        yield
    finally:
        for owner, name, method in before:
            if method is None:
                delattr(owner, name)
            else:
                setattr(owner, name, method)


def _operator(method: Any, function: Callable[..., Any], tensor: Any) -> Any:
    """A method that applies an operation where a symbolic tensor is involved."""

    def apply(self: Any, other: Any) -> Any:
        symbolic = isinstance(self, tensor) and not (other is None or isinstance(other, str))
        if symbolic or isinstance(other, tensor):
            return function(self, other)
        return method(self, other)

    return apply


def mixed_by(call: KerasCall, outputs: Sequence[Any]) -> str | None:
    """The reason why samples do not stay apart in a layer's call, None where they do.

    `outputs` are what it was read as; those that are constants are not looked at. Random samples
    are tried. None too where an input is unknown, or the call fails on them.
    """
    values = values_in(dict(call.arguments))
    if any(value.name is None for value in values):
        return None
    depend = [not isinstance(output, np.ndarray) for output in outputs]
    return mixed_in(call.layer, call.arguments, samples_like(values), depend)


def samples_like(values: Sequence[Value]) -> list[NDArray]:
    """Two random samples of each value, and the opposite of the first one.

    They are real numbers, whole ones, or truth values.
    """
    rng = np.random.default_rng(0)
    return [_samples(rng, value) for value in values]


def mixed_in(
    layer: Any, arguments: Mapping[str, Any], example: Sequence[NDArray], depend: Sequence[bool]
) -> str | None:
    """As `mixed_by`, of a layer's call with these arrays in the place of values.

    `depend` says for each output whether it depends on them.
    """

    def run(inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        tensors = map(require("keras").ops.convert_to_tensor, inputs.values())
        with without_gradients():
            made = called(layer, filled(dict(arguments), tensors))
        leaves = zip(require("keras").tree.flatten(made), depend, strict=True)
        return {str(i): plain_array(value) for i, (value, kept) in enumerate(leaves) if kept}

    with preserved(layer):
        try:
            found = parted(run, {str(i): array for i, array in enumerate(example)})
        except Exception:
            return None
    return None if found is None else found.reason


def is_recorded_right(
    layer: Any,
    arguments: Mapping[str, Any],
    recorded: Recorded,
    example: Sequence[NDArray],
    masks: Sequence[NDArray] = (),
) -> bool:
    """True for a recorded graph that gives what the layer's own call gives, for each sample alone.

    `masks` are those of the values that have one, in order. Where the call fails nothing is known.
    """
    count = len(example[0])
    with preserved(layer), without_gradients():
        return all(
            _is_right_for(
                layer,
                arguments,
                recorded,
                *([x[i : i + 1] for x in given] for given in (example, masks)),
            )
            for i in range(count)
        )


def _is_right_for(
    layer: Any,
    arguments: Mapping[str, Any],
    recorded: Recorded,
    example: Sequence[NDArray],
    masks: Sequence[NDArray],
) -> bool:
    """The same of one sample."""
    keras = require("keras")
    tensors = [keras.ops.convert_to_tensor(array) for array in example]
    given = [*tensors, *map(keras.ops.convert_to_tensor, masks)]
    _attach(recorded.graph, given)
    try:
        wanted = keras.tree.flatten(called(layer, filled(dict(arguments), tensors)))
    except Exception:
        return True
    _attach(recorded.graph, given)  # attention takes masks off
    ends = [end for end in recorded.outputs if isinstance(end, keras.KerasTensor)]
    try:
        made = KerasRun(recorded.graph, {}).through(recorded.graph, given, ends=ends)
    except Exception:
        return False  # a shape in it has no number for the batch
    found, waiting = iter(made), zip(recorded.outputs, wanted, strict=True)
    return all(_close(next(found), x) for end, x in waiting if isinstance(end, keras.KerasTensor))


def _attach(graph: Any, tensors: Sequence[Any]) -> None:
    """Give tensors the masks that the inputs of a recorded graph have."""
    given = dict(zip(map(id, graph.inputs), tensors, strict=True))
    for symbolic, tensor in zip(graph.inputs, tensors, strict=True):
        mask = given.get(id(getattr(symbolic, "_keras_mask", None)))
        if mask is not None:
            require("keras.src.backend").set_keras_mask(tensor, mask)


def _close(made: Any, wanted: Any) -> bool:
    one, other = plain_array(made), plain_array(wanted)
    if one.shape != other.shape:
        return False
    scale = float(np.abs(other[np.isfinite(other)].astype(float)).max(initial=0.0))
    return np.allclose(one, other, rtol=0, atol=1e-3 * scale + 1e-30, equal_nan=True)


def _samples(rng: Any, value: Value) -> NDArray:
    shape = (2, *value.shape)
    if value.truth or value.whole:
        found = rng.integers(0, 2, shape)
        return np.concatenate([found, 1 - found[:1]]).astype(bool if value.truth else np.int32)
    found = rng.normal(size=shape).astype(np.float32)
    return np.concatenate([found, -found[:1]])
