"""Where accuracy went, layer by layer and part by part, and what to change."""

from spikewright.conversion.diagnosis.diagnosis import Diagnosis, diagnose
from spikewright.conversion.diagnosis.loss import Loss, Score
from spikewright.conversion.diagnosis.parts import PARTS, Part
from spikewright.conversion.diagnosis.proposals import Effect, Proposal
from spikewright.conversion.diagnosis.survey import LayerLoss

__all__ = [
    "PARTS",
    "Diagnosis",
    "Effect",
    "LayerLoss",
    "Loss",
    "Part",
    "Proposal",
    "Score",
    "diagnose",
]
