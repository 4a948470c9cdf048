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
    Input,
    Memory,
    State,
    Superposition,
    Transcode,
)

__all__ = [
    "Accumulators",
    "Bind",
    "Cleanup",
    "Compare",
    "Input",
    "Memory",
    "Product",
    "Scalar",
    "State",
    "Superposition",
    "Transcode",
    "WinnerTakeAll",
]
