"""Chips: their published limits and arithmetic, and verdicts on networks."""

from spikewright.chips.chip import Arithmetic, Chip, Figure, Limits, Source, names, profile
from spikewright.chips.fit import Bottleneck, Fit, LayerFit, fits
from spikewright.chips.rules import Broken

__all__ = [
    "Arithmetic",
    "Bottleneck",
    "Broken",
    "Chip",
    "Figure",
    "Fit",
    "LayerFit",
    "Limits",
    "Source",
    "fits",
    "names",
    "profile",
]
