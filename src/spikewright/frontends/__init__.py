"""Foreign model in, graph out: one file a framework, chosen by the type of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from spikewright._base.debugging import traced
from spikewright._base.files import file_at, format_path
from spikewright._base.samples import first_samples
from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.fallback import calling_what_is_not_read, without_futile_advice
from spikewright.frontends.live import instead_of_weights
from spikewright.frontends.outputs import (
    restricted,
    wanted_outputs,
    with_layer_labels,
    with_names,
    with_shown_names,
)
from spikewright.frontends.preserving import preserved
from spikewright.frontends.provenance import ArrayKey, Provenance, frozen_names, origins
from spikewright.frontends.source import GraphBuilder, Source, Values
from spikewright.frontends.unrolling import keeping_recurrence
from spikewright.graph import Graph, evaluate, evaluate_all

__all__ = ["SUFFIXES", "GraphBuilder", "ModelReader", "Source", "example_for", "read"]

_BY_SUFFIX = {
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
    ".onnx": "onnx",
    ".pt2": "pytorch",
}
SUFFIXES = tuple(_BY_SUFFIX)
"""Suffixes of model files."""


def _framework_of(model: Any) -> str | None:
    """Name of the front end that reads `model`, found without importing any framework."""
    if isinstance(model, str | Path):
        return _BY_SUFFIX.get(Path(model).suffix.lower())
    classes = [(cls.__module__.split(".")[0], cls.__name__) for cls in type(model).__mro__]
    if ("keras", "Model") in classes or ("keras", "Layer") in classes:
        return "keras"  # before torch: on its torch backend a Keras model is a Module too
    if ("torch", "Module") in classes or ("torch", "ExportedProgram") in classes:
        return "pytorch"
    if any(module.startswith("onnx") and name == "ModelProto" for module, name in classes):
        return "onnx"
    return None


def example_for(model: Any, example_input: Any, x: Any) -> Any:
    """The example input of a model, or the first samples of data for a module that has none."""
    traced = _framework_of(model) == "pytorch" and hasattr(model, "named_modules")
    return first_samples(x) if example_input is None and traced else example_input


def _check_fallback(model: Any, framework: str) -> None:
    """Raise `ReadError` where nothing of the source could be called: files run no code."""
    if isinstance(model, str | Path):
        raise ReadError(
            f'{model}: fallback="python" calls layers of a live model, and a file runs no code. '
            "Load the model yourself, and give it."
        )
    if framework == "onnx":
        raise ReadError(
            'fallback="python" calls layers of Keras and PyTorch, and an operator of ONNX is data. '
            "Register a reader for it with spikewright.frontends.onnx.reads, or give the model "
            "that was exported."
        )


def read(
    model: Any,
    example_input: Any = None,
    *,
    outputs: Sequence[str] | None = None,
    keep_recurrence: bool = False,
    fallback: str | None = None,
) -> Source:
    """Read a source model.

    `model` is a Keras 3 model, a `torch.nn.Module` or `torch.export.ExportedProgram`, an ONNX
    `ModelProto`, a `spikewright.graph.Graph`, or a path to a `.keras`, `.h5`, `.onnx` or `.pt2`
    file. `example_input` (an array, batch axis first, or the arguments of the model's own call) is
    needed for PyTorch modules. `outputs` names outputs, layers or tensors of the model that are its
    outputs from now on; layers and inputs that lead only elsewhere are cut, and not looked at. With
    `keep_recurrence` a recurrent layer is a `Recurrence` of its cell, else every step of its
    sequence is layers of its own. With `fallback="python"` a layer of a live Keras or PyTorch model
    that cannot be read is a `PythonCall`.

    Raises `ReadError` (and its kinds `UnsupportedLayerError`, `DamagedFileError`), also for unknown
    names, `MissingFileError`, or `MissingExtraError` when the framework is not installed. A live
    model is afterwards what it was, also where it is refused, and so are the random states.
    """
    kept = wanted_outputs(with_names(outputs, model, _framework_of(model)))
    try:
        with traced("read") as changes:
            source = read_bare(model, example_input, kept, keep_recurrence, fallback)
            changes.append([f"{len(source.graph)} layers of {source.framework}"])
    except UnsupportedLayerError as error:
        renamed = with_layer_labels(without_futile_advice(error, model, fallback))
        raise renamed.with_traceback(error.__traceback__) from error.__cause__
    return with_shown_names(source, kept)


def read_bare(
    model: Any,
    example_input: Any = None,
    kept: Sequence[str] | None = None,
    keep_recurrence: bool = False,
    fallback: str | None = None,
) -> Source:
    """Read a source model, as `read` does, whose layers have the names that it gives them."""
    if isinstance(model, Graph):
        graph = model if kept is None else restricted(model, kept)
        inside, call = partial(evaluate_all, graph), partial(evaluate, graph)
        return Source(graph, "graph", inside, call, lambda: "the graph that was read", "float64")
    framework, weights = _framework_of(model), instead_of_weights(model)
    if isinstance(model, str | Path) and (framework or weights):
        file_at(model)
    if weights is not None:
        raise ReadError(weights)
    if framework is None:
        found = f"a {type(model).__name__}"
        if isinstance(model, str | Path):
            found = f"{format_path(model)!r}"
        if isinstance(getattr(model, "graph", None), Graph):
            raise ReadError(
                f"{found} was made of a model. Give that model, or its graph as it was read: the "
                "attribute .graph"
            )
        raise ReadError(
            f"{found} is not a model that can be read. Give a Keras 3 model, a torch.nn.Module, "
            f"an ONNX ModelProto, or a path ending in {', '.join(_BY_SUFFIX)}."
        )
    front_end = import_module(f"spikewright.frontends.{framework}")
    held = () if isinstance(model, str | Path) else (model,)
    with ExitStack() as forms:
        if keep_recurrence:
            forms.enter_context(keeping_recurrence())
        if fallback is not None:
            _check_fallback(model, framework)
            forms.enter_context(calling_what_is_not_read())
        forms.enter_context(preserved(*held, example_input))
        source: Source = front_end.read(model, example_input, kept)
    inside, call = (partial(_preserving, held, f) for f in (source.activations, source.call))
    return replace(source, activations=inside, call=call)


def _preserving(held: Sequence[Any], function: Callable[[Values], Any], inputs: Values) -> Any:
    """The result of a function that runs a model, which is afterwards what it was."""
    with preserved(*held):
        return function(inputs)


@dataclass(frozen=True, eq=False)
class ModelReader:
    """Reads a model, in any form, and finds its parameters in the graph that was read.

    `form` are keywords of `read`.
    """

    model: Any
    example_input: Any = None
    form: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, **form: Any) -> Source:
        """The model, read; keywords change the form."""
        return read(self.model, self.example_input, **{**self.form, **form})

    @property
    def framework(self) -> str | None:
        """The framework of a live model or an ONNX model; None of files and graphs."""
        return None if isinstance(self.model, str | Path) else _framework_of(self.model)

    def named(self, value: Any) -> Any:
        """A setting by layer with names in the place of the layers of a live model."""
        return with_names(value, self.model, self.framework)

    def origins(self, graph: Graph) -> dict[ArrayKey, Provenance]:
        """The parameters that the arrays of a graph come from, which was read so.

        Raises `ReadError` for a model without parameters that could be written.
        """
        if self.framework is None:
            raise ReadError(
                f"{self.model!r} is no live model, so that no weights can be written to it. Load "
                "the model, and give it"
            )

        def again(model: Any) -> Graph:
            return replace(self, model=model)().graph

        with preserved(self.model):
            return origins(self.model, self.framework, graph, again)

    @property
    def frozen_names(self) -> set[str]:
        """The names of parameters that the model does not train; none of files and graphs."""
        return set() if self.framework is None else frozen_names(self.model, self.framework)

    def frozen(
        self, graph: Graph, found: Mapping[ArrayKey, Provenance] | None = None
    ) -> frozenset[ArrayKey]:
        """The arrays of a graph with values of parameters that the model does not train.

        `found` are the origins of the graph, if they are known. Raises as `origins` does.
        """
        names = self.frozen_names
        if not names:
            return frozenset()
        known = self.origins(graph) if found is None else found
        return frozenset(place for place, o in known.items() if not names.isdisjoint(o.held))
