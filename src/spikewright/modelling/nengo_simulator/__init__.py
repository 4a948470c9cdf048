"""A simulator for Nengo's models, that Nengo's own users and its tests can be pointed at."""

from spikewright.modelling.nengo_simulator.data import BuiltConnection, BuiltEnsemble, NengoData
from spikewright.modelling.nengo_simulator.simulator import NengoSimulator

__all__ = ["BuiltConnection", "BuiltEnsemble", "NengoData", "NengoSimulator"]
