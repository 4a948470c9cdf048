"""Chips: their published limits and arithmetic, and verdicts on networks."""

from spikewright.chips.broken import Broken
from spikewright.chips.chip import Arithmetic, Chip, Figure, FigureSource, Limits, names, profile
from spikewright.chips.fit import Bottleneck, Fit, LayerFit, fits

__all__ = [
    "Arithmetic",
    "Bottleneck",
    "Broken",
    "Chip",
    "Figure",
    "FigureSource",
    "Fit",
    "LayerFit",
    "Limits",
    "fits",
    "names",
    "profile",
]
