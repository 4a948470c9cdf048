"""The demonstration, on few images; the whole of it is what README shows."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright import demo
from spikewright.errors import MissingExtraError, SimulationError
from spikewright.measure import accuracy
from spikewright.records import Record, select


@pytest.fixture(scope="module")
def shown() -> demo.Demonstration:
    """A short demonstration: two scales, 40 images."""
    return demo.run(scales=(1.0, 50.0), steps=32, limit=40, progress=False)


def test_the_shipped_network_is_small_and_good() -> None:
    """An ONNX file below 500 kB that knows at least 98 % of all digits held out."""
    x, y = demo.held_out()
    source = sw.convert(demo.MODEL).run(x, steps=1, progress=False)

    assert demo.MODEL.suffix == ".onnx"
    assert demo.MODEL.stat().st_size < 500_000
    assert len(y) == 360
    assert accuracy(source, y).value >= 0.98


def test_no_digit_is_both_trained_on_and_held_out() -> None:
    """The split is fixed, covers the data set, and its parts share no image."""
    (train_x, train_y), (held_x, held_y) = demo.digits()

    assert (len(train_x), len(held_x)) == (1437, 360)
    assert train_x.shape[1:] == held_x.shape[1:] == (1, 8, 8)
    assert not {x.tobytes() for x in train_x} & {x.tobytes() for x in held_x}
    assert (len(train_y), len(held_y)) == (1437, 360)
    np.testing.assert_array_equal(demo.held_out()[0], held_x)


def test_every_scale_has_its_measurements(shown: demo.Demonstration) -> None:
    """It is a sweep: both readouts, rates and spikes are there, and belong together."""
    x, y = demo.held_out(40)
    expected = sw.sweep(demo.MODEL, x, y, scales=[1.0, 50.0], steps=32, progress=False)
    layers = {"relu1": 512, "relu2": 256}

    assert shown.sweep.records == expected.records
    for scale in (1.0, 50.0):
        assert {r.how["readout"] for r in select(shown.records, "accuracy", scale=scale)} == {
            "last",
            "mean",
        }
        for layer, neurons in layers.items():
            (rate,) = select(shown.records, "firing rate", scale=scale, layer=layer)
            (spikes,) = select(shown.records, "spikes per sample", scale=scale, layer=layer)
            assert rate.value == pytest.approx(spikes.value / (neurons * 32 * 0.001))


def of_all(shown: demo.Demonstration, scale: float | str) -> Record:
    """Spikes of all layers together, after the last step."""
    found = select(shown.records, "spikes per sample", scale=scale)
    return [record for record in found if "layer" not in record.how][-1]


def test_accuracy_comes_back_with_the_spikes(shown: demo.Demonstration) -> None:
    """At a scale of 1 in 32 ms there are next to no spikes; at 50 the source's accuracy is back."""
    low, high = (
        select(shown.records, "accuracy", readout="mean", scale=s, steps=32)[0] for s in (1.0, 50.0)
    )
    few, many = (of_all(shown, s) for s in (1.0, 50.0))
    (source,) = select(shown.records, "source accuracy")

    assert many.value > 40 * few.value
    assert low.value < 0.5 < high.value
    assert abs(high.value - source.value) <= 0.05


def test_the_rate_network_is_the_source(shown: demo.Demonstration) -> None:
    """What runs as spikes was compared with the ONNX model, layer by layer."""
    assert 0 < shown.agreement < 1e-5


def test_the_sample_settles_at_the_source(shown: demo.Demonstration) -> None:
    """The running mean of the output ends near the source's values, and its spikes are counted."""
    sample = shown.sample
    error = np.abs(sample.running_mean - sample.source).max(axis=1)

    assert sample.running_mean.shape == (32, 10)
    assert error[-1] < 0.5 * error[0]
    assert set(sample.spikes) == {"relu1", "relu2"}
    assert all(len(events) > 20 for events in sample.spikes.values())


def test_a_rule_stands_beside_the_scales(shown: demo.Demonstration) -> None:
    """It is chosen from digits to train on: few steps, at most one spike each, and accurate."""
    chosen = shown.chosen
    text = "MinimumError(steps=4, per=layer)"
    answer = chosen.reading.scores[0].value
    (source,) = select(shown.records, "source accuracy")

    assert str(chosen.rule) == text
    assert chosen.rule.steps == answer.how["steps"] == 4
    assert abs(answer.value - source.value) <= 0.05
    assert chosen.conversion.arguments["max_spikes_per_step"] == 1
    assert chosen.evaluation.accuracy("mean").value == answer.value
    assert chosen.reading.spikes == of_all(shown, text).value < of_all(shown, 50.0).value
    assert text in shown.conclusion


def test_the_choice_can_be_made_again(shown: demo.Demonstration) -> None:
    """The lines in the report are a program whose network has the same scales."""
    space: dict[str, Any] = {}
    *first, last = shown.chosen.call.partition("sw.convert(")[::2]
    exec(f"{first[0]}again = sw.convert({last}", space)

    assert space["again"].resolved["scale_firing_rates"].keys() == {"relu1", "relu2"}
    for layer, scale in space["again"].resolved["scale_firing_rates"].items():
        found = shown.chosen.conversion.resolved["scale_firing_rates"][layer]
        np.testing.assert_array_equal(scale, found)


def test_the_report_is_written_beside_the_pictures(
    shown: demo.Demonstration, tmp_path: Path
) -> None:
    """One page of less than 5 MB about the choice, with every setting in its trade-off."""
    path = demo.write_report(shown, tmp_path / "made")
    text = path.read_text(encoding="utf-8")

    assert path == tmp_path / "made" / "report.html"
    assert path.stat().st_size < 5_000_000
    assert "by rule, 4 steps" in text and "scale 50, 32 steps" in text
    assert "What the firing-rate scale does" in text
    assert str(tmp_path) not in text


def test_pictures_come_with_their_data(shown: demo.Demonstration, tmp_path: Path) -> None:
    """Two PNG files, each with a CSV of the same name, in a folder that is made."""
    paths = demo.write_pictures(shown, tmp_path / "made" / "here")
    names = ["accuracy_and_spikes.png", "accuracy_and_spikes.csv", "raster.png", "raster.csv"]

    assert [path.name for path in paths] == names
    for path in paths[::2]:
        assert path.read_bytes().startswith(b"\x89PNG")
    with paths[1].open(newline="") as file:
        header, *rows = csv.reader(file)
    assert [float(row[header.index("scale")]) for row in rows] == [1.0, 50.0] * 2


def test_the_cheapest_row_comes_first(shown: demo.Demonstration) -> None:
    """Of all rows, the rule's too: sentences do not contradict the table, and the call makes it."""
    best = shown.sweep.best
    assert best is not None and best.spikes is not None
    near = replace(shown, sweep=replace(shown.sweep, limit=shown.chosen.reading.lost))
    cheap = replace(best, costs=tuple(replace(record, value=1.0) for record in best.costs))
    dearer = replace(near, sweep=replace(near.sweep, best=cheap))
    assert near.rule_is_cheapest and not dearer.rule_is_cheapest
    for one in (shown, near, dearer):
        first, second = one.chosen.conclusion, one.sweep.conclusion[1:]
        if not one.rule_is_cheapest:
            first, second = one.sweep.conclusion, one.chosen.conclusion
        assert one.conclusion.index(first) < one.conclusion.index(second)
        assert one.call == (one.chosen.call if one.rule_is_cheapest else one.sweep.call)


def test_what_is_not_installed_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All missing packages in one sentence with the command that installs them."""
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name != "onnx" else object())

    with pytest.raises(MissingExtraError) as caught:
        demo.run(limit=1)

    assert str(caught.value) == (
        "the demonstration needs sklearn, matplotlib, which are not installed. "
        "Install with: pip install 'spikewright[demo]'"
    )


def test_a_demonstration_needs_an_image() -> None:
    """A limit below one is refused with its value."""
    with pytest.raises(SimulationError, match="at least one image, got limit=0"):
        demo.held_out(0)
