"""Every command and every option says what it does, in `--help` and on the site."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from docs import conf

from spikewright.cli import main


def _options() -> Iterator[tuple[str, click.Option]]:
    for name, command in main.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield name, parameter


def test_every_option_has_a_sentence() -> None:
    """Of some words, and it ends as a sentence does."""
    texts = {f"{name} {option.opts[-1]}": option.help or "" for name, option in _options()}

    assert [n for n, text in texts.items() if len(text) < 15 or text[-1] not in ".)"] == []
    assert len(texts) > 100


@pytest.mark.parametrize("name", main.commands)
def test_help_names_every_option(name: str) -> None:
    """Nothing can be called that `--help` leaves out, and a command begins with what it does."""
    command = main.commands[name]
    shown = CliRunner().invoke(main, [name, "--help"]).stdout

    assert re.match(r"[A-Z].+?\.\s", (command.help or "") + "\n")
    for parameter in command.params:
        assert all(option in shown for option in parameter.opts if option.startswith("--"))


def test_the_page_of_commands_has_all_of_them() -> None:
    """In the order of `--help`; texts stay as they are where reStructuredText has a meaning."""
    page = conf.commands.page(main)
    listed = re.findall(r":commands: (.*)$", page, re.MULTILINE)

    assert listed == [", ".join(main.commands)]
    assert conf.commands.escaped("--data: x, (samples, *shape), of `a*b`") == (
        r"`--data`: x, (samples, \*shape), of `a*b`"
    )
