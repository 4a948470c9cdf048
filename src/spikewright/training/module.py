"""The network as a module with parameters of the source's names, and back.

That is `Conversion.torch_module` and `Conversion.load_state`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_whole
from spikewright._base.layer_names import bare_name
from spikewright.errors import TrainingError
from spikewright.frontends import Reading
from spikewright.frontends.origins import Origin, Place, parameters_of
from spikewright.graph import Graph, Node
from spikewright.running.converted import Converted, Made
from spikewright.training.options import ModuleOptions
from spikewright.training.trainable import trained_arrays


@dataclass(frozen=True, eq=False)
class NamedParameters:
    """All parameters of a source by name, and the place of their values in arrays of a graph."""

    graph: Graph
    arrays: Mapping[str, NDArray]
    origins: Mapping[Place, Origin]

    @cached_property
    def reached(self) -> frozenset[str]:
        """Names of the parameters that arrays of the graph hold."""
        return frozenset(name for origin in self.origins.values() for name in origin.held)

    def trained(self, fixed: Container[str], frozen: Container[Place]) -> frozenset[str]:
        """Names of those that may be trained by their kind of layer.

        Arrays of nodes in `fixed` are not trained, nor is what `frozen` arrays hold.
        """
        held = {n for place, o in self.origins.items() if place in frozen for n in o.held}
        return frozenset(
            name
            for place in trained_arrays(self.graph)
            if place in self.origins and place[0] not in fixed
            for name in self.origins[place].held
            if name not in held
        )


def named(graph: Graph, reading: Reading | None) -> NamedParameters:
    """The parameters of a model from which `graph` was read, with the values in it, or its own.

    The model may have other weights by now. Those of a graph alone go by node and field,
    "dense.weight". Raises `TrainingError` where the model has other layers by now.
    """
    if reading is None:
        return _of_graph(graph)
    arrays = parameters_of(str(reading.framework)).parameters(reading.model)
    origins = reading.origins(_of_one_form(reading().graph, graph))
    for (node, field), origin in origins.items():
        origin.written(graph[node].layer.arrays()[field], arrays)
    return NamedParameters(graph, arrays, origins)


def _of_one_form(found: Graph, wanted: Graph) -> Graph:
    """A graph whose layers are those of another, whatever their weights; raises `TrainingError`."""
    if _form(found) != _form(wanted):
        raise TrainingError(
            "the model has other layers than it had when it was converted: convert it again"
        )
    return found


def _form(graph: Graph) -> list[tuple]:
    shapes = graph.shapes
    return [(n.name, n.layer.kind, n.inputs, shapes[n.name]) for n in graph]


def _own_name(node: Node) -> str:
    """The name of a node's layer as the model has it: numbers without the kind behind them."""
    return bare_name(node.name) if node.source == node.name else node.name


def _of_graph(graph: Graph) -> NamedParameters:
    """Arrays that may be trained; one that several layers share has the name of the first."""
    arrays: dict[str, NDArray] = {}
    origins: dict[Place, Origin] = {}
    known: dict[int, str] = {}
    for node, field in trained_arrays(graph):
        array = graph[node].layer.arrays()[field]
        name = known.setdefault(id(array), f"{_own_name(graph[node])}.{field}")
        arrays[name] = array
        index = np.arange(array.size).reshape(array.shape)
        origins[node, field] = Origin([name], np.zeros_like(index), index)
    return NamedParameters(graph, arrays, origins)


def torch_module(
    conversion: Converted,
    steps: int,
    options: ModuleOptions,
    reading: Reading | None,
    frozen: Collection[Place],
) -> Any:
    """The module of a conversion; raises as `Conversion.torch_module` does."""
    if not (is_whole(steps) and steps >= 1):
        raise TrainingError(f"steps must be a whole number from 1, got {steps!r}")
    _refuse_steps(conversion)
    from spikewright.training.gradients.through_time import ThroughTime  # late: it imports torch

    return ThroughTime(conversion, named(conversion.graph, reading), frozen, steps, options)


def _refuse_steps(conversion: Converted) -> None:
    """Raise `TrainingError` where currents have a part that differs from step to step."""
    if conversion.lowered.stepping is not None:
        raise TrainingError(
            "sequence_step: networks whose steps share neurons have no module. Convert without it"
        )
    high = [
        f"{name!r} ({type(ensemble.neuron_type).__name__})"
        for name, ensemble in conversion.populations().items()
        if ensemble.neuron_type.spike_heights
    ]
    if high:
        raise TrainingError(
            f"layers {', '.join(high)} have spike_heights, for which all of the input comes at "
            "once; no module does that. Convert with sw.BipolarIntegrateAndFire() or "
            "sw.IntegrateAndFire(), or train with conversion.train"
        )
    noisy = [name for name, e in conversion.populations().items() if e.noise is not None]
    if noisy:
        raise TrainingError(
            f"layers {noisy} have biases of each step, or noise, which no module has. Convert with "
            "bias_correction=None"
        )


def loaded(
    conversion: Made,
    state: Mapping[str, Any],
    remade: Callable[[Graph | Reading, Mapping[str, Any]], Made],
    reading: Reading | None,
) -> Made:
    """The conversion with other parameters: of a copy of its live model, or of its graph.

    Raises `TrainingError` for names, shapes and values that do not fit.
    """
    known = named(conversion.graph, reading)
    arrays = _checked(state, known)
    if reading is None:
        present = {place: origin.read(arrays) for place, origin in known.origins.items()}
        return remade(known.graph.with_arrays(present), conversion.resolved)
    model = parameters_of(str(reading.framework)).copied(reading.model, arrays)
    return remade(replace(reading, model=model), conversion.resolved)


def _checked(state: Mapping[str, Any], known: NamedParameters) -> dict[str, NDArray]:
    """The arrays of a state in the types of those before."""
    for what, names in (
        ("lacks", sorted(known.arrays.keys() - state.keys())),
        ("has unknown", sorted(state.keys() - known.arrays.keys())),
    ):
        if names:
            raise TrainingError(f"the state {what} {names}; it holds {sorted(known.arrays)}")
    found = {}
    for name, before in known.arrays.items():
        given = state[name]
        value = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
        if value.shape != before.shape or not np.isfinite(value).all():
            raise TrainingError(
                f"{name!r}: finite numbers of shape {before.shape} are needed, got shape "
                f"{value.shape} with {int((~np.isfinite(value)).sum())} that are not finite"
            )
        found[name] = value.astype(before.dtype)
        if name not in known.reached and not np.array_equal(found[name], before):
            raise TrainingError(
                f"{name!r} has changed, and no value of the network is one of its values"
            )
    return found
