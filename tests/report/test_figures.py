"""Figures: their data, and that drawing shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report.report_pages import diagnosed, energies, evaluated, searched
from spikewright.records import Record
from spikewright.report.figures import (
    csv_text,
    draw_energies,
    draw_epochs,
    draw_gaps,
    draw_over_time,
    draw_raster,
    draw_rates,
    draw_trade_off,
    energies_info,
    epochs_infos,
    gaps_info,
    over_steps,
    over_time_infos,
    raster_info,
    rates_info,
    save,
    trade_off_info,
)

rng = np.random.default_rng(3)


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


def test_a_line_over_time_is_its_records() -> None:
    """Steps in order, intervals, the source's value; each output by itself."""
    (info,) = over_time_infos(evaluated(4))

    assert (info.measure, info.source, info.n, info.dt) == ("accuracy", 0.9, 100, 0.001)
    assert [step for step, *_ in info.lines["mean"]] == [1, 2, 3, 4]
    assert info.last["last"][1:] == pytest.approx((0.88, 0.83, 0.93))
    assert len(info.rows()) == 1 + 2 * 4
    records = [
        Record("agreement", 0.5, "fraction", 2, None, {"steps": t, "readout": "mean", "output": o})
        for o in ("a", "b")
        for t in (1, 2)
    ]
    assert [i.output for i in over_time_infos(records)] == ["a", "b"]
    assert over_time_infos(records[:1]) == []


def test_many_steps_are_thinned_to_the_ends() -> None:
    """The first and the last step stay, and those in between are fewer than 400."""
    (info,) = over_time_infos(evaluated(3000))
    steps = [step for step, *_ in info.lines["mean"]]

    assert (steps[0], steps[-1]) == (1, 3000)
    assert len(steps) <= 400
    assert steps == sorted(set(steps))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 1e6)), min_size=2, max_size=12, unique=True)
)
def test_the_front_is_what_nothing_beats(pairs: list[tuple[float, float]]) -> None:
    """A setting is on it exactly where no other is as good for less, or better for as much."""
    records = [
        record
        for i, (worth, cost) in enumerate(pairs)
        for record in (
            Record("accuracy", worth, "fraction", 5, None, {"setting": i}),
            Record("spikes per sample", cost, "spikes", 5, None, {"setting": i}),
        )
    ]
    info = trade_off_info(records)

    for s in info.settings:
        beaten = any(
            (o.worth >= s.worth and o.cost < s.cost) or (o.worth > s.worth and o.cost <= s.cost)
            for o in info.settings
        )
        assert s.front == (not beaten)
    assert [s.cost for s in info.front] == sorted(s.cost for s in info.front)


def test_a_drop_is_the_better_the_smaller() -> None:
    """The front of drops falls with the cost; energy is that of one table, of what spikes."""
    records = []
    for name, drop, joules in (("a", 0.2, 1e-9), ("b", 0.05, 2e-9), ("c", 0.1, 3e-9)):
        how = {"setting": name}
        told = {**how, "table": "t"}
        records += [
            Record("accuracy drop", drop, "fraction", 5, None, how),
            Record("energy", 9.0, "J", 5, None, {**told, "network": "source"}),
            Record("energy", joules, "J", 5, None, {**told, "network": "spiking"}),
            Record("energy", 9.0, "J", 5, None, {**told, "table": "u", "network": "spiking"}),
        ]
    info = trade_off_info(records, "energy")

    assert [s.name for s in info.front] == ["a", "b"]
    assert [s.cost for s in info.settings] == [1e-9, 2e-9, 3e-9]
    with pytest.raises(ValueError, match="at least two settings"):
        trade_off_info(records[:4], "energy")


def test_steps_of_an_evaluation_are_settings() -> None:
    """Where spikes were recorded at several steps, each is worth something for a price."""
    info = trade_off_info(over_steps(evaluated(8)))

    assert [(s.name, s.cost) for s in info.settings] == [("4 steps", 40.0), ("8 steps", 80.0)]
    assert info.source == 0.9


def test_rates_are_percentiles_of_neurons() -> None:
    """Of each layer, with the share that is silent."""
    info = rates_info({"a": np.arange(101.0).reshape(1, 101), "b": np.zeros(4)})

    assert info.layers["a"].percentiles == (5.0, 25.0, 50.0, 75.0, 95.0)
    assert (info.layers["a"].mean, info.layers["a"].largest) == (50.0, 100.0)
    assert (info.layers["a"].silent, info.layers["b"].silent) == (pytest.approx(1 / 101), 1.0)
    assert len(info.rows()) == 3


def test_gaps_keep_their_parts_and_order() -> None:
    """Layers as the diagnosis ranks them; parts add up to the whole; absent ones are not named."""
    info = gaps_info(diagnosed())

    assert list(info.parts) == ["conv", "dense"]
    assert info.present == ["inherited", "clipping", "quantisation"]
    assert sum(info.parts["conv"].values()) == pytest.approx(info.whole["conv"])
    assert info.alone == {"conv": 0.1, "dense": 0.05}
    with pytest.raises(ValueError, match="records of a diagnosis"):
        gaps_info(evaluated())


def test_energies_are_those_of_the_last_step() -> None:
    """By table and network, rivals named with their precision."""
    info = energies_info([*energies(4), *energies(8)])

    assert info.steps == 8
    assert info.networks == ["spiking", "source, fp32", "source, int8", "quantised twin, int4"]
    assert info.tables["chip"]["spiking"] == 5e-6
    with pytest.raises(ValueError, match="name their cost table"):
        energies_info([])


def test_a_thinned_raster_keeps_numbers_and_ends() -> None:
    """Fewer layers, the most active neurons, fewer steps and outputs; all keep their numbers."""
    counts = {name: rng.poisson(0.5, (30, 50)) for name in "abcde"}
    answers = rng.normal(size=(30, 20))
    whole = raster_info(
        counts, answers, answers[-1], 0.001, {}, {n: np.arange(50) for n in "abcde"}
    )
    info = whole.thinned(layers=3, neurons=8, steps=10)

    assert list(info.spikes) == ["a", "c", "e"]
    total = counts["a"].sum(axis=0)
    hidden = np.setdiff1d(np.arange(50), info.shown("a"))
    assert len(info.shown("a")) == 8 and (np.diff(info.shown("a")) > 0).all()
    assert total[info.shown("a")].min() >= total[hidden].max()
    np.testing.assert_array_equal(info.activations["c"], info.shown("c"))
    steps, neurons, values = info.spikes["e"].T
    np.testing.assert_array_equal(values, counts["e"][steps - 1, neurons])
    assert set(neurons) <= set(info.shown("e")) and steps.max() <= 10
    np.testing.assert_array_equal(info.numbers, np.sort(np.argsort(answers[-1])[-10:]))
    np.testing.assert_array_equal(info.source, answers[-1][info.numbers])
    assert sum(map(len, whole.thinned(events=50).spikes.values())) <= 50


@pytest.mark.parametrize("shape", [(8, 8), (1, 70, 40), (6, 6, 3), (64,)])
def test_a_sample_that_is_a_picture_is_shown(shape: tuple[int, ...]) -> None:
    """From its least value to its greatest, at most 32 pixels to a side once it is thinned."""
    x = rng.normal(size=shape)
    answers = rng.normal(size=(4, 2))
    whole = raster_info({"a": np.ones((4, 3))}, answers, answers[-1], 0.001, x=x)
    picture, page = whole.picture, whole.thinned().picture

    assert picture is not None and page is not None
    assert picture.size == x.size // (3 if shape[-1] == 3 else 1)
    assert 0 <= picture.min() <= picture.max() <= 1
    if shape[-1] != 3:
        assert np.unravel_index(picture.argmax(), picture.shape) == np.unravel_index(
            x.argmax(), picture.shape
        )
    assert max(page.shape) <= 32
    plain = raster_info({"a": np.ones((4, 3))}, answers, answers[-1], 0.001, x=rng.normal(size=5))
    assert plain.picture is None


@pytest.mark.parametrize(
    ("draw", "info", "axes"),
    [
        (draw_over_time, over_time_infos(evaluated())[0], "accuracy (%)"),
        (draw_trade_off, trade_off_info(searched()), "accuracy (%)"),
        (draw_rates, rates_info({"a": np.arange(9.0), "b": np.ones(3)}), ""),
        (draw_gaps, gaps_info(diagnosed()), ""),
        (draw_energies, energies_info(energies(4)), ""),
    ],
)
def test_each_figure_is_drawn_and_saved_with_its_data(
    draw: Callable[[Any], Any], info: Any, axes: str, tmp_path: Path
) -> None:
    """As PNG and as SVG whose texts are texts, the same file every time, and as CSV."""
    figure = draw(info)
    picture, data = save(figure, info, tmp_path / "figure.png")
    vector, _ = save(draw(info), info, tmp_path / "figure.svg")
    first = vector.read_bytes()
    save(draw(info), info, vector)

    figure.draw_without_rendering()
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        ticks = [label.get_text() for label in axis.get_ticklabels()]
        assert not any("$" in tick or "e-" in tick for tick in ticks), ticks
    assert figure.axes[0].get_ylabel() == axes
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert b"<text" in first and vector.read_bytes() == first
    assert len(data.read_text(encoding="utf-8").splitlines()) == len(info.rows())


def test_formulas_are_texts_in_a_csv() -> None:
    """A name that a spreadsheet would compute gets an apostrophe; numbers do not."""
    rows = [("layer", "value"), ("=SUM(A1)", -1.5), ("-x", 2), ("plain", 3), ("@y", 4)]

    assert csv_text(rows).splitlines() == [
        "layer,value", "'=SUM(A1),-1.5", "'-x,2", "plain,3", "'@y,4",
    ]  # fmt: skip


def trained(epochs: int, kept: int) -> list[Record]:
    """Records of a training: a loss of two kinds of samples, and an accuracy."""
    found = []
    for epoch in range(1, epochs + 1):
        how = {"epoch": epoch, "way": "rounding", "kept": epoch == kept}
        for samples, loss in (("trained on", 1 / epoch), ("held back", 2 / epoch)):
            found.append(Record("loss", loss, "loss", how={**how, "samples": samples}))
        score = {**how, "samples": "held back"}
        found.append(Record("accuracy", 1 - 0.5 / epoch, "fraction", how=score))
    return found


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_training_has_a_figure_for_each_measure(epochs: int) -> None:
    """Lines by epoch in order, whatever the order of the records; the kept epoch is marked."""
    other = Record("change of weights", 0.1, "fraction", how={"layer": "a"})
    loss, accuracy = epochs_infos(reversed([other, *trained(epochs, 1)]))
    assert (loss.measure, accuracy.measure) == ("loss", "accuracy")
    assert loss.lines["held back"] == tuple((e, 2 / e) for e in range(1, epochs + 1))
    assert accuracy.fraction and loss.kept == 1
    assert len(loss.rows()) == 1 + 2 * epochs
    (axes,) = draw_epochs(accuracy).axes
    assert axes.get_ylabel() == "accuracy (%)"
    drawn = axes.get_lines()[0].get_ydata()
    assert list(drawn) == [100 * (1 - 0.5 / e) for e in range(1, epochs + 1)]


def test_a_network_that_was_kept_as_it_began_has_no_epoch_that_was_kept() -> None:
    """Then nothing is marked."""
    loss, _ = epochs_infos(trained(3, kept=0))
    assert loss.kept is None
    assert len(draw_epochs(loss).axes[0].get_lines()) == 2
