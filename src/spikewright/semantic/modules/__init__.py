"""Modules: what models of semantic pointers are put together from, one a file."""

from spikewright.semantic.modules.binding import Bind
from spikewright.semantic.modules.choosing import Accumulators, WinnerTakeAll
from spikewright.semantic.modules.cleanup import Cleanup
from spikewright.semantic.modules.comparison import Compare
from spikewright.semantic.modules.numbers import Product, Scalar
from spikewright.semantic.modules.state import Memory, State
from spikewright.semantic.modules.stimulus import Input
from spikewright.semantic.modules.superposition import Superposition
from spikewright.semantic.modules.transcoding import Transcode

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
