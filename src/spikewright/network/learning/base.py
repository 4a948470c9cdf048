"""The base of learning rules: one equation, written once, that every engine interprets.

At the end of a step a rule gives `delta`, which is added to the weights before the next one. It
reads signals of that step: activities of the neurons at either end, filtered *without* a step of
delay, and the signals of connections to the rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.network.attributes import Registry
from spikewright.network.config import Default
from spikewright.network.neurons.base import check_from_zero
from spikewright.network.synapses import Lowpass, Synapse, WindowMean, as_synapse

Array = Any  # an array of whatever library the engine computes with
Signals = Mapping[str, Array]
State = dict[str, Array]
Modified = Literal["decoders", "weights", "encoders"]
Side = Literal["pre", "post"]

ACTIVITY_FILTER = Lowpass(0.005)
"""Behind which rules see activities unless they are told otherwise."""

LEARNING_RULES = Registry("learning rule")
"""Every registered learning rule, by name (read only)."""


class Facts(NamedTuple):
    """Facts for a rule: the step `dt` in seconds, the number of senders, and the receivers'
    `scale`, `(out, 1)`: of encoders `gain / radius`, else None.
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
    def delta(self, xp: Any, weights: Array, signals: Signals, state: State, facts: Facts) -> Array:
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
        check_from_zero(self, **{field: getattr(self, field) for field in self.from_zero})
        for field in self.from_zero:
            object.__setattr__(self, field, float(getattr(self, field)))
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
