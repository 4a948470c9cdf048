"""Layers that have a form in a network, whatever the choices."""

from __future__ import annotations

from spikewright.errors import Refusal
from spikewright.graph import Graph
from spikewright.graph.layers import (
    Activation,
    Add,
    Concatenate,
    Constant,
    Input,
    Layer,
    ParametricReLU,
    Recurrence,
)
from spikewright.lower.linear import has_map
from spikewright.lower.node_functions import is_function
from spikewright.lower.populations import refusal

_OTHERS = (Activation, Add, Concatenate, Constant, Input, ParametricReLU)


def has_form(layer: Layer) -> bool:
    """Whether lowering has a form for a layer of this kind."""
    return isinstance(layer, _OTHERS) or has_map(layer) or is_function(layer)


def without_form(graph: Graph, but: type[Layer] | tuple[()] = ()) -> list[Refusal]:
    """A refusal for every layer without a form: those of a user's own class.

    Layers of the class `but` are accepted.
    """
    return [
        refusal(node, _why(node.layer))
        for node in graph
        if not (has_form(node.layer) or isinstance(node.layer, but))
    ]


def _why(layer: Layer) -> tuple[str, str]:
    """The reason why a layer has no form, and the next move."""
    if isinstance(layer, Recurrence):
        return "it runs along a sequence", "Give sequence_step, in steps of the simulation"
    return (
        f"nothing in a network is known to compute {layer.kind}",
        "Compose it of layers of spikewright.graph.layers",
    )
