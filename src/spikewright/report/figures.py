"""Figures in two halves: `*_info` makes plain data, `draw_*` draws it with matplotlib.

Tests and other renderers use the data; every saved picture has its data beside it as CSV.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._optional import require
from spikewright.records import Record, select

Row = Sequence[str | float | int]

# Okabe and Ito's palette: told apart by colour-blind readers, and in print.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
BLACK, GREY = "#222222", "#9A9A9A"


class Info(Protocol):
    """The data of a figure."""

    def rows(self) -> list[Row]:
        """The data as a table, its header first."""
        ...


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
    found = list(records)
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


@dataclass(frozen=True, eq=False)
class RasterInfo:
    """Spikes of one sample, and the output's running mean beside the source's value.

    `spikes` maps each layer to `(step, neuron, count)` rows, steps counted from 1; `neurons` to its
    number of neurons. `running_mean` is `(steps, classes)`, `source` `(classes,)`; `settings` says
    what the run was.
    """

    spikes: Mapping[str, NDArray]
    neurons: Mapping[str, int]
    running_mean: NDArray
    source: NDArray
    dt: float
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def time_ms(self) -> NDArray:
        """Time at the end of each step in milliseconds, `(steps,)`."""
        return np.arange(1, len(self.running_mean) + 1) * self.dt * 1000

    def rows(self) -> list[Row]:
        """Long form, header first: spikes, then running means, then the source's values."""
        body: list[Row] = []
        for layer, events in self.spikes.items():
            body += [
                ("spikes", layer, int(n), float(self.time_ms[t - 1]), int(c)) for t, n, c in events
            ]
        for step, values in zip(self.time_ms, self.running_mean, strict=True):
            body += [
                ("running mean", "output", i, float(step), float(v)) for i, v in enumerate(values)
            ]
        body += [("source", "output", i, "", float(v)) for i, v in enumerate(self.source)]
        return [("what", "layer", "index", "time_ms", "value"), *body]


def raster_info(
    counts: Mapping[str, ArrayLike],
    output: ArrayLike,
    source: ArrayLike,
    dt: float,
    settings: Mapping[str, Any] | None = None,
) -> RasterInfo:
    """A raster from spike counts `{layer: (steps, *shape)}` and the output `(steps, classes)`.

    `source` is the value `(classes,)` that the output's running mean should tend to, `dt` the
    length of a step in seconds.
    """
    values = np.asarray(output, np.float64)
    means = np.cumsum(values, axis=0) / np.arange(1, len(values) + 1)[:, None]
    spikes, neurons = {}, {}
    for layer, array in counts.items():
        flat = np.asarray(array).reshape(len(values), -1)
        steps, indices = np.nonzero(flat)
        rows = np.stack([steps + 1, indices, flat[steps, indices].astype(int)], axis=1)
        spikes[layer], neurons[layer] = rows, flat.shape[1]
    return RasterInfo(spikes, neurons, means, np.asarray(source), dt, dict(settings or {}))


def draw_scale_curve(info: ScaleCurveInfo) -> Any:
    """A `matplotlib.figure.Figure`: accuracy against the scale, and below it spikes per sample."""
    figure = _figure(7.0, 6.0)
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
        _clean(axes)
    return figure


def draw_raster(info: RasterInfo) -> Any:
    """A `matplotlib.figure.Figure`: a raster per layer, and below it the output over time."""
    figure = _figure(8.0, 7.5)
    layers = list(info.spikes)
    heights = [np.sqrt(info.neurons[layer]) for layer in layers]
    panels = figure.subplots(
        len(layers) + 1, 1, sharex=True, height_ratios=[*heights, 0.9 * sum(heights)]
    )
    for axes, layer, colour in zip(panels, layers, (BLUE, GREEN) * len(layers), strict=False):
        step, neuron, count = info.spikes[layer].T
        axes.scatter(
            info.time_ms[step - 1], neuron, 6.0 * count, color=colour, linewidths=0, alpha=0.85
        )
        axes.set_ylim(-1, info.neurons[layer])
        axes.set_ylabel(f"{layer}\nneuron")
        axes.set_title(f"{int(count.sum()):,} spikes", loc="right", fontsize=9, color=BLACK)
        _clean(axes)
    _draw_output(panels[-1], info)
    panels[-1].set_xlabel("time (ms)")
    title = "One image, spike by spike"
    if info.settings:
        shown = [f"{name} {value:g}" for name, value in info.settings.items()]
        title += f" ({', '.join(shown)})"
    panels[0].set_title(title, loc="left")
    figure.align_ylabels()
    return figure


def _draw_output(axes: Any, info: RasterInfo) -> None:
    """Running means as lines, the source's values as dashed lines; the two largest stand out."""
    first, second = np.argsort(info.source)[::-1][:2]
    end = info.time_ms[-1]
    for index in range(len(info.source)):
        colour, width = GREY, 0.9
        if index in (first, second):
            colour, width = (VERMILION if index == first else ORANGE), 2.2
        line = info.running_mean[:, index]
        axes.plot(info.time_ms, line, color=colour, linewidth=width, zorder=width)
        axes.axhline(info.source[index], color=colour, linestyle=":", linewidth=width, zorder=0)
        if index in (first, second):
            axes.annotate(
                f"digit {index}",
                (end, info.source[index]),
                (6, 0),
                textcoords="offset points",
                color=colour,
                va="center",
                annotation_clip=False,
            )
    span = float(np.ptp(info.source)) or 1.0
    axes.set_ylim(info.source.min() - 0.35 * span, info.source.max() + 0.35 * span)
    axes.set_xlim(0, end * 1.01)
    axes.set_ylabel("output,\nmean so far")
    axes.set_title("dotted: the source network's values", loc="right", fontsize=9, color=BLACK)
    _clean(axes)


def save(figure: Any, info: Info, path: Path) -> tuple[Path, Path]:
    """Write the picture to `path`, a PNG, and its data beside it as CSV; returns both paths."""
    figure.savefig(path, dpi=150)
    data = path.with_suffix(".csv")
    with data.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(info.rows())
    return path, data


def _figure(width: float, height: float) -> Any:
    """An empty figure that no window belongs to, white, in inches."""
    return require("matplotlib.figure").Figure(
        figsize=(width, height), layout="constrained", facecolor="white"
    )


def _clean(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
