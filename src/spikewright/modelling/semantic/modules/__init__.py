"""Modules: the parts of models of semantic pointers, one a file."""

from spikewright.modelling.semantic.modules.binding import Bind
from spikewright.modelling.semantic.modules.choosing import Accumulators, WinnerTakeAll
from spikewright.modelling.semantic.modules.cleanup import Cleanup
from spikewright.modelling.semantic.modules.comparison import Compare
from spikewright.modelling.semantic.modules.numbers import Product, Scalar
from spikewright.modelling.semantic.modules.state import Memory, State
from spikewright.modelling.semantic.modules.stimulus import Input
from spikewright.modelling.semantic.modules.superposition import Superposition
from spikewright.modelling.semantic.modules.transcoding import Transcode

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
