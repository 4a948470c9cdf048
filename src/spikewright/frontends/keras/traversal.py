"""Traversal of a Keras model call by call, with its masks: reading and running share it.

Keras hands masks from layer to layer beside the tensors that they belong to. A layer that knows
masks is given those of its inputs when it is called. Code and nested models find them at the
tensors, for the layers inside them.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from spikewright._base.optional import require
from spikewright._base.samples import TreePath, leaves
from spikewright.frontends.keras.registry import UnsupportedOp, Value, of_keras
from spikewright.graph import unique_name

_UNUSED = frozenset({"BatchNormalization"})
"""Layers that take account of masks in training alone."""


def unused_masks(node: Any) -> set[int]:
    """The identities of the masks that a call is given and does not look at, at inference."""
    if type(node.operation).__name__ not in _UNUSED:
        return set()
    return {id(mask) for _, mask in _masked(node.input_tensors)}


def masked_inputs(node: Any) -> list[tuple[Any, Any]]:
    """The inputs of a call that may use their masks, itself or inside, each with its mask."""
    operation = node.operation
    if not isinstance(operation, require("keras").Layer) or type(operation).__name__ in _UNUSED:
        return []
    return _masked(node.input_tensors) if any(map(knows_masks, operation._flatten_layers())) else []


def _masked(tensors: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Those of the tensors that have a mask, each with it."""
    found = [(tensor, getattr(tensor, "_keras_mask", None)) for tensor in tensors]
    return [(tensor, mask) for tensor, mask in found if mask is not None]


def makes_masks(operation: Any) -> bool:
    """True for a layer that may make masks, itself or by one inside it; handing on makes none."""
    layer = require("keras").Layer
    return isinstance(operation, layer) and any(map(_makes_masks, operation._flatten_layers()))


def _makes_masks(layer: Any) -> bool:
    if of_keras(layer):
        return bool(getattr(layer, "mask_zero", False)) or type(layer).__name__ == "Masking"
    return bool(type(layer).compute_mask is not require("keras").Layer.compute_mask)


def uses_masks(operation: Any) -> bool:
    """Whether a layer takes account of the masks of its inputs at inference."""
    return type(operation).__name__ not in _UNUSED and knows_masks(operation)


def knows_masks(operation: Any) -> bool:
    """Whether a layer is called with the masks of its inputs."""
    parameters = inspect.signature(operation.call).parameters
    return any(name == "mask" or name.endswith("_mask") for name in parameters)


V = TypeVar("V")


def graph_of(operation: Any) -> Any | None:
    """The functional graph of a Sequential or Functional model, None for anything else.

    A subclass that computes something else in a `call` of its own has no such graph.
    """
    graph = getattr(operation, "_functional", operation)  # the graph that a Sequential model runs
    return graph if hasattr(graph, "_nodes_by_depth") and calls_as_keras(operation) else None


def calls_as_keras(operation: Any) -> bool:
    """Whether `call` is a method of Keras itself, not one that a subclass has of its own."""
    # A method defined by `exec` in a namespace without a name has None for its module.
    return str(type(operation).call.__module__).split(".")[0] == "keras"


def input_names(graph: Any) -> list[str]:
    """Name of each input: its key where inputs are a dict, else its input layer's name."""
    return _names(graph._inputs_struct, graph.inputs)


def input_places(graph: Any) -> dict[str, TreePath]:
    """By input name, the way to each through the structure that the model is called with."""
    found = {id(tensor): place for place, tensor in leaves(graph._inputs_struct)}
    places = [found[id(tensor)] for tensor in graph.inputs]
    flat = all(len(place) < 2 for place in places)
    names = input_names(graph)
    return {n: (n,) if flat else place for n, place in zip(names, places, strict=True)}


def output_names(graph: Any) -> list[str]:
    """Name of each output: its key where outputs are a dict, else its layer's name."""
    return _names(graph._outputs_struct, graph.outputs)


def _names(structure: Any, tensors: Sequence[Any]) -> list[str]:
    keys = {id(t): str(key) for key, t in structure.items()} if isinstance(structure, dict) else {}
    return [keys.get(id(t), t._keras_history.operation.name) for t in tensors]


@dataclass(frozen=True)
class Application(Generic[V]):
    """One call of an operation: `args` and `kwargs` with a `V` in the place of every tensor.

    `source` is the operation's path in the model, `name` the same made unique for this call;
    `outputs` are Keras's symbolic tensors. `masks` are inputs whose masks it may use, itself or in
    layers inside it, each with its mask.
    """

    operation: Any
    name: str
    source: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[Any, ...]
    masks: tuple[tuple[Any, Any], ...] = ()


class CallTraversal(ABC, Generic[V]):
    """Passes a `V` for every tensor through a model, and through the models nested in it.

    The second call of a shared layer is named `<layer>_1`, and so on; a name that another layer of
    the model has is never given away.
    """

    follows_masks = False
    """Whether masks are looked for that code finds at its inputs; tensors have them with them."""

    def __init__(self, graph: Any) -> None:
        self._reserved = set(paths(graph))
        self._used: set[str] = set()
        self.calls = self._named(graph)
        """The calls of the model's own layers, by name."""

    @abstractmethod
    def apply(self, call: Application[V]) -> Sequence[V]:
        """The outputs of a layer or operation."""

    def start(self, graph: Any, inputs: Sequence[V], name: str) -> None:
        """Take notice of a graph before its calls, whose names begin with `name`."""
        return

    def enter(self, call: Application[V], graph: Any) -> Sequence[V]:
        """The inputs of a nested model; raises `UnsupportedOp`."""
        return _arranged(graph, call)

    def leave(self, call: Application[V], outputs: Sequence[V]) -> Sequence[V]:
        """The outputs of a nested model, given the results of its last layers."""
        return outputs

    def refused(self, call: Application[V], why: UnsupportedOp) -> Sequence[V]:
        """The outputs of a nested model that could not be entered."""
        raise why

    def through(
        self,
        graph: Any,
        inputs: Sequence[V],
        name: str = "",
        source: str = "",
        ends: Sequence[Any] | None = None,
    ) -> list[V]:
        """The values of the graph's outputs, or of other tensors of it; computes nothing else."""
        self.start(graph, inputs, name)
        known: dict[int, Any] = dict(zip(map(id, graph.inputs), inputs, strict=True))
        calls = self._named(graph, name) if name else self.calls
        names = {id(node): call for call, node in calls.items()}
        ends = graph.outputs if ends is None else ends
        for node in needed_nodes(graph, ends):
            if known.keys() >= set(map(id, node.outputs)):
                continue  # a mask, which an earlier call looked at
            masks = masked_inputs(node) if self.follows_masks else []
            for _, mask in masks:
                for before in _unknown(mask, known):
                    if id(before) not in names:
                        names[id(before)] = self._unique(name + before.operation.name)
                    self._step(before, known, names, source)
            self._step(node, known, names, source, masks)
        return [known[id(tensor)] for tensor in ends]

    def _step(
        self,
        node: Any,
        known: dict[int, Any],
        names: Mapping[int, str],
        source: str,
        masks: Sequence[tuple[Any, Any]] = (),
    ) -> None:
        """Add the outputs of a call to the values that are known."""
        known.update(dict.fromkeys(unused_masks(node) - known.keys()))
        call: Application[V] = Application(
            node.operation,
            names[id(node)],
            source + node.operation.name,
            args=tuple(_filled(list(node.arguments.args), known)),
            kwargs=_filled(dict(node.arguments.kwargs), known),
            outputs=tuple(node.outputs),
            masks=tuple((known[id(tensor)], known[id(mask)]) for tensor, mask in masks),
        )
        inner = graph_of(node.operation)
        outputs = self.apply(call) if inner is None else self.inside(call, inner)
        known.update(zip(map(id, node.outputs), outputs, strict=True))

    def inside(self, call: Application[V], graph: Any) -> Sequence[V]:
        """The outputs of a nested model."""
        try:
            inputs = self.enter(call, graph)
        except UnsupportedOp as why:
            return self.refused(call, why)
        return self.leave(call, self.through(graph, inputs, f"{call.name}/", f"{call.source}/"))

    def _named(self, graph: Any, prefix: str = "") -> dict[str, Any]:
        """The calls by name, numbered as they were made, which evaluation need not follow."""
        calls = sorted(_nodes(graph), key=partial(_number_of, graph))
        return {self._unique(prefix + node.operation.name): node for node in calls}

    def _unique(self, path: str) -> str:
        if path in self._used:
            path = unique_name(path, self._reserved | self._used)
        self._used.add(path)
        return path


def _number_of(graph: Any, node: Any) -> int:
    """The number of a call among those of its operation; graphs of code have noted it."""
    noted: Mapping[int, int] = getattr(graph, "call_numbers", {})
    number = noted.get(id(node))
    return int(node.operation._inbound_nodes.index(node) if number is None else number)


def _unknown(tensor: Any, known: Mapping[int, Any]) -> list[Any]:
    """The calls beside a graph that a tensor comes from, each after those that it depends on."""
    if id(tensor) in known:
        return []
    history = tensor._keras_history
    node = history.operation._inbound_nodes[history.node_index]
    before = [call for given in node.input_tensors for call in _unknown(given, known)]
    return [*dict.fromkeys(before), node]


def _nodes(graph: Any) -> list[Any]:
    """The calls of the graph's operations, each after those that it depends on."""
    by_depth = graph._nodes_by_depth
    depths = sorted(by_depth, reverse=True)
    return [node for depth in depths for node in by_depth[depth] if not node.is_input]


def needed_nodes(graph: Any, ends: Sequence[Any]) -> list[Any]:
    """Those of the graph's calls that some of its tensors depend on, in the same order."""
    needed = needed_tensors(graph, ends)
    return [node for node in _nodes(graph) if needed & {id(tensor) for tensor in node.outputs}]


def needed_tensors(graph: Any, ends: Sequence[Any]) -> set[int]:
    """The identities of the tensors that some tensors depend on, themselves and masks among them.

    Masks that a call does not look at are left out.
    """
    needed = {id(tensor) for tensor in ends}
    for node in reversed(_nodes(graph)):
        if needed & {id(tensor) for tensor in node.outputs}:
            needed |= {id(tensor) for tensor in node.input_tensors} - unused_masks(node)
    return needed


def paths(graph: Any, prefix: str = "") -> Iterator[str]:
    """The names of all layers and operations, those in nested models as paths."""
    for operation in graph.operations:
        yield prefix + operation.name
        inner = graph_of(operation)
        if inner is not None:
            yield from paths(inner, f"{prefix}{operation.name}/")


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """Apply a function to every leaf of nested lists, tuples and dicts."""
    if isinstance(structure, dict):
        return {key: map_structure(function, item) for key, item in structure.items()}
    if isinstance(structure, list | tuple):
        items = [map_structure(function, item) for item in structure]
        return items if isinstance(structure, list) else tuple(items)
    return function(structure)


def values_in(structure: Any) -> list[Value]:
    """The values among the leaves, in order."""
    return [leaf for leaf in flatten(structure) if isinstance(leaf, Value)]


def filled(structure: Any, given: Iterable[Any]) -> Any:
    """The structure with these, in order, in the place of its values."""
    each = iter(given)
    return map_structure(lambda leaf: next(each) if isinstance(leaf, Value) else leaf, structure)


def flatten(structure: Any) -> list[Any]:
    """The leaves of nested lists, tuples and dicts, in order."""
    leaves: list[Any] = []
    map_structure(leaves.append, structure)
    return leaves


def _filled(structure: Any, known: Mapping[int, Any]) -> Any:
    tensor = require("keras").KerasTensor
    return map_structure(lambda x: known[id(x)] if isinstance(x, tensor) else x, structure)


def _arranged(graph: Any, call: Application[V]) -> list[V]:
    """The arguments of a nested model's call, in the order of its inputs."""
    given = call.args[0] if call.args else call.kwargs.get("inputs")
    names = input_names(graph)
    if isinstance(given, dict) and set(given) == set(names):
        return [given[name] for name in names]
    values = flatten(given)
    if isinstance(given, dict) or len(values) != len(names):
        keys = sorted(given) if isinstance(given, dict) else f"{len(values)} tensors"
        raise UnsupportedOp(f"it is called with {keys} and its inputs are {names}")
    return values
