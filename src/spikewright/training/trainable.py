"""The arrays of a graph that may be trained, in two groups."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from spikewright.frontends.origins import Place
from spikewright.graph import Graph, layers
from spikewright.graph.layers import Layer

Group = Literal["weights", "biases"]
GROUPS: tuple[Group, ...] = get_args(Group)

_NORMALISED: Mapping[str, Group] = {"scale": "weights", "shift": "biases"}
TRAINED: Mapping[type[Layer], Mapping[str, Group]] = MappingProxyType(
    {
        layers.Affine: {"weight": "weights", "bias": "biases"},
        layers.Convolution: {"weight": "weights", "bias": "biases"},
        layers.ConvolutionTranspose: {"weight": "weights", "bias": "biases"},
        layers.BatchNormalization: {"gamma": "weights", "beta": "biases"},
        layers.LayerNormalization: _NORMALISED,
        layers.GroupNormalization: _NORMALISED,
        layers.RMSNormalization: _NORMALISED,
        layers.ParametricReLU: {"slope": "weights"},
        layers.Lookup: {"table": "weights"},
    }
)
"""The arrays that may be trained, by kind of layer and field, with their group.

Others are constants of the model: factors, matrices of resizing, statistics of normalisation.
"""


def trained_arrays(graph: Graph) -> dict[Place, Group]:
    """The arrays of a graph that may be trained by their kind of layer, with their group."""
    return {
        (node.name, field): group
        for node in graph
        for field, group in TRAINED.get(type(node.layer), {}).items()
        if field in node.layer.arrays()
    }
