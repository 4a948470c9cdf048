"""The functions of nodes that files and engines know: those that the converter needs."""

from spikewright.network.node_functions.arithmetic import Divide, MatMul, Maximum, Minimum, Multiply
from spikewright.network.node_functions.curve import Elementwise
from spikewright.network.node_functions.lookup import Lookup
from spikewright.network.node_functions.normalising import (
    LayerNormalization,
    LogSoftmax,
    RMSNormalization,
    Softmax,
    UnitNormalization,
)
from spikewright.network.node_functions.pooling import MaxPool, ReduceMax
from spikewright.network.node_functions.python_call import PythonCall

__all__ = [
    "Divide",
    "Elementwise",
    "LayerNormalization",
    "LogSoftmax",
    "Lookup",
    "MatMul",
    "MaxPool",
    "Maximum",
    "Minimum",
    "Multiply",
    "PythonCall",
    "RMSNormalization",
    "ReduceMax",
    "Softmax",
    "UnitNormalization",
]
