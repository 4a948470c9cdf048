"""The page of the command line: the text of `--help`, by sphinx-click, and an introduction."""

from __future__ import annotations

import re
from typing import Any

import click

PAGE = """Commands
========

Every command calls one function of the library and has its options: ``spikewright convert`` is
`sw.convert`, ``spikewright evaluate`` is `Conversion.evaluate`, and so on.

For completion with the Tab key add this line to ``~/.bashrc``::

    eval "$(_SPIKEWRIGHT_COMPLETE=bash_source spikewright)"

For zsh write ``zsh_source`` in ``~/.zshrc``. For fish put this line into
``~/.config/fish/completions/spikewright.fish``::

    _SPIKEWRIGHT_COMPLETE=fish_source spikewright | source

.. click:: spikewright.cli:main
   :prog: spikewright
   :nested: full
"""


def page(program: click.Group) -> str:
    """The page, its commands in the order of `--help`."""
    return f"{PAGE}   :commands: {', '.join(program.commands)}\n"


def escaped(text: str) -> str:
    """A help text as reStructuredText: options are code, and stars and bars mean nothing."""
    text = re.sub(r"(?<![`\w-])(--[a-z][\w-]*)(?!`)", r"`\1`", text)
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([*|_])", r"\\\1", part) for part in parts
    )


def description(app: Any, context: click.Context, lines: list[str]) -> None:
    """Called by sphinx-click for the help text of every command."""
    lines[:] = escaped("\n".join(lines)).split("\n")


def options(app: Any, context: click.Context, lines: list[str]) -> None:
    """Called by sphinx-click for the options of every command."""
    texts = (line for line in lines if "Sentinel.UNSET" not in line)  # click's word for no default
    lines[:] = [_default(text) if _MARKUP.match(text) else escaped(text) for text in texts]


_MARKUP = re.compile(r"\.\. option::|\s+:default:")


def _default(line: str) -> str:
    """A default as it is typed, not as Python prints it."""
    return re.sub(r"``(?:PosixPath\()?'(.*)'\)?``$", r"``\1``", line)
