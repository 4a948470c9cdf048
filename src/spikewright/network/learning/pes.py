"""The prescribed error sensitivity rule."""

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
    outer,
    register,
)
from spikewright.network.synapses import Synapse


@register
@dataclass(frozen=True)
class PES(FilteredRule):
    """Decoders follow an error down: `dW = -(learning_rate dt / n) e a^T`.

    `a` `(n,)` are the senders' activities in Hz, filtered by `pre_synapse`; `dt` is in seconds. `e`
    `(values,)` is the error that connections to the rule deliver: the output less the wanted
    output. For a connection into neurons the error is mapped by their encoders, times gain over
    radius. Source: MacNeil & Eliasmith 2011.
    """

    learning_rate: float = 1e-4
    pre_synapse: Synapse | None = ACTIVITY_FILTER
    modifies = "decoders"
    receives = "error"
    reads = (("activities", "pre", "pre_synapse"),)

    @property
    def probeable(self) -> tuple[str, ...]:
        return ("error", "activities", "delta")

    def delta(self, xp: Any, weights: Array, signals: Signals, state: State, facts: Facts) -> Array:
        rate = self.learning_rate * facts.dt / facts.senders
        return outer(-rate * signals["error"], signals["activities"])
