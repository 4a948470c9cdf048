"""Scores of settings against their costs, and the settings that no other beats."""

from __future__ import annotations

from collections.abc import Iterable
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
from spikewright.report.figures.saving import Row
from spikewright.report.tables import shown

_MOST_LABELS = 24


@dataclass(frozen=True)
class Setting:
    """A setting: its name, its score, its cost a sample.

    `front` says that no other is worth as much for less, `chosen` that it was chosen.
    """

    name: str
    worth: float
    cost: float
    front: bool = False
    chosen: bool = False


@dataclass(frozen=True)
class TradeOffInfo:
    """Settings by cost; `worth` is their measure, such as accuracy or its drop.

    `source` is the score of the source, None where it is unknown, or a drop is judged. `cost` names
    the cost and `unit` its unit: "spikes per sample" in "spikes", "energy under" a cost table,
    which is `table`, in "J".
    """

    worth: Worth
    cost: str
    unit: str
    settings: tuple[Setting, ...]
    source: float | None = None
    n: int = 1
    table: str | None = None

    @property
    def front(self) -> tuple[Setting, ...]:
        """The settings that nothing beats, the cheapest first."""
        return tuple(setting for setting in self.settings if setting.front)

    @property
    def chosen(self) -> Setting | None:
        """The setting that was chosen."""
        return next((setting for setting in self.settings if setting.chosen), None)

    def rows(self) -> list[Row]:
        """One row a setting, header first."""
        header = ("setting", self.worth.name.replace(" ", "_"), self.cost.replace(" ", "_"))
        body = [(s.name, s.worth, s.cost, int(s.front), int(s.chosen)) for s in self.settings]
        return [(*header, "on_front", "chosen"), *body]

    def chart(self) -> charts.Chart:
        """A mark a setting, the front as a line, the choice marked."""
        unit = 100 if self.worth.fraction else 1
        source = [] if self.source is None else [self.source]
        scores = [*(s.worth for s in self.settings), *source]
        named = [
            charts.PointLabel((s.cost, unit * s.worth), s.name, _style(s)) for s in self._named
        ]
        marks: list[charts.Mark] = [charts.Guide(unit * value, "source") for value in source]
        marks.append(charts.Line([(s.cost, unit * s.worth) for s in self.front], "c0"))
        for style, shape in (("other", 0), ("c0", 0), ("c1", 2)):
            some = [s for s in self.settings if _colour(s) == style]
            points = [(s.cost, unit * s.worth) for s in some]
            if points:
                marks.append(charts.Marks(points, style, shape, [self._title(s) for s in some]))
        name = self.worth.name
        lost = "Points of accuracy lost" if name == "accuracy drop" else None
        y = charts.measure_axis(name, scores, self.worth.fraction)
        front = "; ".join(self._title(setting) for setting in self.front[:12])
        chosen = "" if self.chosen is None else f" Chosen: {self._title(self.chosen)}."
        return charts.Chart(
            "trade_off",
            f"{lost or capital(name)} against {self.cost}",
            [charts.Panel(self._costs(), y, [*marks, *named], 282)],
            f"{len(self.settings)} settings by {self.cost} and {name}. No other is as good for "
            f"less than {front}.{chosen}",
            self._keys(),
            f"{len(self.settings):,} settings, {self.n:,} samples.",
        )

    def _costs(self) -> charts.Axis:
        costs = [setting.cost for setting in self.settings]
        log = min(costs) > 0 and max(costs) > 5 * min(costs)
        known = self.unit == "J" or self.unit in self.cost
        heading = self.cost if known else f"{self.cost} ({self.unit})"
        show = joules if self.unit == "J" else number
        return charts.Axis(heading, *charts.with_room(costs, log), show, (8, 8), log)

    @property
    def _named(self) -> list[Setting]:
        """Settings whose names are shown: the choice first, one for each place."""
        found = [s for s in self.settings if s.chosen] + [s for s in self.front if not s.chosen]
        if len(self.settings) <= _MOST_LABELS:
            found += [s for s in self.settings if s not in found]
        first = {(s.cost, s.worth): s for s in reversed(found)}
        return [s for s in found if first[s.cost, s.worth] is s][:_MOST_LABELS]

    def _keys(self) -> list[charts.LegendEntry]:
        worth = "accurate" if self.worth.name == "accuracy" else "good"
        keys = [charts.LegendEntry("mark", "c0", f"no other is as {worth} for less")]
        if any(_colour(s) == "other" for s in self.settings):
            keys.append(charts.LegendEntry("mark", "other", "another is as good"))
        if self.chosen is not None:
            keys.append(charts.LegendEntry("mark", "c1", "chosen", 2))
        if self.source is not None:
            keys.append(
                charts.LegendEntry(
                    "line", "source", f"the source, {shown(self.worth)(self.source)}"
                )
            )
        return keys

    def _title(self, setting: Setting) -> str:
        is_loss = self.worth.name.endswith(" drop")
        show = loss_unit(self.worth.fraction).format if is_loss else shown(self.worth)
        if self.unit != "J":
            price = f"{number(setting.cost)} {self.cost}"
        elif self.table is None:
            price = joules(setting.cost)
        else:
            price = format_energy(setting.cost, self.table)
        return f"{setting.name}: {show(setting.worth)}, {price}"


def _colour(setting: Setting) -> str:
    return "c1" if setting.chosen else "c0" if setting.front else "other"


def _style(setting: Setting) -> str:
    return "name c1 strong" if setting.chosen else "" if setting.front else "muted"


def trade_off_info(records: Iterable[Record], cost: str = "spikes per sample") -> TradeOffInfo:
    """Settings from records that name theirs in `how["setting"]`; the chosen has `how["chosen"]`.

    Each setting has its score, "accuracy" or another measure of `records.worths`, or its drop, and
    the cost: a record of that name that is no layer's. Raises `ValueError` where fewer than two
    settings have both.
    """
    found = [r for r in records if "layer" not in r.how]
    costs = {r.how["setting"]: r for r in _paid(found, cost)}
    for worth in _judged(found):
        values = {r.how["setting"]: r for r in select(found, worth.name) if "setting" in r.how}
        names = [name for name in values if name in costs]
        if len(names) > 1:
            first, n = costs[names[0]], values[names[0]].n
            source, table = select(found, f"source {worth.name}"), first.how.get("table")
            paid = cost if table is None else f"{cost} under {table}"
            settings = [
                Setting(
                    str(name),
                    values[name].value,
                    costs[name].value,
                    chosen=bool(values[name].how.get("chosen")),
                )
                for name in names
            ]
            ordered = _with_front(settings, worth.sign)
            own = source[0].value if source else None
            return TradeOffInfo(worth, paid, first.unit, ordered, own, n, table)
    raise ValueError(
        f"a trade-off needs accuracy, or its drop, and {cost} of at least two settings, each named "
        'in how["setting"]'
    )


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
    told = [f"trial {how['trial']}", *([] if steps is None else [_steps(int(steps))])]
    return ", ".join([*told, *([] if readout == "mean" else [f"readout {readout}"])])


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


def _with_front(settings: list[Setting], sign: int) -> tuple[Setting, ...]:
    """Settings by cost, those marked that are worth more than every cheaper one."""
    found, best = [], float("-inf")
    for setting in sorted(settings, key=lambda s: (s.cost, -sign * s.worth)):
        found.append(replace(setting, front=sign * setting.worth > best))
        best = max(best, sign * setting.worth)
    return tuple(found)
