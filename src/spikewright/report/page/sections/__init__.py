"""Sections of a page, in order; each is None where there is nothing to show."""

from collections.abc import Callable

from spikewright._base.markup import Markup
from spikewright.report.page.contents import Contents
from spikewright.report.page.sections.accuracy import accuracy, trade
from spikewright.report.page.sections.activity import raster, rates
from spikewright.report.page.sections.diagnosis import diagnosis
from spikewright.report.page.sections.energy import energy
from spikewright.report.page.sections.making import reproduction, trace
from spikewright.report.page.sections.sweep import sweep
from spikewright.report.page.sections.training import training

SECTIONS: tuple[Callable[[Contents], Markup | None], ...] = (
    training,
    sweep,
    accuracy,
    trade,
    rates,
    raster,
    diagnosis,
    energy,
    trace,
    reproduction,
)

__all__ = ["SECTIONS"]
