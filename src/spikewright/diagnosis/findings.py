"""The findings of a diagnosis: what `Diagnosis` prints and makes records of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spikewright.diagnosis.judges import Score
from spikewright.diagnosis.loss import Loss
from spikewright.diagnosis.proposals import Proposal
from spikewright.diagnosis.survey import LayerLoss


@dataclass(frozen=True, eq=False, repr=False)
class Findings:
    """The fields of a `Diagnosis`, which documents them."""

    loss: Loss
    interval: tuple[float, float] | None
    score: Score | None
    layers: tuple[LayerLoss, ...]
    proposals: tuple[Proposal, ...]
    advice: str
    spikes: float
    samples: int
    steps: int
    dt: float
    failures: Mapping[str, str] = field(default_factory=dict)
