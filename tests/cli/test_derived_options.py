"""Options of commands follow from what their library functions declare: one law for all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import spikewright as sw
from spikewright import demo
from spikewright.cli import main
from spikewright.cli.options import Text
from spikewright.showing.inspection import inspect as inspect_model

LIBRARY: dict[str, Callable[..., Any]] = {
    "convert": sw.convert,
    "inspect": inspect_model,
    "run": sw.Conversion.run,
    "evaluate": sw.Conversion.evaluate,
    "diagnose": sw.Conversion.diagnose,
    "sweep": sw.sweep,
    "tune": sw.tune,
    "train": sw.Conversion.train,
}
PYTHON_ONLY = {
    "self", "x", "y",  # in the data file
    "fallback", "metric", "noise", "record", "readouts", "loss", "keep",
}  # fmt: skip
"""Parameters of which no text can say a value, or that a file or another option stands for."""
ELSEWHERE = {
    ("sweep", "neurons"),
    ("sweep", "scales"),
    ("tune", "weights"),
    ("train", "keep"),
}
OPTIONS = [
    pytest.param(name, option, id=f"{name} {option.opts[-1]}")
    for name, command in main.commands.items()
    for option in command.params
    if isinstance(option, click.Option)
]


def shown(command: str, *arguments: str) -> str:
    """What a command that must fail says on standard error."""
    found = CliRunner().invoke(main, [command, *arguments])
    assert found.exit_code == 2, found.output
    return found.stderr


@pytest.mark.parametrize("name", LIBRARY)
def test_a_command_has_every_option_of_its_function(name: str) -> None:
    """Those of which a text can say a value."""
    options = {parameter.name for parameter in main.commands[name].params}
    missing = set(inspect.signature(LIBRARY[name]).parameters) - options - PYTHON_ONLY
    assert {(name, parameter) for parameter in missing} <= ELSEWHERE


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_is_explained_once(name: str, option: click.Option) -> None:
    """A sentence, and no other option of that name: of two, click would take the last alone."""
    others = [flag for other in main.commands[name].params for flag in other.opts]
    assert option.help and option.help.endswith(".")
    assert "--json" in {flag for other in main.commands[name].params for flag in other.opts}
    assert all(others.count(flag) == 1 for flag in option.opts)


@pytest.mark.parametrize(
    ("name", "option"),
    [p for p in OPTIONS if isinstance(p.values[1].type, Text) and p.values[1].type.name != "text"],  # type: ignore[union-attr]
)
def test_a_text_that_is_no_number_is_named(name: str, option: click.Option) -> None:
    """With its option and the page that explains it, before any file is looked at."""
    said = shown(name, option.opts[-1], "two")
    assert said.startswith(f"Error: Invalid value for '{option.opts[-1]}'")
    assert "'two' is not a" in said and said.endswith(f"See: spikewright {name} --help\n")


@pytest.mark.parametrize("name", LIBRARY)
def test_values_are_checked_as_they_are_declared(name: str) -> None:
    """In the words of the declaration, once it says more than the type; no text says None."""
    for option in main.commands[name].params:
        check = option.type.one.check if isinstance(option.type, Text) else None
        if check is None or check.holds(-1) or option.type.name == "text":
            continue
        said = shown(name, option.opts[-1], "-1")
        must = check.broken(-1).removeprefix("None or ")
        assert f"'{option.opts[-1]}': must be {must}, got -1" in said


def test_a_name_that_is_near_is_told() -> None:
    """As for an argument of the library."""
    assert "Did you mean --scale?" in shown("run", str(demo.MODEL), "--scal", "2").replace("'", "")


def test_options_are_made_in_two_files() -> None:
    """Those that are declared in one, those that name files in the other."""
    folder = Path(inspect.getfile(main.__class__)).parent
    found = {p.name for p in folder.glob("*.py") if "click.option(" in p.read_text("utf-8")}
    assert found == {"options.py", "files.py"}
