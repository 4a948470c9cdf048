"""A graph as a network: what each of its layers became."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spikewright.graph import Graph
from spikewright.graph.layers import Activation
from spikewright.graph.masks import Masks, masks_of
from spikewright.lower.guarantees import LayerGuarantee
from spikewright.lower.populations import RowStepping
from spikewright.network import Ensemble, Network
from spikewright.network import Node as NetworkNode
from spikewright.network.layer_times import LayerTimes, times_of

Object = Ensemble | NetworkNode


@dataclass(frozen=True, eq=False)
class Lowered:
    """A network, and the form of every layer in it.

    `layers` maps names of source layers to the ensemble or node that they became (a part of);
    `exact_values` names those whose output is exactly that object's. `readouts` are the activations
    to apply to the readout of an output. `stepping` is None, or the steps of simulation in a step
    of a sequence. `graph` is the graph that was lowered, whose nodes have the names of `layers`.
    """

    network: Network
    layers: Mapping[str, Object]
    exact_values: frozenset[str]
    inputs: Mapping[str, NetworkNode]
    outputs: Mapping[str, Object]
    readouts: Mapping[str, Activation]
    guarantees: tuple[LayerGuarantee, ...]
    stepping: RowStepping | None = None
    graph: Graph | None = None

    @property
    def masks(self) -> Masks | None:
        """The masks of padding among the inputs; None where there are none."""
        if self.graph is None or self.stepping is not None:
            return None
        return masks_of(self.graph) or None

    @property
    def times(self) -> LayerTimes | None:
        """The steps of layers that start one after the other; None where all run in all steps."""
        return times_of(self.network)

    @property
    def at_once(self) -> int:
        """The number of steps whose input and constants come at once, in the first."""
        return int(max((node.at_once for node in self.inputs.values()), default=1))
