"""Names in code lead to where they are documented: inventories of other projects, and our own."""

from __future__ import annotations

import re

from docs import conf
from scripts.pages import DOCS, NAMES

links, reference = conf.links, conf.reference
PROJECTS = sorted(path.stem for path in (DOCS / "inventories").glob("*.txt"))
# what the pages call by name though its project documents it nowhere
UNDOCUMENTED = (
    "nengo.tests", "nengo.utils", "nengo.builder", "nengo.networks.tests", "nengo.backends",
    "nengo.py", "nengo.Simulator", "torch.backends.mha",
)  # fmt: skip


def _pages() -> list[str]:
    paths = [DOCS / name for name in NAMES]
    paths += [DOCS.parent / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")]
    return [path.read_text(encoding="utf-8") for path in paths]


def mentioned(texts: list[str]) -> set[str]:
    """The full names that pages and docstrings show as code."""
    pieces = {piece for text in texts for piece in re.findall(r"`([^`\n]+)`", text)}
    return {name for piece in pieces if (name := links.full_name(piece))}


def test_names_of_other_projects_are_in_their_inventories() -> None:
    """A name of NumPy, PyTorch, Nengo or Keras on a page is found."""
    found = mentioned(_pages())
    listed = {name for project in PROJECTS for name in links.inventory(project).places}
    theirs = {name for name in found if re.match(r"(numpy|torch|nengo|keras)\.", name)}
    assert {n for n in theirs - listed if not n.startswith(UNDOCUMENTED)} == set()
    assert len(theirs & listed) > 40


def test_every_public_name_has_an_entry_on_the_site() -> None:
    """By itself, or with its class."""
    for topic, names in reference.topics().items():
        page = reference.page(topic, names)
        entries = set(re.findall(r"^\.\. [\w:]+:: (\S+)$", page, re.MULTILINE))
        for name in names:
            full = reference.full_name(name)
            assert full in entries or full.rpartition(".")[0] in entries, (topic, name)
