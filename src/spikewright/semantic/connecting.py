"""How effects become connections: what is constant or linear as weights, products as neurons."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from spikewright.errors import NetworkError
from spikewright.network import Connection, Node
from spikewright.network.network import container
from spikewright.semantic.actions import Effect
from spikewright.semantic.ends import End
from spikewright.semantic.expression import Reference, Symbol
from spikewright.semantic.mixtures import Mixer, Mixture

SYNAPSE = 0.01
N_NEURONS = 200
_kept = threading.local()


def resolve(find: Callable[[str], Any], effect: Effect, n_neurons: int) -> tuple[End, Mixture]:
    """Where an effect leads, and what it sends there; `find` gives modules by name.

    Raises `NetworkError` quoting the effect where a number leads to a pointer's place or the other
    way round; the number 0 is nothing, in both.
    """
    mixer = Mixer(find, n_neurons, repr(effect.text))
    end = _end(mixer, effect)
    value = mixer.mixture(effect.value, end.vocabulary)
    if (value.vocabulary is None) != (end.vocabulary is None):
        if end.vocabulary is not None and not value.terms and not value.constant.any():
            return end, Mixture(np.zeros(end.node.size_in), (), end.vocabulary)
        kinds = ("a number", "pointers") if value.vocabulary is None else ("a pointer", "numbers")
        raise NetworkError(
            f"{effect.text!r} sends {kinds[0]}, and {effect.target} takes {kinds[1]}"
        )
    return end, value


def _end(mixer: Mixer, effect: Effect) -> End:
    """Where an effect leads: an end of a module, or a node that takes what it sends."""
    target = effect.target
    if isinstance(target, Reference):
        found: End = mixer.module(target).find_input(target.end)
        return found
    around = container("an effect")
    for network in (around, *around.all_networks):
        for end in getattr(network, "inputs", {}).values():
            if end.node is target:
                return End(*end)
    vocabulary = mixer.vocabulary_of(effect.value)
    if isinstance(effect.value, Symbol) or target.size_in == 0:
        raise NetworkError(f"{effect.text!r}: {target!r} is no input of a module")
    return End(target, vocabulary)


def connect(find: Callable[[str], Any], effect: Effect, n_neurons: int, synapse: Any) -> None:
    """Send what an effect says, from now on, in the network that is being filled."""
    end, value = resolve(find, effect, n_neurons)
    for node, matrix in value.terms:
        Connection(node, end.node, synapse, transform=matrix)
    if value.constant.any():
        constant = Node(value.constant, label=f"constant of {effect.text!r}")
        Connection(constant, end.node, synapse)


@contextmanager
def kept() -> Iterator[None]:
    """Inside, effects that operators make are not connected: they belong to actions."""
    _kept.depth = getattr(_kept, "depth", 0) + 1
    try:
        yield
    finally:
        _kept.depth -= 1


def done(effect: Effect) -> Effect:
    """An effect, connected unless it belongs to an action."""
    if not getattr(_kept, "depth", 0):
        connect(unnamed, effect, N_NEURONS, SYNAPSE)
    return effect


def unnamed(name: str) -> Any:
    """The modules of names where only operators speak of modules."""
    raise NetworkError(f"the name {name!r} means nothing here: operators take modules themselves")
