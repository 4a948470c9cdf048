"""Lowering of a graph with choices to a network over time: one coding scheme a file."""

from spikewright.lower.choices import NeuronChoice, Spiking
from spikewright.lower.guarantees import LayerGuarantee
from spikewright.lower.keys import LayerKeys, by_layer, keys_of_nodes
from spikewright.lower.lowered import Lowered
from spikewright.lower.populations import Options, RowStepping
from spikewright.lower.rate_coding import lower, without_form

__all__ = [
    "LayerGuarantee",
    "LayerKeys",
    "Lowered",
    "NeuronChoice",
    "Options",
    "RowStepping",
    "Spiking",
    "by_layer",
    "keys_of_nodes",
    "lower",
    "without_form",
]
