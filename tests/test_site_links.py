"""Names in code lead to where they are documented: inventories of other projects, and our own."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from docs import conf

from pages import DOCS, NAMES

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


@pytest.mark.parametrize("project", ["numpy", "pytorch", "keras"])
def test_an_inventory_lists_what_its_project_has(project: str) -> None:
    """Every name can be imported, and is a class, a function or a module as the inventory says."""
    kinds = {"class": lambda item: isinstance(item, type), "function": callable}
    for name, (kind, _) in links.inventory(project).places.items():
        item = _imported(name)
        assert kinds.get(kind, lambda item: hasattr(item, "__path__") or item)(item), (name, kind)


def _imported(name: str) -> Any:
    first, *rest = name.split(".")
    item = importlib.import_module(first)
    for index, part in enumerate(rest):
        if not hasattr(item, part):
            importlib.import_module(".".join([first, *rest[: index + 1]]))
        item = getattr(item, part)
    return item


@pytest.mark.parametrize("project", PROJECTS)
def test_addresses_are_whole(project: str) -> None:
    """Https, a folder, and places below it."""
    found = links.inventory(project)
    assert re.fullmatch(r"https://[a-z.]+/([\w./-]+/)?", found.address)
    for name, (kind, place) in found.places.items():
        assert kind in ("class", "function", "module"), name
        assert re.fullmatch(r"[\w./-]+(#[\w.-]+)?", place), place
        assert "//" not in place


@pytest.mark.parametrize("project", links.INTERSPHINX)
def test_sphinx_reads_the_inventories(project: str, tmp_path: Path) -> None:
    """Written in Sphinx's format and read by Sphinx, they have the same names and addresses."""
    from sphinx.util.inventory import InventoryFile

    found = links.inventory(project)
    address, path = links.mapping(tmp_path)[project]
    assert address == found.address
    read = InventoryFile.loads(Path(path).read_bytes(), uri=address).data
    uris = {name: item.uri for names in read.values() for name, item in names.items()}
    assert uris == {name: address + place for name, (_, place) in found.places.items()}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("np.tile(x, (1, 2))", "numpy.tile"), ("nn.GRU", "torch.nn.GRU"),
        ('sw.load("net.sw")', "spikewright.load"), ("run.predict", "spikewright.Run.predict"),
        ("conversion.run(x,\n steps=4)", "spikewright.Conversion.run"),
        ("Conversion.trace.say", "spikewright.conversion.Trace.say"),
        ("x * 2", None), ("pip install '.[docs]'", None), ("-m", None),
    ],
)  # fmt: skip
def test_code_is_read_as_a_name(code: str, name: str | None) -> None:
    """What it calls counts, abbreviations are written out, and other code has no name."""
    assert links.full_name(code) == name


def test_every_public_name_has_an_entry_on_the_site() -> None:
    """By itself, or with its class."""
    for topic, names in reference.topics().items():
        page = reference.page(topic, names)
        entries = set(re.findall(r"^\.\. [\w:]+:: (\S+)$", page, re.MULTILINE))
        for name in names:
            full = reference.full_name(name)
            assert full in entries or full.rpartition(".")[0] in entries, (topic, name)


def test_members_of_a_base_have_entries_of_their_own() -> None:
    """Their class would not show them; its own members are not listed twice."""
    page = reference.page("Conversion", reference.topics()["Conversion"])
    assert ".. autoproperty:: spikewright.Choice.energy\n" in page
    assert "spikewright.Conversion.run" not in page


def test_pages_of_signatures_are_written_where_they_differ(tmp_path: Path) -> None:
    """A second build leaves the files alone, and what is no topic any more goes."""
    reference.write(tmp_path)
    folder = tmp_path / reference.FOLDER
    made = sorted(folder.glob("*.rst"))
    before = [path.stat().st_mtime_ns for path in made]
    (folder / "gone.rst").write_text("Gone\n====\n", encoding="utf-8")
    (folder / "kept.txt").write_text("no page\n", encoding="utf-8")
    made[0].write_text("changed\n", encoding="utf-8")
    reference.write(tmp_path)
    assert sorted(folder.glob("*.rst")) == made
    assert (folder / "kept.txt").exists()
    assert [path.stat().st_mtime_ns for path in made[1:]] == before[1:]
    assert made[0].read_text(encoding="utf-8") != "changed\n"
