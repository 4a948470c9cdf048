"""Rules as text: `minimum-error:8,per=layer`, for the command line."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any

from spikewright.calibrate.rule import RULES, ScaleRule

_KINDS = {"float": float, "int": int, "float | None": float, "int | None": int}
_WORDS = {float: "a number", int: "a whole number"}


def parse(text: str) -> ScaleRule:
    """The rule that `name:value,value,field=value` means, values in the order of its fields.

    Raises `ValueError` for unknown names and fields and for values that do not fit, and
    `ConversionError` for what the rule refuses.
    """
    name, _, arguments = text.partition(":")
    if name not in RULES:
        raise ValueError(f"{name!r} is no rule; rules are {', '.join(sorted(RULES))}")
    kind = RULES[name]
    takes = {f.name: f for f in fields(kind) if f.name != "rule"}  # type: ignore[arg-type]
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
        given[key] = _value(takes[key], value, text)
    missing = [f.name for f in takes.values() if _required(f) and f.name not in given]
    if missing:
        raise ValueError(f"{text!r}: {missing[0]} is missing; {name} takes {_usage(takes)}")
    return kind(**given)


def is_rule(text: str) -> bool:
    """Whether a text begins with the name of a rule."""
    return text.partition(":")[0] in RULES


def split(text: str) -> tuple[str, str]:
    """`layer=rule` as its two parts; the layer is empty where the text is a rule alone."""
    if not is_rule(text):
        for place in range(len(text)):
            if text[place] == "=" and is_rule(text[place + 1 :]):
                return text[:place], text[place + 1 :]
        layer, separator, value = text.rpartition("=")
        return (layer, value) if separator else ("", text)
    return "", text


def _value(field: Field[Any], text: str, whole: str) -> Any:
    kind = _KINDS.get(str(field.type))
    if kind is None:
        return text
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{whole!r}: {field.name} is {_WORDS[kind]}, not {text!r}") from None


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _usage(takes: dict[str, Field[Any]]) -> str:
    return ", ".join(
        name if _required(field) else f"{name}={field.default}" for name, field in takes.items()
    )
