"""Oja's rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikewright.network.config import Default
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
class Oja(FilteredRule):
    """Hebbian learning with decay: `dW = learning_rate dt (a b^T - beta a^2 W)`.

    `a` `(out,)` are the receivers' activities filtered by `post_synapse` (by default the
    `pre_synapse`), `b` `(in,)` the senders' filtered by `pre_synapse`. Both are in Hz, `dt` in
    seconds; `beta` is the strength of the decay. Source: Oja 1982.
    """

    learning_rate: float = 1e-6
    pre_synapse: Synapse | None = ACTIVITY_FILTER
    post_synapse: Any = Default
    beta: float = 1.0
    modifies = "weights"
    from_zero = ("learning_rate", "beta")
    reads = (
        ("pre_filtered", "pre", "pre_synapse"),
        ("post_filtered", "post", "post_synapse"),
    )

    def delta(self, xp: Any, weights: Array, signals: Signals, state: State, facts: Facts) -> Array:
        rate, post = self.learning_rate * facts.dt, signals["post_filtered"]
        grown = outer(rate * post, signals["pre_filtered"])
        return grown - (rate * self.beta * post * post)[:, :, None] * weights
