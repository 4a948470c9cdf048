"""Options that are given by layer or by input: `LAYER=VALUE` texts as a dict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click


def last(text: str) -> tuple[str, str]:
    """A text at its last =, or no name and the whole text."""
    name, separator, value = text.rpartition("=")
    return (name, value) if separator else ("", text)


def by_layer(
    values: tuple[str, ...],
    convert: Callable[[str], Any],
    what: str,
    split: Callable[[str], tuple[str, str]] = last,
) -> Any | dict[str, Any] | None:
    """One value for all layers, or `{layer: value}` from `name=value` texts; None from nothing.

    Several stand in one text, separated by commas, or in texts of their own. `split` tells a name,
    empty where there is none, from a value.

    Raises `click.BadParameter` for a mixture, for a layer given twice, and for values that
    `convert` refuses with a ValueError.
    """
    named = [entry for value in values for entry in _entries(value, split)]
    if not values:
        return None
    try:
        if len(values) == 1 and named[0] == ("", values[0]):
            return convert(values[0])
        if any(not name for name, _ in named):
            raise click.BadParameter(
                f"give one {what}, or LAYER={what} of some layers and default={what} of the others"
            )
        names = [name for name, _ in named]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise click.BadParameter(f"{', '.join(sorted(twice))}: given more than once")
        return {name: convert(text) for name, text in named}
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _entries(text: str, split: Callable[[str], tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The names and values in a text; arguments of a rule or a neuron type are a part of it."""
    parts = text.split(",")
    while len(parts) > 1 and all("=" in part for part in parts):
        if _has_arguments(split(parts[0])[1]) or not split(parts[0])[0]:
            break
        yield split(parts.pop(0))
    yield split(",".join(parts))


def _has_arguments(value: str) -> bool:
    """Whether a value is `name:arguments`: those may hold commas and =."""
    name, separator, _ = value.partition(":")
    return bool(separator) and any(c.isalpha() for c in name)
