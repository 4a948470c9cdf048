"""Every measured table of docs/ is made again by one command, from weights that are kept."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from benchmarks import kept, marked, pages
from benchmarks.pages import FIGURES, STATED, Figures
from scripts.pages import DOCS

GENERATED = {"support.md"}
"""Pages whose tables list what the code has."""
WRITTEN = [path for path in sorted(DOCS.glob("*.md")) if path.name not in GENERATED]
LARGEST = 12_000_000
SLOWEST = 3600
FIGURE = re.compile(r"[-+<]?\d[\d,]*(\.\d+)?([eE][-+]?\d+)?( ?(%|x|ms|s|MiB|pJ|spikes)\b)?.*")


def tables(page: str) -> list[tuple[str, str]]:
    """Tables outside of marks whose cells are figures for the most part: heading, first head."""
    found, heading, inside = [], "", False
    lines = page.splitlines()
    for index, line in enumerate(lines):
        if line.startswith("<!--"):
            inside = line.endswith(": measured -->")
        if line.startswith("#"):
            heading = line.strip("# ")
        if not re.match(r"\|[-: |]+\|$", line):
            continue
        rows = []
        for row in lines[index + 1 :]:
            if not row.startswith("|"):
                break
            rows += [cell.strip(" *") for cell in row.strip("|").split("|")[1:]]
        cells = [cell for cell in rows if cell not in ("", "-")]
        of_figures = sum(bool(FIGURE.fullmatch(cell)) for cell in cells)
        if not inside and 2 * of_figures >= len(cells) > 0:
            found.append((heading, lines[index - 1].split("|")[1].strip()))
    return found


def parts_of(page: str) -> set[str]:
    """The registered parts of a page."""
    return {figures.part for figures in FIGURES if figures.page == page}


def test_every_table_of_figures_is_registered() -> None:
    """Between marks, below a heading of a page that is written as a whole, or stated as such."""
    for path in WRITTEN:
        page, parts = path.read_text(encoding="utf-8"), parts_of(path.name)
        if "" in parts:
            continue
        assert set(marked.names(page)) <= parts, path
        headings = {line.strip("# ") for line in page.splitlines() if line.startswith("## ")}
        assert parts <= headings | set(marked.names(page)), path
        for heading, first in tables(page):
            above = page[: page.index(f"# {heading}\n")].split("\n## ")
            chapter = heading if heading in parts or len(above) == 1 else above[-1].splitlines()[0]
            assert chapter in parts or (path.name, first) in STATED, f"{heading}: {first}"


def test_a_command_writes_its_page_within_an_hour() -> None:
    """Its module is there and takes the page's name; one core is enough."""
    writes = re.compile(r"--document|add_document|document\.add|edges\.add")
    for figures in FIGURES:
        spec = find_spec(f"benchmarks.{figures.command.split()[0]}")
        assert spec is not None and spec.origin is not None, figures
        source = Path(spec.origin)
        if source.name == "__init__.py":
            source = source.with_name("__main__.py")
        assert writes.search(source.read_text("utf-8")), figures
        assert 0 < figures.seconds <= SLOWEST, figures
        assert (DOCS / figures.page).exists(), figures


def test_kept_weights_are_few_and_each_is_read() -> None:
    """All of them are at most 12 MB, and some command reads each."""
    files = {path.stem: path for path in kept.FOLDER.glob("*.safetensors")}
    read = {name for figures in FIGURES for name in figures.weights}
    assert read == set(files)
    assert sum(path.stat().st_size for path in files.values()) <= LARGEST


def test_what_is_made_again_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal figures are no difference; others are shown, and written only where that is asked."""
    (tmp_path / "page.md").write_text("<!-- x: measured -->\n\n1\n\n<!-- x: end -->\n")
    monkeypatch.setattr(pages, "DOCS", tmp_path)

    def running(text: str):
        def run(command: list[str], **how: object) -> subprocess.CompletedProcess:
            assert command[:3] == [sys.executable, "-m", "benchmarks.some"]
            marked.put("x", text, Path(command[-1]))
            return subprocess.CompletedProcess(command, 0)

        return run

    figures = Figures("x", "page.md", "x", "some --mnist {mnist}", 1)
    monkeypatch.setattr(subprocess, "run", running("1"))
    assert pages.run(figures, {"mnist": "mnist.npz"}, False) == ""
    monkeypatch.setattr(subprocess, "run", running("2"))
    assert pages.run(figures, {"mnist": "mnist.npz"}, False).splitlines()[-2:] == ["-1", "+2"]
    assert "2" not in (tmp_path / "page.md").read_text()
    pages.run(figures, {"mnist": "mnist.npz"}, True)
    assert "2" in (tmp_path / "page.md").read_text()
