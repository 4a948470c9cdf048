"""What is always sent from module to module."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.errors import NetworkError
from spikewright.network import Connection, Network, Node
from spikewright.networks.checks import count
from spikewright.semantic.actions import Effect, read_effects
from spikewright.semantic.mixtures import Mixer, Mixture
from spikewright.semantic.model import Model, model_being_filled
from spikewright.semantic.module import End


class Cortical(Network):
    """Effects that do not depend on a choice: `Cortical("memory = 0.5 * vision * ~KEY")`.

    Several stand one after the other, or with commas between them. What is constant or linear
    becomes weights of connections, behind `synapse`; where two modules are bound, or their dot
    product is taken, a network of `n_neurons` a product does it. Made inside `with model:`, of
    modules that have names by then.
    """

    def __init__(
        self,
        *effects: str,
        synapse: Any = 0.01,
        n_neurons: int = 200,
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
                end, value = resolve(model, effect, n)
                for node, matrix in value.terms:
                    Connection(node, end.node, synapse, transform=matrix)
                if value.constant.any():
                    constant = Node(value.constant, label=f"constant of {effect.text!r}")
                    Connection(constant, end.node, synapse)


def resolve(model: Model, effect: Effect, n_neurons: int) -> tuple[End, Mixture]:
    """Where an effect leads, and what it sends there.

    Raises `NetworkError` quoting the effect where a number leads to a pointer's place or the other
    way round; the number 0 is nothing, in both.
    """
    end = model.module(effect.target.module).find_input(effect.target.end)
    value = Mixer(model, n_neurons, repr(effect.text)).mixture(effect.value, end.vocabulary)
    if (value.vocabulary is None) != (end.vocabulary is None):
        if end.vocabulary is not None and not value.terms and not value.constant.any():
            return end, Mixture(np.zeros(end.node.size_in), (), end.vocabulary)
        kinds = ("a number", "pointers") if value.vocabulary is None else ("a pointer", "numbers")
        raise NetworkError(
            f"{effect.text!r} sends {kinds[0]}, and {effect.target} takes {kinds[1]}"
        )
    return end, value
