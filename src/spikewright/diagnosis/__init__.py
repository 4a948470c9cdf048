"""Diagnosis of lost accuracy, layer by layer and part by part, and changes that win it back."""

from spikewright.diagnosis.causes import CAUSES, Cause
from spikewright.diagnosis.diagnosis import DiagnoseOptions, diagnose
from spikewright.diagnosis.findings import Diagnosis
from spikewright.diagnosis.loss import Loss, Score
from spikewright.diagnosis.proposals import Proposal, ProposalEffect
from spikewright.diagnosis.survey import PARTS, LayerLoss, Part

__all__ = [
    "CAUSES",
    "PARTS",
    "Cause",
    "DiagnoseOptions",
    "Diagnosis",
    "LayerLoss",
    "Loss",
    "Part",
    "Proposal",
    "ProposalEffect",
    "Score",
    "diagnose",
]
