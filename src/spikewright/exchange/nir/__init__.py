"""Networks in NIR, the neuromorphic intermediate representation (Pedersen et al. 2024).

A file is a graph of primitives with equations in continuous time, in HDF5; other simulators and
chips read it. `save` writes one, `load` reads one, and `check` runs one in other simulators.
"""

from spikewright.exchange.nir.checking import NirCheck, check
from spikewright.exchange.nir.loading import load
from spikewright.exchange.nir.readers import DIALECTS, READERS, Dialect
from spikewright.exchange.nir.saving import save

__all__ = ["DIALECTS", "READERS", "Dialect", "NirCheck", "check", "load", "save"]
