"""Semantic pointers: symbols as vectors, and models of modules that hold, bind and choose them.

The algebra is that of holographic reduced representations (Plate 1995), the modules and their
action selection those of the semantic pointer architecture (Eliasmith 2013).
"""

from spikewright.modelling.semantic.model import ActionSelection, Cortical, Model, ifmax
from spikewright.modelling.semantic.module import Module, dot, reinterpret, sym, translate
from spikewright.modelling.semantic.pointer import SemanticPointer
from spikewright.modelling.semantic.recall import (
    Accumulators,
    Bind,
    Cleanup,
    Compare,
    Product,
    Scalar,
    WinnerTakeAll,
)
from spikewright.modelling.semantic.state import (
    Memory,
    State,
    Stimulus,
    Superposition,
    Transcode,
)
from spikewright.modelling.semantic.vocabulary import Vocabulary

__all__ = [
    "Accumulators",
    "ActionSelection",
    "Bind",
    "Cleanup",
    "Compare",
    "Cortical",
    "Memory",
    "Model",
    "Module",
    "Product",
    "Scalar",
    "SemanticPointer",
    "State",
    "Stimulus",
    "Superposition",
    "Transcode",
    "Vocabulary",
    "WinnerTakeAll",
    "dot",
    "ifmax",
    "reinterpret",
    "sym",
    "translate",
]
