"""Scores of settings against their costs, and the settings that no other beats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from spikewright._base.amounts import joules, number
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
from spikewright.report.figures.base import (
    BLACK,
    BLUE,
    GREY,
    VERMILION,
    Row,
    clean,
    count_in_plain_numbers,
    new_figure,
)


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


def draw_trade_off(info: TradeOffInfo) -> Any:
    """A `matplotlib.figure.Figure`: a point a setting, the front as a line, the choice marked."""
    figure = new_figure(7.0, 4.5)
    axes = figure.subplots()
    unit = 100 if info.worth.fraction else 1
    if info.source is not None:
        axes.axhline(unit * info.source, color=BLACK, linestyle="--", linewidth=1.4, label="source")
    others = [s for s in info.settings if not s.front]
    axes.plot([s.cost for s in others], [unit * s.worth for s in others], "o", color=GREY)
    axes.plot(
        [s.cost for s in info.front],
        [unit * s.worth for s in info.front],
        "o-",
        color=BLUE,
        label="no other is worth as much for less",
    )
    if info.chosen is not None:
        place = [info.chosen.cost], [unit * info.chosen.worth]
        axes.plot(*place, "D", color=VERMILION, markersize=10, label=f"chosen: {info.chosen.name}")
    for setting in info.front[:40]:
        axes.annotate(
            setting.name, (setting.cost, unit * setting.worth), (5, -12), textcoords="offset points"
        )
    if min(s.cost for s in info.settings) > 0:
        axes.set_xscale("log")
        costs = [s.cost for s in info.settings]
        count_in_plain_numbers(axes.xaxis, costs, joules if info.unit == "J" else number)
    paid = "" if info.unit in info.cost else f" ({info.unit})"
    axes.set_xlabel(f"{info.cost}{paid}")
    axes.set_ylabel(f"{info.worth.name} (%)" if info.worth.fraction else info.worth.name)
    axes.legend(frameon=False)
    clean(axes)
    return figure
