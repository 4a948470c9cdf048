"""Actions and effects, from text to connections: linear parts are weights, products neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from spikewright.errors import NetworkError
from spikewright.modelling.semantic.expression import Expression, Reference, Symbol, read
from spikewright.modelling.semantic.mixtures import Mixer, Mixture
from spikewright.modelling.semantic.vocabulary import End
from spikewright.network import Connection, Node
from spikewright.network.attributes import Stack
from spikewright.network.network import being_filled

_ARROW = "-->"


class Effect(NamedTuple):
    """`target = value`: the value is sent to the target, a `Reference` or a node."""

    target: Any
    value: Expression
    text: str


class Action(NamedTuple):
    """An action: its `utility`, a number, and its `effects`."""

    utility: Expression
    effects: tuple[Effect, ...]
    text: str


def read_action(text: str) -> Action:
    """An action from its text; raises `NetworkError` quoting a text that is not one."""
    if not isinstance(text, str) or text.count(_ARROW) != 1:
        raise NetworkError(f"an action reads 'utility --> module = expression, ...', got {text!r}")
    utility, effects = text.split(_ARROW)
    does = (
        read_effects(effects) if effects.strip() else ()
    )  # one that does nothing, if it is chosen
    return Action(read(utility), does, text.strip())


def read_effects(text: str) -> tuple[Effect, ...]:
    """Effects separated by commas; raises `NetworkError` quoting a text that is not one."""
    if not isinstance(text, str):
        raise NetworkError(f"an effect reads 'module = expression', got {text!r}")
    return tuple(_effect(part.strip()) for part in _parts(text))


def _effect(text: str) -> Effect:
    sides = text.split("=")
    if len(sides) != 2 or not all(side.strip() for side in sides):
        raise NetworkError(f"an effect reads 'module = expression', got {text!r}")
    target = read(sides[0])
    if not isinstance(target, Reference):
        raise NetworkError(
            f"{text!r}: {sides[0].strip()!r} is not the name of a module or of one of its inputs"
        )
    return Effect(target, read(sides[1]), text)


def _parts(text: str) -> list[str]:
    """A text cut at the commas outside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


SYNAPSE = 0.01
N_NEURONS = 200


def resolve(find: Callable[[str], Any], effect: Effect, n_neurons: int) -> tuple[End, Mixture]:
    """The target of an effect and the value it sends there; `find` gives modules by name.

    Raises `NetworkError` quoting the effect where a number leads to an input of pointers or a
    pointer to one of numbers. The number 0 is the zero of both.
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
    """The target of an effect: an input of a module, or a node."""
    target = effect.target
    if isinstance(target, Reference):
        found: End = mixer.module(target).find_input(target.end)
        return found
    for outermost in being_filled()[:1]:
        for network in (outermost, *outermost.all_networks):
            for end in getattr(network, "inputs", {}).values():
                if end.node is target:
                    return End(*end)
    vocabulary = mixer.vocabulary_of(effect.value)
    if isinstance(effect.value, Symbol) or target.size_in == 0:
        raise NetworkError(f"{effect.text!r}: {target!r} is no input of a module")
    return End(target, vocabulary)


def connect(find: Callable[[str], Any], effect: Effect, n_neurons: int, synapse: Any) -> None:
    """Connect an effect's value to its target, in the network that is being filled."""
    end, value = resolve(find, effect, n_neurons)
    for node, matrix in value.terms:
        Connection(node, end.node, synapse, transform=matrix)
    if value.constant.any():
        constant = Node(value.constant, label=f"constant of {effect.text!r}")
        Connection(constant, end.node, synapse)


class Said(NamedTuple):
    """Effects and actions collected inside an `ActionSelection`."""

    effects: list[Effect]
    actions: list[Action]

    @property
    def idle(self) -> list[Effect]:
        """Effects that belong to no action."""
        used = [effect for action in self.actions for effect in action.effects]
        return [effect for effect in self.effects if not any(effect is one for one in used)]


SAYING: Stack[Said] = Stack()
"""The open collections of effects, the innermost last; empty outside any."""


def done(effect: Effect) -> Effect:
    """An effect, connected at once outside an `ActionSelection`, else collected."""
    if SAYING.items:
        SAYING.items[-1].effects.append(effect)
    else:
        connect(unnamed, effect, N_NEURONS, SYNAPSE)
    return effect


def unnamed(name: str) -> Any:
    """Raise `NetworkError` for a name: operators take modules themselves."""
    raise NetworkError(f"the name {name!r} means nothing here: operators take modules themselves")
