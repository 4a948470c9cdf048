"""The base of learning rules: one equation, written once, that every engine interprets.

At the end of a step a rule gives `delta`, which is added to the weights before the next one. It
reads signals of that step: activities of the neurons at either end, filtered *without* a step of
delay, and the signals of connections to the rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.registries import enter
from spikewright.errors import NetworkError
from spikewright.network.attributes import fixed
from spikewright.network.synapses import Lowpass, Synapse, WindowMean, as_synapse

Array = Any  # an array of whatever library the engine computes with
Modified = Literal["decoders", "weights", "encoders"]
Side = Literal["pre", "post"]

ACTIVITY_FILTER = Lowpass(0.005)
"""Behind which rules see activities unless they are told otherwise."""

_registry: dict[str, type[LearningRuleType]] = {}
LEARNING_RULES = MappingProxyType(_registry)
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
    def delta(
        self,
        xp: Any,
        weights: Array,
        signals: Mapping[str, Array],
        state: dict[str, Array],
        facts: Facts,
    ) -> Array:
        """The change of `weights`, `(batch, out, in)`, for the next step.

        `signals` are the `filtered` activities, `(batch, in)` from "pre" and `(batch, out)` from
        "post", in Hz; an "error" `(batch, out)` (for neurons: mapped by their encoders); a
        "learning_signal" `(batch, 1)`; for encoders the "value", the ensemble's input from all
        connections, `(batch, in)`. `state` may be changed in place.
        """


T = TypeVar("T", bound=type[LearningRuleType])


def register(cls: T) -> T:
    """Class decorator: make a rule known to files, engines' tests and documentation."""
    return enter(_registry, fixed(cls), "learning rule")


def outer(receivers: Array, senders: Array) -> Array:
    """Products of every receiver's value with every sender's, `(batch, out, in)`."""
    return receivers[:, :, None] * senders[:, None, :]


def check(rule: LearningRuleType, *synapses: str) -> None:
    """Check a rule's rate, and make filters of its `synapses`.

    Raises `NetworkError` naming the rule and the value.
    """
    name = type(rule).__name__
    if not (is_number(rule.learning_rate) and rule.learning_rate >= 0):
        raise NetworkError(f"{name}.learning_rate must be 0 or above, got {rule.learning_rate!r}")
    object.__setattr__(rule, "learning_rate", float(rule.learning_rate))
    for field in synapses:
        synapse = as_synapse(getattr(rule, field), f"{name}.{field}")
        if isinstance(synapse, WindowMean):
            raise NetworkError(f"{name}.{field}: a mean over windows is no filter for a rule")
        object.__setattr__(rule, field, synapse)


def eye(size: int, value: float) -> NDArray:
    """`value` times the identity."""
    return value * np.eye(size)
