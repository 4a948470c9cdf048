"""Networks in whole numbers: weights, thresholds and states of the bits that a chip has."""

from spikewright.quantising.fixed_point import round_biases, round_starts
from spikewright.quantising.quantise import WholeNetwork, quantise
from spikewright.quantising.settings import Quantised, bits_of

__all__ = ["Quantised", "WholeNetwork", "bits_of", "quantise", "round_biases", "round_starts"]
