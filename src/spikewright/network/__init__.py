"""Networks over time, in Nengo's terms. A description holds no run state."""

from spikewright.network import (
    distributions,
    learning,
    neurons,
    node_functions,
    processes,
    solvers,
    synapses,
    transforms,
)
from spikewright.network.config import Config, Default
from spikewright.network.connection import Connection, input_shape, output_shape
from spikewright.network.ensemble import Ensemble
from spikewright.network.functions import FUNCTIONS, NodeFunction
from spikewright.network.learning import LearningRule, LearningRuleType
from spikewright.network.network import Network
from spikewright.network.node import Node
from spikewright.network.node_functions import MaxPool
from spikewright.network.probe import Probe
from spikewright.network.storage import load, save
from spikewright.network.view import NeuronsView, ObjView

__all__ = [
    "FUNCTIONS",
    "Config",
    "Connection",
    "Default",
    "Ensemble",
    "LearningRule",
    "LearningRuleType",
    "MaxPool",
    "Network",
    "NeuronsView",
    "Node",
    "NodeFunction",
    "ObjView",
    "Probe",
    "distributions",
    "input_shape",
    "learning",
    "load",
    "neurons",
    "node_functions",
    "output_shape",
    "processes",
    "save",
    "solvers",
    "synapses",
    "transforms",
]
