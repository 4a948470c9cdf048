"""The learning rules: the equation of each, with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
