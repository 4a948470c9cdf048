"""docs/explore.md is true: its example runs, and its commands exist."""

from __future__ import annotations

import re

from benchmarks.explorer import CASES

from pages import DOCS, Page
from spikewright.cli import main
from spikewright.records import DEFAULT_TABLE

PAGE = Page("explore.md")


def test_the_example_prints_an_address() -> None:
    """With a token, on this machine."""
    printed, _ = PAGE.run()

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/\n", printed)


def test_its_options_are_those_of_the_command() -> None:
    """Each option on the page, and the cost table."""
    known = {
        option for p in main.commands["explore"].params for option in [*p.opts, *p.secondary_opts]
    }
    ours = re.sub(r"`python -m [^`]*`", "", PAGE.text)  # without those of a benchmark
    named = set(re.findall(r"(?<![-|])--[a-z][a-z-]+", ours))

    assert {"--data", "--no-browser", "--port"} == named <= known
    assert f"`{DEFAULT_TABLE}`" in PAGE.text


def test_its_figures_are_within_the_limits() -> None:
    """The shipped network answers within 100 ms, MNIST's within 300, and no page stands still."""
    measured = PAGE.text.split("<!-- explorer: measured -->")[1]
    table = measured.split("<!-- explorer: end -->")[0].strip().splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    medians = {row[0]: int(row[1]) for row in rows}
    tasks = {row[0]: row[3] for row in rows}

    assert list(medians) == list(tasks) == [name for name, _ in CASES]
    assert medians["digits, shipped, 3 k parameters"] < 100
    assert medians["MNIST, published"] < 300
    assert (
        tasks["784-2800-2800-10, 10 M"] == "below 50" or int(tasks["784-2800-2800-10, 10 M"]) < 100
    )


def test_its_pictures_are_there_and_small() -> None:
    """Of each page: in light, in dark, on a telephone, with a drawing, and with advice."""
    shown = re.findall(r"!\[[^]]+\]\((explore[a-z_]*\.png)\)", PAGE.text)

    assert len(shown) == 6
    assert sorted(shown) == sorted(path.name for path in DOCS.glob("explore*.png"))
    assert max((DOCS / name).stat().st_size for name in shown) < 300_000
