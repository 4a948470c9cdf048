"""A simulator for Nengo's models, with the interface of Nengo's own."""

from spikewright.modelling.nengo_simulator.data import BuiltConnection, BuiltEnsemble, NengoData
from spikewright.modelling.nengo_simulator.simulator import NengoSimulator

__all__ = ["BuiltConnection", "BuiltEnsemble", "NengoData", "NengoSimulator"]
