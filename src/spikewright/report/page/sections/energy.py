"""Operations and energy, with the assumptions and the publishers of the prices."""

from __future__ import annotations

from collections.abc import Iterable

from spikewright._base.amounts import number
from spikewright._base.markup import Child, Markup, el
from spikewright.records import Record, own_energies, select
from spikewright.report.figures import EnergiesInfo, energies_info
from spikewright.report.page.contents import Contents, section
from spikewright.report.page.figure import figure
from spikewright.report.page.tables import table_markup
from spikewright.report.tables import energy_table, operations_table


def energy(contents: Contents) -> Markup | None:
    """Energy under each cost table beside the rivals; operations by layer."""
    found = contents.records
    children: list[Child] = []
    if any({"table", "network", "steps"} <= set(r.how) for r in select(found, "energy")):
        info = energies_info(found)
        children = [
            el("p", verdict(info)),
            figure(info),
            table_markup(energy_table(found, f"Per sample, {info.steps:,} steps"), "Energy"),
            _assumptions(found, info),
        ]
    if select(found, "accumulates"):
        table = operations_table(found, "Operations per sample, as NeuroBench defines them")
        children.append(table_markup(table, "Operations by layer"))
    return section("energy", "Operations and energy", children)


def verdict(info: EnergiesInfo) -> str:
    """The network's energy against the cheapest of its rivals, table by table."""
    own, told = info.own or "", []
    for table, costs in info.tables.items():
        rivals = [joules for name, joules in costs.items() if name != own]
        if own in costs and min(rivals, default=0.0) > 0:
            told.append(f"{number(costs[own] / min(rivals))} times with {table}")
    if not told:
        return "There is no rival to compare with."
    network = own if own.endswith("network") else f"{own} network"
    return (
        f"Energy of the {network}, by cost table, as a multiple of that of its cheapest rival "
        f"(the source, or its quantised twin): {', '.join(told)}."
    )


def _assumptions(records: Iterable[Record], info: EnergiesInfo) -> Markup | None:
    spiking = [
        r
        for r in own_energies(records, steps=info.steps)
        if "citation" in r.how or "assumptions" in r.how
    ]
    if not spiking:
        return None
    entries = []
    for record in spiking:
        entries.append(el("dt", record.how["table"]))
        for name in ("assumptions", "citation"):
            if name in record.how:
                entries.append(el("dd", _sentence(str(record.how[name]))))
    return el("div", el("h3", "Assumptions and sources"), el("dl", entries))


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
