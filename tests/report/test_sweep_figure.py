"""A sweep as numbers, as a picture, as a table and on a page: from its records alone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from report.report_pages import SWEPT, swept
from spikewright.records import Record
from spikewright.report import write_html
from spikewright.report.figures import csv_text, sweep_info
from spikewright.report.sweeps import rates_table, sweep_table

SOURCE = SWEPT[0]


def test_the_numbers_are_those_of_the_records() -> None:
    """Scales in order, rules behind them; a curve for each synapse, readout and number of steps."""
    info = sweep_info(SWEPT)

    assert info.scales == (1.0, 5.0, "MinimumError(steps=4)")
    assert not info.numbers and info.steps == (4,)
    assert [(c.name, c.readout) for c in info.curves] == [
        ("no synapse", "mean"), ("no synapse", "last"), ("synapse 2 ms", "mean"),
        ("synapse 2 ms", "last"),
    ]  # fmt: skip
    assert [tuple(p) for p in info.curves[0].points] == [
        (0, 0.3, pytest.approx(0.25), pytest.approx(0.35), 20, False),
        (1, 0.85, pytest.approx(0.8), pytest.approx(0.9), 100, True),
        (2, 0.88, pytest.approx(0.83), pytest.approx(0.93), 70, False),
    ]
    assert info.curves[1].points[0][1:4] == (0.15, 0.15, 0.15)
    assert (info.source, info.n, info.dt) == (0.9, 50, 0.001)
    header, *rows = csv.reader(csv_text(info.rows()).splitlines())
    assert len(rows) == 8 and len(header) == len(set(header)) == len(rows[0])
    assert [row[header.index("chosen")] for row in rows].count("1") == 1


def test_one_line_alone_needs_no_name() -> None:
    """Where synapses and neurons do not differ, readouts tell curves apart."""
    info = sweep_info([SOURCE, *swept(1.0, 0.3), *swept(10.0, 0.8)])

    assert info.numbers
    assert [c.name for c in info.curves] == ["", ""]


@pytest.mark.parametrize("chosen", [None, 3, 40])
def test_at_most_four_numbers_of_steps_are_shown(chosen: int | None) -> None:
    """The last, and the chosen one, among them."""
    records = [SOURCE]
    for steps in (1, 2, 3, 8, 16, 30, 40):
        records += swept(5.0, 0.5, steps=steps, chosen=steps == chosen)
        records += swept(1.0, 0.5, steps=steps)
    shown = sweep_info(records).steps

    assert len(shown) == 4 and shown[-1] == 40 and list(shown) == sorted(shown)
    assert chosen is None or chosen in shown


def test_a_metric_is_shown_as_it_counts() -> None:
    """No percent; the table and the page neither."""
    records = [
        Record("source bleu", 31.5, "score", 50),
        *swept(1.0, 12.0, name="bleu", unit="score"),
        *swept(10.0, 30.0, name="bleu", unit="score", chosen=True),
    ]
    info = sweep_info(records)
    table = sweep_table(records, [4])

    assert info.chart().panels[0].y.heading == "bleu"
    assert [c.format(12.0) for c in table.columns if c.key == "bleu_mean"] == ["12"]
    assert "30" in info.chart().words


def test_the_page_has_a_section_of_it(tmp_path: Path) -> None:
    """A drawing at two widths, its keys, the table; what comes from files is escaped."""
    path = write_html(tmp_path / "a.html", sweep=[*SWEPT, *swept("<b>&", 0.5, 3)])
    text = path.read_text(encoding="utf-8")

    assert 'id="sweep"' in text and "Accuracy against the firing-rate scale, after 4 steps" in text
    assert "the source, 90.0 %" in text and "chosen" in text and 'class="ring"' in text
    assert "<b>&" not in text and "&lt;b&gt;&amp;" in text
    assert 'id="sweep"' not in write_html(tmp_path / "b.html").read_text(encoding="utf-8")


def test_rates_of_layers_beside_each_other() -> None:
    """A row a layer, a column a setting; of more than twelve settings none."""
    table = rates_table(SWEPT, 4)
    assert table is not None

    assert [c.heading for c in table.columns] == [
        "layer", "scale 5", "scale 1", "scale MinimumError(steps=4)", "scale 5,\nsynapse 2 ms",
    ]  # fmt: skip
    assert table.rows == (("a", 100 / 7, 20 / 7, 10.0, 99 / 7),)
    many = [r for scale in np.arange(1.0, 14.0) for r in swept(scale, 0.5)]
    assert rates_table(many, 4) is None


def test_records_of_no_sweep_are_refused() -> None:
    """The error says what is missing."""
    with pytest.raises(ValueError, match="a sweep needs what answers are worth"):
        sweep_info([SOURCE])
