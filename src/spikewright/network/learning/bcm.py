"""The Bienenstock-Cooper-Munro rule."""

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
from spikewright.network.synapses import Lowpass, Synapse

_USUAL = Lowpass(1.0)  # what a receiver's activity usually is


@register
@dataclass(frozen=True)
class BCM(FilteredRule):
    """Weights grow where receivers are above their mean activity, `theta`, and else shrink.

    `dW = learning_rate dt a (a - theta) b^T`

    `a` `(out,)` are the receivers' activities filtered by `post_synapse` (by default the
    `pre_synapse`), `b` `(in,)` the senders' filtered by `pre_synapse`. `theta` `(out,)` are the
    receivers' filtered by `theta_synapse`. All are in Hz, `dt` in seconds. Source: Bienenstock,
    Cooper & Munro 1982.
    """

    learning_rate: float = 1e-9
    pre_synapse: Synapse | None = ACTIVITY_FILTER
    post_synapse: Any = Default
    theta_synapse: Synapse | None = _USUAL
    modifies = "weights"
    reads = (
        ("theta", "post", "theta_synapse"),
        ("pre_filtered", "pre", "pre_synapse"),
        ("post_filtered", "post", "post_synapse"),
    )

    def delta(self, xp: Any, weights: Array, signals: Signals, state: State, facts: Facts) -> Array:
        post = signals["post_filtered"]
        drive = (self.learning_rate * facts.dt) * post * (post - signals["theta"])
        return outer(drive, signals["pre_filtered"])
