"""Energy under every cost table, beside the rivals; scores of settings against their costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spikewright._base.amounts import capital, format_energy, joules, loss_unit, number
from spikewright.records import (
    DEFAULT_TABLE,
    OWN_NETWORKS,
    SCORE,
    Record,
    Worth,
    own_energies,
    select,
    worths,
)
from spikewright.report.figures import charts
from spikewright.report.figures.picture import ChartInfo, Row
from spikewright.report.tables import network_text, value_format

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


_MOST_LABELS = 24


@dataclass(frozen=True)
class _Tried:
    """A setting: its name, its score, its cost a sample.

    `front` says that no other is worth as much for less, `chosen` that it was chosen.
    """

    name: str
    worth: float
    cost: float
    front: bool
    chosen: bool

    @property
    def colour(self) -> str:
        return "c1" if self.chosen else "c0" if self.front else "other"


@dataclass(frozen=True)
class _Measures:
    """The measure of settings, such as accuracy or its drop, and what their cost is called.

    A cost is "spikes per sample", or "energy under" a cost table, which is `table`, in joules.
    """

    worth: Worth
    cost: str
    unit: str
    table: str | None

    def describe(self, setting: _Tried) -> str:
        """A setting in words."""
        is_loss = self.worth.name.endswith(" drop")
        text_of = loss_unit(self.worth.fraction).format if is_loss else value_format(self.worth)
        if self.unit != "J":
            price = f"{number(setting.cost)} {self.cost}"
        elif self.table is None:
            price = joules(setting.cost)
        else:
            price = format_energy(setting.cost, self.table)
        return f"{setting.name}: {text_of(setting.worth)}, {price}"

    def axis(self, costs: Sequence[float]) -> charts.Axis:
        """The axis of costs, logarithmic where they differ much."""
        log = min(costs) > 0 and max(costs) > 5 * min(costs)
        known = self.unit == "J" or self.unit in self.cost
        heading = self.cost if known else f"{self.cost} ({self.unit})"
        text_of = joules if self.unit == "J" else number
        return charts.Axis(heading, *charts.with_room(costs, log), text_of, (8, 8), log)


def trade_off_info(records: Iterable[Record], cost: str = "spikes per sample") -> ChartInfo:
    """A mark a setting by cost and score, those that nothing beats as a line, the choice marked.

    Records name their setting in `how["setting"]`; the chosen one has `how["chosen"]`. Each setting
    has its score, "accuracy" or another measure of `records.worths`, or its drop, and the cost: a
    record of that name that is no layer's. Raises `ValueError` where fewer than two settings have
    both.
    """
    found = [r for r in records if "layer" not in r.how]
    costs = {r.how["setting"]: r for r in _paid(found, cost)}
    for worth in _judged(found):
        values = {r.how["setting"]: r for r in select(found, worth.name) if "setting" in r.how}
        names = [name for name in values if name in costs]
        if len(names) > 1:
            first, n = costs[names[0]], values[names[0]].n
            table = first.how.get("table")
            paid = cost if table is None else f"{cost} under {table}"
            measures = _Measures(worth, paid, first.unit, table)
            settings = _with_front([values[n] for n in names], costs, worth.sign)
            source = [r.value for r in select(found, f"source {worth.name}")[:1]]
            header = ("setting", worth.name.replace(" ", "_"), paid.replace(" ", "_"))
            rows = [(s.name, s.worth, s.cost, int(s.front), int(s.chosen)) for s in settings]
            chart = _chart(measures, settings, source, n)
            return ChartInfo(chart, [(*header, "on_front", "chosen"), *rows])
    raise ValueError(
        f"a trade-off needs accuracy, or its drop, and {cost} of at least two settings, each named "
        'in how["setting"]'
    )


def _with_front(judged: Iterable[Record], costs: Mapping[Any, Record], sign: int) -> list[_Tried]:
    """Settings by cost, those marked that are worth more than every cheaper one."""
    settings, best = [], float("-inf")
    paid = [(costs[r.how["setting"]].value, r) for r in judged]
    for cost, record in sorted(paid, key=lambda pair: (pair[0], -sign * pair[1].value)):
        name, chosen = str(record.how["setting"]), bool(record.how.get("chosen"))
        front = sign * record.value > best
        settings.append(_Tried(name, record.value, cost, front, chosen))
        best = max(best, sign * record.value)
    return settings


def _chart(
    measures: _Measures, settings: Sequence[_Tried], source: Sequence[float], n: int
) -> charts.Chart:
    worth, unit = measures.worth, 100 if measures.worth.fraction else 1
    front = [s for s in settings if s.front]
    marks: list[charts.Mark] = [charts.Guide(unit * value, "source") for value in source]
    marks.append(charts.Line([(s.cost, unit * s.worth) for s in front], "c0"))
    for style, shape in (("other", 0), ("c0", 0), ("c1", 2)):
        some = [s for s in settings if s.colour == style]
        points = [(s.cost, unit * s.worth) for s in some]
        if points:
            marks.append(charts.Marks(points, style, shape, [measures.describe(s) for s in some]))
    for s in _labelled(settings):
        style = {"c1": "name c1 strong", "c0": "", "other": "muted"}[s.colour]
        marks.append(charts.PointLabel((s.cost, unit * s.worth), s.name, style))
    lost = "Points of accuracy lost" if worth.name == "accuracy drop" else capital(worth.name)
    y = charts.measure_axis(worth.name, [*(s.worth for s in settings), *source], worth.fraction)
    x = measures.axis([s.cost for s in settings])
    chosen = [f" Chosen: {measures.describe(s)}." for s in settings if s.chosen]
    return charts.Chart(
        "trade_off",
        f"{lost} against {measures.cost}",
        [charts.Panel(x, y, marks, 282)],
        f"{len(settings)} settings by {measures.cost} and {worth.name}. No other is as good for "
        f"less than {'; '.join(map(measures.describe, front[:12]))}.{''.join(chosen[:1])}",
        _keys(settings, worth, source),
        f"{len(settings):,} settings, {n:,} samples.",
    )


def _labelled(settings: Sequence[_Tried]) -> list[_Tried]:
    """Settings whose names are shown: the choice first, one for each place."""
    found = [s for s in settings if s.chosen] + [s for s in settings if s.front and not s.chosen]
    if len(settings) <= _MOST_LABELS:
        found += [s for s in settings if s not in found]
    first = {(s.cost, s.worth): s for s in reversed(found)}
    return [s for s in found if first[s.cost, s.worth] is s][:_MOST_LABELS]


def _keys(
    settings: Sequence[_Tried], worth: Worth, source: Sequence[float]
) -> list[charts.LegendEntry]:
    good = "accurate" if worth.name == "accuracy" else "good"
    colours = {s.colour for s in settings}
    keys = [charts.LegendEntry("mark", "c0", f"no other is as {good} for less")]
    if "other" in colours:
        keys.append(charts.LegendEntry("mark", "other", "another is as good"))
    if "c1" in colours:
        keys.append(charts.LegendEntry("mark", "c1", "chosen", 2))
    texts = (f"the source, {value_format(worth)(value)}" for value in source)
    return [*keys, *(charts.LegendEntry("line", "source", text) for text in texts)]


def _judged(records: list[Record]) -> list[Worth]:
    """The measures of settings; a search has drops alone."""
    drops = (Worth(r.name, False, r.unit != SCORE) for r in records if r.name.endswith(" drop"))
    return [*worths(records), *dict.fromkeys(drops)]


def _paid(records: list[Record], cost: str) -> list[Record]:
    """The costs of settings; energies of the network itself under one cost table.

    That is the default, or the first there is.
    """
    found = [r for r in select(records, cost) if "setting" in r.how]
    found = [r for r in found if r.how.get("network", OWN_NETWORKS[0]) in OWN_NETWORKS]
    tables = [r.how.get("table") for r in found]
    table = DEFAULT_TABLE if DEFAULT_TABLE in tables else next(iter(tables), None)
    return [r for r in found if r.how.get("table") == table]


def of_search(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records of settings by the samples that they were measured on (`how["samples"]`).

    A setting without a name of its own, `how["setting"]`, is a trial of a search read out in one
    way (`how["trial"]`, `steps` and `readout`); the one with the role "chosen" is marked wherever
    it appears.
    """
    found = [r for r in records if "setting" in r.how or "trial" in r.how]
    chosen = {_key(r) for r in found if r.how.get("chosen") or r.how.get("role") == "chosen"}
    groups: dict[str, list[Record]] = {}
    for record in found:
        how = {**record.how, "setting": _name(record), "chosen": _key(record) in chosen}
        groups.setdefault(str(record.how.get("samples", "")), []).append(replace(record, how=how))
    return groups


def _key(record: Record) -> tuple[Any, ...]:
    how = record.how
    return how.get("setting"), how.get("trial"), how.get("steps"), how.get("readout")


def _name(record: Record) -> str:
    how = record.how
    if "setting" in how:
        return str(how["setting"])
    steps, readout = how.get("steps"), how.get("readout", "mean")
    parts = [f"trial {how['trial']}", *([] if steps is None else [_steps(int(steps))])]
    return ", ".join([*parts, *([] if readout == "mean" else [f"readout {readout}"])])


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def over_steps(records: Iterable[Record], readout: str = "mean") -> list[Record]:
    """The steps of one evaluation as settings, where spikes were recorded at several of them."""
    found = list(records)
    name = next((worth.name for worth in worths(found)), "accuracy")
    spikes = [r for r in select(found, "spikes per sample") if "layer" not in r.how]
    at = [r.how["steps"] for r in spikes if "steps" in r.how]
    taken = [
        *(r for r in spikes if r.how.get("steps") in at),
        *(r for r in select(found, name, readout=readout) if r.how.get("steps") in at),
        *(r for r in own_energies(found) if r.how.get("steps") in at),
    ]
    named = [
        replace(r, how={**r.how, "setting": _steps(int(r.how["steps"]))})
        for r in taken
        if "output" not in r.how
    ]
    return [*named, *select(found, f"source {name}")]
