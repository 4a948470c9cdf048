"""Keywords that a function does not take: which one was meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import wraps
from types import MappingProxyType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_NOTHING: Mapping[str, str] = MappingProxyType({})


def spelled(hints: Mapping[str, str] = _NOTHING) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: the `TypeError` for an unknown keyword says which one was meant.

    `hints` maps names from other libraries to a sentence that names the argument here.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known = tuple(inspect.signature(function).parameters)

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            refuse_unknown(function, kwargs, known, hints)
            return function(*args, **kwargs)

        return checked

    return decorate


def refuse_unknown(
    function: Callable[..., object],
    given: Iterable[str],
    known: Collection[str],
    hints: Mapping[str, str] = _NOTHING,
) -> None:
    """Raise `TypeError` for keywords that are not `known`, with the one that each may mean."""
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    *_, owner, called = ("", *function.__qualname__.split("."))
    called = owner if called == "__init__" else called
    told = [meant(name, known, hints) for name in unknown]
    sentences = [
        f"{called}() has no argument {name!r}. {hint}".strip()
        for name, hint in zip(unknown, told, strict=True)
    ]
    raise TypeError(" ".join(sentences))


def meant(name: str, known: Iterable[str], hints: Mapping[str, str] = _NOTHING) -> str:
    """A sentence with the meaning of an unknown name, or the known name nearest to it; else ""."""
    known = list(known)
    near = [name] if name in hints else get_close_matches(name, [*known, *hints], 1)
    if near and near[0] in hints:
        return hints[near[0]]
    return f"Did you mean {near[0]!r}?" if near else ""
