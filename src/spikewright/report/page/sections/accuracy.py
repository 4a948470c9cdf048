"""Scores of the answers, over time and against their cost."""

from __future__ import annotations

from spikewright._base.markup import Markup
from spikewright.records import Record, select
from spikewright.report.figures import (
    of_search,
    over_steps,
    over_time_infos,
    trade_off_info,
)
from spikewright.report.over_time import early_exit_table, over_time_table, powers_of_two
from spikewright.report.page.contents import Contents, section
from spikewright.report.page.figure import figure
from spikewright.report.page.tables import table_markup
from spikewright.report.tables import accuracy_table

COSTS = ("spikes per sample", "energy")


def accuracy(contents: Contents) -> Markup | None:
    """Accuracy, or error, by step."""
    records = contents.records
    infos = enumerate(over_time_infos(records))
    figures = [figure(i, name="accuracy_over_time" + f"_{n + 1}" * (n > 0)) for n, i in infos]
    timed = [r for r in records if "readout" in r.how and "steps" in r.how]
    if figures:
        steps = powers_of_two(max(int(r.how["steps"]) for r in timed))
        table = over_time_table(records, steps, "After so many steps, with 95 % intervals")
        tables = [table_markup(table, "Accuracy after some of the steps")]
    elif select(records, "accuracy"):
        tables = [table_markup(accuracy_table(records), "Accuracy")]
    else:
        tables = []
    if select(records, "early exit steps"):
        early = early_exit_table(records, "Leaving early, at a confidence")
        tables.append(table_markup(early, "Early exit"))
    return section("accuracy", "Accuracy over time", figures, tables)


def trade(contents: Contents) -> Markup | None:
    """Accuracy against cost: settings of a search or a sweep, or the steps of one evaluation."""
    groups = of_search(contents.search) or {"": over_steps(contents.records)}
    source = [r for r in contents.search if r.name.startswith("source ")]
    figures = [
        _trade_off([*records, *source], cost, samples)
        for samples, records in groups.items()
        for cost in COSTS
        if len({r.how["setting"] for r in select(records, cost) if "setting" in r.how}) > 1
    ]
    return section("trade-off", "What accuracy costs", figures)


def _trade_off(records: list[Record], cost: str, samples: str) -> Markup:
    info = trade_off_info(records, cost)
    chart = info.chart()
    name = f"trade_off_{cost}_{samples}".strip("_").replace(" ", "_")
    on = f", on samples that were {samples}" if samples else ""
    return figure(info, chart, name=name, title=f"{chart.title}{on}")
