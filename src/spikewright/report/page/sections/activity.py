"""The activity of the neurons: rates, and one sample spike by spike."""

from __future__ import annotations

from spikewright._base.markup import Child, Markup
from spikewright.records import select
from spikewright.report.figures import RasterInfo, rates_info
from spikewright.report.page.contents import Contents, section
from spikewright.report.page.figure import figure
from spikewright.report.page.tables import table_markup
from spikewright.report.tables import layer_table


def rates(contents: Contents) -> Markup | None:
    """Firing rates, layer by layer."""
    children: list[Child] = []
    if contents.rates:
        children.append(figure(rates_info(contents.rates)))
    found = [r for r in contents.records if "layer" in r.how]
    steps = max((int(r.how["steps"]) for r in found if "steps" in r.how), default=None)
    last = [r for r in found if r.how.get("steps") == steps]
    if select(last, "firing rate"):
        table = layer_table(last, "" if steps is None else f"Layers after step {steps:,}")
        children.append(table_markup(table, "Firing rates by layer"))
    return section("rates", "Firing rates", children)


def raster(contents: Contents) -> Markup | None:
    """One sample: its spikes, and the source's values."""
    whole = contents.raster
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
    if any(len(info.shown(name)) < len(whole.shown(name)) for name in info.spikes):
        told.append("the most active neurons of a layer")
    if len(info.running_mean) < len(whole.running_mean):
        steps = f"{len(info.running_mean):,} of {len(whole.running_mean):,}"
        told.append(f"the first {steps} steps")
    if len(info.source) < len(whole.source):
        told.append(f"the {len(info.source)} largest of {len(whole.source):,} outputs")
    return told
