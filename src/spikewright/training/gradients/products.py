"""Products with weights in fewer bits, where a training's speed is what counts.

Inputs and weights of a product are rounded to bfloat16, and so is its result; sums within it are
not. What neurons do with it, gradients of thresholds and all that is measured are in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch

from spikewright.engines.torch.device import Tensor
from spikewright.graph import Graph
from spikewright.graph.layers import Affine, Convolution, ConvolutionTranspose, Layer
from spikewright.training.gradients.layers import Parameters, value_of

Equation = Callable[..., Tensor]
WEIGHTED = (Affine, Convolution, ConvolutionTranspose)


def before_neurons(graph: Graph, sites: Collection[str]) -> frozenset[str]:
    """Layers with weights whose values reach neurons: behind the last ones nothing is rounded."""
    reaching: set[str] = set()
    for node in reversed(tuple(graph)):
        if node.name in sites or node.name in reaching:
            reaching.update((node.name, *node.inputs))
    return frozenset(n.name for n in graph if n.name in reaching and isinstance(n.layer, WEIGHTED))


def in_bfloat16(layer: Layer, p: Parameters, *values: Tensor) -> Tensor:
    """`value_of` of a layer with weights, from and to the type of its values."""
    arrays: dict[str, Any] = {name: _rounded(array) for name, array in p.items()}
    return value_of(layer, arrays, *map(_rounded, values)).to(values[0].dtype)


def _rounded(values: Tensor) -> Tensor:
    return values.to(torch.bfloat16) if values.is_floating_point() else values
