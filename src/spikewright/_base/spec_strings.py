"""Spec strings: things of a registry as text, such as `minimum-error:8,per=layer`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from spikewright.errors import NetworkError, SimulationError


def _whole_numbers(text: str) -> tuple[int, ...]:
    """Numbers between slashes; one behind the last of them may be left out."""
    return tuple(int(number) for number in text.removesuffix("/").split("/"))


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_KINDS: Mapping[frozenset[Any], Callable[[str], Any]] = {
    frozenset({float}): float, frozenset({int}): int, frozenset({bool}): _truth,
    frozenset({tuple[int, ...]}): _whole_numbers,
}  # fmt: skip
_WORDS: Mapping[Callable[[str], Any], str] = {
    float: "a number", int: "a whole number", _whole_numbers: "whole numbers such as 6/4/3/3",
    _truth: "true or false",
}  # fmt: skip


def spec_name(name: str) -> str:
    """The name of a class in spec strings and commands: `minimum-error` for `MinimumError`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def by_spec_name(*kinds: type[Any]) -> dict[str, type[Any]]:
    """Classes by their names as commands write them."""
    return {spec_name(kind.__name__): kind for kind in kinds}


@dataclass(frozen=True, eq=False)
class SpecParser:
    """Reads things that a registry names: `name:value,value,field=value`, in the order of fields.

    `what` names the members of `kinds` in errors. A text that begins with a digit may leave out the
    name of the `leading` one. `words` are texts with a value of their own, with `numbers` numbers
    are values too, and `nameless` reads any other text. `others` makes values of fields with these
    types, None leaves such a field out.
    """

    what: str
    kinds: Mapping[str, type[Any]]
    others: Mapping[str, Callable[[str], Any] | None] = field(default_factory=dict)
    leading: str = ""
    words: Mapping[str, Any] = field(default_factory=dict)
    numbers: bool = False
    nameless: Callable[[str], Any] | None = None

    def begins(self, text: str) -> bool:
        """True for a text that begins with the name of a registered class."""
        return text.partition(":")[0] in self.kinds

    def __call__(self, text: str) -> Any:
        """The value that a text means.

        Raises `ValueError` for unknown names and fields and for values that do not fit, and passes
        on a `ConversionError` of the thing itself.
        """
        if text in self.words:
            return self.words[text]
        if self.begins(text):
            name, _, arguments = text.partition(":")
            return self._made(name, arguments, text)
        if self.leading and text[:1].isdecimal():
            return self._made(self.leading, text, text)
        if self.nameless is not None:
            return self.nameless(text)
        if self.numbers:
            try:
                return float(text)
            except ValueError:
                reason = f"is neither a number nor a {self.what}; {self.known}"
                raise ValueError(f"{text!r} {reason}") from None
        takes = f", which takes {_usage(self._fields(self.leading))}" if self.leading else ""
        raise ValueError(f"{text!r} is no {self.what}{takes}; {self.known}")

    @property
    def known(self) -> str:
        """The words and names that it knows, as a clause."""
        return f"{self.what}s are {', '.join(sorted([*self.words, *self.kinds]))}"

    def split(self, text: str) -> tuple[str, str]:
        """`name=value` as its two parts; the name is empty where the text is a value alone.

        Names may hold = and :, values may too.
        """
        if self.begins(text):
            return "", text
        for place in range(len(text)):
            if text[place] == "=" and self.begins(text[place + 1 :]):
                return text[:place], text[place + 1 :]
        name, separator, value = text.rpartition("=")
        return (name, value) if separator else ("", text)

    def _made(self, name: str, arguments: str, text: str) -> Any:
        """One of a kind, of the arguments behind its name."""
        takes = self._fields(name)
        usage = f"{name} takes {_usage(takes)}"
        given: dict[str, Any] = {}
        for place, part in enumerate(filter(None, arguments.split(","))):
            key, separator, value = part.partition("=")
            if not separator:
                if place >= len(takes):
                    raise ValueError(f"{text!r}: {usage}")
                key, value = list(takes)[place], part
            if key not in takes or key in given:
                problem = "is given twice" if key in given else "is no argument of it"
                raise ValueError(f"{text!r}: {key!r} {problem}; {usage}")
            given[key] = self._value(self.kinds[name], takes[key], value, text)
        missing = [f.name for f in takes.values() if _required(f) and f.name not in given]
        if missing:
            raise ValueError(f"{text!r}: {missing[0]} is missing; {usage}")
        try:
            return self.kinds[name](**given)
        except (TypeError, NetworkError, SimulationError) as error:
            raise ValueError(f"{text!r}: {error}") from None

    def _fields(self, name: str) -> dict[str, Field[Any]]:
        """The fields of a kind that a text gives."""
        return {f.name: f for f in fields(self.kinds[name]) if self.others.get(str(f.type), str)}

    def _value(self, owner: type, one: Field[Any], text: str, whole: str) -> Any:
        kind = _KINDS.get(_plain(get_type_hints(owner)[one.name]))
        if kind is None:
            return (self.others.get(str(one.type)) or str)(text)
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"{whole!r}: {one.name} is {_WORDS[kind]}, not {text!r}") from None


def _plain(hint: Any) -> frozenset[Any]:
    """The types that a text may give a value of: without None, and without arrays."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return frozenset(k for k in kinds if k is not NoneType and get_origin(k) is not np.ndarray)


def _required(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _usage(takes: Mapping[str, Field[Any]]) -> str:
    return ", ".join(
        name if _required(one) else f"{name}={one.default}" for name, one in takes.items()
    )
