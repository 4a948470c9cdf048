"""Semantic pointers: symbols as vectors, and models of modules that hold, bind and choose them.

The algebra is that of holographic reduced representations (Plate 1995), the modules and their
action selection those of the semantic pointer architecture (Eliasmith 2013).
"""

from spikewright.modelling.semantic.action_selection import ActionSelection, ifmax
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
from spikewright.modelling.semantic.state import State, Transcode
from spikewright.modelling.semantic.vocabulary import Vocabulary

__all__ = [
    "Accumulators",
    "ActionSelection",
    "Bind",
    "Cleanup",
    "Compare",
    "Module",
    "Product",
    "Scalar",
    "SemanticPointer",
    "State",
    "Transcode",
    "Vocabulary",
    "WinnerTakeAll",
    "dot",
    "ifmax",
    "reinterpret",
    "sym",
    "translate",
]
