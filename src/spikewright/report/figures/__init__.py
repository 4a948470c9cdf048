"""Figures: `*_info` makes plain data, whose `chart` describes the figure once for all renderers.

`draw` makes a picture of it with matplotlib; every saved picture has its data beside it as CSV.
Pages draw the same chart as SVG.
"""

from spikewright.report.figures.costs import (
    EnergiesInfo,
    energies_info,
    of_search,
    over_steps,
    trade_off_info,
)
from spikewright.report.figures.over_time import epochs_infos, over_time_infos
from spikewright.report.figures.per_layer import gaps_info, rates_info
from spikewright.report.figures.picture import (
    ChartInfo,
    Info,
    Row,
    check_picture,
    csv_text,
    draw,
    save,
)
from spikewright.report.figures.raster import RasterInfo, raster_info, spike_times_info, spikes_info
from spikewright.report.figures.represented import (
    decoded_info,
    path_info,
    response_curves_info,
    tuning_curves_info,
)
from spikewright.report.figures.sweep import SweepInfo, sweep_info

__all__ = [
    "ChartInfo",
    "EnergiesInfo",
    "Info",
    "RasterInfo",
    "Row",
    "SweepInfo",
    "check_picture",
    "csv_text",
    "decoded_info",
    "draw",
    "energies_info",
    "epochs_infos",
    "gaps_info",
    "of_search",
    "over_steps",
    "over_time_infos",
    "path_info",
    "raster_info",
    "rates_info",
    "response_curves_info",
    "save",
    "spike_times_info",
    "spikes_info",
    "sweep_info",
    "trade_off_info",
    "tuning_curves_info",
]
