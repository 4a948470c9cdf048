"""Sections about where accuracy and energy went, and how the network was made.

Each is None where there is nothing to show.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from spikewright._base.amounts import number, percent
from spikewright._base.markup import Child, Markup, el
from spikewright.records import Record, own_energies, select, worths
from spikewright.report.figures import EnergiesInfo, energies_info, gaps_info
from spikewright.report.page.parts import PageContents, figure, section, table
from spikewright.report.tables import (
    Column,
    Table,
    energy_table,
    loss_table,
    operations_table,
    proposals_table,
    shown,
)

_STATUSES = {
    "exact": "leaves every value as it was",
    "exact after": "has the source's values at that number of steps alone",
    "convergent": "tends to the source's values as scale times steps grows",
    "approximated": "was asked for, and does not tend to them",
}
_MOST = 2000  # entries of a trace that are listed


def diagnosis(contents: PageContents) -> Markup | None:
    """Error by layer with its parts, the loss by each layer, and proposals."""
    found = list(contents["diagnosis"])
    if not select(found, "gap"):
        return None
    children: list[Child] = [
        el("p", f"Found on {found[0].n:,} samples.{_timing(found)}{_of_active(found)}"),
        figure(gaps_info(found)),
        table(loss_table(found, "Each layer alone in an exact network"), "Loss by layer"),
    ]
    causes = select(found, "loss without its cause")
    if causes:
        children.append(el("p", "What makes these losses, in words:"))
        lines = [f"{c.how['layer']}: {c.how['text']}. {c.how['move']}." for c in causes]
        children.append(el("ul", *(el("li", line) for line in lines)))
    if select(found, "predicted gain"):
        proposals = proposals_table(found, "What to change, the best first")
        children.append(table(proposals, "Proposed changes"))
    return section("diagnosis", "Where accuracy went", children)


def _timing(found: Sequence[Record]) -> str:
    """The score if all spikes were on time: the rest is lost to rounding."""
    for worth in worths(found)[:1]:
        own, twin = select(found, worth.name), select(found, f"rounded {worth.name}")
        if own and twin:
            show = shown(worth)
            return (
                f" If no spike came early or late, the {worth.name} would be "
                f"{show(twin[0].value)}, where the run has {show(own[0].value)}: what lies between "
                "is due to timing, the rest to rounding and to the cap on spikes."
            )
    own, twin = select(found, "output change"), select(found, "rounded output change")
    if not (own and twin):
        return ""
    return (
        f" The outputs are {percent(own[0].value)} away from the source's, and would be "
        f"{percent(twin[0].value)} away if no spike came early or late."
    )


def _of_active(found: Sequence[Record]) -> str:
    """Spikes for each active neuron of the source."""
    ratio = select(found, "spikes per active neuron")
    if not ratio:
        return ""
    return f" For each active neuron of the source {number(ratio[0].value)} spikes are sent."


def energy(contents: PageContents) -> Markup | None:
    """Energy under each cost table beside the rivals; operations by layer."""
    found = contents["records"]
    children: list[Child] = []
    if any({"table", "network", "steps"} <= set(r.how) for r in select(found, "energy")):
        info = energies_info(found)
        children = [
            el("p", _verdict(info)),
            figure(info),
            table(energy_table(found, f"Per sample, {info.steps:,} steps"), "Energy"),
            _assumptions(own_energies(found, steps=info.steps)),
        ]
    if select(found, "accumulates"):
        operations = operations_table(found, "Operations per sample, as NeuroBench defines them")
        children.append(table(operations, "Operations by layer"))
    return section("energy", "Operations and energy", children)


def _verdict(info: EnergiesInfo) -> str:
    """The network's energy against the cheapest of its rivals, table by table."""
    own, told = info.own or "", []
    for name, costs in info.tables.items():
        rivals = [joules for network, joules in costs.items() if network != own]
        if own in costs and min(rivals, default=0.0) > 0:
            told.append(f"{number(costs[own] / min(rivals))} times with {name}")
    if not told:
        return "There is no rival to compare with."
    network = own if own.endswith("network") else f"{own} network"
    return (
        f"Energy of the {network}, by cost table, as a multiple of that of its cheapest rival "
        f"(the source, or its quantised twin): {', '.join(told)}."
    )


def _assumptions(energies: Sequence[Record]) -> Markup | None:
    """The assumptions of each cost table, and its publisher."""
    entries = []
    for record in energies:
        told = [str(record.how[n]) for n in ("assumptions", "citation") if n in record.how]
        entries += [el("dt", record.how["table"])] if told else []
        entries += [el("dd", text if text.endswith(".") else f"{text}.") for text in told]
    return el("div", el("h3", "Assumptions and sources"), el("dl", entries)) if entries else None


def trace(contents: PageContents) -> Markup | None:
    """The form of each layer, and its guarantee."""
    entries = list(contents["trace"])
    if not entries:
        return None
    counts = Counter(entry.status for entry in entries)
    told = ", ".join(f"{n} {s} ({words})" for s, n, words in _counted(counts))
    warned = [entry for entry in entries if entry.status == "warning"]
    others = [entry for entry in entries if entry.status != "warning"][:_MOST]
    left_out = len(entries) - len(warned) - len(others)
    rows = tuple((e.layer, e.stage, e.status, e.text) for e in others)
    return section(
        "trace",
        "What became of each layer",
        el("p", f"Entries: {told or 'warnings alone'}. Nothing was refused: a layer without a "
           "form of its own would have stopped the conversion."),
        el("ul", (el("li", el("span", "Warning", class_="status warning"), f" {e.layer}: {e.text}")
                  for e in warned), class_="warnings") if warned else None,
        table(Table("", _ENTRIES, rows), "Trace of the conversion") if rows else None,
        el("p", f"{left_out:,} more entries are left out.") if left_out else None,
    )  # fmt: skip


def _counted(counts: Counter[str]) -> Iterator[tuple[str, int, str]]:
    """Every guarantee in the order of their kinds, the number of its entries, and its meaning."""
    for kind, words in _STATUSES.items():
        yield from ((s, n, words) for s, n in counts.items() if _kind(s) == kind)


def _kind(status: str) -> str:
    return "exact after" if status.startswith("exact after ") else status


def _class(status: str) -> str:
    kind = _kind(status)
    return kind.replace(" ", "-") if kind in _STATUSES else "other"


_ENTRIES = (
    Column("layer", "layer", lambda layer: layer or "(all)"),
    Column("stage", "stage"),
    Column("status", "status", lambda s: el("span", s, class_=f"status {_class(s)}")),
    Column("what", "what", lambda text: el("div", text, class_="what")),
)


def reproduction(contents: PageContents) -> Markup | None:
    """Commands, settings, and versions of the software that computed."""
    commands = [el("pre", el("code", line), class_="wrapped") for line in contents["reproduce"]]
    facts = {
        **(contents["facts"] or {}),
        "Spikewright": version("spikewright"),
        "NumPy": version("numpy"),
        "Python": platform.python_version(),
    }
    rows = tuple((name, _fact(value)) for name, value in facts.items() if value is not None)
    found = Table("", (Column("name", ""), Column("value", "")), rows)
    shown = table(found, "Settings and versions")
    return section("reproduce", "How to get this again", commands, shown)


def _fact(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
