"""Parts of pages that are measured: each benchmark writes its own between its marks."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def put(section: str, text: str, path: Path) -> None:
    """Replace the text between the marks of a section; raises `ValueError` without marks."""
    before, _, rest = _parts(section, path)
    path.write_text(f"{before}\n\n{text.strip()}\n\n{rest}", encoding="utf-8")


def found(section: str, path: Path) -> str:
    """The text between the marks of a section; raises `ValueError` without marks."""
    return _parts(section, path)[1].strip()


def marks(section: str) -> tuple[str, str]:
    """The lines around a section."""
    return f"<!-- {section}: measured -->", f"<!-- {section}: end -->"


def _parts(section: str, path: Path) -> tuple[str, str, str]:
    """A page up to its section, the section, and the rest; marks belong to what is around."""
    first, last = marks(section)
    page = path.read_text(encoding="utf-8")
    if page.count(first) != 1 or page.count(last) != 1:
        raise ValueError(f"{path}: the section {section!r} needs the marks {first} and {last}")
    before, rest = page.split(first)
    inside, after = rest.split(last)
    return before + first, inside, last + after


def names(page: str) -> list[str]:
    """The sections of a page, in their order."""
    return re.findall(r"^<!-- ([\w ]+): measured -->$", page, re.MULTILINE)


def add_document(parser: argparse.ArgumentParser, page: str) -> None:
    """The option that names the page to write into; without it a table is only printed."""
    parser.add_argument(
        "--document", type=Path, nargs="?", const=DOCS / page, help=f"write docs/{page}, or there"
    )


def write_section(section: str, text: str, page: Path | None) -> None:
    """Print a part of a page, and write it where a page is given."""
    print(text, flush=True)
    if page is not None:
        put(section, text, page)
