"""Oja's rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikewright._base.arguments import is_number
from spikewright.errors import NetworkError
from spikewright.network.config import Default
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
class Oja(LearningRuleType):
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

    def __post_init__(self) -> None:
        if self.post_synapse is Default:
            object.__setattr__(self, "post_synapse", self.pre_synapse)
        check(self, "pre_synapse", "post_synapse")
        if not (is_number(self.beta) and self.beta >= 0):
            raise NetworkError(f"Oja.beta must be 0 or above, got {self.beta!r}")
        object.__setattr__(self, "beta", float(self.beta))

    @property
    def filtered(self) -> Mapping[str, tuple[Side, Synapse | None]]:
        return {
            "pre_filtered": ("pre", self.pre_synapse),
            "post_filtered": ("post", self.post_synapse),
        }

    def delta(
        self,
        xp: Any,
        weights: Array,
        signals: Mapping[str, Array],
        state: dict[str, Array],
        facts: Facts,
    ) -> Array:
        rate, post = self.learning_rate * facts.dt, signals["post_filtered"]
        grown = outer(rate * post, signals["pre_filtered"])
        return grown - (rate * self.beta * post * post)[:, :, None] * weights
