"""The score and the cost of each firing-rate scale."""

from __future__ import annotations

from spikewright._base.amounts import counted
from spikewright._base.markup import Markup
from spikewright.records import DEFAULT_TABLE, own_energies
from spikewright.report.figures import sweep_info
from spikewright.report.page.contents import Contents, section
from spikewright.report.page.figure import figure
from spikewright.report.page.tables import table_markup
from spikewright.report.sweeps import rates_table, steps_of_spikes, sweep_table


def sweep(contents: Contents) -> Markup | None:
    """The picture of a sweep, its table, and the rates of layers."""
    if not contents.sweep:
        return None
    info = sweep_info(contents.sweep)
    steps = info.shown_steps
    after = f"after {counted(steps, 'step')} of {1000 * info.dt:g} ms"
    at = steps_of_spikes(contents.sweep)
    table = sweep_table(contents.sweep, at, "Every setting", energies=_energies(contents))
    rates = rates_table(contents.sweep, steps, f"Mean firing rates in Hz, {after}")
    return section(
        "sweep",
        "What the firing-rate scale does",
        figure(info, info.at_one()),
        table_markup(table, "Every setting"),
        None if rates is None else table_markup(rates, "Firing rates by setting"),
    )


def _energies(contents: Contents) -> str:
    """The cost table by which settings were compared, or the default."""
    tables = (record.how.get("table") for record in own_energies(contents.search))
    return next((str(table) for table in tables if table is not None), DEFAULT_TABLE)
