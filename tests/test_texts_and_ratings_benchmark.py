"""The benchmark of padded texts and of ratings: its data, and that every plan is a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import kept, ratings, texts_and_ratings
from benchmarks.families.recommenders import NeuMF
from benchmarks.texts_and_ratings import TASKS, Plan, Recipe


@pytest.mark.slow
def test_every_plan_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the page, with the source's share, what is lost and the spikes; weights are kept."""
    trained, tested = ratings.ratings()
    few = ((trained.at(np.arange(600)).given, trained.liked[:600]), (tested.given, tested.liked))
    task = replace(
        TASKS["ncf"], make=lambda: NeuMF(ratings.USERS, ratings.ITEMS, 4),
        recipe=Recipe(1, 50, 0.01, 0.0), data=lambda: few,
    )  # fmt: skip
    monkeypatch.setattr(texts_and_ratings, "TASKS", {"ncf": task})
    monkeypatch.setattr(
        texts_and_ratings, "PLANS", {"a": Plan("ncf", 8), "b": Plan("ncf", 16, share=1.0)}
    )
    monkeypatch.setattr(texts_and_ratings, "with_threads", lambda threads: None)
    monkeypatch.setattr(texts_and_ratings, "SEEN", 16)
    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("<!-- texts: measured -->\n<!-- texts: end -->\n", encoding="utf-8")
    given = ["x", "--rows", "a", "b", "--samples", "40", "--keep", "--document", str(page)]
    monkeypatch.setattr("sys.argv", given)
    texts_and_ratings.main()

    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| {task.title}")
    ]
    assert [row[1] for row in rows] == ["8", "16"]
    assert all(row[2].endswith("%") and float(row[5]) > 0 for row in rows)
    found = texts_and_ratings.trained("ncf")
    assert kept.load(found.origin) is not None
    assert rows[0][2] == rows[1][2]
