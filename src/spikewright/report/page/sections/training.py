"""A training: its loss, scores and spikes by epoch, and what changed by layer."""

from __future__ import annotations

from collections.abc import Sequence

from spikewright._base.amounts import number, percent
from spikewright._base.markup import Markup
from spikewright.records import Record
from spikewright.report.figures import epochs_infos
from spikewright.report.page.contents import Contents, section
from spikewright.report.page.figure import figure
from spikewright.report.page.tables import table_markup
from spikewright.report.tables import Column, Table

_CHANGES = (
    Column("change of weights", "weights,\nchange", percent),
    Column("change of biases", "biases,\nchange", percent),
    Column("threshold, after over before", "threshold,\nafter / before", number),
    Column("change of start", "start,\nchange in spikes", number),
)


def training(contents: Contents) -> Markup | None:
    """The pictures of a training's epochs, and the table of changes."""
    figures = [figure(info) for info in epochs_infos(contents.training)]
    table = changes_table(contents.training, "What changed by layer")
    return section(
        "training",
        "The training",
        figures,
        None if not table.rows else table_markup(table, "Changes by layer"),
    )


def changes_table(records: Sequence[Record], title: str) -> Table:
    """A row a layer, with the columns that some layer has."""
    found: dict[str, dict[str, float]] = {}
    for record in records:
        if "layer" in record.how:
            found.setdefault(str(record.how["layer"]), {})[record.name] = record.value
    columns = [c for c in _CHANGES if any(c.key in values for values in found.values())]
    rows = tuple(
        (layer, *(values.get(column.key) for column in columns)) for layer, values in found.items()
    )
    return Table(title, (Column("layer", "layer"), *columns), rows)
