"""A converted network, and everything that can be done with it."""

from spikewright.conversion.conversion import Conversion, refuse
from spikewright.conversion.sample import Sample, watch
from spikewright.conversion.trace import Entry, Trace

__all__ = ["Conversion", "Entry", "Sample", "Trace", "refuse", "watch"]
