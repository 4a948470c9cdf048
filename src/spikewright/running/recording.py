"""Recordings of a run: outputs as measures see them, layers by name, values that are no padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import SimulationError, listed
from spikewright.graph.masks import Real
from spikewright.lower import Lowered
from spikewright.measure.operations import source_operations
from spikewright.measure.operations.operations import NO_PADDING, Padding, real_products
from spikewright.measure.operations.wiring import Endpoint
from spikewright.measure.targets import Output, Targets, targets_of
from spikewright.network import Ensemble, Network, Node, NodeFunction, Probe
from spikewright.network.network import detached
from spikewright.network.node_functions import MatMul, Multiply
from spikewright.running.inputs import Encoded, Feeds


def layers_of(lowered: Lowered, record: Any) -> dict[str, Ensemble | Node]:
    """The layers to record, by name, as a user named them.

    Raises `SimulationError` for unknown names, and for layers that have no values of their own.
    """
    names = [record] if isinstance(record, str) else record
    if isinstance(names, Mapping) or not all(isinstance(name, str) for name in _items(names)):
        raise SimulationError(f'record holds names of layers, such as ["conv0"], got {record!r}')
    return {name: _layer(lowered, name) for name in _items(names)}


def probes_of(ends: Mapping[str, Ensemble | Node]) -> list[Probe]:
    """Probes of the values that layers and outputs send, which belong to no network."""
    with detached(), Network():
        return [Probe(e.neurons if isinstance(e, Ensemble) else e) for e in ends.values()]


def _items(names: Any) -> list[Any]:
    try:
        return list(names)
    except TypeError:
        return [names]


def _layer(lowered: Lowered, name: str) -> Ensemble | Node:
    known = [layer for layer in lowered.layers if layer in lowered.exact_values]
    if name in known:
        return lowered.layers[name]
    reason = "is no layer of the network"
    if name in lowered.layers:
        became = next(n for n in known if lowered.layers[n] is lowered.layers[name])
        reason = f"is a part of {became!r}, or was merged into it, and has no values of its own"
    raise SimulationError(f"record: {name!r} {reason}. Layers are {listed(known)}")


def outputs_of(lowered: Lowered) -> dict[str, Output]:
    """The outputs of a lowered network by name, with the activations on their readouts."""
    found = {}
    for name, item in lowered.outputs.items():
        shape = item.shape if isinstance(item, Ensemble) else item.shape_out
        found[name] = Output(name, shape, lowered.readouts.get(name))
    return found


def only_targets(lowered: Lowered, y: Any, samples: int) -> Targets | None:
    """Labels or targets of the only output; None where there are none, and of several outputs.

    Raises as `targets_of` does.
    """
    outputs = list(outputs_of(lowered).values())
    judged = y is not None and len(outputs) == 1
    return targets_of(y, outputs[0], samples) if judged else None


def real_of(
    lowered: Lowered, feeds: Mapping[Node, NDArray | Encoded], samples: slice
) -> Real | None:
    """The positions of some samples that count; None where all do.

    Of a mask that changes over the steps those that it leaves at some step.
    """
    masks = lowered.masks
    if masks is None:
        return None
    nodes = {name: lowered.inputs[name] for name in masks.read}
    if any(node not in feeds for node in nodes.values()):
        return None  # the part of the network that is run reads no mask
    return masks.real_at_some_step({n: _values(feeds[node], samples) for n, node in nodes.items()})


def real_outputs(lowered: Lowered, feeds: Feeds) -> dict[str, NDArray]:
    """Which values of outputs count, `(samples, *shape)`, of those that have some at padding."""
    real = real_of(lowered, feeds.values, slice(None))
    if real is None or lowered.graph is None:
        return {}
    graph = lowered.graph
    found = {name: real.whole(node, graph.shapes[node]) for name, node in graph.outputs.items()}
    return {name: counts for name, counts in found.items() if counts is not None}


def padding_in(lowered: Lowered, fed: Mapping[Node, NDArray]) -> Padding:
    """The padding in the samples that are fed, for counts of operations."""
    graph = lowered.graph
    if lowered.masks is None or graph is None:
        return NO_PADDING
    real = real_of(lowered, fed, slice(None))
    if real is None:
        products = sum(source_operations(graph).values())
        return Padding(source=np.full(len(next(iter(fed.values()))), products))
    each = {node.name: real_products(graph, node, real) for node in graph}
    found = _places(lowered, real, each)
    return replace(found, source=np.sum([*each.values()], axis=0))


def _places(lowered: Lowered, real: Real, products: Mapping[str, NDArray]) -> Padding:
    """The places whose values are padding, and the products of functions in a step."""
    found: dict[Endpoint, NDArray] = {}
    made: dict[Node, NDArray] = {}
    read: dict[Node, list[NDArray]] = {}
    for name in lowered.exact_values:
        place = lowered.layers.get(name)
        if isinstance(place, Ensemble):
            _add(found, place.neurons, real.whole(name, place.shape))
        elif place is not None:
            _add(found, place, real.whole(name, place.shape_out))
    for node in lowered.network.all_nodes:
        name, function = (node.label or "").removesuffix(".function"), node.output
        if not isinstance(function, NodeFunction) or name not in products:
            continue
        graph = real.masks.graph
        counts = real.whole(name, graph.shapes[name])
        inputs = (real.whole(source, graph.shapes[source]) for source in graph[name].inputs)
        read[node] = [part for part in inputs if part is not None]
        if isinstance(function, MatMul):
            made[node] = products[name]
        if counts is None:
            continue
        if isinstance(function, Multiply):
            made[node] = counts.reshape(len(real), -1).sum(axis=1) * (len(function.shapes) - 1)
        if node not in found and node.shape_out == counts.shape[1:]:
            found[node] = counts
    return Padding(found, read, made)


def _add(found: dict[Endpoint, NDArray], place: Endpoint, counts: NDArray | None) -> None:
    if counts is not None:
        found[place] = counts


def _values(fed: NDArray | Encoded, samples: slice) -> NDArray:
    """The values of an input before they are encoded, `(samples, steps or 1, *shape)`."""
    if isinstance(fed, Encoded) and fed.plain:
        return np.asarray(fed.samples[samples], np.float64)[:, None]
    return np.asarray(fed[samples], np.float64)
