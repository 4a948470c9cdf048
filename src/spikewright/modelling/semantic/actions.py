"""Actions, read from text: `"dot(state, A) --> state = B, memory = state * ~C"`."""

from __future__ import annotations

from typing import Any, NamedTuple

from spikewright.errors import NetworkError
from spikewright.modelling.semantic.expression import Expression, Reference, read

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
