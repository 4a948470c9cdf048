"""The benchmark of trained families: every plan is a row of its network on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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


@pytest.mark.slow
def test_every_plan_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shown row by row a network has neurons of one row, and no rounded twin."""
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
    page = tmp_path / "page.md"
    page.write_text("<!-- families: measured -->\n<!-- families: end -->\n", encoding="utf-8")
    given = ["x", "--fashion-mnist", str(path), "--cache", str(tmp_path), "--images", "20"]
    monkeypatch.setattr("sys.argv", [*given, "--document", str(page)])
    trained_families.main()
    rows = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in ("16", "64"):
            rows[cells[0], cells[1]] = cells
    assert set(rows) == {("16", "whole"), ("64", "whole"), ("16", "row by row")}
    whole, turned = rows["16", "whole"], rows["16", "row by row"]
    assert 20 * int(turned[2]) < int(whole[2].replace(",", "")) < 28 * int(turned[2])
    assert turned[4] == turned[6] == "" and whole[4] and float(whole[6]) > 0


def test_every_family_is_on_the_page() -> None:
    """The table of the page names the network, and has a line of it in 16 steps."""
    for network in sources.FAMILIES:
        assert 16 in {plan.steps for plan in PLANS.values() if plan.network == network}
        assert network in trained_families.NAMES
