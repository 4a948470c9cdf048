"""Classes of what methods return, for annotations and `isinstance`; nobody makes them by hand."""

from __future__ import annotations

from spikewright.conversion.verification_result import Verification
from spikewright.diagnosis.findings import Diagnosis
from spikewright.explorer import Explorer
from spikewright.measure import Run
from spikewright.modelling.nengo_reader import NengoNetwork
from spikewright.network.learning import LearningRule
from spikewright.running.run import Stream
from spikewright.study.point import OperatingPoint
from spikewright.study.result import StudyResult
from spikewright.training.result import Training

__all__ = [
    "Diagnosis",
    "Explorer",
    "LearningRule",
    "NengoNetwork",
    "OperatingPoint",
    "Run",
    "Stream",
    "StudyResult",
    "Training",
    "Verification",
]
