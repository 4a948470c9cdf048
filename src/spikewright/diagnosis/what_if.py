"""The change of the output if one layer alone were otherwise, on the first samples."""

from __future__ import annotations

from collections.abc import Callable

from numpy.typing import NDArray

from spikewright.diagnosis.loss import Tally
from spikewright.diagnosis.means import Values, alone, follow, outputs_of
from spikewright.diagnosis.samples import Samples
from spikewright.diagnosis.sites import Site


def change_alone(samples: Samples, name: str, factor: float | NDArray = 1.0) -> float:
    """By the layer alone at rates multiplied by `factor`, the order of its spikes included."""
    batch = samples.first
    return _change(samples, alone(samples.plan, batch.source, batch.disorder, name, factor))


Sent = Callable[[NDArray, NDArray], NDArray]
"""Of the source's values and those that readers get now, `(batch, *shape)` each, what they get."""


def change_if_sent(samples: Samples, name: str, sent: Sent) -> float:
    """By the layer alone if readers got what `sent` makes of it, for evenly arriving current."""
    source = samples.first.source

    def send(site: Site, arriving: tuple[NDArray, ...]) -> NDArray:
        return sent(source[name], site.reaches(*arriving))

    return _change(samples, follow(samples.plan, source, send, {name}))


def _change(samples: Samples, values: Values) -> float:
    plan, batch, tally = samples.plan, samples.first, Tally(None, samples.real_outputs)
    tally.add(batch.samples, outputs_of(plan, batch.source), outputs_of(plan, values))
    return tally.loss.change
