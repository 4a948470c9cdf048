"""Output of commands: tables, one JSON document, and sentences with options in place of arguments.

Standard output loses nothing without a word.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import click
from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table as RichTable
from rich.text import Text

from spikewright._base.amounts import steps_text
from spikewright._base.spec_strings import spec_name
from spikewright.choosing.coding import parse_coding
from spikewright.conversion import Conversion
from spikewright.errors import printable
from spikewright.report.layout import TextTable, fitted
from spikewright.report.printed import Part, as_text, left_out
from spikewright.report.tables import Table


def to_rich(table: TextTable, line: int) -> RichTable:
    """A table for a terminal of so many columns: texts to the left, numbers to the right."""
    title = _text(table.title) if table.title else None  # Text: names are not markup
    drawn = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column, width in zip(table.columns, table.widths(line), strict=True):
        side: JustifyMethod = "left" if column.left else "right"
        drawn.add_column(_text(column.heading), justify=side, overflow="fold", width=width)
    for row in zip(*(column.cells for column in table.columns), strict=True):
        drawn.add_row(*map(_text, row))
    return drawn


def _text(text: str) -> Text:
    return Text(printable(text))


_CODES = {kind.__name__: name for name, kind in parse_coding.kinds.items()}
"""The names that commands have for codes of values, by their classes."""
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
    name = _CODES.get(call[1]) or spec_name(call[1])
    arguments = call[2].replace(" ", "")
    return f"{name}:{arguments}" if arguments else name


class OutputLost(click.ClickException):
    """Standard output takes no more: some printed output is lost."""

    exit_code = 2

    def __init__(self, reason: str) -> None:
        super().__init__(f"standard output cannot be written to ({reason}), so output is lost")


class ReaderLeft(OutputLost):
    """The program behind a pipe has read enough, as `head` does: no error is printed.

    It exits with 141, as shells count the signal.
    """

    exit_code = 141

    def show(self, file: IO[Any] | None = None) -> None:
        """Print nothing."""


@contextmanager
def nothing_lost() -> Iterator[None]:
    """Output that cannot be printed raises `OutputLost`; a closed stdout ends the program."""
    stream = sys.stdout
    if stream is None:  # closed before the program began: files that it opens would get its number
        OutputLost("it is closed").show()
        sys.exit(OutputLost.exit_code)
    sys.stdout = _Checked(stream)
    try:
        yield
    finally:
        sys.stdout = stream


class _Checked:
    """A stream whose failures are `OutputLost`, once and for all.

    Other code may try whether a stream takes something, and ignore an error.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lost: OutputLost | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._checked():
            count: int = self._stream.write(text)
            return count

    def flush(self) -> None:
        with self._checked():
            self._stream.flush()

    @contextmanager
    def _checked(self) -> Iterator[None]:
        if self._lost is not None:
            raise self._lost
        try:
            yield
        except OSError as error:
            left = isinstance(error, BrokenPipeError)
            self._lost = (ReaderLeft if left else OutputLost)(error.strerror or str(error))
            self._drop()
            raise self._lost from error

    def _drop(self) -> None:
        """Send the remaining output nowhere, so that flushing it at exit raises no error."""
        try:
            number = self._stream.fileno()
        except (AttributeError, OSError):
            return  # no file of the system's
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


_FILE_WIDTH = 200  # columns, where no terminal says how wide it is


def print_json(document: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def print_text(text: str, err: bool = False) -> None:
    """Print lines of text; characters that a terminal would obey are shown as escapes."""
    click.echo(printable(text), err=err)


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal allows; in files and pipes plain, with all columns."""
    if not sys.stdout.isatty():
        click.echo(as_text([table], _FILE_WIDTH) + "\n")
        return
    console = _console()
    for part in fitted(table, console.width):
        console.print(to_rich(part, console.width))
        if part.left_out:
            print_text(left_out(part))


def print_parts(parts: Iterable[Part]) -> None:
    """Print the tables and paragraphs of a result."""
    for part in parts:
        if isinstance(part, Table):
            print_table(part)
        elif part:
            print_paragraph(f"{part}\n")


def print_paragraph(text: str) -> None:
    """Print a paragraph, wrapped between words where a terminal is narrow."""
    _console().print(printable(text), markup=False)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _FILE_WIDTH, highlight=False, emoji=False)


def network_of(conversion: Conversion) -> str:
    """The kind of a network in a word or two: spiking, rate, or no neurons."""
    kinds = [ensemble.neuron_type for ensemble in conversion.populations().values()]
    spiking = any(kind.spiking for kind in kinds)
    return "spiking" if spiking else "rate" if kinds else "no neurons"


def print_network(conversion: Conversion, name: str) -> None:
    """Print which network the output is about."""
    kind, count = network_of(conversion), conversion.network.n_neurons
    if kind == "no neurons":
        print_text(f"Network of {name}, without neurons")
    else:
        print_text(f"{kind.capitalize()} network of {name}, {count:,} neurons")


def warnings_of(conversion: Conversion) -> list[str]:
    """The warnings and approximations of its trace, a line a layer."""
    return [f"{entry.layer}: {entry.text}" for entry in conversion.trace.warnings]


def duration(steps: int, dt: float, network_steps: int | None = None) -> str:
    """`64 steps of 1 ms`, and the steps of the network where they are more."""
    return steps_text(steps, network_steps or steps, f"{dt * 1000:g} ms")
