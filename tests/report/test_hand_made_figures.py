"""Figures of networks made by hand: their data, and that drawing shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikewright.report.figures import (
    csv_text,
    decoded_info,
    draw_curves,
    draw_decoded,
    draw_path,
    draw_spikes,
    path_info,
    response_curves_info,
    save,
    spikes_info,
    tuning_curves_info,
)

rng = np.random.default_rng(7)


def test_curves_are_their_values() -> None:
    """Inputs and outputs as they were given, a column a neuron."""
    x, y = rng.normal(size=(9, 2)), rng.random((9, 4))
    info = tuning_curves_info(x, y)
    rows = info.rows()
    assert rows[0] == ["x0", "x1", "neuron_0", "neuron_1", "neuron_2", "neuron_3"]
    np.testing.assert_array_equal(rows[1:], np.hstack([x, y]))
    assert response_curves_info(x[:, 0], y).inputs.shape == (9, 1)


def test_picked_neurons_keep_their_numbers() -> None:
    """Neurons that respond late and early are shown, each under its own number."""
    x = np.linspace(-1, 1, 21)
    y = np.maximum(0, x[:, None] - rng.permutation(np.linspace(-1, 0.9, 20)))
    info = tuning_curves_info(x, y, neurons=5)
    np.testing.assert_array_equal(info.outputs, y[:, info.picked])
    active = np.count_nonzero(y > 0, axis=0)
    assert {active.argmin(), active.argmax()} <= set(info.picked.tolist())
    assert len(set(info.picked.tolist())) == 5


def test_a_line_is_drawn_for_every_neuron() -> None:
    """In the order of the inputs, whatever order they were given in."""
    x = rng.permutation(np.linspace(-1, 1, 9))
    y = rng.random((9, 3))
    (axes,) = draw_curves(tuning_curves_info(x, y)).axes
    assert len(axes.lines) == 3
    for line, column in zip(axes.lines, y.T, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), np.sort(x))
        np.testing.assert_array_equal(line.get_ydata(), column[np.argsort(x)])


@pytest.mark.parametrize("neurons", [1, 2, 4, 40])
def test_two_dimensions_are_maps_of_at_most_six_neurons(neurons: int) -> None:
    """A panel a neuron, all in one colour scale; more dimensions are refused."""
    x = rng.normal(size=(50, 2))
    figure = draw_curves(tuning_curves_info(x, rng.random((50, neurons))))
    maps = [a for a in figure.axes if a.collections and a.get_title()]
    assert len(maps) == min(neurons, 6)
    with pytest.raises(ValueError, match="3 dimensions cannot be drawn"):
        draw_curves(tuning_curves_info(rng.normal(size=(5, 3)), rng.random((5, 2))))


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


def test_values_and_ideals_are_drawn() -> None:
    """Two lines a value above, its error below, and a note of how large that is."""
    t = np.arange(1, 11) * 0.1
    decoded, ideal = rng.normal(size=(2, 10, 3))
    above, below = draw_decoded(decoded_info(t, decoded, ideal, ("a", "b", "c"))).axes
    drawn = [line.get_ydata() for line in above.lines[:6]]
    for i in range(3):
        np.testing.assert_array_equal(drawn[2 * i], decoded[:, i])
        np.testing.assert_array_equal(drawn[2 * i + 1], ideal[:, i])
        np.testing.assert_array_equal(below.lines[i].get_ydata(), (decoded - ideal)[:, i])
    assert "root mean square" in below.get_title("right")


def test_without_an_ideal_there_is_no_error() -> None:
    """One panel, and a refusal to say how large the error is."""
    t, decoded = np.arange(1, 11) * 0.1, rng.normal(size=(10, 2))
    info = decoded_info(t, decoded, None)
    (axes,) = draw_decoded(info).axes
    assert len(axes.lines) == 2
    assert info.rows()[0] == ["time_s", "value 1", "value 2"]
    with pytest.raises(ValueError, match="without ideal values there are no errors"):
        _ = info.rms


@pytest.mark.parametrize("ideal", [None, rng.normal(size=(4, 2))])
def test_a_path_is_its_points(ideal: Any) -> None:
    """A line through the points in their order, and one where they should be."""
    points = rng.normal(size=(7, 2))
    info = path_info(points, ideal, ("u", "v"))
    (axes,) = draw_path(info).axes
    assert len(axes.lines) == (1 if ideal is None else 2)
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), points)
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
    steps, neurons, values = info.spikes["a"].T
    rebuilt[steps - 1, neurons] = values
    np.testing.assert_array_equal(rebuilt, counts.reshape(8, 6)[:, order])
    assert info.rates("b") == pytest.approx(other.sum() / (4 * 0.08))
    assert len(info.rows()) == 1 + np.count_nonzero(counts) + np.count_nonzero(other)
    with pytest.raises(ValueError, match="one number of steps"):
        spikes_info({"a": counts, "b": other[:5]}, 0.01)


def test_a_dot_is_drawn_for_every_event(tmp_path: Path) -> None:
    """A panel a population; a saved picture has its data beside it."""
    counts = {"a": rng.poisson(0.3, (8, 6)), "b": rng.poisson(0.5, (8, 4))}
    info = spikes_info(counts, 0.01)
    figure = draw_spikes(info)
    for axes, name in zip(figure.axes, counts, strict=True):
        assert len(axes.collections[0].get_offsets()) == np.count_nonzero(counts[name])
    picture, data = save(figure, info, tmp_path / "spikes.svg")
    assert picture.stat().st_size > 1000
    assert data.read_text() == csv_text(info.rows())
