"""The benchmark of few steps: every way, rule and level is measured and written into its page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import few_step_accuracy, few_step_levels
from benchmarks.few_step_accuracy import MADE, PARTS, Plan

import spikewright as sw
from small_images import small_images

PLANS = tuple(Plan("fashion_mnist", 2, 1, what) for what in MADE)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command on a few bright and dark images, and a page; all that is kept is kept there."""
    images = small_images(tmp_path, monkeypatch, 60, 40)
    monkeypatch.setattr(few_step_accuracy, "with_threads", lambda threads: None)
    monkeypatch.setattr(few_step_accuracy, "SEEN", 20)
    monkeypatch.setattr(few_step_levels, "SEEN", 20)
    monkeypatch.setattr(few_step_accuracy, "PLANS", PLANS)
    monkeypatch.setattr(few_step_accuracy, "AFTER", {"fashion_mnist": (2,)})
    page = tmp_path / "page.md"
    marks = (f"<!-- {part}: measured -->\n<!-- {part}: end -->\n" for part in PARTS)
    page.write_text("".join(marks), encoding="utf-8")
    given = ["x", "--fashion-mnist", str(images), "--cache", str(tmp_path)]
    return [*given, "--document", str(page)]


@pytest.mark.slow
def test_every_part_is_written(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each way and rule; the same figures once more."""
    monkeypatch.setattr("sys.argv", command)
    few_step_accuracy.main()
    page = Path(command[-1])
    text = page.read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| 2 | 1 |")
    ]
    assert [row[3] for row in rows] == list(MADE)
    assert all(float(row[-1]) > 0 for row in rows)
    assert all(f"| {rule} |" in text for rule in few_step_accuracy.RULES)
    assert "| Fashion-MNIST, 2 steps |" in text and "| 15 levels |" in text
    assert text.count("| Fashion-MNIST |") == len(few_step_levels.RULES)
    few_step_accuracy.main()
    assert page.read_text(encoding="utf-8") == text


def test_a_plan_names_its_neurons() -> None:
    """Heights and the cap are those of the type."""
    plan = replace(PLANS[0], heights=(4, 3))
    assert plan.neurons == sw.BipolarIntegrateAndFire.in_steps(2)
