"""Proposals: effects of remedies, predicted from means and measured by running them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.diagnosis.loss import Judge, Loss, LossTally
from spikewright.diagnosis.samples import Batch, DiagnosedSamples
from spikewright.diagnosis.sites import MeanFlow, outputs_of, present

_ALIKE = 20  # gains within a twentieth of what was lost count as equal: the cheaper goes first
_LEAST = 1e-9  # a gain


@dataclass(frozen=True)
class ProposalEffect:
    """The effect of a change: the decrease of the loss, and the additional spikes a sample."""

    gain: float
    price: float


@dataclass(frozen=True, eq=False)
class Proposal:
    """A change to make: `conversion.again(**arguments)`, run for `steps` steps.

    Those of one `kind` change the same thing, more or less of it. `predicted` follows the means
    through the network as it would be; `measured` is the effect in a run on the same samples, None
    before that run. Gains are in accuracy (a fraction), or without labels in the relative change of
    the output; prices in spikes a sample.
    """

    kind: str
    text: str
    arguments: Mapping[str, Any]
    steps: int
    predicted: float
    price: float
    measured: ProposalEffect | None = None

    @property
    def effect(self) -> ProposalEffect:
        """The measured effect, or else the predicted one."""
        return self.measured or ProposalEffect(self.predicted, self.price)


def predict(
    samples: DiagnosedSamples,
    judge: Judge | None,
    spikes: float,
    plans: Sequence[MeanFlow],
    advance: Callable[[int], None],
) -> list[ProposalEffect]:
    """The predicted effect of each plan on the samples of a run that had `spikes` a sample."""
    present_plan, accounts = (
        samples.plan,
        [_Forecast(judge, samples) for _ in range(len(plans) + 1)],
    )
    for batch in samples:
        for plan, account in zip((present_plan, *plans), accounts, strict=True):
            account.add(batch, present_plan, plan)
        advance(1)
    now, *then = accounts
    # a net count leaves out spikes that were taken back
    a_spike = spikes / now.spikes if min(spikes, now.spikes) > 0 else 1.0 / len(samples)
    return [
        ProposalEffect(
            now.tally.loss.value - found.tally.loss.value,
            (found.spikes - now.spikes) * a_spike,
        )
        for found in then
    ]


class _Forecast:
    """Adds up outputs and spikes of a plan, batch by batch."""

    def __init__(self, judge: Judge | None, samples: DiagnosedSamples) -> None:
        self.tally, self.spikes = LossTally(judge, samples.real_outputs), 0.0

    def add(self, batch: Batch, before: MeanFlow, plan: MeanFlow) -> None:
        values = present(plan, batch.source, carried_over(batch.disorder, before, plan))
        source = outputs_of(plan, batch.source)
        self.tally.add(batch.samples, source, outputs_of(plan, values))
        self.spikes += sum(
            site.spikes(batch.value(name, values[name])) for name, site in plan.sites.items()
        )


def carried_over(
    disorder: Mapping[str, NDArray], before: MeanFlow, after: MeanFlow
) -> dict[str, NDArray]:
    """The loss to arrival order in another plan.

    Nothing is lost where the new neurons follow the sum of their currents, and the old do not. Else
    the loss falls with the number of steps, and with the height of the arriving spikes.
    """
    found = {}
    for name, lost in disorder.items():
        old = before.sites[name].cells
        new = after.sites[name].cells if name in after.sites else None
        if old is None or new is None:
            continue
        if new.neuron_type.follows_sum and not old.neuron_type.follows_sum:
            continue
        heights = [
            share * _height(after, sender) / _height(before, sender)
            for sender, share in before.blamed[name].items()
            if sender != name
        ]
        relative = sum(heights) if heights else 1.0
        found[name] = lost * (relative * before.steps / after.steps)
    return found


def _height(plan: MeanFlow, name: str) -> float:
    cells = plan.sites[name].cells
    return 1.0 if cells is None else cells.mean_height


def ranked(proposals: Sequence[Proposal], lost: Loss) -> tuple[Proposal, ...]:
    """Those that bring something, the largest gain first, of equal gains the cheapest.

    One is left out where another of its kind brings as much for no more spikes and no more steps.
    """
    unit = max(lost.value / _ALIKE, _LEAST)

    def rank(proposal: Proposal) -> tuple[float, float, int]:
        effect = proposal.effect
        return -float(np.round(effect.gain / unit)), effect.price, proposal.steps

    found: list[Proposal] = []
    for proposal in sorted((p for p in proposals if p.effect.gain >= unit), key=rank):
        places = [(rank(other), rank(proposal)) for other in found if other.kind == proposal.kind]
        if not any(all(map(operator.le, better, place)) for better, place in places):
            found.append(proposal)
    return tuple(found)
