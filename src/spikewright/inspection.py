"""What a model holds and what each of its layers would become, before anything is converted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikewright.conversion import Trace
from spikewright.errors import ConversionError, Refusal, UnsupportedLayerError
from spikewright.frontends import read
from spikewright.graph import Graph, Node
from spikewright.lower import Lowered, NeuronChoice, Options, lower
from spikewright.network import Ensemble
from spikewright.pipeline import MaxPoolPolicy, canonicalise


@dataclass(frozen=True)
class LayerReport:
    """One layer: its name and kind in the source, unbatched shape of its output, parameters.

    `becomes` says what it is in the spiking network. A refused layer has `refused`, the reason
    with what would help; where the model could not be read its shape and parameters are None.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    parameters: int | None
    becomes: str
    refused: str = ""


@dataclass(frozen=True)
class Inspection:
    """Every layer of a model in order, or those that were refused where it cannot be read."""

    layers: tuple[LayerReport, ...]
    parameters: int | None
    refusals: tuple[Refusal, ...]

    @property
    def convertible(self) -> bool:
        """Whether no layer was refused."""
        return not self.refusals


def inspect(
    model: Any, *, example_input: Any = None, max_pool: MaxPoolPolicy = "gate"
) -> Inspection:
    """Report on a model that `spikewright.convert` takes, under its spiking defaults.

    Refused layers are part of the report, with every reason that is known. Raises `ReadError` where
    there is nothing to report on: no model, or a damaged file.
    """
    try:
        source = read(model, example_input)
    except UnsupportedLayerError as error:
        rows = [LayerReport(r.layer, r.kind, None, None, "", _reason(r)) for r in error.refusals]
        return Inspection(tuple(rows), None, error.refusals)
    graph = source.graph
    counted = {id(a): a.size for node in graph for a in node.layer.arrays().values()}
    total = sum(counted.values())
    try:
        canonical = canonicalise(source, Trace(), max_pool)
        lowered = lower(canonical, Options(NeuronChoice(True)))
    except ConversionError as error:
        reasons = {refusal.layer: _reason(refusal) for refusal in error.refusals}
        return Inspection(_rows(graph, {}, reasons), total, error.refusals)
    becomes = {node.name: _becomes(node, canonical, lowered) for node in graph}
    return Inspection(_rows(graph, becomes, {}), total, ())


def _reason(refusal: Refusal) -> str:
    place = f" [at {refusal.location}]" if refusal.location else ""
    return f"{refusal.reason}{place}" + (f". {refusal.options}" if refusal.options else "")


def _rows(
    graph: Graph, becomes: dict[str, str], refused: dict[str, str]
) -> tuple[LayerReport, ...]:
    return tuple(
        LayerReport(
            node.name,
            node.source_kind or node.layer.kind,
            graph.shapes[node.name],
            sum(array.size for array in node.layer.arrays().values()),
            becomes.get(node.name, ""),
            refused.get(node.name) or refused.get(node.source, ""),
        )
        for node in graph
    )


def _becomes(node: Node, canonical: Graph, lowered: Lowered) -> str:
    """What a layer of the source is in the network, in a few words."""
    for output, activation in lowered.readouts.items():
        if canonical.outputs[output] == node.name:
            return f"{activation.function} of what is read out"
    item = lowered.layers.get(node.name) or lowered.layers.get(node.source)
    if item is None:
        return "nothing: no output depends on it"
    if node.name not in lowered.exact_values:
        return f"part of {item.label}"
    if isinstance(item, Ensemble):
        return f"{item.n_neurons} {type(item.neuron_type).__name__} neurons"
    if item in lowered.inputs.values():
        return "the input"
    return "a junction" if item.output is None else f"a {type(item.output).__name__} node"
