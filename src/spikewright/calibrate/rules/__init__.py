"""Rules that choose firing-rate scales, one a file: formula, law and source in its docstring."""

from spikewright.calibrate.rule import RULES, LayerRule, ScaleRule, register
from spikewright.calibrate.rules.energy_budget import EnergyBudget
from spikewright.calibrate.rules.from_weights import FromWeights
from spikewright.calibrate.rules.local_threshold_balancing import LocalThresholdBalancing
from spikewright.calibrate.rules.minimum_error import MinimumError
from spikewright.calibrate.rules.percentile import Percentile
from spikewright.calibrate.rules.target_rate import TargetRate
from spikewright.calibrate.rules.text import parse
from spikewright.calibrate.rules.threshold_iteration import ThresholdIteration

__all__ = [
    "RULES",
    "EnergyBudget",
    "FromWeights",
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
