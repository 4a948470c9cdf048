"""NIR files in other simulators: the spikes of each, and the reasons for differences."""

from spikewright.exchange.nir.checking.check import CheckedLayer, NirCheck, Row, check
from spikewright.exchange.nir.checking.readers import READERS, Reader
from spikewright.exchange.nir.checking.semantics import OURS, Semantics

__all__ = ["OURS", "READERS", "CheckedLayer", "NirCheck", "Reader", "Row", "Semantics", "check"]
