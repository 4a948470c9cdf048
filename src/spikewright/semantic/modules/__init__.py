"""Modules: what models of semantic pointers are put together from, one a file."""

from spikewright.semantic.modules.binding import Bind
from spikewright.semantic.modules.cleanup import Cleanup
from spikewright.semantic.modules.comparison import Compare
from spikewright.semantic.modules.state import Memory, State
from spikewright.semantic.modules.stimulus import Input

__all__ = ["Bind", "Cleanup", "Compare", "Input", "Memory", "State"]
