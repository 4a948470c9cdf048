"""Draws the pictures of pages in docs/ anew: each is the `figure` that the page's own code leaves.

    python -m scripts.page_pictures [choosing.md ...]

Without names all pages are run whose code leaves a `figure`; their pictures are in docs/pictures/.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.gallery import draw

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = DOCS / "pictures"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_of(page: Path) -> str:
    """The Python blocks of a page, in their order."""
    return "\n".join(_BLOCK.findall(page.read_text(encoding="utf-8")))


def drawn() -> list[Path]:
    """The pages whose code leaves a picture."""
    found = r"^figure(, \w+)? = "
    return [p for p in sorted(DOCS.glob("*.md")) if re.search(found, code_of(p), re.MULTILINE)]


def save(page: Path, figure: Any, folder: Path = PICTURES) -> Path:
    """Save the figure that a page's code left, as the picture of that page."""
    path = folder / f"{page.stem}.png"
    draw(figure, path)
    return path


def main(names: list[str]) -> None:
    """Run pages, in an empty folder each, and save what they drew."""
    PICTURES.mkdir(exist_ok=True)
    for page in [DOCS / name for name in names] or drawn():
        left: dict[str, Any] = {}
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.chdir(folder),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            exec(compile(code_of(page), page.name, "exec"), left)
        print(save(page, left["figure"]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
