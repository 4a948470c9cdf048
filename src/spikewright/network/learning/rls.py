"""Recursive least squares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
class RLS(FilteredRule):
    """Decoders with the least sum of squared errors so far.

    `P -= (P r)(P r)^T / (1 + r^T P r)`, then `dW = -e (P r)^T`

    `r` `(n,)` are the senders' activities in Hz, filtered by `pre_synapse`, `e` `(values,)` is the
    error. `P`, the state "inv_gamma", is `(n, n)` and begins as `learning_rate dt / n` times the
    identity, `dt` in seconds. `dW` uses the new `P`. Source: Sussillo & Abbott 2009 (FORCE
    learning).
    """

    learning_rate: float = 1e-3
    pre_synapse: Synapse | None = ACTIVITY_FILTER
    modifies = "decoders"
    receives = "error"
    reads = (("pre_filtered", "pre", "pre_synapse"),)

    def initial_state(self, senders: int, dt: float) -> Mapping[str, NDArray]:
        return {"inv_gamma": self.learning_rate * dt / senders * np.eye(senders)}

    def delta(self, xp: Any, weights: Array, signals: Signals, state: State, facts: Facts) -> Array:
        r, P = signals["pre_filtered"], state["inv_gamma"]
        along = xp.sum(P * r[:, None, :], axis=-1)
        share = 1.0 / (1.0 + xp.sum(r * along, axis=-1))
        gain = along * share[:, None]  # P r with the new P: along - along r^T gain
        state["inv_gamma"] = P - outer(along, gain)
        return outer(-signals["error"], gain)
