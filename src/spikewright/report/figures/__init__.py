"""Figures: `*_info` makes plain data, whose `chart` describes the figure once for all renderers.

`draw` makes a picture of it with matplotlib; every saved picture has its data beside it as CSV.
Pages draw the same chart as SVG.
"""

from spikewright.report.figures.curves import response_curves_info, tuning_curves_info
from spikewright.report.figures.decoded import decoded_info
from spikewright.report.figures.energies import EnergiesInfo, energies_info
from spikewright.report.figures.gaps import gaps_info
from spikewright.report.figures.over_time import epochs_infos, over_time_infos
from spikewright.report.figures.paths import path_info
from spikewright.report.figures.picture import draw
from spikewright.report.figures.raster import RasterInfo, raster_info
from spikewright.report.figures.rates import rates_info
from spikewright.report.figures.saving import ChartInfo, Info, Row, check_picture, csv_text, save
from spikewright.report.figures.spikes import spike_times_info, spikes_info
from spikewright.report.figures.sweep import SweepInfo, sweep_info
from spikewright.report.figures.trade_off import of_search, over_steps, trade_off_info

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
