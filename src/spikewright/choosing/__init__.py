"""Calibration: statistics of a model's layers on data, and the scales that follow from them."""

from spikewright.choosing.rules.context import NeuronConfig, RuleContext, ScaleChoice
from spikewright.choosing.rules.rule import ScaleRule
from spikewright.choosing.statistics.collect import collect
from spikewright.choosing.statistics.fingerprint import fingerprint
from spikewright.choosing.statistics.statistics import LayerStatistics, Statistics

__all__ = [
    "LayerStatistics",
    "NeuronConfig",
    "RuleContext",
    "ScaleChoice",
    "ScaleRule",
    "Statistics",
    "collect",
    "fingerprint",
]
