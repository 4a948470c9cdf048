"""The findings of a diagnosis: what `Diagnosis` prints and makes records of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spikewright.diagnosis.causes import Cause
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
    rounded: Loss | None = None
    causes: tuple[Cause, ...] = ()

    @property
    def spikes_per_active(self) -> float | None:
        """Spikes for each neuron whose value in the source is not 0; None where none is."""
        active = sum(layer.active or 0.0 for layer in self.layers)
        return self.spikes / active if active > 0 else None

    @property
    def rounded_score(self) -> float | None:
        """The score of the rounded twin; None without truth, or without such a network."""
        if self.score is None or self.rounded is None or self.rounded.drop is None:
            return None
        return self.score.source - self.score.worth.sign * self.rounded.drop
