"""Random inputs for a graph, of the size that its first weights expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Affine, Convolution, ScaleShift
from spikewright.graph.lookups import random_inputs

_USUAL = 16.0
"""Weights of two features that differ by no more than this factor are alike."""


class DrawnInputs(NamedTuple):
    """Inputs `{name: (batch, *shape)}`, and the layers to whose weights they were `scaled`."""

    values: Mapping[str, NDArray]
    scaled: tuple[str, ...]


def random_inputs_for(graph: Graph, canonical: Graph, seed: int) -> DrawnInputs:
    """Seeded normal inputs for a graph, as `random_inputs` draws them.

    `canonical` is the graph whose first layers read them: its weights have normalisations in them.
    Where a first layer's weights differ between features by more than a factor of sixteen, as
    those of unscaled features do, each feature is multiplied by the power of two that is nearest to
    the inverse of its largest weight. So all features matter to the layer's sums.
    """
    values, scaled = dict(random_inputs(graph, seed)), []
    for name in graph.inputs:
        if canonical.shapes.get(name) != graph.shapes[name]:  # of one step of a sequence
            continue
        for reader in canonical.consumers[name]:
            scales = _scales(canonical[reader], values[name].shape[1:])
            if scales is not None:
                values[name] = values[name] * scales
                scaled.append(canonical[reader].source or reader)
                break
    return DrawnInputs(values, tuple(scaled))


def _scales(node: GraphNode, shape: tuple[int, ...]) -> NDArray | None:
    """Powers of two that level a layer's weights over its input, or None where they are level."""
    sizes = _sizes(node, shape)
    if sizes is None or not np.any(sizes > 0.0):
        return None
    used = sizes[sizes > 0.0]
    if used.max() <= _USUAL * used.min():
        return None
    middle = np.exp(np.median(np.log(used)))
    exponents = np.log2(middle / np.where(sizes > 0.0, sizes, middle))
    scales: NDArray = np.exp2(np.rint(np.clip(exponents, -60.0, 60.0)))
    return scales


def _sizes(node: GraphNode, shape: tuple[int, ...]) -> NDArray | None:
    """The largest weight that each value of an input of `shape` meets; broadcasts to it."""
    layer = node.layer
    if isinstance(layer, Affine):
        return np.asarray(np.abs(layer.weight).max(axis=0, initial=0.0), np.float64)
    if isinstance(layer, ScaleShift) and layer.scale is not None:
        return np.broadcast_to(np.abs(np.asarray(layer.scale, np.float64)), shape)
    if not isinstance(layer, Convolution):
        return None
    out, inner = layer.weight.shape[:2]
    kernels = np.abs(layer.weight).reshape(layer.groups, out // layer.groups, inner, -1)
    channels = kernels.max(axis=(1, 3)).reshape(-1).astype(np.float64)
    return channels if layer.channels_last else channels.reshape(-1, *[1] * (len(shape) - 1))
