"""Thresholds for graded spikes: three rules at 3, 7 and 15 levels, in a single step.

Part of `few_step_accuracy.py`, which measures it with `--parts levels`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import spikewright as sw
from benchmarks.answers import SHORT, answered, samples
from benchmarks.results import markdown_table
from benchmarks.sources import Source

LEVELS = (3, 7, 15)
SEEN = 500


def percentile(base: sw.Conversion, levels: int) -> sw.Conversion:
    """n spikes are the 99.9th percentile of a channel's values."""
    rule = sw.Percentile(99.9, per="channel")
    one = base.replace(scale_firing_rates=rule).resolved["scale_firing_rates"]
    scales = {name: scale * levels for name, scale in one.items()}
    return base.replace(scale_firing_rates=scales, calibration=None)


def minimum_error(base: sw.Conversion, levels: int) -> sw.Conversion:
    """Least squared error on the data."""
    return base.replace(scale_firing_rates=sw.MinimumError(1))


def iteration(base: sw.Conversion, levels: int) -> sw.Conversion:
    """Least squared error of normally distributed currents."""
    return base.replace(scale_firing_rates=sw.ThresholdIteration(1))


RULES: Mapping[str, Callable[[sw.Conversion, int], sw.Conversion]] = {
    "99.9th percentile": percentile,
    "minimum error": minimum_error,
    "threshold iteration": iteration,
}


def cell(found: Source, statistics: sw.Statistics, rule: str, levels: int, images: int) -> str:
    """Points lost, and spikes an image."""
    base = sw.convert(
        found.model,
        spiking={"relu": sw.IntegrateAndFire()},
        max_spikes_per_step=levels,
        example_input=found.example,
        scale_firing_rates=sw.MinimumError(1),
        calibration=statistics,
    )
    loss = answered(RULES[rule](base, levels), found, 1, images)
    return f"{loss.lost}, {loss.spikes:,.0f} spikes"


def table(sources: Mapping[str, Source], images: int) -> str:
    """A line for each network and rule, a column for each number of levels."""
    lines = []
    for network, found in sources.items():
        base = sw.convert(found.model, example_input=found.example)
        statistics = base.calibrate(samples(found, SEEN), progress=False)
        for rule in RULES:
            cells = [cell(found, statistics, rule, count, images) for count in LEVELS]
            lines.append([SHORT[network], rule, *cells])
            print(*lines[-1], flush=True)
    return markdown_table(["network", "thresholds", *(f"{n} levels" for n in LEVELS)], lines)
