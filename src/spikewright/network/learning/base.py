"""The base of learning rules: one equation, written once, that every engine interprets.

At the end of a step a rule gives `delta`, which is added to the weights before the next one. It
reads signals of that step: activities of the neurons at either end, filtered *without* a step of
delay, and the signals of connections to the rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.network.attributes import ClassRegistry
from spikewright.network.config import Default
from spikewright.network.shapes import from_zero
from spikewright.network.synapses import Lowpass, Synapse, WindowMean, as_synapse

Array = Any  # an array of whatever library the engine computes with
Signals = Mapping[str, Array]
State = dict[str, Array]
Modified = Literal["decoders", "weights", "encoders"]
Side = Literal["pre", "post"]

ACTIVITY_FILTER = Lowpass(0.005)
"""The default filter of the activities that rules read."""

LEARNING_RULES = ClassRegistry("learning rule")
"""Every registered learning rule, by name (read only)."""


class RuleInputs(NamedTuple):
    """What a rule knows of its connection: the step `dt` in seconds, the number of senders, and the
    receivers' `scale`, `(out, 1)`: of encoders `gain / radius`, else None.
    """

    dt: float
    senders: int
    scale: Array | None


class LearningRuleType(ABC):
    """A learning rule: frozen parameters and an equation.

    `modifies` names the array that it changes: "decoders" (or any weights from neurons), "weights"
    (between neurons, from the activities of both ends) or "encoders" (of the receiving ensemble).
    `receives` names the signal that connections to the rule deliver, if they may. An "error" has
    the size of the connection's output; a "learning_signal" is one value that begins at 1.
    """

    modifies: ClassVar[Modified]
    receives: ClassVar[Literal["error", "learning_signal"] | None] = None
    learning_rate: float

    @property
    def filtered(self) -> Mapping[str, tuple[Side, Synapse | None]]:
        """The activities that the equation reads, by name: the end and the filter of each."""
        return {}

    def initial_state(self, senders: int, dt: float) -> Mapping[str, NDArray]:
        """The rule's own state before the first step, by name."""
        return {}

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the rule's own state."""
        return tuple(self.initial_state(1, 1.0))

    @property
    def probeable(self) -> tuple[str, ...]:
        """The signals that a probe may record; the first is the default."""
        received = () if self.receives is None else (self.receives,)
        encoders = ("scaled_encoders",) if self.modifies == "encoders" else ()
        return (*self.filtered, *received, "delta", *self.state_names, *encoders)

    @abstractmethod
    def delta(
        self, xp: Any, weights: Array, signals: Signals, state: State, facts: RuleInputs
    ) -> Array:
        """The change of `weights`, `(batch, out, in)`, for the next step.

        `signals` are the `filtered` activities, `(batch, in)` from "pre" and `(batch, out)` from
        "post", in Hz; an "error" `(batch, out)` (for neurons: mapped by their encoders); a
        "learning_signal" `(batch, 1)`; for encoders the "value", the ensemble's input from all
        connections, `(batch, in)`. `state` may be changed in place.
        """


class FilteredRule(LearningRuleType):
    """A rule that reads activities behind filters that are its own fields.

    `reads` lists activities: name, end and field of each; a `post_synapse` that is `Default` is the
    `pre_synapse`. Raises `NetworkError` naming the rule and the value.
    """

    reads: ClassVar[tuple[tuple[str, Side, str], ...]]
    from_zero: ClassVar[tuple[str, ...]] = ("learning_rate",)
    """Fields that are finite numbers from 0."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        for field in self.from_zero:
            value = from_zero(getattr(self, field), f"{name}.{field}")
            object.__setattr__(self, field, value)
        for _, _, field in self.reads:
            given = getattr(self, field)
            given = getattr(self, "pre_synapse", given) if given is Default else given
            synapse = as_synapse(given, f"{name}.{field}")
            if isinstance(synapse, WindowMean):
                raise NetworkError(f"{name}.{field}: a mean over windows is no filter for a rule")
            if synapse is not None and synapse.stepped:
                raise NetworkError(
                    f"{name}.{field}: a rule reads activities behind a linear filter, got "
                    f"{synapse!r}; use a Lowpass, or a node with a process and a connection of its "
                    "output"
                )
            object.__setattr__(self, field, synapse)

    @property
    def filtered(self) -> Mapping[str, tuple[Side, Synapse | None]]:
        return {name: (side, getattr(self, field)) for name, side, field in self.reads}


register = LEARNING_RULES.register


def outer(receivers: Array, senders: Array) -> Array:
    """Products of every receiver's value with every sender's, `(batch, out, in)`."""
    return receivers[:, :, None] * senders[:, None, :]


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

    def delta(
        self, xp: Any, weights: Array, signals: Signals, state: State, facts: RuleInputs
    ) -> Array:
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

    def delta(
        self, xp: Any, weights: Array, signals: Signals, state: State, facts: RuleInputs
    ) -> Array:
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

    def delta(
        self, xp: Any, weights: Array, signals: Signals, state: State, facts: RuleInputs
    ) -> Array:
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

    def delta(
        self, xp: Any, weights: Array, signals: Signals, state: State, facts: RuleInputs
    ) -> Array:
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

    def delta(
        self, xp: Any, weights: Array, signals: Signals, state: State, facts: RuleInputs
    ) -> Array:
        drive = (self.learning_rate * facts.dt) * signals["learning_signal"]
        drive = drive * signals["post_filtered"]
        return drive[:, :, None] * (facts.scale * signals["value"][:, None, :] - weights)
