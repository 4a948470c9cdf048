"""Rules that choose firing-rate scales, one a file: formula, law and source in its docstring."""

from spikewright.choosing.rules.energy_budget import EnergyBudget
from spikewright.choosing.rules.from_weights import FromWeights
from spikewright.choosing.rules.local_threshold_balancing import LocalThresholdBalancing
from spikewright.choosing.rules.minimum_error import MinimumError
from spikewright.choosing.rules.one_scale import OneScale
from spikewright.choosing.rules.percentile import Percentile, TargetRate
from spikewright.choosing.rules.rule import RULES, LayerRule, ScaleRule, parse, register
from spikewright.choosing.rules.threshold_iteration import ThresholdIteration

__all__ = [
    "RULES",
    "EnergyBudget",
    "FromWeights",
    "LayerRule",
    "LocalThresholdBalancing",
    "MinimumError",
    "OneScale",
    "Percentile",
    "ScaleRule",
    "TargetRate",
    "ThresholdIteration",
    "parse",
    "register",
]
