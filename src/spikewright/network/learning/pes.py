"""The prescribed error sensitivity rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.network.learning.base import (
    ACTIVITY_FILTER,
    Array,
    Facts,
    LearningRuleType,
    Side,
    check,
    outer,
    register,
)
from spikewright.network.synapses import Synapse


@register
@dataclass(frozen=True)
class PES(LearningRuleType):
    """Decoders follow an error down: `dW = -(learning_rate dt / n) e a^T`.

    `a` are the senders' `n` activities behind `pre_synapse`, `e` is the error that connections to
    the rule deliver: what came out, less what should have. Into neurons the error is taken along
    their encoders, times gain over radius. Source: MacNeil & Eliasmith 2011.
    """

    learning_rate: float = 1e-4
    pre_synapse: Synapse | None = ACTIVITY_FILTER
    modifies = "decoders"
    receives = "error"

    def __post_init__(self) -> None:
        check(self, "pre_synapse")

    @property
    def filtered(self) -> Mapping[str, tuple[Side, Synapse | None]]:
        return {"activities": ("pre", self.pre_synapse)}

    @property
    def probeable(self) -> tuple[str, ...]:
        return ("error", "activities", "delta")

    def delta(
        self,
        xp: Any,
        weights: Array,
        signals: Mapping[str, Array],
        state: dict[str, Array],
        facts: Facts,
    ) -> Array:
        rate = self.learning_rate * facts.dt / facts.senders
        return outer(-rate * signals["error"], signals["activities"])
