"""The benchmark of trained families: every plan is a row, rows are kept, and a page is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import sources, trained_families
from benchmarks.family_networks import Rows, VisionTransformer
from benchmarks.trained_families import PLANS, Plan

from small_images import small_images

FEW = {
    "gru_16": Plan("gru", 16),
    "vit_64": Plan("vit", 64),
    "gru_by_row_16": Plan("gru", 16, by_row=True),
}


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a few bright and dark images; smaller networks; all is kept elsewhere."""
    path = small_images(tmp_path, monkeypatch, 60, 40)
    for name, make in {
        "gru": lambda: Rows(28, 4),
        "vit": lambda: VisionTransformer(8, 2, 1, 14),
    }.items():
        quick = replace(sources.NETWORKS[name][1], cycles=((1, 0.01),), batch=32)
        monkeypatch.setitem(sources.NETWORKS, name, (make, quick))  # type: ignore[arg-type]
    monkeypatch.setattr(trained_families, "with_threads", lambda threads: None)
    monkeypatch.setattr(trained_families, "SEEN", 12)
    monkeypatch.setattr(trained_families, "PLANS", FEW)
    monkeypatch.setattr(trained_families, "TABLE", tmp_path / "rows.csv")
    monkeypatch.setattr(trained_families, "PAGE", tmp_path / "page.md")
    return path


@pytest.mark.slow
def test_every_plan_is_a_row(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Shown row by row a network has neurons of one row; a row that is there is only read."""
    given = ["x", "--fashion-mnist", str(images), "--cache", str(tmp_path), "--images", "20"]
    monkeypatch.setattr("sys.argv", given)
    trained_families.main()
    rows = trained_families.rows()
    assert set(rows) == set(FEW)
    assert all(row.images == 20 and row.spikes > 0 for row in rows.values())
    assert all(row.low <= row.drop <= row.high for row in rows.values())
    assert 28 * rows["gru_by_row_16"].neurons > rows["gru_16"].neurons
    assert rows["gru_by_row_16"].neurons < rows["gru_16"].neurons / 20
    assert np.isnan(rows["gru_by_row_16"].rounding) and not np.isnan(rows["gru_16"].rounding)
    text = trained_families.PAGE.read_text(encoding="utf-8")
    assert text.count("| 16 | whole |") == text.count("| 16 | row by row |") == 1

    capsys.readouterr()
    trained_families.main()
    assert "Row(" not in capsys.readouterr().out
    assert trained_families.PAGE.read_text(encoding="utf-8") == text


def test_every_family_has_a_goal_after_either_number_of_steps() -> None:
    """The table of the page has a line for each, and names the network."""
    for network in sources.FAMILIES:
        assert {p.steps for p in PLANS.values() if p.network == network} == {16, 64}
        assert network in trained_families.NAMES
