"""Checks of values against declared types: they keep a number out of a field for text.

`check_types` looks at the fields of a dataclass, `check` at one value. Types may be plain ones,
unions, literals, arrays, tuples, lists and mappings of such, and any of these with a condition:
`Annotated[int, Where(...)]`.
"""

from __future__ import annotations

import sys
from collections import abc
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

_LARGEST = sys.float_info.max
_SHOWN = 40  # characters of a value that an error shows


@dataclass(frozen=True)
class Where:
    """A condition that values of a type meet, and such a value in words."""

    holds: Callable[[Any], bool]
    words: str


Natural = Annotated[int, Where(lambda n: 0 <= n < 2**63, "a whole number from 0")]
Positive = Annotated[int, Where(lambda n: 1 <= n < 2**63, "a whole number from 1")]
Finite = Annotated[float, Where(lambda x: abs(x) <= _LARGEST, "a finite number")]
AboveZero = Annotated[float, Where(lambda x: 0 < x <= _LARGEST, "a number above 0")]


def is_plain(value: Any) -> bool:
    """Whether JSON can hold a value: all numbers in it are finite."""
    if isinstance(value, dict | list):
        return all(map(is_plain, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or abs(value) <= _LARGEST


class _Misfit(NamedTuple):
    """A value that is not as declared, and where it stands."""

    place: str
    hint: Any
    value: Any


def check(value: Any, hint: Any, owner: str = "") -> None:
    """Raise `TypeError` naming the first place in a value of `owner` that is not as declared."""
    wrong = _misfit(value, hint, owner)
    if wrong is None:
        return
    place = wrong.place.removeprefix(".") or "it"
    text = " ".join(repr(wrong.value).split())
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    raise TypeError(f"{place} holds {short}, where it takes {_described(wrong.hint)}")


def declares_fields(kind: type) -> bool:
    """True for a class that is a dataclass itself, so that all its fields are known.

    A plain class with a base that is one has others beside those of its base.
    """
    return "__dataclass_fields__" in vars(kind)


def check_types(value: Any) -> None:
    """Raise `TypeError` naming the first field of a dataclass that is not of its annotated type."""
    kind: type = type(value)
    check_fields(kind, {name: getattr(value, name) for name in hints_of(kind)})


def check_fields(kind: type, values: Mapping[str, Any], owner: str | None = None) -> None:
    """The same for values that fields of a dataclass, named `owner` in errors, are to have."""
    hints = hints_of(kind)
    for name, value in values.items():
        check(value, hints[name], f"{kind.__name__ if owner is None else owner}.{name}")


def _described(hint: Any) -> str:
    """A type in words: `an array or None`."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return " or ".join(map(_described, get_args(hint)))
    if origin is Annotated:
        return str(hint.__metadata__[0].words)
    if origin is np.ndarray:
        return "an array"
    if hint in (None, NoneType):
        return "None"
    if origin is Literal:
        return " or ".join(map(repr, get_args(hint)))
    return hint.__name__ if isinstance(hint, type) and origin is None else str(hint)


@cache
def hints_of(kind: Any) -> dict[str, Any]:
    """The declared types of the fields of a dataclass or `NamedTuple`."""
    hints = get_type_hints(kind, include_extras=True)
    names = [f.name for f in fields(kind)] if is_dataclass(kind) else hints
    return {name: hints[name] for name in names}


def _misfit(value: Any, hint: Any, place: str = "") -> _Misfit | None:
    """The first place where a value is not as declared; an int also serves as a float."""
    if hint is Any:
        return None
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _in_union(value, hint, place)
    if origin is Annotated:
        return _in_annotated(value, hint, place)
    if origin is not None and origin not in (Literal, np.ndarray):
        return _in_container(value, hint, place)
    if origin is Literal:
        fits = any(type(value) is type(option) and value == option for option in arguments)
    elif hint is int:
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif hint is float:
        whole = isinstance(value, int) and not isinstance(value, bool)
        fits = isinstance(value, float) or (whole and abs(value) <= _LARGEST)
    else:
        fits = isinstance(value, NoneType if hint is None else origin or hint)
    return None if fits else _Misfit(place, hint, value)


def _first(parts: Iterable[tuple[str, Any, Any]]) -> _Misfit | None:
    """The first misfit among parts: place, value and type of each."""
    found = (_misfit(value, hint, place) for place, value, hint in parts)
    return next((misfit for misfit in found if misfit is not None), None)


def _in_union(value: Any, hint: Any, place: str) -> _Misfit | None:
    """The misfit of a value in a union: within its only option beside None, or as a whole."""
    options = get_args(hint)
    if any(_misfit(value, option) is None for option in options):
        return None
    others = [option for option in options if option is not NoneType]
    return _misfit(value, others[0], place) if len(others) == 1 else _Misfit(place, hint, value)


def _in_annotated(value: Any, hint: Any, place: str) -> _Misfit | None:
    within = _misfit(value, get_args(hint)[0], place)
    if within is not None:
        return _Misfit(place, hint, value) if within.place == place else within
    broken = not all(where.holds(value) for where in hint.__metadata__)
    return _Misfit(place, hint, value) if broken else None


def _in_container(value: Any, hint: Any, place: str) -> _Misfit | None:
    origin, arguments = get_origin(hint), get_args(hint)
    if not isinstance(value, origin):
        return _Misfit(place, hint, value)
    if origin in (dict, abc.Mapping):
        keys = ((f"{place}, a key,", key, arguments[0]) for key in value)
        return _first(keys) or _first((f"{place}.{k}", v, arguments[1]) for k, v in value.items())
    if origin is tuple and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            return _Misfit(place, hint, value)
        return _first(_numbered(value, arguments, place))
    return _first(_numbered(value, (arguments[0],) * len(value), place))


def _numbered(
    value: Iterable[Any], hints: Iterable[Any], place: str
) -> Iterator[tuple[str, Any, Any]]:
    for i, (item, hint) in enumerate(zip(value, hints, strict=True)):
        yield f"{place}[{i}]", item, hint
