"""The vector Oja rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikewright.network.learning.base import (
    ACTIVITY_FILTER,
    Array,
    Facts,
    FilteredRule,
    Signals,
    State,
    register,
)
from spikewright.network.synapses import Synapse


@register
@dataclass(frozen=True)
class Voja(FilteredRule):
    """Encoders of active neurons turn to the input: `dE = learning_rate dt s a (g x^T - E)`.

    `E` `(neurons, d)` are the scaled encoders of the receiving ensemble, `g` `(neurons,)` its
    neurons' gain over the radius. `a` `(neurons,)` are their activities in Hz, filtered by
    `post_synapse`; `dt` is in seconds. `x` `(d,)` is the ensemble's input, the sum of all its
    connections and not of this one alone. `s` is the learning signal: 1 plus the input of
    connections to the rule. Source: Voelker, Crawford & Eliasmith 2014.
    """

    learning_rate: float = 1e-2
    post_synapse: Synapse | None = ACTIVITY_FILTER
    modifies = "encoders"
    receives = "learning_signal"
    reads = (("post_filtered", "post", "post_synapse"),)

    def delta(self, xp: Any, weights: Array, signals: Signals, state: State, facts: Facts) -> Array:
        drive = (self.learning_rate * facts.dt) * signals["learning_signal"]
        drive = drive * signals["post_filtered"]
        return drive[:, :, None] * (facts.scale * signals["value"][:, None, :] - weights)
