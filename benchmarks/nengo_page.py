"""Sections of `docs/nengo.md` that are measured: each benchmark writes its own."""

from __future__ import annotations

from pathlib import Path

PATH = Path(__file__).parents[1] / "docs" / "nengo.md"


def put(section: str, text: str, path: Path = PATH) -> None:
    """Replace what stands between the marks of a section; raises `ValueError` without marks."""
    first, last = (f"<!-- {section}: {word} -->" for word in ("measured", "end"))
    page = path.read_text()
    if page.count(first) != 1 or page.count(last) != 1:
        raise ValueError(f"{path}: the section {section!r} needs the marks {first} and {last}")
    before, rest = page.split(first)
    path.write_text(f"{before}{first}\n\n{text.strip()}\n\n{last}{rest.split(last)[1]}")
