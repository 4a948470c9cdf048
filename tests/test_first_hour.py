"""The first hour, from nothing: docs/start.md in a fresh environment, command by command.

`scripts/follow_pages.py` follows README and the tutorials in the same way.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scripts.follow_pages import AT_THE_END, UNSEEN, environment, follow, pages
from scripts.pages import alike, differing_lines

FOLDER = os.environ.get("SPIKEWRIGHT_WHEELS")
REPORT = "from pathlib import Path\nassert Path('report.html').stat().st_size > 10_000\n"


@pytest.mark.first_hour
def test_the_path_works_in_a_fresh_environment(tmp_path: Path) -> None:
    """With the extras that the page names, and no other, every line works and prints the same.

    And every line works with a network that the page does not know.
    """
    assert FOLDER is not None, "give the folder of a wheel in SPIKEWRIGHT_WHEELS"
    (wheel,) = Path(FOLDER).resolve().glob("*.whl")
    (page,) = (found for found in pages() if found.name == "start")
    env = environment(tmp_path, page.extras, wheel)
    printed, failed, _ = follow(f"{page.session()}\n{REPORT}", env)
    assert not failed
    assert alike(printed, page.shown)
    unseen = (UNSEEN / "start.py").read_text(encoding="utf-8")
    _, failed, _ = follow(page.session(unseen), env)
    assert not failed


def test_pages_are_followed_to_their_end() -> None:
    """Each has a block for the reader's network, and there is an unseen one, with a check."""
    found = {page.name: page for page in pages()}
    assert set(found) == {"README", "start", "pytorch_to_decision", "keras_to_decision"}
    for name, page in found.items():
        unseen = (UNSEEN / f"{name.lower()}.py").read_text(encoding="utf-8")
        code, _, check = unseen.partition(AT_THE_END)
        assert "assert" in check and "demo" in page.extras and page.shown
        session = page.session(unseen)
        assert code in session and session.endswith(check)
        assert (page.blocks[page.own] in session) == page.given
        assert (page.blocks[page.own] in page.session()) != page.given
        compile(session, name, "exec")


def test_what_differs_from_a_page_is_named() -> None:
    """A percentage may be off by one point, another number by a tenth; words may not."""
    shown = "accuracy 98.1%, 1,192 spikes\n"
    assert not list(differing_lines("accuracy 97.2 %,  1,250 spikes\n", shown, 1))
    for other in ("accuracy 96.9%, 1,192 spikes\n", "accuracy 98.1%, 1,400 spikes\n",
                  "exactness 98.1%, 1,192 spikes\n", shown * 2):  # fmt: skip
        assert list(differing_lines(other, shown, 1))
