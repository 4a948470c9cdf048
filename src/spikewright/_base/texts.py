"""Things that a registry names, as text for the command line: `minimum-error:8,per=layer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from types import MappingProxyType
from typing import Any, TypeVar

from spikewright.errors import printable

T = TypeVar("T")


def _whole_numbers(text: str) -> tuple[int, ...]:
    """Numbers between slashes; one behind the last of them may be left out."""
    return tuple(int(number) for number in text.removesuffix("/").split("/"))


def _one_or_several(text: str) -> int | tuple[int, ...]:
    return _whole_numbers(text) if "/" in text else int(text)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_KINDS: Mapping[str, Callable[[str], Any]] = {
    "float": float, "float | NDArray": float, "int": int, "float | None": float, "int | None": int,
    "Natural": int, "Positive": int, "Positive | None": int, "AboveZero": float,
    "AboveZero | None": float, "Percent": float, "Share": float, "bool": _truth,
    "tuple[int, ...]": _whole_numbers, "int | tuple[int, ...]": _one_or_several,
}  # fmt: skip
_WORDS: Mapping[Callable[[str], Any], str] = {
    float: "a number", int: "a whole number", _whole_numbers: "whole numbers such as 6/4/3/3",
    _one_or_several: "a whole number, or several such as 3/1", _truth: "true or false",
}  # fmt: skip
_NONE: Mapping[str, Callable[[str], Any]] = MappingProxyType({})


def parsed(
    text: str,
    registry: Mapping[str, type[T]],
    what: str,
    others: Mapping[str, Callable[[str], Any] | None] = _NONE,
) -> T:
    """The object for a text `name:value,value,field=value`, values in the order of its fields.

    `what` names the registry's members in errors; `others` makes values of fields with these types,
    None leaves such a field out. Raises `ValueError` for unknown names and fields and for values
    that do not fit, and passes on the errors of the object itself.
    """
    name, _, arguments = text.partition(":")
    if name not in registry:
        raise ValueError(f"{name!r} is no {what}; {what}s are {', '.join(sorted(registry))}")
    declared = fields(registry[name])  # type: ignore[arg-type]
    takes = {f.name: f for f in declared if others.get(str(f.type), str) is not None}
    given: dict[str, Any] = {}
    for place, part in enumerate(filter(None, arguments.split(","))):
        key, separator, value = part.partition("=")
        if not separator:
            if place >= len(takes):
                raise ValueError(f"{text!r}: {name} takes {_usage(takes)}")
            key, value = list(takes)[place], part
        if key not in takes or key in given:
            problem = "is given twice" if key in given else "is no argument of it"
            raise ValueError(f"{text!r}: {key!r} {problem}; {name} takes {_usage(takes)}")
        given[key] = _value(takes[key], value, text, others)
    missing = [f.name for f in takes.values() if _required(f) and f.name not in given]
    if missing:
        raise ValueError(f"{text!r}: {missing[0]} is missing; {name} takes {_usage(takes)}")
    return registry[name](**given)


def split_at(text: str, begins: Callable[[str], bool]) -> tuple[str, str]:
    """`name=thing` as its two parts; the name is empty where the text is a thing alone.

    `begins` says whether a text begins as a thing: names may hold = and :, things may too.
    """
    if begins(text):
        return "", text
    for place in range(len(text)):
        if text[place] == "=" and begins(text[place + 1 :]):
            return text[:place], text[place + 1 :]
    name, separator, value = text.rpartition("=")
    return (name, value) if separator else ("", text)


def _value(
    field: Field[Any],
    text: str,
    whole: str,
    others: Mapping[str, Callable[[str], Any] | None],
) -> Any:
    kind = _KINDS.get(str(field.type))
    if kind is None:
        make = others.get(str(field.type)) or str
        return make(text)
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{whole!r}: {field.name} is {_WORDS[kind]}, not {text!r}") from None


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _usage(takes: Mapping[str, Field[Any]]) -> str:
    return ", ".join(
        name if _required(field) else f"{name}={field.default}" for name, field in takes.items()
    )


def aligned(rows: Sequence[Sequence[str]], numbers: bool = False) -> str:
    """Rows of one length as a table: all to the left, or `numbers` to the right, but the first."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if numbers and place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
