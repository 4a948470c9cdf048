"""The layers of a model, and the form of each in a spiking network, before any conversion.

A layer of the source is one row, whatever nodes of the graph it is read as.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.coding import Coding, RateCode
from spikewright.conversion import Trace
from spikewright.conversion.stages import canonicalise, roles_in
from spikewright.errors import ConversionError, Refusal, UnsupportedLayerError
from spikewright.frontends import read
from spikewright.graph import SENT, Graph, GraphNode
from spikewright.graph.layers import Activation, Input, ParametricReLU, ScaleShift
from spikewright.lower import Lowered, NeuronChoice, Options, lower, without_form
from spikewright.lower.node_functions import is_homogeneous
from spikewright.lower.operands import multiplies_numbers
from spikewright.lower.populations import Roles
from spikewright.lower.trace import Status, weakest
from spikewright.network import Ensemble, NodeFunction
from spikewright.passes import MaxPoolForm
from spikewright.showing.findings import Inspection, LayerReport

_OPEN = "depends on its readers, which cannot be read"
_NOT_REACHED = "reads a layer that could not be read"


def inspect(
    model: Any,
    *,
    example_input: Any = None,
    max_pool: MaxPoolForm = "gate",
    coding: Coding | None = None,
    max_spikes_per_step: int | None = None,
    outputs: Sequence[str] | None = None,
) -> Inspection:
    """Report on a model that `spikewright.convert` takes, made spiking with these choices.

    Refused layers are part of the report, with every reason that is known. Raises `ReadError` where
    there is nothing to report on (no model, or a damaged file), `ConversionError` for a choice that
    does not exist.
    """
    code = coding or RateCode()
    given = {
        "spiking": True,
        "scale_firing_rates": None,
        "max_spikes_per_step": max_spikes_per_step,
    }
    cap = code.filled(given)["max_spikes_per_step"]
    choices = _Choices(Options(NeuronChoice(True, cap, code.neuron_type)), max_pool, code)
    try:
        source = read(model, example_input, outputs=outputs)
    except UnsupportedLayerError as error:
        return _of_parts(error, choices)
    forms, refusals = _forms_of(source.graph, choices)
    rows = _rows(source.graph, forms, refusals)
    for left_out in source.notes:
        row = rows[left_out.layer]
        if row.status != "refused":
            rows[row.name] = replace(row, status="approximated", why=left_out.text)
    return Inspection(tuple(rows.values()), refusals, _places(forms))


class _Choices(NamedTuple):
    """What a spiking network is made with."""

    options: Options
    max_pool: MaxPoolForm
    coding: Coding


def _of_parts(error: UnsupportedLayerError, choices: _Choices) -> Inspection:
    """The report on a model of which some layers could not be read."""
    rows: dict[str, LayerReport] = {}
    forms: dict[str, _Form] = {}
    refusals = error.refusals
    if error.read:
        read_by = {name for node in error.read for name in node.inputs}
        ends = {node.name: node.name for node in error.read if node.name not in read_by}
        graph = Graph(error.read, ends)
        forms, more = _forms_of(graph, choices, whole=False)
        rows = _rows(graph, forms, more)
        unread = {refusal.layer for refusal in error.refusals}
        refusals += tuple(refusal for refusal in more if refusal.layer not in unread)
    for name in {refusal.layer: None for refusal in error.refusals}:
        reasons = [refusal for refusal in refusals if refusal.layer == name]
        kind, why = reasons[0].kind, _reasons(reasons)
        rows[name] = LayerReport(name, kind, status="refused", why=why)
    met = dict.fromkeys([*error.met, *rows])
    unreached = (LayerReport(name, error.met.get(name, ""), why=_NOT_REACHED) for name in met)
    found = tuple(rows.get(row.name, row) for row in unreached)
    return Inspection(found, refusals, _places(forms))


def _reasons(refusals: Iterable[Refusal]) -> str:
    return "; ".join(
        f"{refusal.reason}{f' [at {refusal.location}]' if refusal.location else ''}"
        + (f". {refusal.advice}" if refusal.advice else "")
        for refusal in refusals
    )


def _rows(
    graph: Graph, forms: Mapping[str, _Form], refusals: Sequence[Refusal]
) -> dict[str, LayerReport]:
    """One row for all nodes that belong to one layer of the source, by its name."""
    layers: dict[str, list[GraphNode]] = {}
    for node in graph:
        layers.setdefault(node.source or node.name, []).append(node)
    counted: set[int] = set()
    rows = {}
    for name, nodes in layers.items():
        own, last = [forms[node.name] for node in nodes], nodes[-1]
        status = weakest(form.status for form in own)
        reasons = dict.fromkeys(form.why for form in own if form.status == status and form.why)
        rows[name] = LayerReport(
            name,
            last.source_kind or last.layer.kind,
            graph.shapes[name if name in graph else last.name],
            parameters=_parameters(name, nodes, counted),
            operations=sum(_operations(graph, node) for node in nodes),
            analog=sum(_operations(graph, node) for node in nodes if forms[node.name].analog),
            becomes=_joined(own),
            status=status,
            why=_reasons(r for r in refusals if r.layer == name) or "; ".join(reasons),
        )
    return rows


def _operations(graph: Graph, node: GraphNode) -> int:
    return node.layer.multiply_accumulates(*(graph.shapes[name] for name in node.inputs))


def _joined(forms: Sequence[_Form]) -> str:
    """The forms of a layer's parts, connections only if there is nothing else."""
    totals: Counter[str] = Counter()
    for what, count in (part for form in forms for part in form.becomes):
        totals[what] += count
    found = [_counted(what, count) for what, count in totals.items() if count]
    others = list(totals)[-1:]  # the last part without counted elements
    return ", ".join(found or others)


def _counted(what: str, count: int) -> str:
    """`512 X neurons`, `a Y node`, `3 Y nodes`."""
    if what.endswith("neurons"):
        return f"{count} {what}"
    return f"a {what}" if count == 1 else f"{count} {what}s"


def _parameters(source: str, nodes: Sequence[GraphNode], counted: set[int]) -> int:
    """Numbers in a layer's arrays, each once where the layer is used several times.

    An array of another use is one at the same place, of the same content. Positions and a single
    number that scales or shifts are none. `counted` holds the identities of arrays that another
    layer has counted.
    """
    places: dict[tuple[str, str], list[NDArray]] = {}
    for node in nodes:
        part = node.name.removeprefix(source).lstrip("_0123456789")
        for field, array in node.layer.arrays().items():
            known = places.setdefault((part, field), [])
            factor = isinstance(node.layer, ScaleShift) and array.ndim == 0
            trained = np.issubdtype(array.dtype, np.floating) and not factor
            new = trained and id(array) not in counted
            if new and not any(np.array_equal(array, other) for other in known):
                known.append(array)
                counted.add(id(array))
    return sum(array.size for arrays in places.values() for array in arrays)


_Part = tuple[str, int]  # a name and a number of elements; 0 where these are not counted


@dataclass(frozen=True)
class _Form:
    """The form of a node in the network, its guarantee and the reason; empty where unknown.

    `analog` says whether it multiplies numbers, `place` names the population of its value.
    """

    becomes: tuple[_Part, ...]
    status: Status
    why: str
    analog: bool = False
    place: str = ""


def _places(forms: Mapping[str, _Form]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(form.place for form in forms.values() if form.place))


def _forms_of(
    graph: Graph, choices: _Choices, whole: bool = True
) -> tuple[dict[str, _Form], tuple[Refusal, ...]]:
    """A form for every node, and the refusals of those that have none.

    A refused node is replaced by an input, so that the nodes behind it are seen too. In a graph
    that is not `whole` the readers of the last nodes are unknown. Raises `ConversionError` where
    not a layer but an argument is refused.
    """
    known = graph
    refusals = without_form(graph)
    while True:
        known = _without(known, {refusal.layer for refusal in refusals})
        try:
            forms = _lowered(known, choices)
            break
        except ConversionError as error:
            names = {node.source or node.name for node in known}
            if not all(refusal.layer in names for refusal in error.refusals):
                raise
            refusals += error.refusals
    refused = {refusal.layer for refusal in refusals}
    for name in () if whole else _open(known):
        linear = graph[name].layer.linear
        form = forms[name]
        forms[name] = _Form((), "exact", form.why) if linear else _Form((), "", _OPEN)
    for node in graph:
        if (node.source or node.name) in refused:
            forms[node.name] = _Form((), "refused", "")
    return forms, tuple(refusals)


def _without(graph: Graph, sources: set[str]) -> Graph:
    """The graph with inputs in the place of layers of these source names."""
    nodes = tuple(
        replace(node, layer=Input(graph.shapes[node.name]), inputs=())
        if (node.source or node.name) in sources
        else node
        for node in graph
    )
    return Graph(nodes, graph.outputs, graph.aliases)


def _open(graph: Graph) -> list[str]:
    """Nodes whose form depends on readers that are unknown: the last, and those that lead there."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        readers = graph.consumers[node.name]
        through = any(
            reader in found
            and (
                graph[reader].layer.linear
                or is_homogeneous(graph[reader].layer)
                or not graph.consumers[reader]
            )
            for reader in readers
        )
        neurons = isinstance(node.layer, Activation | ParametricReLU | Input)
        if not readers or (through and not neurons):
            found.add(node.name)
    return [node.name for node in graph if node.name in found and node.layer.arity != 0]


def _lowered(graph: Graph, choices: _Choices) -> dict[str, _Form]:
    """The form of every node of a graph that lowers; raises `ConversionError`."""
    trace = Trace()
    roles = Roles(canonicalise(graph, trace, choices.max_pool))
    roles = roles_in(choices.coding, roles, trace)
    refused = choices.coding.refused(roles)
    if refused:
        raise ConversionError(refused)
    canonical, lowered = roles.graph, lower(roles.graph, choices.options)
    sent = {node.inputs[0]: node.name for node in canonical if node.layer == SENT}
    analog = multiplies_numbers(roles)
    losses = {entry.layer: entry.text for entry in trace if entry.status == "approximated"}
    guarantees = {one.layer: one for one in lowered.guarantees}
    functions = _functions(lowered)
    forms = {}
    for node in graph:
        guarantee, alias = guarantees.get(node.name), canonical.aliases.get(node.name)
        status, why = "exact", "" if alias is None else f"folded into {alias}"
        if node.name in losses:
            status, why = "approximated", losses[node.name]
        elif guarantee is not None:
            status, why = guarantee.status, guarantee.why or guarantee.text
        place = sent.get(node.name, node.name if node.name in roles.populations else "")
        parts = _becomes(node, canonical, lowered, functions)
        if node.name in sent:
            parts += _becomes(canonical[place], canonical, lowered, functions)
        multiplies = canonical.aliases.get(node.name, node.name) in analog
        forms[node.name] = _Form(parts, status, why, multiplies, place)
    return forms


def _becomes(
    node: GraphNode, canonical: Graph, lowered: Lowered, functions: Mapping[str, str]
) -> tuple[_Part, ...]:
    """The parts of the network that a layer of the source becomes, in a few words."""
    for output, activation in lowered.readouts.items():
        if canonical.outputs[output] == node.name:
            return ((f"{activation.function} of what is read out", 0),)
    item = lowered.layers.get(node.name) or lowered.layers.get(node.source)
    if item is None:
        return (("nothing: no output depends on it", 0),)
    if node.name not in lowered.exact_values:
        return ((f"part of {item.label}", 0),)
    if item in lowered.inputs.values():
        return (("the input", 0),)
    computing = functions.get(node.name)
    parts: list[_Part] = [] if computing is None else [(f"{computing} node", 1)]
    if isinstance(item, Ensemble):
        parts.append((f"{type(item.neuron_type).__name__} neurons", item.n_neurons))
    elif item.output is not None and computing is None:
        parts.append(("constant", 1))
    return tuple(parts) or (("a junction", 0),)


def _functions(lowered: Lowered) -> dict[str, str]:
    """The function of every layer that has a node with one, with or without neurons behind it."""
    return {
        (item.label or "").removesuffix(".function"): type(item.output).__name__
        for item in lowered.network.all_nodes
        if isinstance(item.output, NodeFunction)
    }
