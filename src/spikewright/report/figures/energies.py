"""Energy under every cost table, beside the rivals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spikewright._base.amounts import joules
from spikewright.records import OWN_NETWORKS, Record, select
from spikewright.report.figures import charts
from spikewright.report.figures.saving import Row
from spikewright.report.tables import network_text

_ROW = 30  # pixels of a cost table


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

    def chart(self) -> charts.Chart:
        """A row a cost table, a mark a network, a logarithmic axis."""
        values = [v for costs in self.tables.values() for v in costs.values() if v > 0] or [1e-12]
        low, high = min(values) / 1.5, max(values) * 1.5
        x = charts.Axis("energy per sample", low, high, joules, (9, 4), log=True, grid=True)
        rules = [charts.Guide(row, "grid") for row in range(len(self.tables))]
        marks = [self._marks(index) for index in reversed(range(len(self.networks)))]
        panel = charts.Panel(
            x, charts.rows_of(self.tables), [*rules, *marks], _ROW * len(self.tables)
        )
        return charts.Chart(
            "energy",
            "Energy per sample, by cost table",
            [panel],
            f"Joules per sample. {'; '.join(map(self._words, self.tables))}.",
            [
                charts.LegendEntry("mark", _colour(i), name, i)
                for i, name in enumerate(self.networks)
            ],
            "Joules are counted operations times what each table says that one costs. The axis is "
            "logarithmic.",
        )

    def _marks(self, index: int) -> charts.Marks:
        """Those of a network."""
        network, points, titles = self.networks[index], [], []
        for row, (table, costs) in enumerate(self.tables.items()):
            if costs.get(network, 0.0) > 0:
                points.append((costs[network], float(row)))
                titles.append(f"{table}, {network}: {joules(costs[network])}")
        return charts.Marks(points, _colour(index), index, titles)

    def _words(self, table: str) -> str:
        costs = self.tables[table].items()
        return f"{table}: " + ", ".join(f"{network} {joules(value)}" for network, value in costs)


def _colour(index: int) -> str:
    order = (1, 0, 4, 2, 3, 5)  # the network itself, the first, stands out
    return charts.colour(order[index % charts.COLOURS])


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
