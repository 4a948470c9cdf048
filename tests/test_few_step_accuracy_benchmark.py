"""The benchmark of few steps: every way is measured, rows are kept, and a page is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import few_step_accuracy, few_step_choices, few_step_levels
from benchmarks.few_step_accuracy import EVERY, MADE, MORE, Plan

from small_images import small_images

PLANS = {f"row {i}": Plan("fashion_mnist", 2, 1, what, 99.0) for i, what in enumerate(MADE)}


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a few bright and dark images; all that is kept is kept elsewhere."""
    path = small_images(tmp_path, monkeypatch, 60, 40)
    monkeypatch.setattr(few_step_accuracy, "with_threads", lambda threads: None)
    monkeypatch.setattr(few_step_accuracy, "SEEN", 20)
    monkeypatch.setattr(few_step_accuracy, "PLANS", PLANS)
    monkeypatch.setattr(few_step_accuracy, "TABLE", tmp_path / "rows.csv")
    monkeypatch.setattr(few_step_accuracy, "PAGE", tmp_path / "page.md")
    return path


@pytest.mark.slow
def test_every_way_is_a_row(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Only those with more neurons have more; a row that is there is not measured again."""
    given = ["x", "--fashion-mnist", str(images), "--cache", str(tmp_path)]
    monkeypatch.setattr("sys.argv", given)
    few_step_accuracy.main()
    rows = few_step_accuracy.rows()
    assert list(rows) == list(PLANS)
    neurons = {PLANS[name].what: row.neurons for name, row in rows.items()}
    assert neurons[EVERY] < neurons[MORE] <= 1.5 * neurons[EVERY]
    assert all(row.spikes > 0 and row.low <= row.drop <= row.high for row in rows.values())
    text = few_step_accuracy.PAGE.read_text(encoding="utf-8")
    assert text.count("| 2 | 1 |") == len(PLANS)

    capsys.readouterr()
    few_step_accuracy.main()
    assert "Row(" not in capsys.readouterr().out
    assert few_step_accuracy.PAGE.read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_levels_and_choices_are_parts_of_the_page(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules at several levels, and a choice beside others; what is there is not measured again."""
    monkeypatch.setattr(few_step_levels, "TABLE", tmp_path / "levels.csv")
    monkeypatch.setattr(few_step_levels, "SEEN", 20)
    monkeypatch.setattr(few_step_choices, "TABLE", tmp_path / "choices.csv")
    monkeypatch.setattr(few_step_choices, "SEEN", 20)
    given = ["x", "--fashion-mnist", str(images), "--cache", str(tmp_path), "--steps", "2"]
    monkeypatch.setattr("sys.argv", [*given, "--parts", *few_step_accuracy.PARTS])
    few_step_accuracy.main()

    levels, choices = few_step_levels.rows(), few_step_choices.rows()
    assert len(levels) == len(few_step_levels.RULES) * len(few_step_levels.LEVELS)
    assert {row.levels: row.bits for row in levels.values()} == {3: 2.0, 7: 3.0, 15: 4.0}
    assert [row.chosen for row in choices] == [1] + [0] * (len(choices) - 1)
    assert len(choices) > 2
    assert choices[0].behind == 0
    for row in choices:
        assert row.behind == pytest.approx(row.spiking - choices[0].spiking)
    text = few_step_accuracy.PAGE.read_text(encoding="utf-8")
    assert "7 levels, 3 bits" in text and f"| 2 | {choices[0].candidate} |" in text
    few_step_accuracy.main()
    assert (levels, choices) == (few_step_levels.rows(), few_step_choices.rows())
