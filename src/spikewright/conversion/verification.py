"""Source model against its unscaled rate network, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright.conversion.stepping import stepped
from spikewright.engines import Execution
from spikewright.errors import VerificationError
from spikewright.graph import Graph, evaluate_all
from spikewright.lower import Lowered, Options, Stepping, lower
from spikewright.network import Ensemble, Network, Probe
from spikewright.network.network import detached

if TYPE_CHECKING:
    from spikewright.conversion.conversion import Conversion


def verify(
    conversion: Conversion, x: Mapping[str, NDArray] | None, rtol: float, seed: int
) -> dict[str, float]:
    """See `Conversion.verify`.

    Every layer that is observable in the source is compared twice: with the graph that was read,
    then with the rate network where the layer's value exists there. A conversion loaded from a file
    has no source model at hand; then the graph that was read is the source.
    """
    graph = conversion.graph
    inputs = random_inputs(graph, seed) if x is None else x
    read = evaluate_all(graph, inputs)
    source = conversion.source.activations(inputs)
    network = network_values(conversion.canonical, inputs, conversion.lowered.stepping)
    errors: dict[str, float] = {}
    for node in graph:
        if node.name not in source:
            continue
        found = [("the graph that was read", read[node.name])]
        if node.name in network:
            found.append(("the rate network", network[node.name]))
        for where, value in found:
            error = relative_error(source[node.name], value)
            errors[node.name] = max(errors.get(node.name, 0.0), error)
            if not error <= rtol:
                kind = node.source_kind or node.layer.kind
                raise VerificationError(
                    f"layer {node.source or node.name!r} ({kind}) is the first that differs: "
                    f"{where} is off by {error:.2g} of the largest value, above rtol={rtol:g}"
                )
    return errors


def random_inputs(graph: Graph, seed: int, batch: int = 2) -> dict[str, NDArray]:
    """Seeded normal input for every input of a graph: no symmetry for an error to hide in."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal((batch, *graph.shapes[name]))
        .astype(np.float32)
        .astype(np.float64)
        for name in graph.inputs
    }


def relative_error(source: NDArray, found: NDArray) -> float:
    """`max|a - b| / max|a|`; infinite where shapes differ."""
    a, b = np.asarray(source, np.float64), np.asarray(found, np.float64)
    if a.shape != b.shape:
        return float("inf")
    if a.size == 0:
        return 0.0
    largest = np.abs(a).max()
    difference = np.abs(a - b).max()
    return float(difference / largest) if largest > 0 else float(difference)


def network_values(
    graph: Graph, inputs: Mapping[str, NDArray], stepping: Stepping | None = None
) -> dict[str, NDArray]:
    """One step of the unscaled rate network: the value of every layer that exists in it.

    Where its time is that of a sequence, one step for each of the sequence, and their values as
    the source has them.
    """
    lowered = lower(graph, Options(stepping=stepping and replace(stepping, steps=1)))
    with detached(), Network():
        probes = {
            name: Probe(item.neurons if isinstance(item, Ensemble) else item)
            for name, item in lowered.layers.items()
            if name in lowered.exact_values
        }
    program = engines.compile_network(lowered.network, 1.0, 0, "float32", list(probes.values()))
    batch = len(next(iter(inputs.values())))
    execution = Execution(program, engines.get("reference", program), batch)
    if stepping is not None:
        steps, feeds = stepped(stepping, inputs, lowered.inputs)
        found = dict(zip(probes, execution.run(steps, feeds), strict=True))
        return _over_sequence(found, graph, lowered, stepping)
    feeds = {lowered.inputs[name]: np.asarray(v, np.float64)[:, None] for name, v in inputs.items()}
    values = {
        name: array[:, 0] for name, array in zip(probes, execution.run(1, feeds), strict=True)
    }
    values.update(_readout_values(graph, lowered, values))
    return values


def _over_sequence(
    found: Mapping[str, NDArray], graph: Graph, lowered: Lowered, stepping: Stepping
) -> dict[str, NDArray]:
    """Values `(batch, steps, *shape)` with time where the source has it, or those of the end."""
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in found.items()}
    flat.update(_readout_values(graph, lowered, flat))
    batch, steps = next(iter(found.values())).shape[:2]
    values = {}
    for name, time in stepping.values.items():
        if name in flat:
            whole = flat[name].reshape(batch, steps, *flat[name].shape[1:])
            values[name] = whole[:, -1] if time is None else np.moveaxis(whole, 1, time + 1)
    return values


def _readout_values(
    graph: Graph, lowered: Lowered, values: Mapping[str, NDArray]
) -> dict[str, NDArray]:
    """Outputs with the activation that is applied to what is read out."""
    result = {}
    for output, activation in lowered.readouts.items():
        name = graph.outputs[output]
        result[name] = activation.evaluate(np.asarray(values[graph[name].inputs[0]], np.float64))
    return result
