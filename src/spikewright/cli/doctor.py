"""`spikewright doctor`: see `spikewright.showing.doctor`."""

from __future__ import annotations

import click

from spikewright.cli.given import Given
from spikewright.cli.options import command
from spikewright.cli.output import say, show, table_of
from spikewright.report.tables import Column
from spikewright.showing.doctor import Checkup
from spikewright.showing.doctor import doctor as library


@command()
def doctor(given: Given) -> None:
    """Say what works here: engines, instruction sets, extras and their versions.

    Every optional package is imported. Exits with 2 where one is installed and does not work;
    absent ones are no fault. Put the output into reports of errors.
    """
    found = library()
    given.answer(found.as_dict(), lambda: _print(found))
    if found.broken:
        click.get_current_context().exit(2)


def _print(found: Checkup) -> None:
    title = (
        f"spikewright {found.version}, Python {found.python}, {found.machine}, "
        f"{found.processors} processors"
    )
    columns = (
        Column("what", ""),
        Column("name", "name"),
        Column("state", "state"),
        Column("detail", "version or instruction sets"),
        Column("advice", "what to do"),
    )
    show(table_of(title, found.findings, *columns))
    absent = sum(f.state == "absent" for f in found.findings)
    if found.broken:
        say(f"Broken: {', '.join(f.name for f in found.broken)}.")
    elif absent:
        say(f"What is installed works; {absent} are absent.")
    else:
        say("Everything works.")
