"""Names in the pages' code become links: those of this package, and those of four others.

`docs/inventories/` says which names of NumPy, PyTorch, Nengo and Keras the pages mention, and where
these projects document them. Sphinx's intersphinx gets the first three as inventories of its own
format, made while the site is built, so nothing is asked of the network. Keras has no inventory:
its addresses go through extlinks.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes

from spikewright import results

FOLDER = Path(__file__).parents[1] / "inventories"
INTERSPHINX = ("numpy", "pytorch", "nengo")
# as these projects' users shorten names, and as pages here call what a function returns
SHORT = {
    "np": "numpy", "nn": "torch.nn", "sw": "spikewright",
    "conversion": "spikewright.Conversion", "run": "spikewright.results.Run",
    "Conversion": "spikewright.Conversion", "Run": "spikewright.results.Run",
}  # fmt: skip
_NAME = re.compile(r"([A-Za-z]\w*)((?:\.\w+)*)(\(.*\))?", re.DOTALL)


class Inventory(NamedTuple):
    """The names of a project: its address, and `{name: (kind, place below the address)}`."""

    address: str
    places: dict[str, tuple[str, str]]


def inventory(project: str) -> Inventory:
    """One of `docs/inventories/`, by its file's name."""
    text = (FOLDER / f"{project}.txt").read_text(encoding="utf-8")
    address, *lines = [line for line in text.splitlines() if line and line[0] != "#"]
    rows = [line.split() for line in lines]
    return Inventory(address, {n: (kind, place.replace("$", n)) for n, kind, place in rows})


def objects_inv(project: str, found: Inventory) -> bytes:
    """The inventory as Sphinx writes it, version 2: a head, then compressed lines."""
    head = (
        f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    lines = [f"{n} py:{kind} 1 {place} -\n" for n, (kind, place) in found.places.items()]
    return head.encode() + zlib.compress("".join(lines).encode())


def mapping(folder: Path) -> dict[str, tuple[str, str]]:
    """`intersphinx_mapping`, with the inventories written into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for project in INTERSPHINX:
        found = inventory(project)
        path = folder / f"{project}.inv"
        path.write_bytes(objects_inv(project, found))
        made[project] = (found.address, str(path))
    return made


def full_name(code: str) -> str | None:
    """The name that a piece of code is, or calls: `sw.load("net.sw")` is `spikewright.load`."""
    match = _NAME.fullmatch(code)
    return from_package(match[1] + match[2]) if match else None


def from_package(name: str) -> str:
    """A name, written out from its package on."""
    first, dot, rest = name.partition(".")
    full = SHORT.get(first, first) + dot + rest
    full = re.sub(
        rf"^spikewright\.({'|'.join(results.__all__)})\b", r"spikewright.results.\1", full
    )
    return full.replace("spikewright.Conversion.trace.", "spikewright.conversion.Trace.")


def own(app: Any, page: str, name: str) -> tuple[str, str] | None:
    """The title and the address, seen from a page, of a documented name of this package."""
    objects = app.env.domains["py"].objects
    candidates = [name]
    if page.startswith("api/") and name[0].isupper():  # no prefix needed there
        candidates += [f"spikewright.{name}", f"spikewright.errors.{name}"]
    for full in candidates:
        if full in objects:
            place = objects[full]
            return full, f"{app.builder.get_relative_uri(page, place.docname)}#{place.node_id}"
    return None


def foreign(app: Any, name: str) -> tuple[str, str] | None:
    """The title and the address of a name that another project documents."""
    from sphinx.ext.intersphinx import InventoryAdapter

    for project, found in InventoryAdapter(app.env).named_inventory.items():
        for kind, names in found.items():
            if kind.startswith("py:") and name in names:
                item = names[name]
                return f"{name} (in {item.project_name or project})", item.uri
    places = inventory("keras").places
    if name in places:
        return f"{name} (in Keras)", app.config.extlinks["keras"][0] % places[name][1]
    return None


def link(app: Any, doctree: nodes.document, page: str) -> None:
    """Lead from every name in code to its documentation; the text stays as it is."""
    for code in list(doctree.findall(nodes.literal)):
        name = full_name(code.astext())
        if name is None or _within(code, nodes.reference, nodes.title):
            continue
        at_home = own(app, page, name)
        found = at_home or foreign(app, name)
        if found:
            title, address = found
            reference = nodes.reference("", "", internal=bool(at_home), refuri=address)
            reference["reftitle"] = title
            code.replace_self(reference)
            reference += code


def _within(node: nodes.Node, *kinds: type) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False
