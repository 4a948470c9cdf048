"""Sections of a page, and what they are made from; each is None where there is nothing to show."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Annotated, Any, TypedDict

from numpy.typing import ArrayLike

from spikewright._base.amounts import counted, number, percent
from spikewright._base.markup import Child, Markup, el
from spikewright._base.options import Option
from spikewright.records import DEFAULT_TABLE, Record, own_energies, select, worths
from spikewright.report.elements import figure, section, table
from spikewright.report.figures import (
    EnergiesInfo,
    RasterInfo,
    energies_info,
    epochs_infos,
    gaps_info,
    of_search,
    over_steps,
    over_time_infos,
    rates_info,
    sweep_info,
    trade_off_info,
)
from spikewright.report.sweeps import rates_table, steps_of_spikes, sweep_table
from spikewright.report.tables import (
    Column,
    Table,
    accuracy_table,
    changes_table,
    early_exit_table,
    energy_table,
    layer_table,
    loss_table,
    operations_table,
    over_time_table,
    powers_of_two,
    proposals_table,
    value_format,
)

_OF_SEARCH = (
    'Records of settings that were tried, each of which names its own in `how["setting"]`; the one '
    'that was chosen has `how["chosen"]`.'
)
_OF_SWEEP = "Records of a sweep (`Sweep.records`), at firing-rate scales that are in their `how`."


class PartOptions(TypedDict, total=False):
    """Parts of a page; what is left out has no section."""

    trace: Annotated[Iterable[Any], Option((), "The trace of a conversion.")]
    diagnosis: Annotated[Sequence[Record], Option((), "Records of `Conversion.diagnose`.")]
    search: Annotated[Sequence[Record], Option((), _OF_SEARCH)]
    sweep: Annotated[Sequence[Record], Option((), _OF_SWEEP)]
    training: Annotated[Sequence[Record], Option((), "Records of a training.")]
    rates: Annotated[
        Mapping[str, ArrayLike] | None,
        Option(None, "Firing rates in Hz by neuron, `{layer: (*shape)}`."),
    ]
    raster: Annotated[RasterInfo | None, Option(None, "A sample, spike by spike.")]
    reproduce: Annotated[Iterable[str], Option((), "Commands or lines of Python.")]
    facts: Annotated[Mapping[str, Any] | None, Option(None, "Settings by name.")]


class PageContents(PartOptions, total=False):
    """The parts of a page, and the records of a run or an evaluation."""

    records: Sequence[Record]


def training(contents: PageContents) -> Markup | None:
    """The pictures of a training's epochs, and the table of changes."""
    figures = [figure(info) for info in epochs_infos(contents["training"])]
    changes = changes_table(contents["training"], "What changed by layer")
    value_format = table(changes, "Changes by layer") if changes.rows else None
    return section("training", "The training", figures, value_format)


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
    texts = []
    if len(info.spikes) < len(whole.spikes):
        texts.append(f"{len(info.spikes)} of {len(whole.spikes)} layers, evenly spaced")
    if any(len(info.shown[name]) < len(whole.shown[name]) for name in info.spikes):
        texts.append("the most active neurons of a layer")
    if len(info.running_mean) < len(whole.running_mean):
        steps = f"{len(info.running_mean):,} of {len(whole.running_mean):,}"
        texts.append(f"the first {steps} steps")
    if len(info.source) < len(whole.source):
        texts.append(f"the {len(info.source)} largest of {len(whole.source):,} outputs")
    return texts


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
            text_of = value_format(worth)
            return (
                f" If no spike came early or late, the {worth.name} would be "
                f"{text_of(twin[0].value)}, where the run has {text_of(own[0].value)}: what lies "
                "between is due to timing, the rest to rounding and to the cap on spikes."
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
    own, texts = info.own or "", []
    for name, costs in info.tables.items():
        rivals = [joules for network, joules in costs.items() if network != own]
        if own in costs and min(rivals, default=0.0) > 0:
            texts.append(f"{number(costs[own] / min(rivals))} times with {name}")
    if not texts:
        return "There is no rival to compare with."
    network = own if own.endswith("network") else f"{own} network"
    return (
        f"Energy of the {network}, by cost table, as a multiple of that of its cheapest rival "
        f"(the source, or its quantised twin): {', '.join(texts)}."
    )


def _assumptions(energies: Sequence[Record]) -> Markup | None:
    """The assumptions of each cost table, and its publisher."""
    entries = []
    for record in energies:
        texts = [str(record.how[n]) for n in ("assumptions", "citation") if n in record.how]
        entries += [el("dt", record.how["table"])] if texts else []
        entries += [el("dd", text if text.endswith(".") else f"{text}.") for text in texts]
    return el("div", el("h3", "Assumptions and sources"), el("dl", entries)) if entries else None


def trace(contents: PageContents) -> Markup | None:
    """The form of each layer, and its guarantee."""
    entries = list(contents["trace"])
    if not entries:
        return None
    counts = Counter(entry.status for entry in entries)
    entry_counts = ", ".join(f"{n} {s} ({words})" for s, n, words in _counted(counts))
    warned = [entry for entry in entries if entry.status == "warning"]
    others = [entry for entry in entries if entry.status != "warning"][:_MOST]
    left_out = len(entries) - len(warned) - len(others)
    rows = tuple((e.layer, e.stage, e.status, e.text) for e in others)
    return section(
        "trace",
        "What became of each layer",
        el("p", f"Entries: {entry_counts or 'warnings alone'}. Nothing was refused: a layer "
           "without a form of its own would have stopped the conversion."),
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
    value_format = table(found, "Settings and versions")
    return section("reproduce", "How to get this again", commands, value_format)


def _fact(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


SECTIONS = (
    training, sweep, accuracy, trade_off, rates, raster, diagnosis, energy, trace, reproduction,
)  # fmt: skip
"""All sections, in the order of a page."""
