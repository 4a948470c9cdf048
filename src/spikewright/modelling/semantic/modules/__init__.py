"""Modules: the parts of models of semantic pointers."""

from spikewright.modelling.semantic.modules.recall import (
    Accumulators,
    Bind,
    Cleanup,
    Compare,
    Product,
    Scalar,
    WinnerTakeAll,
)
from spikewright.modelling.semantic.modules.state import (
    Memory,
    State,
    Stimulus,
    Superposition,
    Transcode,
)

__all__ = [
    "Accumulators",
    "Bind",
    "Cleanup",
    "Compare",
    "Memory",
    "Product",
    "Scalar",
    "State",
    "Stimulus",
    "Superposition",
    "Transcode",
    "WinnerTakeAll",
]
