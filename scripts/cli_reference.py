"""Writes docs/cli.md from the commands themselves.

    python scripts/cli_reference.py

A test compares the file with what this makes, so run it after changing a command.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from spikewright.cli import main as program

TARGET = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# Command line

For those who work in a terminal or a script of the shell.

Written by `scripts/cli_reference.py` from the commands themselves.

Each command is a thin shell of a library call: `spikewright.demo.run`,
`spikewright.showing.inspection.inspect`, `spikewright.convert`, `Conversion.fits`,
`Conversion.run`, `Conversion.evaluate`, `spikewright.explore`, `spikewright.sweep`,
`Conversion.diagnose`, `spikewright.tune` and `Conversion.train`. Its options are those of the call,
declared once for both.

Names of commands and options are completed by the Tab key once this line is in the settings of the
shell, `~/.bashrc` for bash:

    eval "$(_SPIKEWRIGHT_COMPLETE=bash_source spikewright)"

For zsh, in `~/.zshrc`, it is `zsh_source`. For fish, in
`~/.config/fish/completions/spikewright.fish`:

    _SPIKEWRIGHT_COMPLETE=fish_source spikewright | source
"""


def reference() -> str:
    """The whole page."""
    parts = [HEAD, _paragraphs(program.help)]
    for name, command in program.commands.items():
        arguments = " ".join(
            str(p.name).upper() for p in command.params if isinstance(p, click.Argument)
        )
        parts += [
            f"## `spikewright {name}`\n",
            f"    spikewright {name} [OPTIONS] {arguments}".rstrip() + "\n",
            _paragraphs(command.help),
            _table(command),
        ]
    return "\n".join(parts)


def _paragraphs(text: str | None) -> str:
    """Help text with one line a paragraph."""
    paragraphs = textwrap.dedent(text or "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs) + "\n"


def _table(command: click.Command) -> str:
    rows = ["| option | default | what it does |", "|---|---|---|"]
    for option in command.params:
        if isinstance(option, click.Option):
            rows.append(f"| {_names(option)} | {_default(option)} | {_escape(option.help or '')} |")
    return "\n".join(rows) + "\n"


def _names(option: click.Option) -> str:
    names = "/".join([*option.opts, *option.secondary_opts])
    return f"`{names}`" if option.is_flag else f"`{names} {_metavar(option)}`"


def _metavar(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "{" + ",".join(map(str, option.type.choices)) + "}"
    return str(option.type.name).split()[0].upper()


def _default(option: click.Option) -> str:
    if option.required:
        return "required"
    if isinstance(option.show_default, str):
        return f"`{option.show_default}`"
    return f"`{option.default}`" if option.show_default else ""


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
