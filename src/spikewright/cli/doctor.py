"""`spikewright doctor`: see `spikewright.showing.doctor`."""

from __future__ import annotations

import click

from spikewright.cli.options import command
from spikewright.cli.output import emit, say, show, table_of
from spikewright.report.tables import Column, Table
from spikewright.showing.doctor import Checkup
from spikewright.showing.doctor import doctor as library


@command(group=None)
def doctor(as_json: bool) -> None:
    """Say what works here: engines, instruction sets, extras and their versions.

    Every optional package is imported. Exits with 2 where one is installed and does not work;
    absent ones are no fault. Put the output into reports of errors.
    """
    found = library()
    if as_json:
        emit(found.as_dict())
    else:
        show(_table(found))
        say(_summary(found))
    if found.broken:
        click.get_current_context().exit(2)


def _table(found: Checkup) -> Table:
    title = (
        f"spikewright {found.version}, Python {found.python}, {found.machine}, "
        f"{found.processors} processors"
    )
    return table_of(
        title,
        found.findings,
        Column("what", ""),
        Column("name", "name"),
        Column("state", "state"),
        Column("detail", "version or instruction sets"),
        Column("advice", "what to do"),
    )


def _summary(found: Checkup) -> str:
    if found.broken:
        return f"Broken: {', '.join(f.name for f in found.broken)}."
    absent = sum(f.state == "absent" for f in found.findings)
    return "Everything works." if not absent else f"What is installed works; {absent} are absent."
