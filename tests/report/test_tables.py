"""Tables: rows of plain values from records, and their text."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from spikewright._base.amounts import joules, number, percent
from spikewright.cli.output import to_rich
from spikewright.records import Record
from spikewright.report.layout import fitted
from spikewright.report.sweeps import scale_table
from spikewright.report.tables import (
    Column,
    Table,
    accuracy_table,
    energy_table,
    layer_table,
    operations_table,
)


def _text(table: Table) -> str:
    stream = io.StringIO()
    for part in fitted(table, 120):
        Console(file=stream, width=120).print(to_rich(part, 120))
    return stream.getvalue()


def _at(scale: float | str) -> list[Record]:
    how = {"scale": scale, "steps": 4, "dt": 0.001}
    return [
        Record("accuracy", 0.25, "fraction", 8, (0.1, 0.5), {**how, "readout": "last"}),
        Record("accuracy", 0.75, "fraction", 8, (0.5, 0.9), {**how, "readout": "mean"}),
        Record("firing rate", 77.0, "Hz", 8, how={**how, "layer": "a"}),
        Record("spikes per neuron", 4.938, "spikes", 8, how=how),
        Record("spikes per sample", 12.345, "spikes", 8, how=how),
        Record("accuracy", 0.5, "fraction", 8, None, {**how, "readout": "mean", "steps": 3}),
    ]


def test_a_row_for_each_scale_in_order() -> None:
    """Values of one scale stand in one row, with the source's accuracy beside them."""
    records = [Record("source accuracy", 0.98, "fraction", 8), *_at(5.0), *_at(1.0)]
    table = scale_table(records, "title")

    assert table.as_dicts() == [
        {
            "scale_firing_rates": scale,
            "steps": 4,
            "source_accuracy": 0.98,
            "accuracy_last": 0.25,
            "accuracy_mean": 0.75,
            "rate_hz": pytest.approx(1234.5),
            "spikes_per_image": 12.345,
        }
        for scale in (5.0, 1.0)
    ]
    assert scale_table([*records, *_at("R()")]).rows[2][:3] == ("by rule", 4, 0.98)
    assert "98.0 %" in _text(table)
    assert "1,234" in _text(table)


def test_a_scale_table_needs_the_source() -> None:
    """Without the source's accuracy there is nothing to compare with."""
    with pytest.raises(ValueError, match="unpack"):
        scale_table(_at(1.0))


def test_a_row_for_each_layer() -> None:
    """What was not measured of a layer, such as spikes of rate neurons, is None and shown so."""
    records = [
        Record("firing rate", 3.0, "Hz", how={"layer": "a"}),
        Record("spikes per sample", 7.0, "spikes", how={"layer": "a"}),
        Record("silent neurons", 0.5, "fraction", how={"layer": "a"}),
        Record("saturated neurons", 0.0, "fraction", how={"layer": "a"}),
        Record("firing rate", 4.0, "Hz", how={"layer": "b"}),
        Record("spikes per sample", 7.0, "spikes"),
    ]
    table = layer_table(records)

    assert table.rows == (("a", 3.0, 7.0, 0.5, 0.0), ("b", 4.0, None, None, None))
    assert _text(table).splitlines()[-2].split() == ["b", "4", "-", "-", "-"]


def test_bits_stand_beside_spikes_where_they_have_several_levels() -> None:
    """A layer whose spikes are all alike has none."""
    records = [
        Record("spikes per sample", 7.0, "spikes", how={"layer": "a"}),
        Record("bits per graded spike", 3.0, "bits", how={"layer": "a"}),
        Record("spikes per sample", 9.0, "spikes", how={"layer": "b"}),
    ]
    table = layer_table(records)
    places = {column.key: place for place, column in enumerate(table.columns)}
    assert places["bits_per_spike"] == places["spikes_per_sample"] + 1
    assert [row[places["bits_per_spike"]] for row in table.rows] == [3.0, None]


def test_accuracy_comes_with_its_interval() -> None:
    """One row a readout; other records are left alone."""
    assert accuracy_table(_at(1.0)[:-1]).rows == (
        ("last", 0.25, 0.1, 0.5, 8),
        ("mean", 0.75, 0.5, 0.9, 8),
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1.6652, "1.67"), (81.85, "81.8"), (999.4, "999"), (999.6, "1,000")],
)
def test_numbers_have_three_digits_or_are_whole(value: float, text: str) -> None:
    """Never an exponent for what counts spikes."""
    assert number(value) == text


def test_percent_has_one_decimal() -> None:
    """Fractions become percent at the last moment."""
    assert percent(0.98333) == "98.3 %"


def test_markup_in_names_is_shown_as_it_is() -> None:
    """A layer may be called anything; nothing of a name is taken for formatting."""
    table = Table("", (Column("layer", "layer"),), (("conv[red]1[/red]",), ("[bold]",)))

    assert "conv[red]1[/red]" in _text(table)
    assert "[bold]" in _text(table)


def _counted(name: str, value: float, steps: int, layer: str | None = None) -> Record:
    how = {"steps": steps} if layer is None else {"steps": steps, "layer": layer}
    return Record(name, value, "operations", 8, how=how)


def test_operations_of_layers_and_of_all() -> None:
    """Layers in order, then the whole, of the last step or of one that is named."""
    records = [
        *(_counted("accumulates", 10.0 * steps, steps) for steps in (2, 4)),
        *(_counted("accumulates", steps, steps, "b") for steps in (2, 4)),
        _counted("multiply-accumulates", 3, 4, "a"),
        _counted("neuron updates", 5, 4),
        _counted("event accumulates", 99, 4),
    ]
    rows = operations_table(records).rows
    assert rows == (
        ("b", 4, None, None, None),
        ("a", None, 3, None, None),
        ("all", 40, None, None, 5),
    )
    assert operations_table(records, steps=2).rows == (
        ("b", 2, None, None, None),
        ("all", 20, None, None, None),
    )
    assert operations_table([]).as_dicts()[0]["layer"] == "all"


def test_energy_stands_beside_its_rivals() -> None:
    """One row a cost table: the spiking network, its source at 32 and 8 bits, its twin."""
    networks = (
        ("spiking", "fp32"),
        ("source", "fp32"),
        ("source", "int8"),
        ("quantised twin", "int3"),
    )
    records = [
        Record("energy", float(f"{value}e-9"), "J", how={
            "table": "mine", "network": network, "precision": precision, "steps": steps})
        for steps in (4, 2)
        for value, (network, precision) in enumerate(networks, steps)
    ]  # fmt: skip
    part = {**records[0].how, "part": "synapses"}
    table = energy_table([Record("energy part", 1.0, "J", how=part), *records])
    assert table.rows == (("mine", 4e-9, 5e-9, 6e-9, 7e-9),)
    assert energy_table(records, steps=2).rows == (("mine", 2e-9, 3e-9, 4e-9, 5e-9),)
    assert "4 nJ" in _text(table) and "int3" in _text(table)
    assert [joules(v) for v in (0.0, 2.5e-15, 1.2345e-7, 0.02)] == [
        "0 pJ", "0.0025 pJ", "123 nJ", "20 mJ",
    ]  # fmt: skip


NARROW = Table(
    "title",
    (
        Column("name", "the name"),
        Column("worth", "accuracy", percent),
        Column("worth_low", "from", lambda value: f"{100 * value:.1f}"),
        Column("worth_high", "to", lambda value: f"{100 * value:.1f}"),
        Column("dear", "spikes\nper sample", number, rank=2),
        Column("extra", "of a neuron", number, rank=1),
    ),
    (("one", 0.5, 0.25, 0.75, 1234.0, 1.5), ("two", None, None, None, 2.0, 2.5)),
)


@pytest.mark.parametrize("line", range(20, 100))
def test_lines_of_any_length_hold_whole_words(line: int) -> None:
    """Columns go by rank, then tables are cut; no cell is lost but those that are named."""
    parts = list(fitted(NARROW, line))
    headings = [column.heading for part in parts for column in part.columns]
    left_out = [name for part in parts for name in part.left_out]

    for part in parts:
        assert 1 + sum(width + 2 for width in part.widths(line)) <= max(line, 35)
        assert part.columns[0].cells == ("one", "two")
        assert all(w >= c.least for w, c in zip(part.widths(line), part.columns, strict=True))
    assert "accuracy\n95 % interval" in headings
    assert len(set(headings)) + len(left_out) == 4
    assert left_out in ([], ["of a neuron"], ["of a neuron", "spikes per sample"])
    (interval,) = {c for part in parts for c in part.columns if "interval" in c.heading}
    assert interval.cells == ("50.0 % (25.0 to 75.0)", "-")
