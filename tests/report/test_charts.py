"""Every figure by both renderers: one description, the same facts on a page and in a picture."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright
from report.report_pages import (
    SWEPT,
    diagnosed,
    energies,
    evaluated,
    sampled,
    searched,
    swept,
    trained,
)
from spikewright.records import Record
from spikewright.report.elements import drawing
from spikewright.report.figures import (
    charts,
    csv_text,
    decoded_info,
    draw,
    energies_info,
    epochs_infos,
    gaps_info,
    over_time_infos,
    path_info,
    picture,
    rates_info,
    response_curves_info,
    save,
    spikes_info,
    sweep_info,
    trade_off_info,
    tuning_curves_info,
)

rng = np.random.default_rng(7)
SHEET = (Path(spikewright.__file__).parent / "report/page.css").read_text(encoding="utf-8")
TIME, X = np.arange(1, 201) * 0.001, np.linspace(-1, 1, 21)
VALUES = rng.normal(size=(200, 2))

INFOS: dict[str, Any] = {
    "over time": over_time_infos(evaluated())[0],
    "over many steps": over_time_infos(evaluated(3000))[0],
    "epochs": epochs_infos(trained(4, 2))[1],
    "epochs, none kept": epochs_infos(trained(1, 0))[0],
    "trade-off": trade_off_info(searched()),
    "sweep of numbers": sweep_info([r for r in SWEPT if not isinstance(r.how.get("scale"), str)]),
    "sweep of rules": sweep_info(SWEPT),
    "sweep of several steps": sweep_info([
        SWEPT[0], *(r for n in (1, 2, 3, 8, 16) for s in (1.0, 5.0) for r in swept(s, 0.5, 0, n))
    ]),
    "sweep of a metric": sweep_info([
        Record("source bleu", 31.5, "score", 50), *swept(1.0, 12.0, 1e9, name="bleu", unit="score"),
        *swept(10.0, 30.0, 1e-3, name="bleu", unit="score", chosen=True),
    ]),
    "energies": energies_info(energies(4)),
    "gaps": gaps_info(diagnosed()),
    "rates": rates_info({"a": np.arange(9.0), "b": np.zeros(3)}),
    "raster": sampled(),
    "raster, one step": sampled(steps=1).thinned(),
    "spikes": spikes_info({"a": rng.poisson(0.3, (8, 6)), "b": np.zeros((8, 4), int)}, 0.01),
    "decoded": decoded_info(TIME, VALUES, VALUES + 0.1, settled=0.05),
    "decoded alone": decoded_info(TIME, VALUES, None),
    "path": path_info(VALUES, VALUES[:9], ("u", "v")),
    "path alone": path_info(VALUES[:7]),
    "responses": response_curves_info(rng.permutation(X), rng.random((21, 3))),
    "many responses": response_curves_info(X, rng.random((21, 30))),
    "maps": tuning_curves_info(rng.normal(size=(50, 2)), rng.random((50, 40))),
}  # fmt: skip
QUICK = ("over time", "trade-off", "rates", "path")
each = pytest.mark.parametrize("info", INFOS.values(), ids=INFOS)
drawn = pytest.mark.parametrize(
    "info",
    [pytest.param(i, id=n, marks=() if n in QUICK else pytest.mark.slow) for n, i in INFOS.items()],
)


def panels_of(chart: charts.Chart) -> list[charts.Panel]:
    """All panels of a chart, those beside others too."""
    return [one for p in chart.panels for one in (p, p.beside) if one is not None]


def marks_of(chart: charts.Chart, kind: type[Any]) -> list[Any]:
    """The marks of a kind."""
    return [mark for p in panels_of(chart) for mark in p.marks if isinstance(mark, kind)]


@each
def test_a_page_draws_every_mark(info: Any) -> None:
    """At both widths: a path a line with all its points, a mark a point, every text, no colour."""
    chart = info.chart()
    for width in (charts.WIDE, charts.NARROW):
        svg = drawing(chart, width)
        kinds = [(tag.tag, str(tag.get("class")).split()[0], tag) for tag in svg.iter()]
        paths = [(kind, str(t.get("d"))) for tag, kind, t in kinds if tag == "path"]
        lines = [d.count("L") + 1 for kind, d in paths if kind == "line"]
        points = [kind for kind, _ in paths if kind == "mark"]
        texts = [t.text for tag, _, t in kinds if tag == "text"]

        assert lines == [len(line.points) for line in marks_of(chart, charts.Line)]
        assert len(points) == sum(len(marks.points) for marks in marks_of(chart, charts.Marks))
        assert {text for p in chart.panels for _, text, _ in p.ends} <= set(texts)
        said = str(svg.get("aria-label"))
        assert said.startswith(chart.title) and said.endswith(chart.words) and chart.words
        for _, _, tag in kinds:
            assert not {"fill", "stroke", "style", "color"} & set(tag.keys())
            numbers = re.findall(r"-?\d+\.?\d*", tag.get("d", "") if tag.tag == "path" else "")
            assert all(np.isfinite(float(n)) for n in numbers)


@drawn
def test_a_picture_draws_the_same_marks(info: Any, tmp_path: Path) -> None:
    """Lines, marks and spikes at their values, within the axes, plain ticks; saved with the data.

    As PNG, as SVG whose texts are texts, and as rows of one length.
    """
    figure = draw(info)
    vector, data = save(figure, info, tmp_path / "a.svg")
    axes = [one for a in figure.axes if a.get_visible() for one in (a, *a.child_axes)]
    header, *rows = csv.reader(data.read_text(encoding="utf-8").splitlines())

    for found, panel in zip(axes, panels_of(info.chart()), strict=True):
        lines = [line.get_xydata() for line in found.lines]
        for mark in panel.marks:
            if isinstance(mark, charts.Line | charts.Marks):
                assert any(np.array_equal(mark.points, some) for some in lines)
        spikes = [mark for mark in panel.marks if isinstance(mark, charts.Spikes)]
        for mark, dots in zip(spikes, found.collections, strict=False):
            np.testing.assert_array_equal(dots.get_offsets().T, [mark.times, mark.rows])
        assert found.get_xlim() == pytest.approx((panel.x.low, panel.x.high))
        ticks = [t.get_text() for axis in (found.xaxis, found.yaxis) for t in axis.get_ticklabels()]
        assert not any("$" in tick or "e-0" in tick for tick in ticks), ticks
    assert save(figure, info, tmp_path / "a.png")[0].read_bytes().startswith(b"\x89PNG")
    assert b"<text" in vector.read_bytes()
    assert rows and len(rows) == len(info.rows()) - 1
    assert {len(row) for row in rows} == {len(header)} and len(set(header)) == len(header)


@pytest.mark.parametrize("name", ["trade-off", "spikes"])
def test_a_picture_is_the_same_every_time(name: str, tmp_path: Path) -> None:
    """Of the same data, byte for byte."""
    info = INFOS[name]
    first, second = (save(draw(info), info, tmp_path / f"{n}.svg")[0] for n in "ab")
    assert first.read_bytes() == second.read_bytes()


@each
def test_styles_are_known_to_both(info: Any) -> None:
    """Each word of a style has a rule in the page's style sheet, and a look in pictures."""
    chart = info.chart()
    styles = [m.style for p in panels_of(chart) for m in p.marks if hasattr(m, "style")]
    styles += [style for p in panels_of(chart) for _, _, style in p.ends]
    styles += [key.style for key in chart.keys]
    for word in {word for style in styles for word in style.split()}:
        assert re.search(rf"\.{word}\b", SHEET), word
        assert word in picture.LOOKS or word in ("name", "ring"), word


def test_labels_keep_clear_of_marks_and_of_each_other() -> None:
    """Of many settings in one place as many names are shown as have room, and none twice."""
    records = []
    for i in range(20):
        how = {"setting": f"setting {i}", "chosen": i == 3}
        records.append(Record("accuracy", 0.5 + 0.001 * i, "fraction", 9, None, how))
        records.append(Record("spikes per sample", 10.0 + i, "spikes", 9, None, how))
    info = trade_off_info(records)
    texts = [t.text for t in drawing(info.chart(), charts.NARROW).iter("text")]
    shown = [text for text in texts if str(text).startswith("setting")]

    assert "setting 3" in shown and 1 < len(shown) < 20 and len(set(shown)) == len(shown)
    (axes,) = draw(info).axes
    assert "setting 3" in [text.get_text() for text in axes.texts]


def test_formulas_are_texts_in_a_csv() -> None:
    """A name that a spreadsheet would compute gets an apostrophe; numbers do not."""
    rows = [("layer", "value"), ("=SUM(A1)", -1.5), ("-x", 2), ("plain", 3), ("@y", 4)]
    assert csv_text(rows).splitlines() == [
        "layer,value", "'=SUM(A1),-1.5", "'-x,2", "plain,3", "'@y,4",
    ]  # fmt: skip
