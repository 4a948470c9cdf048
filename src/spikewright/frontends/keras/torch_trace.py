"""Tracing of Python code in layers into operators of PyTorch, on Keras's torch backend.

There every layer is a module of PyTorch too, so PyTorch's readers can read it; layers inside keep
their names in Keras.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright._base.samples import TreePath
from spikewright.advice import advise
from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends import read_bare
from spikewright.frontends.keras.parameters import inputs_as_they_are, note_inputs
from spikewright.frontends.keras.registry import Value
from spikewright.frontends.keras.traversal import flatten
from spikewright.frontends.reading.call import NO_READER
from spikewright.frontends.source import GraphBuilder, Source
from spikewright.graph import GraphNode
from spikewright.graph.layers import Input, PythonCall

_GIVEN = "given"  # the one argument of a module that is traced
_LAYER = "layer"


def can_trace(operation: Any) -> bool:
    """Whether this is a layer or operation, on the backend where those are code of PyTorch."""
    keras = require("keras")
    return keras.backend.backend() == "torch" and isinstance(operation, keras.Operation)


def is_layer(operation: Any) -> bool:
    """Whether this is a layer, not an operation of `keras.ops`."""
    return isinstance(operation, require("keras").Layer)


def sample_of(value: Value) -> NDArray:
    """A sample to trace with, of a value's kind."""
    kind: Any = np.bool_ if value.truth else np.int64 if value.whole else np.float32
    return np.zeros((1, *value.shape), kind)


class TracedCode:
    """A layer as a module of PyTorch that calls `function` with its own arguments.

    `names` are those of Keras, below the layer and empty for itself, by the paths of modules; `own`
    is the layer's.
    """

    def __init__(self, layer: Any, function: Callable[[Any], Any]) -> None:
        self.module, self.own, self.layer = _module(layer, function), layer.name, layer
        known = {id(part): name for name, part in _parts(layer)}
        self.names = {
            path: known[id(module)]
            for path, module in self.module.named_modules(remove_duplicate=False)
            if id(module) in known
        }

    def read(self, given: Any, outputs: Sequence[str] | None = None) -> Source:
        """The module as PyTorch's readers read it; raises as any reading does."""
        try:
            with _plain_errors():
                return read_bare(self.module, {_GIVEN: given}, outputs)
        except UnsupportedLayerError:
            raise
        except ReadError as error:
            raise ReadError(self.renamed(str(error))) from error

    def renamed(self, text: str) -> str:
        """A sentence about modules as one about layers."""
        return re.sub(r"'([\w.]+)'", lambda path: repr(self.keras_name(path[1]) or self.own), text)

    def keras_name(self, path: str) -> str:
        """The name in Keras of a module, or of an operator in a module's own code."""
        steps = path.split(".")
        for count in range(len(steps), 0, -1):
            found = self.names.get(".".join(steps[:count]))
            if found is not None:
                return "/".join(filter(None, [found, *steps[count:]]))
        return path


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Errors in layers as they are, without the paragraphs that Keras puts around them."""
    config = require("keras").config
    filtered = config.is_traceback_filtering_enabled()
    config.disable_traceback_filtering()
    try:
        yield
    finally:
        if filtered:
            config.enable_traceback_filtering()


def called(layer: Any, arguments: Mapping[str, Any]) -> Any:
    """The result of a layer's call at inference, without rounding of inputs in it.

    Tensors go by position.
    """
    if not is_layer(layer):
        return layer.call(**arguments)
    signature = inspect.signature(layer.call)
    bound = signature.bind_partial()
    bound.arguments.update(arguments)
    tensors = list(takewhile(_is_of_tensors, bound.args))
    others = dict(zip(signature.parameters, bound.args, strict=False))
    named = {name: others[name] for name in list(others)[len(tensors) :]}
    with inputs_as_they_are(layer):
        return layer(*tensors, **{**named, **bound.kwargs, "training": False})


def _is_of_tensors(argument: Any) -> bool:
    leaves = flatten(argument)
    return bool(leaves) and all(map(require("torch").is_tensor, leaves))


def way_to(node: GraphNode) -> TreePath:
    """The path to an input in the arguments that were given to the code."""
    assert isinstance(node.layer, Input)
    return (node.layer.place or (node.name,))[1:]


def _module(layer: Any, function: Callable[[Any], Any]) -> Any:
    """A module around the layer, with the layers that Keras keeps in lists, unseen by PyTorch.

    Its children are not networks that a user could pass instead.
    """
    torch = require("torch")

    class TracedGraph(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, given: Any) -> Any:
            with require("keras").StatelessScope() as scope:
                made = function(given)
            held = getattr(layer, "variables", ())
            changed = [v.path for v in held if scope.get_current_value(v) is not None]
            if changed:
                raise ValueError(f"it changes {', '.join(changed)} from call to call")
            return made

        def named_children(self) -> Iterator[tuple[str, Any]]:
            return iter(())

    TracedGraph.__name__ = type(layer).__name__  # its name in errors
    module = TracedGraph()
    if not is_layer(layer):
        return module
    module.add_module(_LAYER, layer)
    held = set(map(id, layer.modules()))
    for index, (_, part) in enumerate(_parts(layer)):
        if id(part) not in held:
            module.add_module(str(index), part)
    return module


def _parts(layer: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The layer and all layers inside it, with their names below it."""
    yield name, layer
    if not is_layer(layer):
        return
    for part in layer._flatten_layers(include_self=False, recursive=False):
        yield from _parts(part, f"{name}/{part.name}".lstrip("/"))


@dataclass(frozen=True)
class TracedSubgraph:
    """Adds the nodes that PyTorch's readers made of a layer's code to a graph.

    `name` and `source` are those of the layer, empty where it is the whole model.
    """

    builder: GraphBuilder
    code: TracedCode
    name: str = ""
    source: str = ""

    def add(
        self, nodes: Iterable[GraphNode], inputs: Mapping[str, str | None]
    ) -> dict[str, str | None]:
        """Add nodes behind others: the builder's names of all, None for those that are unknown."""
        known = dict(inputs)
        for name, part in _parts(self.code.layer):
            note_inputs(self.builder, part, _below(self.source, name))
        for node in nodes:
            if node.name not in known and not isinstance(node.layer, Input):
                own, layer = self.code.keras_name(node.source), node.layer
                if isinstance(layer, PythonCall):
                    layer = replace(layer, called=self.code.renamed(layer.called))
                known[node.name] = self.builder.add(
                    _below(self.name, own) + node.name.removeprefix(node.source),
                    layer,
                    *(known.get(name) for name in node.inputs),
                    source=_below(self.source, own),
                    kind=node.source_kind,
                )
        return known

    def refuse(self, error: UnsupportedLayerError) -> None:
        """Pass on the refusals of PyTorch's readers, with their reasons."""
        inputs = {node.name for node in error.read if isinstance(node.layer, Input)}
        for layer, kind in error.met.items():
            if layer in inputs:
                continue
            self.builder.meet(_below(self.source, self.code.keras_name(layer)), kind)
        for refusal in error.refusals:
            path, _, operator = refusal.layer.partition("/")
            own = _below(self.code.keras_name(path), operator)
            options = advise("reader of a Keras layer", kind=type(self.code.layer).__name__)
            if refusal.options and refusal.reason != NO_READER:
                options = f"{refusal.options.rstrip('.')}. Or: {options[:1].lower()}{options[1:]}"
            made = replace(refusal, layer=_below(self.source, own), options=options, keeping=())
            self.builder.remember(made)


def _below(name: str, rest: str) -> str:
    return "/".join(filter(None, [name, rest]))
