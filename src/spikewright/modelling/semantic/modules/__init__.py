"""Modules: the parts of models of semantic pointers, one a file."""

from spikewright.modelling.semantic.modules.binding import Bind, Compare, Product, Scalar
from spikewright.modelling.semantic.modules.cleanup import Accumulators, Cleanup, WinnerTakeAll
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
