"""The pages that the site adds: all public names, their signatures and docstrings, the commands.

`api/reference` lists every name with the first sentence of its docstring. A page for each topic has
signatures and whole docstrings, by autodoc. `api/commands` has the command line, by sphinx-click.
"""

from __future__ import annotations

import inspect
import re
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from _making import commands, links
from _making.topics import first_line, topics

from spikewright.cli import main

FOLDER = "api"  # below docs/; written by every build, and not kept in the repository
HEAD = """# Python reference

Every public name, with the first sentence of its docstring. A name leads to its signature and full
docstring: shapes, units, exceptions, and the source of a formula; `help(name)` prints the same.
`sw` is `import spikewright as sw`.
"""


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
    head = f"{topic}\n{line}\n\n:doc:`All public names <reference>`\n"
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


def overview() -> str:
    """The list of all names, with the pages of topics as a tree."""
    parts = [HEAD]
    for topic, names in topics().items():
        rows = [
            f"| `{name}` | {first_line(item).replace('|', chr(92) + '|')} |"
            for name, item in names.items()
        ]
        table = "\n".join(["| name | what it is |", "|---|---|", *rows])
        parts.append(f"## {topic}\n\n[Signatures and docstrings]({slug(topic)}.rst)\n\n{table}\n")
    names = "\n".join(map(slug, topics()))
    return "\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"])


def write(docs: Path) -> None:
    """Write the pages that are not as they should be, and remove others."""
    folder = docs / FOLDER
    folder.mkdir(exist_ok=True)
    made = {f"{slug(topic)}.rst": page(topic, names) for topic, names in topics().items()}
    made |= {"reference.md": overview(), "commands.rst": commands.page(main)}
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.iterdir():
        if path.name not in made:
            path.unlink()


def docstring(app: Any, kind: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Called by autodoc for each docstring."""
    lines[:] = as_rst("\n".join(lines)).split("\n")
