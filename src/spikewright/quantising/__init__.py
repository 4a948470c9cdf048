"""Networks in whole numbers: weights, thresholds and states of the bits that a chip has."""

from spikewright.quantising.chips import bits_of
from spikewright.quantising.corrected import round_biases, round_starts
from spikewright.quantising.quantise import WholeNetwork, quantise
from spikewright.quantising.settings import Quantised

__all__ = ["Quantised", "WholeNetwork", "bits_of", "quantise", "round_biases", "round_starts"]
