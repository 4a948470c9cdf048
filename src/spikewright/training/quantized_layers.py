"""The quantized layers of a conversion, as training sees them: thresholds and start voltages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.correction import together
from spikewright.errors import TrainingError
from spikewright.graph import Graph
from spikewright.lower.choices import unrounded
from spikewright.lower.populations import Roles, moved_ahead
from spikewright.network import Ensemble
from spikewright.network.ensemble import NAMED_VOLTAGES
from spikewright.network.neurons import NeuronType
from spikewright.passes.send_values import SendValues
from spikewright.passes.standard import MAX_POOL_FORMS, UNFOLDED, MaxPoolForm
from spikewright.passes.standard import run as run_passes
from spikewright.running.protocols import ConversionLike


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """A population that rounds: its thresholds and starts, which broadcast to its shape.

    `threshold` is theta = 1 / (s dt) in the units of the source's values, `start` is v0 in spikes.
    A population `follows` the value of a function; others compute an activation of their input.
    `biases` are those of each of the first steps alone, `(steps, ...)`; they stay what they are.
    Signed digits know all of their input before the first of them.
    """

    threshold: NDArray
    start: NDArray
    kind: NeuronType
    follows: bool = False
    biases: NDArray | None = None


def trained_graph(conversion: ConversionLike) -> Graph:
    """The graph that was read, with activations as the neurons stand for them.

    Its weights and normalisations are still the source's: nothing is folded. A layer that rounds
    by itself is what it rounds: neurons round anew. Raises `TrainingError` for neurons that stand
    for no layer of it.
    """
    form: MaxPoolForm = conversion.arguments.get("max_pool", "gate")
    send = SendValues.like(conversion.canonical)
    graph, _ = run_passes(conversion.graph, (*UNFOLDED, *MAX_POOL_FORMS[form], send))
    missing = [name for name in conversion.populations() if name not in graph]
    if missing:
        raise TrainingError(f"layers {missing} have neurons and no place in the model as read")
    nodes = tuple(replace(node, layer=unrounded(node.layer)) for node in graph)
    return Graph(nodes, graph.outputs, graph.aliases)


def quantized_layers_of(conversion: ConversionLike, dt: float) -> dict[str, QuantizedLayer]:
    """Every population of a conversion as a layer, in the graph's order.

    Raises `TrainingError` for neurons that do not spike or draw random numbers, for synapses, and
    for recurrent steps: what they send is not the rounded value of their layer.
    """
    if conversion.lowered.stepping is not None:
        raise TrainingError(
            "sequence_step: networks whose steps share neurons are not trained. Convert without it"
        )
    functions = Roles(conversion.canonical, None).functions
    synapses = {c.pre for c in conversion.network.all_connections if c.synapse is not None}
    found = {}
    for name, ensemble in conversion.populations().items():
        kind = ensemble.neuron_type
        if not kind.spiking or kind.stochastic:
            raise TrainingError(
                f"layer {name!r}: {kind} sends no counts that follow from its input. Convert with "
                "spiking=True"
            )
        if kind.integer_charge:
            raise TrainingError(
                f"layer {name!r} computes in whole numbers, through which no gradient goes. Train "
                "the conversion without weights=, then give them to again"
            )
        if ensemble.neurons in synapses or ensemble in synapses:
            raise TrainingError(
                f"layer {name!r}: values pass a synapse, so that the mean is not what was sent. "
                "Convert with synapse=None"
            )
        threshold = kind.amplitude / (ensemble.rate_scale * dt)
        found[name] = QuantizedLayer(
            np.asarray(threshold),
            _start(name, ensemble),
            replace(kind, start=0) if kind.sends_digits else kind,  # type: ignore[call-arg]
            name in functions,
            _biases(ensemble, conversion.lowered.at_once),
        )
    return found


def _biases(ensemble: Ensemble, at_once: int) -> NDArray | None:
    """The biases of each of the first steps.

    Without what moves the biases of all of these steps into the first: those are trained.
    """
    values = ensemble.step_biases
    if values is None or ensemble.neuron_type.sends_digits:
        return None
    if at_once > 1:
        values = together(moved_ahead(-np.asarray(ensemble.bias), at_once), values)
        if not values.any():
            return None
    return values


def with_own(
    number: Literal["threshold", "start"], quantized: Mapping[str, QuantizedLayer], graph: Graph
) -> dict[str, QuantizedLayer]:
    """The same layers with a number for every neuron."""

    def own(name: str, layer: QuantizedLayer) -> QuantizedLayer:
        spread = np.broadcast_to(getattr(layer, number), graph.shapes[name])
        changed: dict[str, Any] = {number: spread.copy()}
        return replace(layer, **changed)

    return {name: own(name, layer) for name, layer in quantized.items()}


def _start(name: str, ensemble: Ensemble) -> NDArray:
    given = ensemble.initial_voltage
    if isinstance(given, str):
        if given not in NAMED_VOLTAGES:
            raise TrainingError(
                f"layer {name!r}: initial_voltage={given!r} is drawn anew. Convert with "
                'initial_voltage="half"'
            )
        return np.asarray(NAMED_VOLTAGES[given])
    return np.asarray(given, np.float64)
