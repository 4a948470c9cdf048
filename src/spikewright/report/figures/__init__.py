"""Figures in two halves: `*_info` makes plain data, `draw_*` draws it with matplotlib.

Tests and other renderers use the data; every saved picture has its data beside it as CSV.
"""

from spikewright.report.figures.base import Info, Row, csv_text, save
from spikewright.report.figures.energies import EnergiesInfo, draw_energies, energies_info
from spikewright.report.figures.gaps import GapsInfo, draw_gaps, gaps_info
from spikewright.report.figures.over_time import OverTimeInfo, draw_over_time, over_time_infos
from spikewright.report.figures.raster import RasterInfo, draw_raster, raster_info
from spikewright.report.figures.rates import RatesInfo, draw_rates, rates_info
from spikewright.report.figures.scale_curve import (
    ScaleCurveInfo,
    draw_scale_curve,
    scale_curve_info,
)
from spikewright.report.figures.trade_off import (
    Setting,
    TradeOffInfo,
    draw_trade_off,
    of_search,
    over_steps,
    trade_off_info,
)

__all__ = [
    "EnergiesInfo",
    "GapsInfo",
    "Info",
    "OverTimeInfo",
    "RasterInfo",
    "RatesInfo",
    "Row",
    "ScaleCurveInfo",
    "Setting",
    "TradeOffInfo",
    "csv_text",
    "draw_energies",
    "draw_gaps",
    "draw_over_time",
    "draw_raster",
    "draw_rates",
    "draw_scale_curve",
    "draw_trade_off",
    "energies_info",
    "gaps_info",
    "of_search",
    "over_steps",
    "over_time_infos",
    "raster_info",
    "rates_info",
    "save",
    "scale_curve_info",
    "trade_off_info",
]
