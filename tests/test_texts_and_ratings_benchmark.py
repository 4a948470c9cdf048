"""The benchmark of padded texts and of ratings: its data, and that every plan is a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import docstrings, kept, ratings, texts_and_ratings
from benchmarks.families.recommenders import NeuMF
from benchmarks.texts_and_ratings import PLANS, TASKS, Plan, Recipe

SOURCE = '''"""{module}"""

def one():
    """{one}

    Not this paragraph.
    """

class Two:
    """{two}"""
'''


def _package(folder: Path, name: str, **texts: str) -> None:
    inside = folder / name
    (inside / "tests").mkdir(parents=True)
    (inside / "__init__.py").write_text(SOURCE.format(**texts), encoding="utf-8")
    tested = SOURCE.format(module="Some words of a test here", one="x", two="y")
    (inside / "tests" / "test_it.py").write_text(tested, encoding="utf-8")


def test_texts_are_the_beginnings_of_docstrings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without names of packages, repeated ones, short ones and tests; padded behind their words."""
    shared = "A text that both of them have"
    _package(
        tmp_path, "someone", module="Arrays of someone with many numbers 2 x", one=shared, two="no"
    )
    _package(tmp_path, "another", module=shared, one="Layers of a network are here", two=shared)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(docstrings, "PACKAGES", ("someone", "another"))
    monkeypatch.setattr(docstrings, "TOLD", {"someone", "another"})
    monkeypatch.setattr(docstrings, "TESTED", 3)
    trained, tested = docstrings.texts()

    ids = np.concatenate([trained.ids, tested.ids])
    masks = np.concatenate([trained.masks, tested.masks])
    labels = np.concatenate([trained.labels, tested.labels])
    assert (len(trained.labels), len(tested.labels)) == (2, 1)
    np.testing.assert_array_equal(np.sort(labels), [0, 0, 1])
    assert sorted(masks.sum(1)) == [7, 8, 8]  # a token for all of a text, and its words
    np.testing.assert_array_equal(masks == 1, ids != docstrings.PADDING)
    assert (np.diff(masks, axis=1) <= 0).all()
    assert (ids[:, 0] == docstrings.FIRST).all()
    again = docstrings.texts()[0]
    np.testing.assert_array_equal(again.ids, trained.ids)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all packages whose texts are wanted."""
    monkeypatch.setattr(docstrings, "PACKAGES", ("nobody_has_this",))
    with pytest.raises(ModuleNotFoundError, match="docstrings of nobody_has_this"):
        docstrings.texts()


def test_ratings_follow_a_rule_with_noise() -> None:
    """Pairs are told once, about half of them are liked, and the same are made again."""
    trained, tested = ratings.ratings()
    users, items = (np.concatenate([getattr(one, n) for one in (trained, tested)])
                    for n in ("users", "items"))  # fmt: skip
    pairs = users * ratings.ITEMS + items

    assert len(np.unique(pairs)) == len(pairs) == ratings.RATINGS
    assert 0.4 < trained.liked.mean() < 0.7
    np.testing.assert_array_equal(ratings.ratings()[1].liked, tested.liked)


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


def test_every_network_runs_at_one_spike_in_few_and_in_more_steps() -> None:
    """Rows of 16 and of 64 steps."""
    for network in TASKS:
        steps = {plan.steps for plan in PLANS.values() if plan.network == network}
        assert {16, 64} <= steps
