"""Runs the examples of docs/gallery and writes its page and pictures.

    python scripts/gallery.py [NAME ...]

With names only those are drawn anew. Each example says in its docstring what it shows, prints a
number with the bound that it keeps, and leaves a `figure`.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import runpy
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image  # matplotlib brings it

FOLDER = Path(__file__).parents[1] / "docs" / "gallery"
PAGE, PICTURES = FOLDER / "README.md", FOLDER / "pictures"
ORDER = (
    "tuning_curves",
    "communication_channel",
    "addition",
    "product",
    "two_dimensions",
    "integrator",
    "controlled_oscillator",
    "lorenz_attractor",
    "learning_a_channel",
    "basal_ganglia",
    "izhikevich",
    "adding_up_digits",
)
HEAD = """# Gallery

Example models to copy and change. Each is a file of at most forty lines that runs as it is and
prints how accurate it is. Every one leaves its picture as `figure`, which
`figure.savefig("picture.png")` saves. [Modelling](../modelling.md) explains the terms.
`scripts/gallery.py` writes this page.
"""
_RESULT = re.compile(r"(-?\d+(?:\.\d+)?)[^\d]*\((at most|at least) (\d+(?:\.\d+)?)\)")


class Example(NamedTuple):
    """An example's name, the first line of its docstring, and the rest of it."""

    name: str
    title: str
    text: str


def example(name: str) -> Example:
    """An example as its file describes it."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    first, _, rest = (ast.get_docstring(tree) or "").partition("\n")
    return Example(name, first.rstrip("."), " ".join(rest.split()))


def run(name: str) -> tuple[str, dict[str, Any]]:
    """What an example prints, and the names that it leaves."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        names = runpy.run_path(str(FOLDER / f"{name}.py"))
    return stream.getvalue(), names


def results(printed: str) -> list[tuple[float, str, float]]:
    """The numbers that an example ends in, each with "at most" or "at least" and its bound."""
    return [(float(n), word, float(bound)) for n, word, bound in _RESULT.findall(printed)]


def section(item: Example, printed: str) -> str:
    """An example on the page."""
    title, _, what = item.title.partition(": ")
    link = f"[{item.name}.py]({item.name}.py)"
    text = textwrap.fill(f"{what[0].upper()}{what[1:]}. {item.text} ({link})", 120)
    picture = f"![{title}](pictures/{item.name}.png)"
    return f"## {title}\n\n{text}\n\n{picture}\n\n```text\n{printed}```\n"


def draw(figure: Any, path: Path) -> None:
    """Save a figure as a small PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, dpi=80)
    stream.seek(0)
    save_in_colours(Image.open(stream), path, 48)


def save_in_colours(picture: Image.Image, path: Path, colours: int) -> None:
    """Save a picture as a PNG with a palette of so many colours, which makes a small file."""
    picture.convert("RGB").quantize(colours).save(path, optimize=True)


def sections(page: str) -> dict[str, str]:
    """The text of every section of the page, by the example's name."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    return {re.findall(r"\((\w+)\.py\)", part)[0]: part.rstrip() + "\n" for part in parts}


def main(names: list[str]) -> None:
    """Run examples, draw their pictures, and write the page."""
    PICTURES.mkdir(exist_ok=True)
    kept = sections(PAGE.read_text(encoding="utf-8")) if names else {}
    for name in names or ORDER:
        printed, left = run(name)
        draw(left["figure"], PICTURES / f"{name}.png")
        kept[name] = section(example(name), printed)
        print(name, printed, sep="\n")
    text = "\n".join([HEAD, *(kept[name] for name in ORDER)])
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
