"""Layers alone, on the first samples: what one changes, were it otherwise, and at which rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.diagnosis.loss import Tally
from spikewright.diagnosis.samples import Samples
from spikewright.diagnosis.sites import Site, Values, alone, follow, outputs_of
from spikewright.diagnosis.survey import LayerLoss

_LARGEST = 2.0**14  # times the rates of a layer


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


def level_with_others(samples: Samples, layers: Sequence[LayerLoss], layer: LayerLoss) -> float:
    """The least power of two at which the layer alone changes the output as others do.

    That is the median of the other layers that have neurons; 1 where it changes it by no more.
    """
    others = [
        other.loss.change
        for other in layers
        if other.name != layer.name and other.spikes is not None
    ]
    level = max(float(np.median(others)) if others else 0.0, layer.loss.change / 64)
    factor, change = 1.0, layer.loss.change
    while change > level and factor < _LARGEST:
        # the change falls about as one over the factor, later only where the layer was silent
        factor *= 2.0 ** max(1.0, np.floor(np.log2(change / level)))
        change = change_alone(samples, layer.name, factor)
    return float(factor)
