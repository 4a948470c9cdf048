"""The benchmark of accuracies: what it measures, keeps and writes, on a tiny network."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import conversion_quality, quality_page
from benchmarks.conversion_quality import CHOSEN, RULES, Seen
from benchmarks.quality_page import Goal
from benchmarks.quality_rows import Row, Setting, Table
from benchmarks.sources import Source
from torch import nn

import spikewright as sw
from spikewright.records import select


def tiny(name: str = "fashion_mnist") -> Source:
    """A network that is right on the sign of a sum of its inputs, nearly always."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
    rng = np.random.default_rng(0)
    x_train, x_test = (rng.normal(size=(n, 6)).astype(np.float32) for n in (60, 40))

    def outputs(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(np.asarray(x, np.float32))).numpy()

    y_train, y_test = outputs(x_train).argmax(axis=1), outputs(x_test).argmax(axis=1)
    y_test[:4] = (y_test[:4] + 1) % 3  # the source is wrong on these
    return Source(name, module, x_train[:1], x_train, y_train, x_test, y_test, outputs)


def given(cache: Path, *words: str) -> argparse.Namespace:
    """A command line for the tiny network."""
    common = ["--networks", "fashion_mnist", "--fashion-mnist", "x.npz", "--cache", str(cache)]
    return conversion_quality.parser().parse_args([*common, "--samples", "40", *words])


def row(**changed: object) -> Row:
    """A row as it is measured."""
    values: dict = {
        "network": "cifar10", "rule": CHOSEN, "cap": "one", "steps": 16, "images": 10_000,
        "source": 0.88, "spiking": 0.87, "drop": 0.01, "low": 0.005, "high": 0.015,
        "spikes": 3.2, "how": "MinimumError", "seconds": 5.0, **changed,
    }  # fmt: skip
    return Row(**values)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache, with the tiny network in the place of a trained one."""
    monkeypatch.setattr(conversion_quality, "source", lambda name, path, cache: tiny(name))
    return tmp_path


def test_every_rule_is_measured_once_and_written_down(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row a rule, cap and number of steps; a second call measures nothing anew."""
    table, page = Table(folder / "rows.csv"), folder / "page.md"
    words = ("--steps", "4", "--threads", "1")
    conversion_quality.run(given(folder, *words), table, page)
    rows = table.rows()
    assert {(r.rule, r.cap, r.steps) for r in rows} == {
        (rule, cap, 4) for rule in (*RULES, CHOSEN) for cap in ("one", "any")
    }
    assert all(r.images == 40 and r.source == pytest.approx(0.9) for r in rows)
    assert all(r.drop == pytest.approx(r.source - r.spiking) for r in rows)
    assert all(r.low <= r.drop <= r.high for r in rows)
    assert all(0 <= r.rounded <= 1 for r in rows if r.rounded is not None)
    assert all(r.rounded is not None for r in rows if "readout" not in r.how)
    assert all((r.per_active or 0) > r.spikes > 0 for r in rows)
    written = page.read_text(encoding="utf-8")
    assert all(rule in written for rule in RULES)
    assert "Chosen were:" in written
    before = table.path.read_bytes()
    monkeypatch.setattr(conversion_quality, "measured", None)
    conversion_quality.run(given(folder, *words), table, page)
    assert table.path.read_bytes() == before


def test_a_network_that_was_trained_anew_is_measured_anew(folder: Path) -> None:
    """Rows of another source are not mixed with the new ones, and stay in the file."""
    table, page = Table(folder / "rows.csv"), folder / "page.md"
    words = ("--steps", "4", "--rules", "minimum error", "--caps", "one")
    table.add(row(network="fashion_mnist", rule="minimum error", steps=4, images=40, source=0.5))
    table.add(row(network="fashion_mnist", rule="largest value", steps=4, images=40, source=0.5))
    conversion_quality.run(given(folder, *words), table, page)
    (only,) = table.rows()
    assert only.source == pytest.approx(0.9)
    assert "largest value" not in page.read_text(encoding="utf-8")
    assert len(table.path.read_text(encoding="utf-8").splitlines()) == 4


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    """Every digit, commas in what was chosen included; of one key the last row holds."""
    table = Table(tmp_path / "deep" / "rows.csv")
    assert table.rows() == []
    first = row(how='a, "b"', drop=1 / 3, source=0.1 + 0.2)
    table.add(row(drop=0.5, source=0.1 + 0.2))
    table.add(first)
    table.add(row(network="mnist"))
    assert table.rows() == [first, row(network="mnist")]


def test_a_row_is_what_a_run_gives(folder: Path) -> None:
    """Accuracy and spikes of a row are those of the conversion that it names."""
    found = tiny()
    base = sw.convert(found.model, example_input=found.example)
    x = conversion_quality.samples(found, 40)
    setting = Setting("fashion_mnist", "minimum error", "one", 8, 20)
    (made,) = conversion_quality.measured(Seen(base, x), found, [setting], folder)
    conversion = base.again(
        spiking=True, max_spikes_per_step=1, scale_firing_rates=sw.MinimumError(8), calibration=x
    )
    run = conversion.run(found.x_test[::2], steps=8)
    right = run.predict().argmax(axis=1) == found.y_test[::2]
    assert made.spiking == pytest.approx(right.mean())
    assert made.images == 20
    evaluation = conversion.evaluate(found.x_test[::2], found.y_test[::2], steps=8)
    (drop,) = select(evaluation.records, "accuracy drop", steps=8, readout="mean")
    assert (made.drop, (made.low, made.high)) == (pytest.approx(drop.value), drop.interval)
    (counts,) = run.spike_counts().values()
    assert made.spikes == pytest.approx(counts.mean() / 16)


def test_what_another_conversion_has_begun_does_not_go_on(folder: Path) -> None:
    """The same row of a network, or of a program, that has changed since begins anew."""
    found = tiny()
    base = sw.convert(found.model, example_input=found.example)
    x = conversion_quality.samples(found, 40)
    setting = Setting("fashion_mnist", "minimum error", "one", 4, 20)
    (first,) = conversion_quality.measured(Seen(base, x), found, [setting], folder)
    (second,) = conversion_quality.measured(Seen(base, x[:20]), found, [setting], folder)
    assert len(list(folder.iterdir())) == 2
    assert first.key == second.key


def test_a_long_run_has_the_short_ones_in_it(folder: Path) -> None:
    """Rules that do not ask for the number of steps run once, with the rows of runs of their own.

    All others, and the choice among them, run once for each number.
    """
    asked = list(conversion_quality.settings(given(folder), "fashion_mnist", 40))
    made = conversion_quality.runs(asked)
    assert sorted(s.key for some in made for s in some) == sorted(s.key for s in asked)
    several = {some[0].rule for some in made if len(some) > 1}
    assert several == {"largest value", "99.9th percentile", "local threshold balancing"}
    found = tiny()
    base = sw.convert(found.model, example_input=found.example)
    x = conversion_quality.samples(found, 40)
    some = next(s for s in made if s[0].rule == "99.9th percentile" and s[0].cap == "one")
    together = conversion_quality.measured(Seen(base, x), found, some, folder / "together")
    for setting, row in zip(some, together, strict=True):
        (alone,) = conversion_quality.measured(Seen(base, x), found, [setting], folder / "alone")
        assert replace(row, seconds=0.0) == replace(alone, seconds=0.0)


def test_calibration_samples_are_training_images_drawn_once() -> None:
    """As many as asked for, different ones, the same in every call."""
    found = tiny()
    x = conversion_quality.samples(found, 30)
    np.testing.assert_array_equal(x, conversion_quality.samples(found, 30))
    assert len({tuple(sample) for sample in x}) == 30
    assert {tuple(sample) for sample in x} <= {tuple(sample) for sample in found.x_train}


def test_the_page_says_what_was_reached_and_what_was_not() -> None:
    """A goal compares the drop in points; without a chosen row nothing is said."""
    text = quality_page.goals([row(), row(steps=64, drop=0.0101)])
    lines = [line for line in text.splitlines() if "ResNet" in line]
    assert [line.split("|")[-2].strip() for line in lines] == ["reached", "**not reached**"]
    assert "1.00 (0.50 to 1.50)" in lines[0]
    assert quality_page.goals([row(rule="minimum error")]) == ""


def test_tables_have_the_chosen_rule_last_of_its_steps() -> None:
    """Rows go by steps, then from the largest drop to the smallest, the chosen one after them."""
    rows = [
        row(),
        row(rule="a", drop=0.2),
        row(rule="b", drop=0.3),
        row(rule="c", steps=4, drop=0.5),
    ]
    lines = quality_page.table(rows).splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == ["c", "b", "a", f"**{CHOSEN}**"]


def test_tables_tell_rounding_from_timing_where_it_was_measured() -> None:
    """Points lost by the rounded twin, spikes of an active neuron; no columns of nothing."""
    old, new = row(rule="a"), row(rule="b", rounded=0.8725, per_active=6.54)
    assert "rounding" not in quality_page.table([old])
    head, _, *lines = quality_page.table([old, new]).splitlines()
    assert head.endswith("| spikes | by rounding | of an active neuron |")
    assert lines[0].endswith("| 3.20 |  |  |")
    assert lines[1].endswith("| 3.20 | 0.75 | 6.54 |")


def test_rows_are_read_as_they_were_kept(tmp_path: Path) -> None:
    """With what was not measured as None."""
    table = Table(tmp_path / "rows.csv")
    rows = [row(rule="a"), row(rule="b", rounded=0.8725, per_active=6.54)]
    for each in rows:
        table.add(each)
    assert table.rows() == rows


def test_the_overview_has_a_column_a_number_of_steps() -> None:
    """What was not measured stays empty; the chosen rule is the last line."""
    rows = [row(), row(rule="b", steps=4, drop=0.2), row(rule="a", drop=0.123)]
    head, _, *lines = quality_page.overview(rows).splitlines()
    assert [cell.strip() for cell in head.split("|")[1:-1]] == ["rule", "4", "16"]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert sorted(cells[:2]) == [["a", "", "12.30"], ["b", "20.00", ""]]
    assert cells[2] == [f"**{CHOSEN}**", "", "1.00"]


def test_published_figures_stand_below_their_network(tmp_path: Path) -> None:
    """Each with its method, network and paper; networks without rows are left out."""
    quality_page.write([row()], tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "ResNet-20 on CIFAR-10, JPEG-coded" in text
    assert "arXiv 2106.06984" in text
    assert "MNIST" not in text.split("## ResNet-20")[1]


def test_every_goal_is_about_a_network_that_has_a_name() -> None:
    """So that none is left out of the page silently."""
    assert {goal.network for goal in quality_page.GOALS} == set(quality_page.NAMES)
    assert all(isinstance(goal, Goal) and goal.points > 0 for goal in quality_page.GOALS)
