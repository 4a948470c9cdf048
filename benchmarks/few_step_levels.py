"""Thresholds for graded spikes: three rules at 3, 7 and 15 levels, in a single step.

Part of `few_step_accuracy.py`, which measures it with `--parts levels` and writes the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import spikewright as sw
from benchmarks.conversion_quality import Lost, drawn, samples
from benchmarks.fine_tuning import answered
from benchmarks.quality_page import NAMES
from benchmarks.quality_rows import append_row, read_rows
from benchmarks.results import markdown_table
from benchmarks.sources import Source
from spikewright.records import select

TABLE = Path(__file__).parents[1] / "docs" / "few_step_levels.csv"
LEVELS = (3, 7, 15)
SEEN = 500
SOME = {"cifar10": 2000}  # test images, of networks that take long
HEAD = """## Levels of graded spikes

Hardware that sends graded spikes of n levels answers in a single step: `max_spikes_per_step=n`.
Then all depends on thresholds. `ThresholdIteration` is the generalised threshold for levels 0 to
n, or -n to n, of normally distributed currents. `MinimumError` takes the data as it is. With the
percentile n spikes mean the 99.9th percentile of a channel's values. Nothing is corrected. Points
lost on all test images, with the interval; of CIFAR-10, where it is measured, on 2000 drawn at
random:
"""


def percentile(base: sw.Conversion, levels: int) -> sw.Conversion:
    """n spikes are the 99.9th percentile of a channel's values."""
    rule = sw.Percentile(99.9, per="channel")
    one = base.again(scale_firing_rates=rule).resolved["scale_firing_rates"]
    scales = {name: scale * levels for name, scale in one.items()}
    return base.again(scale_firing_rates=scales, calibration=None)


def minimum_error(base: sw.Conversion, levels: int) -> sw.Conversion:
    """Least squared error on the data."""
    return base.again(scale_firing_rates=sw.MinimumError(1))


def iteration(base: sw.Conversion, levels: int) -> sw.Conversion:
    """Least squared error of normally distributed currents."""
    return base.again(scale_firing_rates=sw.ThresholdIteration(1))


RULES: Mapping[str, Callable[[sw.Conversion, int], sw.Conversion]] = {
    "99.9th percentile": percentile,
    "minimum error": minimum_error,
    "threshold iteration": iteration,
}


@dataclass(frozen=True)
class Row:
    """Accuracies and points lost are fractions, spikes those of an image, bits those of a spike."""

    network: str
    rule: str
    levels: int
    images: int
    source: float
    spiking: float
    drop: float
    low: float
    high: float
    spikes: float
    bits: float

    @property
    def key(self) -> tuple[str, str, int]:
        """Its network, rule and number of levels."""
        return self.network, self.rule, self.levels


def measure(network: str, found: Source, levels: Sequence[int] = LEVELS) -> None:
    """Measure what is not there, for all rules, and keep it."""
    some = drawn(found, SOME.get(network, len(found.y_test)))
    statistics = sw.convert(found.model, example_input=found.example).calibrate(
        samples(found, SEEN), progress=False
    )
    for count in levels:
        for rule, made in RULES.items():
            if (network, rule, count) in rows():
                continue
            base = sw.convert(
                found.model,
                spiking={"relu": sw.IntegrateAndFire()},
                max_spikes_per_step=count,
                example_input=found.example,
                scale_firing_rates=sw.MinimumError(1),
                calibration=statistics,
            )
            conversion = made(base, count)
            answers, spikes = answered(conversion, found.x_test[some], 1)
            lost = Lost.of(found.right[some], answers == found.y_test[some])
            row = Row(network, rule, count, len(some), **asdict(lost), spikes=spikes,
                      bits=_bits(conversion, found))  # fmt: skip
            print(row, flush=True)
            append_row(TABLE, row)


def _bits(conversion: sw.Conversion, found: Source) -> float:
    """The bits of a spike, as an evaluation states them."""
    told = conversion.evaluate(found.x_test[:1], steps=1, progress=False).records
    return next(r.value for r in select(told, "bits per graded spike") if "layer" not in r.how)


def rows() -> dict[tuple[str, str, int], Row]:
    """All that is measured."""
    return {row.key: row for row in read_rows(TABLE, Row)}


def section() -> str:
    """The part of the page; empty where nothing is measured."""
    found = rows()
    levels = sorted({row.levels for row in found.values()})
    lines = []
    for network, title in NAMES.items():
        for rule in RULES:
            mine = [found.get((network, rule, count)) for count in levels]
            if any(mine):
                lines.append([title, rule, *(_cell(row) for row in mine)])
    if not lines:
        return ""
    bits = {row.levels: row.bits for row in found.values()}
    head = ["network", "thresholds", *(f"{n} levels, {bits[n]:g} bits" for n in levels)]
    return f"{HEAD}\n{markdown_table(head, lines)}\n"


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    return (
        f"{100 * row.drop:.2f} ({100 * row.low:.2f} to {100 * row.high:.2f}), "
        f"{row.spikes:,.0f} spikes"
    )
