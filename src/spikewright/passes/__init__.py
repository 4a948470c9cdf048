"""Graph in, graph out: rewrites under a contract, each leaving a trace.

`run` applies the standard ones; a pass of your own is a subclass of `Pass`.
"""

from spikewright.passes.base import Note, Pass, PassResult
from spikewright.passes.drop_identities import DropIdentities
from spikewright.passes.folding import FoldBatchNorm, MergeAffine
from spikewright.passes.fuse_activations import FuseActivations
from spikewright.passes.fuse_normalizations import FuseNormalizations
from spikewright.passes.send_values import SendValues
from spikewright.passes.standard import (
    MAX_POOL_FORMS,
    STANDARD,
    AverageMaxPools,
    MaxPoolForm,
    TraceLine,
    run,
)

__all__ = [
    "MAX_POOL_FORMS",
    "STANDARD",
    "AverageMaxPools",
    "DropIdentities",
    "FoldBatchNorm",
    "FuseActivations",
    "FuseNormalizations",
    "MaxPoolForm",
    "MergeAffine",
    "Note",
    "Pass",
    "PassResult",
    "SendValues",
    "TraceLine",
    "run",
]
