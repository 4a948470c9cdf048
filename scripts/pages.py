"""Pages of the documentation: their names, prose and blocks, and the output of their examples.

python -m scripts.pages      # the lines of every page that no command writes
"""

from __future__ import annotations

import contextlib
import io
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"
NAMES = sorted(
    path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.parent.name != "api"
)
"""All pages, below `DOCS`, but those that a build of the site adds."""
NOTEBOOKS = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.ipynb"))

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_AMOUNT = re.compile(r"(\d[\d,]*(?:\.\d+)?)( ?%)?")


def alike(printed: str, expected: str) -> bool:
    """Whether two texts are the same but for numbers that are near.

    Networks that are trained here differ, since machines round matrix products otherwise.
    A number may be off by a tenth, or by three.
    """
    pairs = zip(_NUMBER.findall(printed), _NUMBER.findall(expected), strict=False)
    near = all(math.isclose(float(a), float(b), rel_tol=0.1, abs_tol=3) for a, b in pairs)
    return near and _NUMBER.sub("#", printed) == _NUMBER.sub("#", expected)


def differing_lines(printed: str, expected: str, points: float) -> Iterator[str]:
    """Lines that are not those that were expected, but for spaces and for numbers that are near.

    A percentage may be off by so many points, any other number by a tenth, or by three.
    """
    lines, others = printed.splitlines(), expected.splitlines()
    if len(lines) != len(others):
        yield f"{len(lines)} lines in place of {len(others)}"
    for line, other in zip(lines, others, strict=False):
        pairs = zip(_AMOUNT.findall(line), _AMOUNT.findall(other), strict=False)
        near = all(
            _near(one, another, points if unit else None) for (one, unit), (another, _) in pairs
        )
        texts = [_AMOUNT.sub("#", text).split() for text in (line, other)]
        if not near or texts[0] != texts[1]:
            yield f"{line!r} in place of {other!r}"


def _near(one: str, other: str, points: float | None) -> bool:
    a, b = (float(text.replace(",", "")) for text in (one, other))
    return math.isclose(a, b, rel_tol=0.1, abs_tol=3) if points is None else abs(a - b) <= points


def prose(text: str) -> str:
    """The text of a page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


GENERATED = {"support.md": "", "families.md": "", "benchmarks.md": "## Memory of a run\n"}
"""Pages that commands write, up to a heading or as a whole; elsewhere measured parts are marked."""
ELSEWHERE = {"changes.md", "contributing.md"}
"""Pages that show a file of another folder."""


def by_hand() -> dict[str, int]:
    """The lines of the pages of `DOCS` itself that no command writes."""
    counted = {}
    for name in NAMES:
        if "/" in name or name in ELSEWHERE:
            continue
        text = (DOCS / name).read_text(encoding="utf-8")
        if name in GENERATED:
            heading = GENERATED[name]
            text = text.partition(heading)[2] if heading else ""
        text = re.sub(r": measured -->\n.*?: end -->", "", text, flags=re.DOTALL)
        counted[name] = len(text.splitlines())
    return counted


def blocks(text: str) -> list[tuple[str, str]]:
    """The blocks of code and output in a page's text, (language, text) each."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Page:
    """A page by its file name: its text, and its blocks, (language, text) each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (DOCS / name).read_text(encoding="utf-8")
        self.blocks = blocks(self.text)

    @property
    def printed(self) -> str:
        """The output that it shows below its examples, all of it."""
        return "".join(text for language, text in self.blocks if language == "text")

    def run(self, shell: Callable[[str], None] | None = None) -> tuple[str, dict[str, Any]]:
        """The output of its examples in one session, from top to bottom, and the names they leave.

        `shell` gets the blocks of commands, in their places.
        """
        stream, names = io.StringIO(), dict[str, Any](__name__="__main__")
        with contextlib.redirect_stdout(stream):
            for language, code in self.blocks:
                if language == "python":
                    exec(compile(code, self.name, "exec"), names)
                if language == "sh" and shell is not None:
                    shell(code)
        return stream.getvalue(), names


if __name__ == "__main__":
    found = by_hand()
    for page, count in found.items():
        print(f"{count:5d} {page}")
    print(f"{sum(found.values())} lines of {len(found)} pages")
