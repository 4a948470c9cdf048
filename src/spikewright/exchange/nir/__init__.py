"""Networks in NIR, the neuromorphic intermediate representation (Pedersen et al. 2024).

A file is a graph of primitives with equations in continuous time, in HDF5; other simulators and
chips read it. `save` writes one, and `load` reads one.
"""

from spikewright.exchange.nir.dialects import DIALECTS, Dialect
from spikewright.exchange.nir.loading import load
from spikewright.exchange.nir.saving import save

__all__ = ["DIALECTS", "Dialect", "load", "save"]
