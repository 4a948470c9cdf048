"""Semantic pointers: symbols as vectors, and models of modules that hold, bind and choose them.

The algebra is that of holographic reduced representations (Plate 1995), the modules and their
action selection those of the semantic pointer architecture (Eliasmith 2013).
"""

from spikewright.semantic.cortical import Cortical
from spikewright.semantic.model import Model
from spikewright.semantic.module import Module
from spikewright.semantic.modules import Bind, Cleanup, Compare, Input, Memory, State
from spikewright.semantic.pointer import SemanticPointer
from spikewright.semantic.selection import ActionSelection
from spikewright.semantic.vocabulary import Vocabulary

__all__ = [
    "ActionSelection",
    "Bind",
    "Cleanup",
    "Compare",
    "Cortical",
    "Input",
    "Memory",
    "Model",
    "Module",
    "SemanticPointer",
    "State",
    "Vocabulary",
]
