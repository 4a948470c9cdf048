"""Guides whose examples need nothing beside them are true: they print what stands below them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import Page, alike

NAMES = (
    "spikes.md",
    "guarantees.md",
    "few_steps.md",
    "cluster.md",
    "real_time.md",
    "from_nengo_dl.md",
    "from_pytorch.md",
    "from_nengo.md",
)
TRAINED = ("from_nengo_dl.md",)


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("name", NAMES)
def test_the_examples_print_what_is_printed_below_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one session, from top to bottom, in an empty folder; what is trained there, nearly."""
    monkeypatch.chdir(tmp_path)
    page = Page(name)
    assert page.printed
    printed, _ = page.run()
    assert alike(printed, page.printed) if name in TRAINED else printed == page.printed


def test_numbers_that_are_near_are_alike() -> None:
    """And no others: other words, another number of them, or numbers farther away are not."""
    assert alike("scale 5: 77% right", "scale 5: 79% right")
    for other in ("scale 5: 77% wrong", "scale 5: 90% right", "scale 5: 77% right 1"):
        assert not alike("scale 5: 77% right", other)
