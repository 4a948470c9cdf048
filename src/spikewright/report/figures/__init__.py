"""Figures in two halves: `*_info` makes plain data, `draw_*` draws it with matplotlib.

Tests and other renderers use the data; every saved picture has its data beside it as CSV.
"""

from spikewright.report.figures.base import Info, Row, check_picture, csv_text, save
from spikewright.report.figures.curves import (
    CurvesInfo,
    draw_curves,
    response_curves_info,
    tuning_curves_info,
)
from spikewright.report.figures.decoded import DecodedInfo, decoded_info, draw_decoded
from spikewright.report.figures.energies import EnergiesInfo, draw_energies, energies_info
from spikewright.report.figures.epochs import EpochsInfo, draw_epochs, epochs_infos
from spikewright.report.figures.gaps import GapsInfo, draw_gaps, gaps_info
from spikewright.report.figures.over_time import OverTimeInfo, draw_over_time, over_time_infos
from spikewright.report.figures.paths import PathInfo, draw_path, path_info
from spikewright.report.figures.raster import RasterInfo, draw_raster, raster_info
from spikewright.report.figures.rates import RatesInfo, draw_rates, rates_info
from spikewright.report.figures.spikes import (
    SpikesInfo,
    draw_spikes,
    spike_times_info,
    spikes_info,
)
from spikewright.report.figures.sweep import SweepInfo, draw_sweep, sweep_info
from spikewright.report.figures.trade_off import (
    Setting,
    TradeOffInfo,
    draw_trade_off,
    of_search,
    over_steps,
    trade_off_info,
)

__all__ = [
    "CurvesInfo",
    "DecodedInfo",
    "EnergiesInfo",
    "EpochsInfo",
    "GapsInfo",
    "Info",
    "OverTimeInfo",
    "PathInfo",
    "RasterInfo",
    "RatesInfo",
    "Row",
    "Setting",
    "SpikesInfo",
    "SweepInfo",
    "TradeOffInfo",
    "check_picture",
    "csv_text",
    "decoded_info",
    "draw_curves",
    "draw_decoded",
    "draw_energies",
    "draw_epochs",
    "draw_gaps",
    "draw_over_time",
    "draw_path",
    "draw_raster",
    "draw_rates",
    "draw_spikes",
    "draw_sweep",
    "draw_trade_off",
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
