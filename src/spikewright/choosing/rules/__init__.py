"""Rules that choose firing-rate scales: formula, law and source in their docstrings."""

from spikewright.choosing.rules.clipping import LocalThresholdBalancing, Percentile, TargetRate
from spikewright.choosing.rules.energy_budget import EnergyBudget
from spikewright.choosing.rules.least_error import MinimumError, ThresholdIteration
from spikewright.choosing.rules.rule import RULES, LayerRule, ScaleRule, parse, register
from spikewright.choosing.rules.without_data import ConstantScale, DataFreeCalibration

__all__ = [
    "RULES",
    "ConstantScale",
    "DataFreeCalibration",
    "EnergyBudget",
    "LayerRule",
    "LocalThresholdBalancing",
    "MinimumError",
    "Percentile",
    "ScaleRule",
    "TargetRate",
    "ThresholdIteration",
    "parse",
    "register",
]
