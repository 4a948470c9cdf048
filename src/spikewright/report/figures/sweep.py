"""Scores of answers, and the spikes they take, against the firing-rate scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from spikewright.records import Record, Worth, select, worths
from spikewright.report.figures.base import (
    BLACK,
    PALETTE,
    Row,
    clean,
    count_in_plain_numbers,
    new_figure,
)
from spikewright.report.figures.over_time import with_interval
from spikewright.report.sweeps import Key, by_setting, scale_text, steps_of_spikes
from spikewright.report.tables import shown

_PANELS = 4  # numbers of steps that are shown beside each other
_DASHES = ("-", "--", ":")


class Point(NamedTuple):
    """A scale's place on the axis, the score of the answers there, and the 95 % interval."""

    place: int
    value: float
    low: float
    high: float
    chosen: bool


@dataclass(frozen=True)
class Curve:
    """One synapse and kind of neurons, read after `steps` steps under a readout.

    `name` is empty where there is one alone; `spikes` are those a sample at the points' places,
    None of a network that does not spike.
    """

    name: str
    readout: str
    steps: int
    points: tuple[Point, ...]
    spikes: tuple[float | None, ...]


@dataclass(frozen=True)
class SweepInfo:
    """A sweep: `scales` in order, numbers or rules as text, and `curves` over them.

    `worth` is the measure of answers, `source` the score of the source (None where scores are
    relative to the source); `dt` is the length of a step in seconds, `n` the number of samples,
    `output` which of several outputs it is.
    """

    scales: tuple[float | str, ...]
    curves: tuple[Curve, ...]
    worth: Worth
    source: float | None
    dt: float
    n: int
    output: str | None = None
    columns: ClassVar[tuple[str, ...]] = ("setting", "scale", "steps")
    """The first columns of the data, by which an older file of them is known."""

    @property
    def numbers(self) -> bool:
        """Whether all scales are numbers above 0, which have an axis."""
        return all(not isinstance(s, str) and s > 0 for s in self.scales)

    @property
    def steps(self) -> tuple[int, ...]:
        """The numbers of steps, at most four: the chosen one, the ends, those between."""
        return _thinned(sorted({curve.steps for curve in self.curves}), self._chosen_steps)

    @property
    def _chosen_steps(self) -> int | None:
        return next((c.steps for c in self.curves if any(p.chosen for p in c.points)), None)

    @property
    def chosen(self) -> tuple[Curve, Point] | None:
        """The point that was chosen."""
        return next(((c, p) for c in self.curves for p in c.points if p.chosen), None)

    def rows(self) -> list[Row]:
        """One row a point, header first."""
        key = self.worth.name.replace(" ", "_")
        header = (*self.columns, "time_ms", "readout", key, f"{key}_low")
        body = [
            (
                curve.name or "default", self.scales[point.place], curve.steps,
                1000 * self.dt * curve.steps, curve.readout, point.value, point.low, point.high,
                "" if spikes is None else spikes, "" if self.source is None else self.source,
                int(point.chosen),
            )
            for curve in self.curves
            for point, spikes in zip(curve.points, curve.spikes, strict=True)
        ]  # fmt: skip
        return [(*header, f"{key}_high", "spikes_per_sample", "source", "chosen"), *body]


def _thinned(steps: Sequence[int], wanted: int | None) -> tuple[int, ...]:
    """At most four, the last and the wanted one among them."""
    if len(steps) <= _PANELS:
        return tuple(steps)
    spread = [steps[round(i)] for i in np.linspace(0, len(steps) - 1, _PANELS)]
    if wanted is not None and wanted not in spread:
        nearest = min(range(_PANELS - 1), key=lambda i: abs(spread[i] - wanted))
        spread[nearest] = wanted
    return tuple(sorted(set(spread)))


def sweep_info(records: Iterable[Record]) -> SweepInfo:
    """From the records of a sweep, of its first output; raises `ValueError` where there are none.

    Settings are told apart by "neurons", "synapse" and "scale" in `how`; the score of the chosen
    one has `how["chosen"]`. Shown are the steps at which spikes were recorded, or rates.
    """
    found = list(records)
    settings = by_setting(r for r in found if "threshold" not in r.how)
    measured = [r for some in settings.values() for r in some if "readout" in r.how]
    if not measured:
        raise ValueError("a sweep needs what answers are worth, at scales that are in their `how`")
    worth = worths(measured)[0]
    first = select(measured, worth.name)[0]
    output = first.how.get("output")
    source = select(found, f"source {worth.name}", output=output)
    scales = tuple(_ordered(key.scale for key in settings))
    return SweepInfo(
        scales,
        tuple(_curves(settings, scales, worth, output)),
        worth,
        source[0].value if source else None,
        float(first.how.get("dt", 0.001)),
        first.n,
        output,
    )


def _ordered(scales: Iterable[Any]) -> list[float | str]:
    """Each once: numbers from the smallest on, then rules as they come."""
    different = list(dict.fromkeys(scales))
    numbers = sorted(float(s) for s in different if not isinstance(s, str))
    return [*numbers, *(s for s in different if isinstance(s, str))]


def _curves(
    settings: dict[Key, list[Record]],
    scales: Sequence[float | str],
    worth: Worth,
    output: str | None,
) -> Iterable[Curve]:
    lines = dict.fromkeys((key.neurons, key.synapse) for key in settings)
    read = [r for some in settings.values() for r in some if r.name == worth.name]
    readouts = dict.fromkeys(str(r.how["readout"]) for r in read)
    for steps in steps_of_spikes(r for some in settings.values() for r in some):
        for neurons, synapse in lines:
            for readout in readouts:
                points, spikes = [], []
                for place, scale in enumerate(scales):
                    some = settings.get(Key(neurons, synapse, scale), [])
                    here = [r for r in some if r.how.get("steps") == steps and "layer" not in r.how]
                    for r in select(here, worth.name, readout=readout, output=output):
                        points.append(Point(place, *with_interval(r), bool(r.how.get("chosen"))))
                        spikes.append(_spikes(here))
                name = Key(neurons, synapse, None).line or ("no synapse" if len(lines) > 1 else "")
                yield Curve(name, readout, steps, tuple(points), tuple(spikes))


def _spikes(records: Sequence[Record]) -> float | None:
    found = select(records, "spikes per sample")
    return found[0].value if found else None


def draw_sweep(info: SweepInfo) -> Any:
    """A `matplotlib.figure.Figure`: worth against scale, and below it spikes, by number of steps.

    A colour for each synapse and kind of neurons, a dash for each readout, the source as a line;
    the chosen point is marked.
    """
    steps = info.steps
    figure = new_figure(max(6.5, 2.2 + 3.1 * len(steps)), 6.0)
    panels = figure.subplots(
        2, len(steps), sharex=True, sharey="row", height_ratios=(3, 2), squeeze=False
    )
    for column, count in enumerate(steps):
        top, bottom = panels[:, column]
        _draw_worth(top, info, count)
        _draw_spikes(bottom, info, count)
        time = f"{count} step{'s' * (count != 1)}, {1000 * info.dt * count:g} ms"
        top.set_title(time, loc="left", fontsize=10)
        bottom.set_xlabel("firing-rate scale")
        for axes in (top, bottom):
            clean(axes)
    panels[0, 0].set_ylabel(f"{info.worth.name} (%)" if info.worth.fraction else info.worth.name)
    panels[1, 0].set_ylabel("spikes per sample")
    figure.suptitle(
        f"What the firing-rate scale does, over {info.n:,} samples", x=0.01, ha="left", fontsize=12
    )
    handles = _handles(panels[0])
    figure.legend(
        handles.values(), handles, loc="outside lower left", ncols=3, frameon=False, fontsize=9,
        handlelength=2.8,
    )  # fmt: skip
    return figure


def _draw_worth(axes: Any, info: SweepInfo, steps: int) -> None:
    """Draw the scores of the answers, with intervals, beside the source."""
    unit = 100 if info.worth.fraction else 1
    if info.source is not None:
        value = shown(info.worth)(info.source)
        axes.axhline(
            unit * info.source, color=BLACK, linestyle="--", linewidth=1.4, label=f"source, {value}"
        )
    for curve, colour, dash in _styled(info, steps):
        at, value, low, high = np.array([p[:4] for p in curve.points]).T
        x, errors = _places(info, at), np.maximum([value - low, high - value], 0)
        axes.errorbar(
            x, unit * value, unit * errors, color=colour, linestyle=dash, marker="o", markersize=4,
            capsize=2.5, linewidth=1.6, elinewidth=0.9, label=_label(curve),
        )  # fmt: skip
        for point in curve.points:
            if point.chosen:
                axes.plot(
                    _places(info, [point.place]), [unit * point.value], "D", color="none",
                    markersize=12, markeredgecolor=BLACK, markeredgewidth=1.8, linestyle="none",
                    zorder=10, label="chosen",
                )  # fmt: skip
    if info.worth.name in ("accuracy", "agreement") and info.worth.fraction:
        axes.set_ylim(0, 105)
        axes.set_yticks(range(0, 101, 20))


def _draw_spikes(axes: Any, info: SweepInfo, steps: int) -> None:
    """Spikes a sample: they do not depend on the readout."""
    first = info.curves[0].readout
    drawn = [styled for styled in _styled(info, steps) if styled[0].readout == first]
    for index, (curve, colour, _) in enumerate(drawn):
        pairs = zip(curve.points, curve.spikes, strict=True)
        points = [(p.place, spikes) for p, spikes in pairs if spikes is not None]
        width = 1.6 * (len(drawn) - index)  # those below stay visible
        x, spikes = _places(info, [place for place, _ in points]), [n for _, n in points]
        axes.plot(x, spikes, color=colour, marker="o", markersize=3 + width, linewidth=width)
    _count_axis(axes, [n for curve in info.curves for n in curve.spikes if n is not None])
    if info.numbers:
        axes.set_xscale("log")
    axes.set_xticks(_places(info, range(len(info.scales))), map(scale_text, info.scales))
    axes.minorticks_off()
    axes.margins(x=0.08)


def _count_axis(axes: Any, counts: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers, where there are no zeros."""
    if counts and min(counts) > 0:
        axes.set_yscale("log")
        count_in_plain_numbers(axes.yaxis, counts)


def _styled(info: SweepInfo, steps: int) -> Iterable[tuple[Curve, str, str]]:
    """The curves after so many steps, with colour and dash."""
    names = list(dict.fromkeys(curve.name for curve in info.curves))
    readouts = list(dict.fromkeys(curve.readout for curve in info.curves))
    for curve in info.curves:
        if curve.steps == steps and curve.points:
            colour = PALETTE[names.index(curve.name) % len(PALETTE)]
            yield curve, colour, _DASHES[readouts.index(curve.readout) % len(_DASHES)]


def _label(curve: Curve) -> str:
    return ", ".join(filter(None, [curve.name, f"{curve.readout} readout"]))


def _places(info: SweepInfo, at: Iterable[float]) -> list[float]:
    """The places of scales on the axis: numbers at their own place, rules side by side."""
    return [float(info.scales[int(i)]) if info.numbers else float(i) for i in at]


def _handles(panels: Iterable[Any]) -> dict[str, Any]:
    """The legend entries of all panels, each once."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            line = handle[0] if isinstance(handle, tuple) else handle  # without its error bars
            found.setdefault(label, line)
    return found
