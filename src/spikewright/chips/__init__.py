"""Chips: their published limits and arithmetic, and whether a network fits."""

from spikewright.chips.chip import Arithmetic, Chip, Figure, Limits, Source
from spikewright.chips.profiles import names, profile

__all__ = ["Arithmetic", "Chip", "Figure", "Limits", "Source", "names", "profile"]
