"""Sentences of the library as a command says them: options in the place of arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import click

from spikewright._base.texts import written

_CALL = re.compile(r"sw\.(\w+)\(([^()]*)\)")
_VALUE = r"sw\.\w+\([^()]*\)|\"[^\"]*\"|'[^']*'|-?\w+(?:\.\w+)*"


def options_of(commands: Iterable[click.Command]) -> dict[str, str]:
    """The option for each argument of the library that some command has one for.

    Flags also stand under their values, as `spiking=True` and `spiking=False`.
    """
    found: dict[str, str] = {}
    for command in commands:
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name is not None:
                found.setdefault(parameter.name, max(parameter.opts, key=len))
                for flag, value in ((parameter.opts, True), (parameter.secondary_opts, False)):
                    if parameter.is_flag and flag:
                        found.setdefault(f"{parameter.name}={value}", flag[0])
    return found


def in_options(text: str, options: Mapping[str, str]) -> str:
    """A sentence with options in the place of arguments: `spiking=True` becomes `--spiking`."""
    plain = [name for name in options if "=" not in name]
    names = "|".join(map(re.escape, sorted(plain, key=len, reverse=True)))

    def option(match: re.Match[str]) -> str:
        name, value = match[1], match[2]
        return options.get(f"{name}={value}") or f"{options[name]} {_as_text(value)}"

    def named(match: re.Match[str]) -> str:
        return match[0].replace(match[1], options[match[1]]).removeprefix("argument ").strip("'")

    text = re.sub(rf"(?<![\w.])({names})=({_VALUE})", option, text)
    text = re.sub(rf"\bargument '({names})'", named, text)
    text = re.sub(rf"\b(?:key|value) of ({names})\b", named, text)
    words = "|".join(name for name in plain if "_" in name)
    return re.sub(rf"(?<![\w.-])({words})\b(?!=)", named, text)


def _as_text(value: str) -> str:
    """A value as a command takes it: a rule by its name, with its arguments."""
    call = _CALL.fullmatch(value)
    if call is None:
        return value.strip("\"'")
    name = written(call[1])
    arguments = call[2].replace(" ", "")
    return f"{name}:{arguments}" if arguments else name
