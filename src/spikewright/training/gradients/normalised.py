"""Batch normalisations as part of the weights before them: once a run instead of at every step."""

from __future__ import annotations

from collections.abc import Mapping

from spikewright.engines.torch.device import Tensor
from spikewright.graph import Graph
from spikewright.graph.layers import Affine, BatchNormalization, Convolution
from spikewright.passes.draft import channel_axis
from spikewright.training.gradients.layers import normalisation

Arrays = dict[str, dict[str, Tensor]]


def weighted_before(graph: Graph) -> dict[str, str]:
    """The layer before each normalisation whose weights can take it in, by the normalisation.

    Nothing else sees that layer's value, and its channels are on the same axis.
    """
    found = {}
    for node in graph:
        if not isinstance(node.layer, BatchNormalization):
            continue
        (name,) = node.inputs
        layer, rank = graph[name].layer, len(graph.shapes[name])
        seen = len(graph.consumers[name]) > 1 or graph.is_output(name)
        if seen or not isinstance(layer, Affine | Convolution):
            continue
        if channel_axis(layer, rank) == node.layer.axis % rank:
            found[node.name] = name
    return found


def taken_in(graph: Graph, before: Mapping[str, str], arrays: Arrays) -> Arrays:
    """Arrays in which the weights in `before` have the scale and shift of what follows them."""
    found = dict(arrays)
    for name, producer in before.items():
        layer, weights = graph[name].layer, arrays[producer]
        assert isinstance(layer, BatchNormalization)
        scale, shift = normalisation(layer, arrays[name])
        weight, bias = weights["weight"], weights.get("bias")
        found[producer] = {
            "weight": weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)),
            "bias": shift if bias is None else shift + scale * bias,
        }
    return found
