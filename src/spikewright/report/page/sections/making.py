"""The making of the network, and the code that makes it again."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from spikewright._base.markup import Markup, el
from spikewright.report.page.contents import Contents, Traced, section
from spikewright.report.page.tables import table_markup
from spikewright.report.tables import Column, Table

STATUSES = {
    "exact": "leaves every value as it was",
    "exact after": "has the source's values at that number of steps alone",
    "convergent": "tends to the source's values as scale times steps grows",
    "approximated": "was asked for, and does not tend to them",
}
_MOST = 2000  # entries of a trace that are listed


def trace(contents: Contents) -> Markup | None:
    """The form of each layer, and its guarantee."""
    entries = contents.trace
    if not entries:
        return None
    counts = Counter(entry.status for entry in entries)
    told = ", ".join(f"{n} {s} ({words})" for s, n, words in _counted(counts))
    warned = [entry for entry in entries if entry.status == "warning"]
    others = [entry for entry in entries if entry.status != "warning"][:_MOST]
    left_out = len(entries) - len(warned) - len(others)
    return section(
        "trace",
        "What became of each layer",
        el("p", f"Entries: {told or 'warnings alone'}. Nothing was refused: a layer without a "
           "form of its own would have stopped the conversion."),
        el("ul", (el("li", el("span", "Warning", class_="status warning"), f" {e.layer}: {e.text}")
                  for e in warned), class_="warnings") if warned else None,
        _entries(others) if others else None,
        el("p", f"{left_out:,} more entries are left out.") if left_out else None,
    )  # fmt: skip


def _counted(counts: Counter[str]) -> Iterator[tuple[str, int, str]]:
    """Every guarantee in the order of their kinds, the number of its entries, and its meaning."""
    for kind, words in STATUSES.items():
        yield from ((s, n, words) for s, n in counts.items() if _kind(s) == kind)


def _kind(status: str) -> str:
    return "exact after" if status.startswith("exact after ") else status


_ENTRIES = (
    Column("layer", "layer", lambda layer: layer or "(all)"),
    Column("stage", "stage"),
    Column("status", "status", lambda s: el("span", s, class_=f"status {_class(s)}")),
    Column("what", "what", lambda text: el("div", text, class_="what")),
)


def _entries(entries: list[Traced]) -> Markup:
    rows = tuple((e.layer, e.stage, e.status, e.text) for e in entries)
    return table_markup(Table("", _ENTRIES, rows), "Trace of the conversion")


def _class(status: str) -> str:
    kind = _kind(status)
    return kind.replace(" ", "-") if kind in STATUSES else "other"


def reproduction(contents: Contents) -> Markup | None:
    """Commands, settings and versions."""
    commands = [el("pre", el("code", line), class_="wrapped") for line in contents.reproduce]
    facts = {**contents.facts, **versions()}
    rows = tuple((name, _fact(value)) for name, value in facts.items() if value is not None)
    table = Table("", (Column("name", ""), Column("value", "")), rows)
    return section(
        "reproduce",
        "How to get this again",
        commands,
        table_markup(table, "Settings and versions"),
    )


def _fact(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def versions() -> dict[str, str]:
    """Versions of the software that computed."""
    return {
        "Spikewright": version("spikewright"),
        "NumPy": version("numpy"),
        "Python": platform.python_version(),
    }
