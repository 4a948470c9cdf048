"""Accuracy and spikes against the firing-rate scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikewright.records import Record, select
from spikewright.report.figures.base import BLACK, BLUE, GREEN, VERMILION, Row, clean, new_figure


@dataclass(frozen=True)
class ScaleCurveInfo:
    """Accuracy (fractions) and spikes per sample against the firing-rate scale, by scale.

    `last` and `mean` hold `(value, low, high)` under each readout; `source` is the source model's
    accuracy; `steps` and `dt` (seconds) say how long each run was, `n` over how many samples.
    """

    scales: tuple[float, ...]
    last: tuple[tuple[float, float, float], ...]
    mean: tuple[tuple[float, float, float], ...]
    spikes: tuple[float, ...]
    source: float
    steps: int
    dt: float
    n: int

    def rows(self) -> list[Row]:
        """One row a scale, header first."""
        header = ["scale", "source_accuracy"]
        for readout in ("last", "mean"):
            header += [f"accuracy_{readout}{part}" for part in ("", "_low", "_high")]
        body = [
            (scale, self.source, *last, *mean, spikes)
            for scale, last, mean, spikes in zip(
                self.scales, self.last, self.mean, self.spikes, strict=True
            )
        ]
        return [(*header, "spikes_per_sample"), *body]


def scale_curve_info(records: Iterable[Record]) -> ScaleCurveInfo:
    """Collect accuracy and spikes by scale; raises `ValueError` where the records hold neither."""
    found = [r for r in records if "scale" in r.how or r.name == "source accuracy"]
    last = select(found, "accuracy", readout="last")
    mean = select(found, "accuracy", readout="mean")
    source = select(found, "source accuracy")
    spikes = [r for r in select(found, "spikes per sample") if "layer" not in r.how]
    if not mean or not source or not len(last) == len(mean) == len(spikes):
        raise ValueError(
            "a scale curve needs the source's accuracy, and for each scale accuracy under both "
            "readouts and spikes per sample"
        )
    return ScaleCurveInfo(
        tuple(float(r.how["scale"]) for r in mean),
        tuple(map(_with_interval, last)),
        tuple(map(_with_interval, mean)),
        tuple(r.value for r in spikes),
        source[0].value,
        mean[0].how["steps"],
        mean[0].how["dt"],
        mean[0].n,
    )


def _with_interval(record: Record) -> tuple[float, float, float]:
    low, high = record.interval or (record.value, record.value)
    return record.value, low, high


def draw_scale_curve(info: ScaleCurveInfo) -> Any:
    """A `matplotlib.figure.Figure`: accuracy against the scale, and below it spikes per sample."""
    figure = new_figure(7.0, 6.0)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    top.axhline(100 * info.source, color=BLACK, linestyle="--", linewidth=1.4)
    top.annotate(
        f"source network, {100 * info.source:.1f} %",
        (info.scales[0], 100 * info.source),
        (0, 5),
        textcoords="offset points",
        color=BLACK,
    )
    for name, points, colour, marker in (
        ("mean over the run", info.mean, BLUE, "o"),
        ("last step alone", info.last, VERMILION, "s"),
    ):
        values, low, high = 100 * np.array(points).T
        errors = np.maximum([values - low, high - values], 0)
        top.errorbar(
            info.scales, values, errors, color=colour, marker=marker, capsize=3, label=name
        )
    top.set_ylabel("accuracy (%)")
    top.set_ylim(0, 112)
    top.set_yticks(range(0, 101, 20))
    top.legend(
        title="spiking network, read out as",
        alignment="left",
        loc="center left",
        bbox_to_anchor=(0.02, 0.5),
        frameon=False,
    )
    top.set_title(
        f"The same weights at higher firing rates ({info.n} digits, "
        f"{info.steps} steps of {info.dt * 1000:g} ms)",
        loc="left",
    )
    bottom.plot(info.scales, info.spikes, color=GREEN, marker="D")
    for scale, spikes in zip(info.scales, info.spikes, strict=True):
        bottom.annotate(
            f"{spikes:,.0f}", (scale, spikes), (0, 7), textcoords="offset points", ha="center"
        )
    bottom.set_ylabel("spikes per image")
    bottom.set_xlabel("scale_firing_rates")
    bottom.set_xscale("log")
    bottom.set_xticks(info.scales, [f"{scale:g}" for scale in info.scales])
    bottom.minorticks_off()
    if min(info.spikes) > 0:
        bottom.set_yscale("log")
    bottom.margins(x=0.06, y=0.25)
    for axes in (top, bottom):
        clean(axes)
    return figure
