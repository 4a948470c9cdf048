"""Calibration: what a model's layers do on data, and the firing-rate scales that follow from it."""

from spikewright.calibrate.case import Case, Choice, Setting
from spikewright.calibrate.collect import collect
from spikewright.calibrate.fingerprint import fingerprint
from spikewright.calibrate.layer import LayerStatistics
from spikewright.calibrate.rule import ScaleRule
from spikewright.calibrate.statistics import Statistics

__all__ = [
    "Case",
    "Choice",
    "LayerStatistics",
    "ScaleRule",
    "Setting",
    "Statistics",
    "collect",
    "fingerprint",
]
