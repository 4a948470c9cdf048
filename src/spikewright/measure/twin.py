"""The quantised twin: the source network with activations of a few bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import is_whole
from spikewright.errors import SimulationError
from spikewright.graph import Graph
from spikewright.graph.interpreter import evaluate_all
from spikewright.graph.layers import Layer
from spikewright.graph.whole_weights import WEIGHTED, largest_steps, rows, whole, with_rows


@dataclass(frozen=True, eq=False, repr=False)
class QuantisedTwin:
    """A graph whose activations are rounded: a network that hardware with integers could run.

    `thresholds` are the largest values of the rounded layers, `bits` those of an activation.
    """

    graph: Graph
    thresholds: Mapping[str, NDArray]
    bits: int

    def __repr__(self) -> str:
        return f"<QuantisedTwin of {self.bits} bits in {len(self.thresholds)} layers>"

    def evaluate(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray]:
        """Value of every output, `{output: (batch, *shape)}`; raises as `graph.evaluate`."""
        values = evaluate_all(self.graph, inputs, self._rounded)
        return {output: values[name] for output, name in self.graph.outputs.items()}

    def _rounded(self, name: str, value: NDArray) -> NDArray:
        if name not in self.thresholds:
            return value
        return quantise(value, self.thresholds[name], self.bits)


def quantise(value: NDArray, threshold: NDArray, bits: int) -> NDArray:
    """`value` rounded to the nearest multiple of `threshold / (2^bits - 1)` within `threshold`.

    Values that are not negative need `bits` bits, others one more for their sign.
    """
    unit = threshold / (2**bits - 1)
    return np.rint(np.clip(value, -threshold, threshold) / unit) * unit


def quantised_twin(
    graph: Graph,
    thresholds: Mapping[str, ArrayLike],
    bits: int,
    weight_bits: int | None = 8,
) -> QuantisedTwin:
    """The twin of a source network whose layers in `thresholds` are rounded to `bits` bits.

    A threshold is the largest value of a layer (a percentile or the best for its error, from
    calibration data; for a spiking layer `1 / (s dt)`), a number or broadcasting to its shape, e.g.
    one a channel. Weights of matrices and convolutions are rounded to `weight_bits`, symmetrically,
    the largest of each output channel being the largest whole number; None leaves them as they are.
    Inputs, biases, sums and layers without a threshold stay as they are.
    Raises `SimulationError` for unknown layers, thresholds that are not above 0 or no bits.
    """
    for name, number in (
        ("bits", bits),
        ("weight_bits", 2 if weight_bits is None else weight_bits),
    ):
        least = 1 if name == "bits" else 2
        if not (is_whole(number) and least <= number <= 32):
            raise SimulationError(
                f"{name} must be a whole number from {least} to 32, got {number!r}"
            )
    checked = {name: _threshold(graph, name, value) for name, value in thresholds.items()}
    if weight_bits is not None:
        graph = rounded_weights(graph, weight_bits)
    return QuantisedTwin(graph, checked, bits)


def _threshold(graph: Graph, name: str, given: ArrayLike) -> NDArray:
    if name not in graph:
        raise SimulationError(f"thresholds name {name!r}, which is no layer of the network")
    value = np.asarray(given, np.float64)
    try:
        np.broadcast_to(value, graph.shapes[name])
    except ValueError:
        raise SimulationError(
            f"thresholds[{name!r}] of shape {value.shape} does not broadcast to the layer's "
            f"{graph.shapes[name]}"
        ) from None
    if not (np.all(np.isfinite(value)) and np.all(value > 0)):
        raise SimulationError(f"thresholds[{name!r}] must be above 0, got {float(value.min())!r}")
    return value


def rounded_weights(graph: Graph, bits: int) -> Graph:
    """The graph with weights of `bits` bits, sign included, one scale an output channel."""
    nodes = (replace(node, layer=_rounded_layer(node.layer, bits)) for node in graph)
    return Graph(tuple(nodes), graph.outputs, graph.aliases)


def _rounded_layer(layer: Layer, bits: int) -> Layer:
    if not isinstance(layer, WEIGHTED):
        return layer
    weights = rows(layer)
    groups = weights.reshape(len(weights), -1)
    step = largest_steps(groups, bits)
    return with_rows(layer, (whole(groups / step, bits) * step).reshape(weights.shape))
