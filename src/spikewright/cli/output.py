"""Output of commands: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console

from spikewright.conversion import Conversion
from spikewright.errors import printable
from spikewright.report.tables import Column, Table
from spikewright.report.terminal import to_rich

_FILE_WIDTH = 200  # columns, where no terminal says how wide it is


def emit(document: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def tell(text: str, err: bool = False) -> None:
    """Print lines of text; characters that a terminal would obey are shown as escapes."""
    click.echo(printable(text), err=err)


def show(table: Table) -> None:
    """Print a table, as wide as the terminal allows; never wrapped in files and pipes."""
    _console().print(to_rich(table))


def table_of(title: str, items: Iterable[Any], *columns: Column) -> Table:
    """A table of one row an item: the attributes that columns have for keys; "" is no value.

    A key may name an attribute of an attribute, `held_back.loss`; that of None is no value.
    """

    def value(item: Any, key: str) -> Any:
        for name in key.split("."):
            item = None if item is None else getattr(item, name)
        return item

    rows = (tuple(value(item, column.key) for column in columns) for item in items)
    return Table(title, columns, tuple(tuple(None if v == "" else v for v in row) for row in rows))


def say(text: str) -> None:
    """Print a paragraph, wrapped between words where a terminal is narrow."""
    _console().print(printable(text), markup=False)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _FILE_WIDTH, highlight=False, emoji=False)


def network_of(conversion: Conversion) -> str:
    """The kind of a network in a word or two: spiking, rate, or no neurons."""
    kinds = [ensemble.neuron_type for ensemble in conversion.populations().values()]
    spiking = any(kind.spiking for kind in kinds)
    return "spiking" if spiking else "rate" if kinds else "no neurons"


def introduce(conversion: Conversion, name: str) -> None:
    """Print which network a command is about to speak of."""
    kind, count = network_of(conversion), conversion.network.n_neurons
    if kind == "no neurons":
        tell(f"Network of {name}, without neurons")
    else:
        tell(f"{kind.capitalize()} network of {name}, {count:,} neurons")


def warnings_of(conversion: Conversion) -> list[str]:
    """The warnings and approximations of its trace, a line a layer."""
    return [f"{entry.layer}: {entry.text}" for entry in conversion.trace.warnings]


def duration(steps: int, dt: float) -> str:
    """`64 steps of 1 ms`."""
    return f"{steps} step{'s' * (steps != 1)} of {dt * 1000:g} ms"
