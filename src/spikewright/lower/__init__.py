"""Graph and choices in, network over time out: one coding scheme a file."""

from spikewright.lower.choices import NeuronChoice, Spiking
from spikewright.lower.rate_coding import LayerNote, Lowered, Options, lower

__all__ = ["LayerNote", "Lowered", "NeuronChoice", "Options", "Spiking", "lower"]
