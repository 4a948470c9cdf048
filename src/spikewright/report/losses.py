"""A diagnosis as tables: the loss of each layer, and the proposed changes."""

from __future__ import annotations

from collections.abc import Iterable

from spikewright._base.amounts import number, percent, points
from spikewright.records import SCORE, Record, select
from spikewright.report.tables import Column, Table, value_of

_OF_LAYER = (  # record, heading
    ("drop of the layer alone", "alone\ncosts"),
    ("change of the layer alone", "alone changes\nthe output by"),
    ("dead neurons", "dead\nneurons"),
    ("saturated neurons", "saturated\nneurons"),
    ("unresolved values", "values below\na spike"),
)


def loss_table(records: Iterable[Record], title: str = "") -> Table:
    """One row a layer, the one that costs most first."""
    found = [record for record in records if "layer" in record.how]
    gaps = {str(r.how["layer"]): r.value for r in select(found, "gap", part="whole")}
    present = [entry for entry in _OF_LAYER if select(found, entry[0])]
    columns = [Column("layer", "layer"), Column("gap", "gap", percent)]
    for name, heading in present:
        lost = number if select(found, name)[0].unit == SCORE else points
        show = lost if name.startswith("drop") else percent
        columns.append(Column(name.replace(" ", "_"), heading, show))
    columns.append(Column("spikes", "spikes\nper sample", number))
    names = [*(name for name, _ in present), "spikes per sample"]
    rows = [
        (layer, gap, *(value_of(found, n, layer=layer) for n in names))
        for layer, gap in gaps.items()
    ]
    return Table(title, tuple(columns), tuple(rows))


def proposals_table(records: Iterable[Record], title: str = "") -> Table:
    """One row a proposed change, the best first: its gain and its price in spikes a sample."""
    found = list(records)
    show = points if select(found, "accuracy drop") else percent
    if any(r.unit == SCORE for r in select(found, "predicted gain")):
        show = number
    columns = [
        Column("change", "change"),
        Column("steps", "steps"),
        Column("gain", "gain", show),
        Column("price", "more spikes\na sample", number),
    ]
    names = ["predicted gain", "predicted price"]
    if select(found, "measured gain"):
        columns += [
            Column("gain_run", "gain,\nrun", show),
            Column("price_run", "more spikes,\nrun", number),
        ]
        names += ["measured gain", "measured price"]
    rows = []
    for record in select(found, "predicted gain"):
        change, steps = record.how["change"], record.how["steps"]
        values = [value_of(found, name, change=change, steps=steps) for name in names]
        rows.append((str(change), int(steps), *values))
    return Table(title, tuple(columns), tuple(rows))
