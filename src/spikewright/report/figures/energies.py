"""Energy under every cost table, beside the rivals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spikewright._base.amounts import joules
from spikewright.records import OWN_NETWORKS, Record, select
from spikewright.report.figures.base import PALETTE, Row, clean, count_in_plain_numbers, new_figure
from spikewright.report.tables import network_text

MARKERS = ("o", "s", "D", "^")


@dataclass(frozen=True)
class EnergiesInfo:
    """Joules a sample by cost table and network: `{table: {network: joules}}`, after `steps`."""

    tables: Mapping[str, Mapping[str, float]]
    steps: int

    @property
    def own(self) -> str | None:
        """The network that was measured, whose rivals the others are."""
        names = [network_text(network) for network in OWN_NETWORKS]
        return next((name for name in self.networks if name in names), None)

    @property
    def networks(self) -> list[str]:
        """The networks, in order."""
        return list(dict.fromkeys(name for costs in self.tables.values() for name in costs))

    def rows(self) -> list[Row]:
        """One row a table and network, header first."""
        body = [
            (table, network, joules)
            for table, costs in self.tables.items()
            for network, joules in costs.items()
        ]
        return [("cost_table", "network", "joules_per_sample"), *body]


def energies_info(records: Iterable[Record]) -> EnergiesInfo:
    """From "energy" records of the last step; raises `ValueError` where there are none."""
    found = [r for r in select(records, "energy") if {"table", "network", "steps"} <= set(r.how)]
    if not found:
        raise ValueError("energies need energy records that name their cost table and network")
    steps = max(int(r.how["steps"]) for r in found)
    tables: dict[str, dict[str, float]] = {}
    for record in select(found, "energy", steps=steps):
        network, precision = str(record.how["network"]), record.how.get("precision")
        own = network in OWN_NETWORKS or precision is None
        name = network_text(network) if own else f"{network}, {precision}"
        tables.setdefault(str(record.how["table"]), {})[name] = record.value
    return EnergiesInfo(tables, steps)


def draw_energies(info: EnergiesInfo) -> Any:
    """A `matplotlib.figure.Figure`: a row a cost table, a mark a network, a logarithmic axis."""
    figure = new_figure(7.0, 1.5 + 0.4 * len(info.tables))
    axes = figure.subplots()
    styles = zip(info.networks, PALETTE * 2, MARKERS * 2, strict=False)
    for network, colour, marker in styles:
        places = [(c[network], i) for i, c in enumerate(info.tables.values()) if network in c]
        axes.plot(*zip(*places, strict=True), marker, color=colour, label=network, alpha=0.9)
    axes.set_xscale("log")
    count_in_plain_numbers(
        axes.xaxis, [v for c in info.tables.values() for v in c.values()], joules
    )
    axes.set_yticks(range(len(info.tables)), list(info.tables))
    axes.invert_yaxis()
    axes.set_xlabel("energy per sample")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    clean(axes, "x")
    return figure
