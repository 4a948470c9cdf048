"""Sections about what was measured; each is None where there is nothing to show."""

from __future__ import annotations

from spikewright._base.amounts import counted
from spikewright._base.markup import Child, Markup
from spikewright.records import DEFAULT_TABLE, Record, own_energies, select
from spikewright.report.figures import (
    RasterInfo,
    epochs_infos,
    of_search,
    over_steps,
    over_time_infos,
    rates_info,
    sweep_info,
    trade_off_info,
)
from spikewright.report.page.parts import PageContents, figure, section, table
from spikewright.report.sweeps import rates_table, steps_of_spikes, sweep_table
from spikewright.report.tables import (
    accuracy_table,
    changes_table,
    early_exit_table,
    layer_table,
    over_time_table,
    powers_of_two,
)


def training(contents: PageContents) -> Markup | None:
    """The pictures of a training's epochs, and the table of changes."""
    figures = [figure(info) for info in epochs_infos(contents["training"])]
    changes = changes_table(contents["training"], "What changed by layer")
    shown = table(changes, "Changes by layer") if changes.rows else None
    return section("training", "The training", figures, shown)


def sweep(contents: PageContents) -> Markup | None:
    """The picture of a sweep, its table, and the rates of layers."""
    records = contents["sweep"]
    if not records:
        return None
    info = sweep_info(records)
    steps, at = info.shown_steps, steps_of_spikes(records)
    judged = (record.how.get("table") for record in own_energies(contents["search"]))
    energies = next((str(name) for name in judged if name is not None), DEFAULT_TABLE)
    after = f"after {counted(steps, 'step')} of {1000 * info.dt:g} ms"
    rates = rates_table(records, steps, f"Mean firing rates in Hz, {after}")
    return section(
        "sweep",
        "What the firing-rate scale does",
        figure(info, info.at_one()),
        table(sweep_table(records, at, "Every setting", energies=energies), "Every setting"),
        None if rates is None else table(rates, "Firing rates by setting"),
    )


def accuracy(contents: PageContents) -> Markup | None:
    """Accuracy, or error, by step."""
    records = contents["records"]
    infos = enumerate(over_time_infos(records))
    figures = [figure(i, name="accuracy_over_time" + f"_{n + 1}" * (n > 0)) for n, i in infos]
    timed = [r for r in records if "readout" in r.how and "steps" in r.how]
    tables = []
    if figures:
        steps = powers_of_two(max(int(r.how["steps"]) for r in timed))
        found = over_time_table(records, steps, "After so many steps, with 95 % intervals")
        tables.append(table(found, "Accuracy after some of the steps"))
    elif select(records, "accuracy"):
        tables.append(table(accuracy_table(records), "Accuracy"))
    if select(records, "early exit steps"):
        early = early_exit_table(records, "Leaving early, at a confidence")
        tables.append(table(early, "Early exit"))
    return section("accuracy", "Accuracy over time", figures, tables)


def trade_off(contents: PageContents) -> Markup | None:
    """Accuracy against cost: settings of a search or a sweep, or the steps of one evaluation."""
    groups = of_search(contents["search"]) or {"": over_steps(contents["records"])}
    source = [r for r in contents["search"] if r.name.startswith("source ")]
    figures = [
        _trade_off([*records, *source], cost, samples)
        for samples, records in groups.items()
        for cost in ("spikes per sample", "energy")
        if len({r.how["setting"] for r in select(records, cost) if "setting" in r.how}) > 1
    ]
    return section("trade-off", "What accuracy costs", figures)


def _trade_off(records: list[Record], cost: str, samples: str) -> Markup:
    info = trade_off_info(records, cost)
    chart = info.chart()
    name = f"trade_off_{cost}_{samples}".strip("_").replace(" ", "_")
    on = f", on samples that were {samples}" if samples else ""
    return figure(info, chart, name=name, title=f"{chart.title}{on}")


def rates(contents: PageContents) -> Markup | None:
    """Firing rates, layer by layer."""
    children: list[Child] = []
    if contents["rates"]:
        children.append(figure(rates_info(contents["rates"])))
    found = [r for r in contents["records"] if "layer" in r.how]
    steps = max((int(r.how["steps"]) for r in found if "steps" in r.how), default=None)
    last = [r for r in found if r.how.get("steps") == steps]
    if select(last, "firing rate"):
        layers = layer_table(last, "" if steps is None else f"Layers after step {steps:,}")
        children.append(table(layers, "Firing rates by layer"))
    return section("rates", "Firing rates", children)


def raster(contents: PageContents) -> Markup | None:
    """One sample: its spikes, and the source's values."""
    whole = contents["raster"]
    if whole is None:
        return None
    info = whole.thinned()
    note = info.chart().note
    left_out = ", ".join(_left_out(info, whole))
    if left_out:
        note = f"{note[:-1]}; shown are {left_out}." if note else f"Shown are {left_out}."
    return section("sample", "One sample", figure(info, note=note))


def _left_out(info: RasterInfo, whole: RasterInfo) -> list[str]:
    """The parts of a sample that are shown, where that is not all."""
    told = []
    if len(info.spikes) < len(whole.spikes):
        told.append(f"{len(info.spikes)} of {len(whole.spikes)} layers, evenly spaced")
    if any(len(info.shown[name]) < len(whole.shown[name]) for name in info.spikes):
        told.append("the most active neurons of a layer")
    if len(info.running_mean) < len(whole.running_mean):
        steps = f"{len(info.running_mean):,} of {len(whole.running_mean):,}"
        told.append(f"the first {steps} steps")
    if len(info.source) < len(whole.source):
        told.append(f"the {len(info.source)} largest of {len(whole.source):,} outputs")
    return told
