"""Figures: their data, and that drawing shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikewright.records import Record
from spikewright.report.figures import (
    draw_raster,
    draw_scale_curve,
    raster_info,
    save,
    scale_curve_info,
)

rng = np.random.default_rng(3)


def _records(spikes: tuple[float, ...] = (8.0, 90.0)) -> list[Record]:
    records = [Record("source accuracy", 0.9, "fraction", 20)]
    for scale, count in zip((1.0, 10.0), spikes, strict=True):
        how = {"scale": scale, "steps": 16, "dt": 0.002}
        records += [
            Record("accuracy", 0.5, "fraction", 20, (0.3, 0.7), {**how, "readout": "last"}),
            Record("accuracy", 0.8, "fraction", 20, None, {**how, "readout": "mean"}),
            Record("spikes per sample", count, "spikes", 20, how=how),
        ]
    return records


def test_a_curve_is_its_records() -> None:
    """Values, intervals (the value itself where there is none) and settings are carried over."""
    info = scale_curve_info(_records())

    assert info.scales == (1.0, 10.0)
    assert info.last == ((0.5, 0.3, 0.7),) * 2
    assert info.mean == ((0.8, 0.8, 0.8),) * 2
    assert info.spikes == (8.0, 90.0)
    assert (info.source, info.steps, info.dt, info.n) == (0.9, 16, 0.002, 20)
    assert info.rows()[0][0] == "scale"
    assert info.rows()[2] == (10.0, 0.9, 0.5, 0.3, 0.7, 0.8, 0.8, 0.8, 90.0)


@pytest.mark.parametrize("missing", ["source accuracy", "accuracy", "spikes per sample"])
def test_a_curve_needs_all_of_its_parts(missing: str) -> None:
    """A figure with a part left out would mislead; it is refused."""
    with pytest.raises(ValueError, match="a scale curve needs"):
        scale_curve_info([record for record in _records() if record.name != missing])


def test_a_raster_is_its_spikes() -> None:
    """Events are the non-zero counts with their step (from 1) and flat neuron number."""
    counts = rng.poisson(0.3, (6, 2, 3))
    answers = rng.normal(size=(6, 4))
    info = raster_info({"layer": counts}, answers, answers[-1], 0.002, {"scale": 2})
    rebuilt = np.zeros((6, 6), int)
    steps, neurons, values = info.spikes["layer"].T
    rebuilt[steps - 1, neurons] = values

    np.testing.assert_array_equal(rebuilt, counts.reshape(6, 6))
    np.testing.assert_allclose(info.running_mean[-1], info.source)
    np.testing.assert_allclose(info.time_ms, [2, 4, 6, 8, 10, 12])
    assert info.neurons == {"layer": 6}
    assert len(info.rows()) == 1 + len(info.spikes["layer"]) + 6 * 4 + 4


def test_the_curve_is_drawn_with_its_values() -> None:
    """Both readouts, the source and the spikes are on the picture, with units on the axes."""
    figure = draw_scale_curve(scale_curve_info(_records()))
    top, bottom = figure.axes

    assert top.get_ylabel() == "accuracy (%)"
    assert bottom.get_ylabel() == "spikes per image"
    assert bottom.get_xlabel() == "scale_firing_rates"
    assert [t.get_text() for t in top.get_legend().get_texts()] == [
        "mean over the run",
        "last step alone",
    ]
    drawn = [tuple(line.get_ydata()) for line in top.lines]
    assert any(np.allclose(line, 80) for line in drawn)
    assert any(np.allclose(line, 50) for line in drawn)
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), [8, 90])
    assert bottom.get_yscale() == "log"


def test_no_spikes_at_all_can_be_drawn() -> None:
    """A logarithm has no zero: the axis is linear then."""
    figure = draw_scale_curve(scale_curve_info(_records((0.0, 0.0))))

    assert figure.axes[1].get_yscale() == "linear"


def test_the_raster_shows_every_layer_and_the_output(tmp_path: Path) -> None:
    """A panel a layer, one for the output with a line a class, time in milliseconds."""
    counts = {"a": rng.poisson(0.2, (8, 30)), "b": np.zeros((8, 5), int)}
    output = rng.normal(size=(8, 3))
    info = raster_info(counts, output, np.array([0.5, 2.0, -1.0]), 0.001)
    figure = draw_raster(info)
    picture, data = save(figure, info, tmp_path / "raster.png")

    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes] == ["a", "b", "output,"]
    assert figure.axes[-1].get_xlabel() == "time (ms)"
    assert len(figure.axes[-1].lines) == 2 * 3
    assert {text.get_text() for text in figure.axes[-1].texts} == {"output 1", "output 0"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert data.read_text().splitlines()[0] == "what,layer,index,time_ms,value"
