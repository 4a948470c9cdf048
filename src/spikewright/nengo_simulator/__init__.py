"""A simulator for Nengo's models, that Nengo's own users and its tests can be pointed at."""

from spikewright.nengo_simulator.data import BuiltConnection, BuiltEnsemble, NengoData
from spikewright.nengo_simulator.simulator import NengoSimulator

__all__ = ["BuiltConnection", "BuiltEnsemble", "NengoData", "NengoSimulator"]
