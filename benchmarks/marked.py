"""Parts of pages that are measured: each benchmark writes its own between its marks."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def put(section: str, text: str, path: Path) -> None:
    """Replace the text between the marks of a section; raises `ValueError` without marks."""
    first, last = (f"<!-- {section}: {word} -->" for word in ("measured", "end"))
    page = path.read_text(encoding="utf-8")
    if page.count(first) != 1 or page.count(last) != 1:
        raise ValueError(f"{path}: the section {section!r} needs the marks {first} and {last}")
    before, rest = page.split(first)
    made = f"{before}{first}\n\n{text.strip()}\n\n{last}{rest.split(last)[1]}"
    path.write_text(made, encoding="utf-8")


def names(page: str) -> list[str]:
    """The sections of a page, in their order."""
    return re.findall(r"^<!-- ([\w ]+): measured -->$", page, re.MULTILINE)


def add_document(parser: argparse.ArgumentParser, page: str) -> None:
    """The option that names the page to write into; without it a table is only printed."""
    parser.add_argument(
        "--document", type=Path, nargs="?", const=DOCS / page, help=f"write docs/{page}, or there"
    )


def tell(section: str, text: str, page: Path | None) -> None:
    """Print a part of a page, and write it where a page is given."""
    print(text, flush=True)
    if page is not None:
        put(section, text, page)
