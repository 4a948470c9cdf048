"""Pages of the site with the signature and the whole docstring of every public name, by autodoc.

`docs/reference.md` lists the same names with their first sentences, in the repository and on the
site. `scripts/reference.py` says which names there are, once for both.
"""

from __future__ import annotations

import inspect
import re
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from _making import links

FOLDER = "api"  # below docs/; written anew by every build, and not kept in the repository


def topics() -> dict[str, dict[str, Any]]:
    """Every public name of each topic, with its object."""
    import sys

    root = str(Path(__file__).parents[2])
    if root not in sys.path:
        sys.path.insert(0, root)
    from scripts.reference import topics as listed

    return listed()


def slug(topic: str) -> str:
    """The name of a topic's page."""
    return topic.lower().replace(" ", "_")


def full_name(name: str) -> str:
    """A name as the reference lists it, from the package on."""
    return links.from_package(name if name.startswith("spikewright") else f"sw.{bare(name)}")


def bare(name: str) -> str:
    """A name without the abbreviation of the package."""
    return name.removeprefix("sw.")


def as_rst(text: str) -> str:
    """A docstring as reStructuredText: between two bars a name would be a substitution."""
    return re.sub(r"\|(?=\w+\|)", r"\\|", text)


def entry(full: str, item: Any) -> str:
    """The directive for one name; members of classes come with their class."""
    if isinstance(item, ModuleType):
        return f".. py:module:: {full}\n\n{as_rst(inspect.getdoc(item) or '')}\n"
    if isinstance(item, type):
        return f".. autoclass:: {full}\n   :members:\n"
    kind = "autofunction" if callable(item) else "autodata"
    return f".. {kind}:: {full}\n"


def member(full: str, item: Any) -> str:
    """The directive for a member that a class has from a base, which its class does not show."""
    kind = "autoproperty" if isinstance(item, property | cached_property) else "automethod"
    return f".. {kind}:: {full}\n"


def page(topic: str, names: dict[str, Any]) -> str:
    """A topic's page."""
    line = "=" * len(topic)
    head = (
        f"{topic}\n{line}\n\nFor those who look up an argument: signatures and docstrings. "
        "The :doc:`list of all names </reference>` is shorter.\n"
    )
    entries: dict[str, str] = {}
    for name, item in names.items():
        full = full_name(name)
        parent, _, last = full.rpartition(".")
        if not parent.rpartition(".")[2][0].isupper():
            entries[full] = entry(full, item)
            continue
        entries.setdefault(parent, entry(parent, type))  # a class shows its own members
        owner = names.get(f"sw.{parent.removeprefix('spikewright.')}")
        if owner is not None and last not in vars(owner):
            entries[full] = member(full, item)
    return "\n".join([head, *entries.values()])


def write(docs: Path) -> None:
    """Write the pages that are not as they should be, and remove others."""
    folder = docs / FOLDER
    folder.mkdir(exist_ok=True)
    made = {f"{slug(topic)}.rst": page(topic, names) for topic, names in topics().items()}
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.glob("*.rst"):
        if path.name not in made:
            path.unlink()


def tree() -> str:
    """The pages as a tree below the reference."""
    names = "\n".join(f"{FOLDER}/{slug(topic)}" for topic in topics())
    return f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"


def docstring(app: Any, kind: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Called by autodoc for each docstring."""
    lines[:] = as_rst("\n".join(lines)).split("\n")
