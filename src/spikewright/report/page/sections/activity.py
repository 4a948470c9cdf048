"""The activity of the neurons: rates, and one sample spike by spike."""

from __future__ import annotations

from spikewright._base.markup import Child, Markup
from spikewright.records import select
from spikewright.report.figures import RasterInfo, rates_info
from spikewright.report.page.contents import Contents, section
from spikewright.report.page.figure import Figure
from spikewright.report.page.plots import raster as raster_plot
from spikewright.report.page.plots import rates as rates_plot
from spikewright.report.page.tables import table_markup
from spikewright.report.tables import layer_table


def rates(contents: Contents) -> Markup | None:
    """Firing rates, layer by layer."""
    children: list[Child] = []
    if contents.rates:
        info = rates_info(contents.rates)
        children.append(
            Figure(
                "firing_rates",
                "Firing rates by layer",
                info,
                rates_plot.draw,
                rates_plot.describe,
                rates_plot.keys(info),
                "The rate of each neuron, over all samples.",
            ).markup()
        )
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
    told = [", ".join(f"{name} {value}" for name, value in info.settings.items())]
    left_out = _left_out(info, whole)
    if left_out:
        told.append(f"shown are {', '.join(left_out)}")
    text = "; ".join(part for part in told if part)
    figure = Figure(
        "raster",
        "One sample, spike by spike",
        info,
        raster_plot.draw,
        raster_plot.describe,
        raster_plot.keys(info),
        f"{text[:1].upper()}{text[1:]}." if text else None,
    )
    return section("sample", "One sample", figure.markup())


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
