"""Draws the pictures of pages in docs/ anew: each is the `figure` that the page's own code leaves.

    python -m scripts.page_pictures [choosing.md ...]

Without names all pages are run whose code leaves a `figure`; their pictures are in docs/pictures/.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scripts.gallery import draw
from scripts.pages import DOCS, NAMES, Page

PICTURES = DOCS / "pictures"
_FIGURE = re.compile(r"^figure(, \w+)? = ", re.MULTILINE)


def drawn() -> list[str]:
    """The pages whose code leaves a picture."""
    return [name for name in NAMES if any(_FIGURE.search(code) for _, code in Page(name).blocks)]


def save(page: Path, figure: Any, folder: Path = PICTURES) -> Path:
    """Save the figure that a page's code left, as the picture of that page."""
    path = folder / f"{page.stem}.png"
    draw(figure, path)
    return path


def difference(one: Path, other: Path) -> float:
    """By how much two pictures differ on average, from 0 to 1, once both are a quarter as large.

    Lines and letters that are moved by a pixel hardly count.
    """
    size = tuple(side // 4 for side in Image.open(one).size)
    first, second = (
        np.asarray(Image.open(path).convert("L").resize(size), float) for path in (one, other)
    )
    return float(np.abs(first - second).mean()) / 255


def main(names: list[str]) -> None:
    """Run pages, in an empty folder each, and save what they drew."""
    PICTURES.mkdir(exist_ok=True)
    for name in names or drawn():
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            _, left = Page(name).run()
        print(save(Path(name), left["figure"]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
