"""Which layers have a form in a network, whatever the choices."""

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
)
from spikewright.lower.linear import has_map
from spikewright.lower.node_functions import is_function
from spikewright.lower.populations import refusal

_OTHERS = (Activation, Add, Concatenate, Constant, Input, ParametricReLU)


def has_form(layer: Layer) -> bool:
    """Whether lowering knows what becomes of a layer of this kind."""
    return isinstance(layer, _OTHERS) or has_map(layer) or is_function(layer)


def without_form(graph: Graph) -> list[Refusal]:
    """A refusal for every layer that lowering does not know: of a class of someone's own."""
    return [
        refusal(
            node,
            (
                f"nothing in a network is known to compute {node.layer.kind}",
                "Compose it of layers of spikewright.graph.layers",
            ),
        )
        for node in graph
        if not has_form(node.layer)
    ]
