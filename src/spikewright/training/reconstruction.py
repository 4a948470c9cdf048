"""Reconstruction: biases, thresholds and starts fitted to few steps, and never a weight.

What a training did to the source's biases is brought into the neurons' own: the model that was
converted stays what it was, and all that changed are arguments of `convert`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.provenance import ArrayKey
from spikewright.graph import Graph
from spikewright.lower.populations import Roles
from spikewright.running.protocols import Made
from spikewright.training.options import TrainOptions
from spikewright.training.quantized_layers import trained_graph
from spikewright.training.result import Training
from spikewright.training.trainable import trained_arrays, with_sharing
from spikewright.training.training import TrainingRequest, follows_its_sum, train

RECONSTRUCTED: Mapping[str, Any] = MappingProxyType(
    {"trainable": ("biases", "scales", "initial_voltage"), "loss": "imitation"}
)
"""The arguments of a training that is a reconstruction."""
_NUMBERS = ("scale_firing_rates", "initial_voltage")


def reconstruct(conversion: Made, asked: TrainingRequest) -> Made:
    """See `Conversion.reconstruct`; needs PyTorch."""
    before = trained_graph(conversion)
    neurons = Roles(conversion.canonical).activations

    def remade(trained: Graph, arguments: Mapping[str, Any]) -> Made:
        added: dict[str, Any] = dict.fromkeys(conversion.populations(), 0.0)
        added |= added_biases(before, trained, neurons)
        numbers = {name: arguments[name] for name in _NUMBERS}
        for name, by_step in (arguments["bias_correction"] or {}).items():
            added[name] = added[name] + by_step
        return conversion.replace(**numbers, bias_correction=added, calibration=None)

    kinds = {ensemble.neuron_type for ensemble in conversion.populations().values()}
    steps = asked.settings["steps"]
    in_order = all(follows_its_sum(kind, steps) for kind in kinds)
    settings: TrainOptions = {**asked.settings, "method": "rounding" if in_order else "time"}
    asked = replace(asked, settings=settings, fixed=out_of_reach(before, neurons))
    result = train(conversion, asked, remade)
    added = result.conversion.resolved["bias_correction"]
    for name in result.conversion.populations():
        text = _change_text(result, steps, bool(np.any(added[name])))
        result.conversion.trace.add("reconstruct", name, text, "approximated")
    for layer in result.frozen:
        result.conversion.trace.add("reconstruct", layer, "frozen: its biases stay", "exact")
    return result.conversion


def added_biases(before: Graph, after: Graph, neurons: Collection[str]) -> dict[str, NDArray]:
    """Constants that other biases add to the current of each layer with neurons.

    It broadcasts to the layer's shape, with an extent of 1 along axes of equal values.
    """
    old, new = _constants(before), _constants(after)
    currents = {node.name: node.inputs[0] for node in before if node.name in neurons}
    return {name: _narrowed(new[read] - old[read]) for name, read in currents.items()}


def _constants(graph: Graph) -> dict[str, NDArray]:
    """Every layer's value where whatever comes from neurons, functions and inputs is zero."""
    found: dict[str, NDArray] = {}
    for node in graph:
        if node.layer.linear:
            found[node.name] = node.layer.evaluate(*(found[name] for name in node.inputs))
        else:
            found[node.name] = np.zeros((1, *graph.shapes[node.name]))
    return {name: value[0] for name, value in found.items()}


def _narrowed(value: NDArray) -> NDArray:
    for axis in range(value.ndim):
        first = value.take([0], axis)
        value = first if np.array_equal(np.broadcast_to(first, value.shape), value) else value
    return value


def out_of_reach(graph: Graph, neurons: Collection[str]) -> set[ArrayKey]:
    """Arrays whose change is no constant in the current of neurons, such as an output's bias.

    One that several layers share is among them with each of its places.
    """
    inside = _inside(graph, neurons)
    outside = (place for place in trained_arrays(graph) if place[0] not in inside)
    return with_sharing(outside, graph)


def _inside(graph: Graph, neurons: Collection[str]) -> set[str]:
    """Linear layers from which all ways lead to neurons, through linear layers alone."""
    found: set[str] = set()
    for node in reversed(tuple(graph)):
        users = graph.consumers[node.name]
        behind = all(user in neurons or user in found for user in users)
        if users and behind and node.layer.linear and not graph.is_output(node.name):
            found.add(node.name)
    return found


def _change_text(result: Training[Made], steps: int, biased: bool) -> str:
    """The change of a layer, in words."""
    if not result.kept:
        return f"threshold and start chosen for {steps} steps: no epoch was better"
    what = "bias, threshold and start" if biased else "threshold and start"
    return f"{what} fitted to {steps} steps, in {result.kept} epochs"
