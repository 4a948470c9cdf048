"""Connections between modules that depend on no choice."""

from __future__ import annotations

from typing import Any

from spikewright.errors import NetworkError
from spikewright.modelling.networks.checks import count
from spikewright.modelling.semantic.actions import read_effects
from spikewright.modelling.semantic.connecting import N_NEURONS, SYNAPSE, connect
from spikewright.modelling.semantic.model import model_being_filled
from spikewright.network import Network


class Cortical(Network):
    """Effects that do not depend on a choice: `Cortical("memory = 0.5 * vision * ~KEY")`.

    Several are given one after the other, or separated by commas. Constant and linear values become
    weights of connections with `synapse`; a binding or dot product of two modules becomes a network
    of `n_neurons` a product. Made inside `with model:`, of modules that have names by then.
    """

    def __init__(
        self,
        *effects: str,
        synapse: Any = SYNAPSE,
        n_neurons: int = N_NEURONS,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        model = model_being_filled("Cortical")
        read = [effect for text in effects for effect in read_effects(text)]
        if not read:
            raise NetworkError("Cortical needs effects, such as 'memory = vision'")
        super().__init__(label, seed)
        self.effects = tuple(effect.text for effect in read)
        n = count(n_neurons, f"{self!r}: n_neurons")
        with self:
            for effect in read:
                connect(model.module, effect, n, synapse)
