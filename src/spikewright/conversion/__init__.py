"""A converted network, and everything that can be done with it."""

from spikewright.conversion.conversion import Conversion
from spikewright.conversion.sample import Sample, watch
from spikewright.lower.trace import Entry, Trace

load = Conversion.load

__all__ = ["Conversion", "Entry", "Sample", "Trace", "load", "watch"]
