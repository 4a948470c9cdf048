"""Equations that the graph and the network share, each written once.

They take their array functions from `xp`: `NUMPY` here, a look-alike over another library in the
engines. Arrays may have any number of leading axes (batch, time): axes are counted from the end.
"""

from spikewright._base.equations.curves import CURVES, Curve, curve
from spikewright._base.equations.namespace import NUMPY, NumpyFunctions
from spikewright._base.equations.normalise import (
    group_normalization,
    layer_normalization,
    log_softmax,
    rms_normalization,
    softmax,
    unit_normalization,
)

__all__ = [
    "CURVES",
    "NUMPY",
    "Curve",
    "NumpyFunctions",
    "curve",
    "group_normalization",
    "layer_normalization",
    "log_softmax",
    "rms_normalization",
    "softmax",
    "unit_normalization",
]
