"""Figures: their data, and that drawing shows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report.report_pages import diagnosed, energies, evaluated, trained, watched
from spikewright.records import Record
from spikewright.report.figures import (
    Info,
    decoded_info,
    energies_info,
    epochs_infos,
    gaps_info,
    over_steps,
    over_time_infos,
    path_info,
    raster_info,
    rates_info,
    response_curves_info,
    spikes_info,
    trade_off_info,
    tuning_curves_info,
)

rng = np.random.default_rng(3)


def columns_of(info: Info) -> dict[str, list[Any]]:
    """The data of a figure, by the names of its columns."""
    header, *rows = info.rows()
    return {str(name): list(c) for name, c in zip(header, zip(*rows, strict=True), strict=True)}


def test_a_raster_is_its_spikes() -> None:
    """Events are the non-zero counts with their step (from 1) and flat neuron number."""
    counts = rng.poisson(0.3, (6, 2, 3))
    answers = rng.normal(size=(6, 4))
    info = raster_info(watched({"layer": counts}, answers, dt=0.002), {"scale": 2})
    rebuilt = np.zeros((6, 6), int)
    steps, neurons, values = info.spikes["layer"].T
    rebuilt[steps - 1, neurons] = values

    np.testing.assert_array_equal(rebuilt, counts.reshape(6, 6))
    np.testing.assert_allclose(info.running_mean[-1], info.source)
    np.testing.assert_allclose(info.time_ms, [2, 4, 6, 8, 10, 12])
    assert info.neurons == {"layer": 6}
    assert len(info.rows()) == 1 + len(info.spikes["layer"]) + 6 * 4 + 4


def test_a_line_over_time_is_its_records() -> None:
    """Steps in order, intervals, the source's value; each output by itself."""
    (info,) = over_time_infos(evaluated(4))
    rows = info.rows()

    assert rows[0][3:] == ("accuracy", "accuracy_low", "accuracy_high", "source")
    assert [row[:3] for row in rows[1:5]] == [("mean", step, step) for step in (1, 2, 3, 4)]
    assert rows[-1][0] == "last" and rows[-1][3:] == pytest.approx((0.88, 0.83, 0.93, 0.9))
    assert len(rows) == 1 + 2 * 4
    records = [
        Record("agreement", 0.5, "fraction", 2, None, {"steps": t, "readout": "mean", "output": o})
        for o in ("a", "b")
        for t in (1, 2)
    ]
    titles = [info.chart().title for info in over_time_infos(records)]
    assert [title.rpartition(", ")[2] for title in titles] == ["output a", "output b"]
    assert over_time_infos(records[:1]) == []


def test_many_steps_are_thinned_to_the_ends() -> None:
    """The first and the last step stay, and those in between are fewer than 400."""
    (info,) = over_time_infos(evaluated(3000))
    steps = [step for readout, step, *_ in info.rows() if readout == "mean"]

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

    settings = [(worth, cost, front) for _, worth, cost, front, _ in info.rows()[1:]]
    for worth, cost, front in settings:
        beaten = any((w >= worth and c < cost) or (w > worth and c <= cost) for w, c, _ in settings)
        assert front == (not beaten)
    assert [cost for _, cost, _ in settings] == sorted(cost for _, cost, _ in settings)


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

    assert [row[0] for row in info.rows()[1:] if row[3]] == ["a", "b"]
    assert columns_of(info)["energy_under_t"] == [1e-9, 2e-9, 3e-9]
    with pytest.raises(ValueError, match="at least two settings"):
        trade_off_info(records[:4], "energy")


def test_steps_of_an_evaluation_are_settings() -> None:
    """Where spikes were recorded at several steps, each is worth something for a price."""
    info = trade_off_info(over_steps(evaluated(8)))

    assert [row[::2][:2] for row in info.rows()[1:]] == [("4 steps", 40.0), ("8 steps", 80.0)]
    assert [key.text for key in info.chart().keys][-1] == "the source, 90.0 %"


def test_rates_are_percentiles_of_neurons() -> None:
    """Of each layer, with the share that is silent."""
    info = rates_info({"a": np.arange(101.0).reshape(1, 101), "b": np.zeros(4)})
    _, *rows = info.rows()

    spread = (5.0, 25.0, 50.0, 75.0, 95.0)
    assert rows == [
        ("a", 101, pytest.approx(1 / 101), 50.0, *spread, 100.0), ("b", 4, 1.0, *[0.0] * 7),
    ]  # fmt: skip


def test_gaps_keep_their_parts_and_order() -> None:
    """Layers as the diagnosis ranks them; parts add up to the whole; absent ones are not named."""
    info = gaps_info(diagnosed())
    rows = info.rows()

    assert [row[0] for row in rows[1:]] == ["conv", "dense"]
    assert [key.text for key in info.chart().keys] == ["inherited", "clipping", "quantisation"]
    assert sum(rows[1][3:]) == pytest.approx(rows[1][2])  # type: ignore[arg-type]
    assert columns_of(info)["drop_of_the_layer_alone"] == [0.1, 0.05]
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
    whole = raster_info(watched(counts, answers, None, {n: np.arange(50) for n in "abcde"}))
    info = whole.thinned(layers=3, neurons=8, steps=10)

    assert list(info.spikes) == ["a", "c", "e"]
    total = counts["a"].sum(axis=0)
    hidden = np.setdiff1d(np.arange(50), info.shown["a"])
    assert len(info.shown["a"]) == 8 and (np.diff(info.shown["a"]) > 0).all()
    assert total[info.shown["a"]].min() >= total[hidden].max()
    np.testing.assert_array_equal(info.activations["c"], info.shown["c"])
    steps, neurons, values = info.spikes["e"].T
    np.testing.assert_array_equal(values, counts["e"][steps - 1, neurons])
    assert set(neurons) <= set(info.shown["e"]) and steps.max() <= 10
    np.testing.assert_array_equal(info.outputs, np.sort(np.argsort(answers[-1])[-10:]))
    np.testing.assert_array_equal(info.source, answers[-1][info.outputs])
    assert sum(map(len, whole.thinned(events=50).spikes.values())) <= 50


@pytest.mark.parametrize("shape", [(8, 8), (1, 70, 40), (6, 6, 3), (64,)])
def test_a_sample_that_is_a_picture_is_shown(shape: tuple[int, ...]) -> None:
    """From its least value to its greatest, at most 32 pixels to a side once it is thinned."""
    x = rng.normal(size=shape)
    answers = rng.normal(size=(4, 2))
    whole = raster_info(watched({"a": np.ones((4, 3))}, answers), x=x)
    picture, page = whole.picture, whole.thinned().picture

    assert picture is not None and page is not None
    assert picture.size == x.size // (3 if shape[-1] == 3 else 1)
    assert 0 <= picture.min() <= picture.max() <= 1
    if shape[-1] != 3:
        assert np.unravel_index(picture.argmax(), picture.shape) == np.unravel_index(
            x.argmax(), picture.shape
        )
    assert max(page.shape) <= 32
    plain = raster_info(watched({"a": np.ones((4, 3))}, answers), x=rng.normal(size=5))
    assert plain.picture is None


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_training_has_a_figure_for_each_measure(epochs: int) -> None:
    """Lines by epoch in order, whatever the order of the records; the kept epoch is marked."""
    other = Record("change of weights", 0.1, "fraction", how={"layer": "a"})
    loss, accuracy = epochs_infos(reversed([other, *trained(epochs, 1)]))
    assert (loss.rows()[0][-1], accuracy.rows()[0][-1]) == ("loss", "accuracy")
    held = [row for row in loss.rows() if row[0] == "held back"]
    assert held == [("held back", e, 2 / e) for e in range(1, epochs + 1)]
    assert "50.0 % in epoch 1" in accuracy.chart().words
    assert "epoch 1 was kept" in loss.chart().words
    assert len(loss.rows()) == 1 + 2 * epochs
    assert "no epoch was kept" in epochs_infos(trained(3, kept=0))[0].chart().words


def test_curves_are_their_values() -> None:
    """Inputs and outputs as they were given, a column a neuron."""
    x, y = rng.normal(size=(9, 2)), rng.random((9, 4))
    info = tuning_curves_info(x, y)
    rows = info.rows()
    assert rows[0] == ["x0", "x1", "neuron_0", "neuron_1", "neuron_2", "neuron_3"]
    np.testing.assert_array_equal(rows[1:], np.hstack([x, y]))
    assert response_curves_info(x[:, 0], y).rows()[0] == ["x0", *rows[0][2:]]


def test_picked_neurons_keep_their_numbers() -> None:
    """Neurons that respond late and early are shown, each under its own number."""
    x = np.linspace(-1, 1, 21)
    y = np.maximum(0, x[:, None] - rng.permutation(np.linspace(-1, 0.9, 20)))
    header, *rows = tuning_curves_info(x, y, neurons=5).rows()
    picked = [int(str(name).removeprefix("neuron_")) for name in header[1:]]
    np.testing.assert_array_equal(np.array(rows)[:, 1:], y[:, picked])
    active = np.count_nonzero(y > 0, axis=0)
    assert {active.argmin(), active.argmax()} <= set(picked)
    assert len(set(picked)) == 5


@pytest.mark.parametrize("neurons", [1, 2, 4, 40])
def test_two_dimensions_are_maps_of_at_most_six_neurons(neurons: int) -> None:
    """A panel a neuron, all in one colour scale; more dimensions are refused."""
    x = rng.normal(size=(50, 2))
    chart = tuning_curves_info(x, rng.random((50, neurons))).chart()
    assert len(chart.panels) == min(neurons, 6)
    with pytest.raises(ValueError, match="3 dimensions cannot be drawn"):
        tuning_curves_info(rng.normal(size=(5, 3)), rng.random((5, 2))).chart()


@pytest.mark.parametrize("x, y", [((5, 2), (4, 3)), ((5, 2), (5,)), ((2, 5, 1), (2, 3))])
def test_curves_that_do_not_fit_are_refused(x: Any, y: Any) -> None:
    """One row of outputs for every input."""
    with pytest.raises(ValueError, match="curves need inputs"):
        tuning_curves_info(np.zeros(x), np.zeros(y))


def test_errors_count_once_settled() -> None:
    """Root mean square over the steps from then on, by value and over all."""
    t = np.arange(1, 101) * 0.01
    ideal = np.stack([np.sin(t), np.cos(t)], axis=1)
    off = np.where(t[:, None] < 0.5, 9.0, [0.3, 0.4])
    info = decoded_info(t, ideal + off, ideal, settled=0.5)
    np.testing.assert_allclose(info.errors, [0.3, 0.4])
    assert info.rms == pytest.approx(np.sqrt((0.09 + 0.16) / 2))
    assert decoded_info(t, ideal[:, 0], 0.0).errors == pytest.approx(
        np.sqrt(np.mean(ideal[:, 0] ** 2))
    )
    assert info.rows()[0] == ["time_s", "value 1", "value 2", "value 1_ideal", "value 2_ideal"]


def test_without_an_ideal_there_is_no_error() -> None:
    """No column of it, and a refusal to say how large it is."""
    t, decoded = np.arange(1, 11) * 0.1, rng.normal(size=(10, 2))
    info = decoded_info(t, decoded, None)
    assert info.rows()[0] == ["time_s", "value 1", "value 2"]
    with pytest.raises(ValueError, match="without ideal values there are no errors"):
        _ = info.rms


@pytest.mark.parametrize("ideal", [None, rng.normal(size=(4, 2))])
def test_a_path_is_its_points(ideal: Any) -> None:
    """The points in their order, and those where they should be."""
    points = rng.normal(size=(7, 2))
    info = path_info(points, ideal, ("u", "v"))
    assert info.rows()[0] == ("what", "u", "v")
    assert len(info.rows()) == 1 + 7 + (0 if ideal is None else 4)
    with pytest.raises(ValueError, match=r"a path is \(steps, 2\), got \(7, 3\)"):
        path_info(np.zeros((7, 3)))


def test_decoded_values_that_do_not_fit_are_refused() -> None:
    """Times, ideals, names, and a run that ends before it has settled."""
    t = np.arange(5.0)
    with pytest.raises(ValueError, match="5 times do not fit"):
        decoded_info(t, np.zeros(4), 0.0)
    with pytest.raises(ValueError, match="ideal values"):
        decoded_info(t, np.zeros((5, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="1 names do not fit 2 values"):
        decoded_info(t, np.zeros((5, 2)), 0.0, ("a",))
    with pytest.raises(ValueError, match=r"no step is at or after 9\.0 s"):
        decoded_info(t, np.zeros(5), 0.0, settled=9.0)


def test_spikes_are_their_counts() -> None:
    """Events are the non-zero counts; neurons come in the order that is asked for."""
    counts, other = rng.poisson(0.3, (8, 2, 3)), rng.poisson(0.5, (8, 4))
    order = rng.permutation(6)
    info = spikes_info({"a": counts, "b": other}, 0.01, {"a": order})
    rebuilt = np.zeros((8, 6), int)
    for name, neuron, time, count in info.rows()[1:]:
        if name == "a":
            rebuilt[round(time / 0.01) - 1, neuron] = count  # type: ignore[operator, index]
    np.testing.assert_array_equal(rebuilt, counts.reshape(8, 6)[:, order])
    assert info.chart().panels[1].remark == f"{other.sum() / (4 * 0.08):.3g} Hz"
    assert len(info.rows()) == 1 + np.count_nonzero(counts) + np.count_nonzero(other)
    with pytest.raises(ValueError, match="one number of steps"):
        spikes_info({"a": counts, "b": other[:5]}, 0.01)
