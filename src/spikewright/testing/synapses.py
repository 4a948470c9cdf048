"""Examples of synapses that filter the values that are delivered, each in its own way.

They are nonlinear, as users write them, or have a time constant for each value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.network.shapes import Shape
from spikewright.network.synapses import Alpha, Lowpass, Synapse
from spikewright.testing.modelling import SynapseExample

VALUES = 3
"""The number of values that the examples filter."""


@dataclass(frozen=True)
class Depressing(Synapse):
    """Resources that values use up and that recover: `y = r x`, `r += dt (1 - r) / tau - u r x`."""

    tau: float = 0.05
    used: float = 0.25

    def make_state(self, shape_in: Shape, shape_out: Shape, dt: float) -> dict[str, NDArray]:
        return {"resources": np.ones(shape_out)}

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: Any
    ) -> Any:
        left = state["resources"]

        def step(t: float, x: NDArray) -> NDArray:
            sent = np.clip(x, 0.0, 1.0) * left
            left[...] += dt * (1.0 - left) / self.tau - self.used * sent
            return sent

        return step


@dataclass(frozen=True)
class Unreliable(Synapse):
    """Each value arrives with the probability of a half, one draw a value and step."""

    seed: int | None = 3

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: Any
    ) -> Any:
        return lambda t, x: x * (rng.random(shape_out) < 0.5) + t


def delivered_synapse_examples() -> list[SynapseExample]:
    """Synapses of `VALUES` values, for steps of a millisecond."""
    return [
        SynapseExample("lowpass-each", Lowpass(np.array([0.002, 0.0, 0.02]))),
        SynapseExample("alpha-each", Alpha(np.array([0.002, 0.0, 0.01]))),
        SynapseExample("depressing", Depressing()),
        SynapseExample("unreliable", Unreliable()),
    ]
