"""Scores of answers, and the spikes they take, against the firing-rate scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from spikewright._base.amounts import capital, counted, number
from spikewright.records import Record, Worth, select, worths
from spikewright.report.figures import charts
from spikewright.report.figures.over_time import with_interval
from spikewright.report.figures.picture import Row
from spikewright.report.sweeps import REFERENCE, Key, by_setting, scale_text, steps_of_spikes
from spikewright.report.tables import value_format, value_of

_PANELS = 4  # numbers of steps that are shown beside each other
_WHISKERS = 24  # points up to which each gets its interval: more would hide each other
_BESIDE = "other dash1"
"""The style of what `convert` chooses."""
_TITLE, _SCALE = "Scores and spikes by firing-rate scale", "firing-rate scale"


class ScalePoint(NamedTuple):
    """A scale's place on the axis, the score of the answers there, and the 95 % interval.

    `spikes` are those a sample, None of a network that does not spike.
    """

    place: int
    value: float
    low: float
    high: float
    spikes: float | None
    chosen: bool


@dataclass(frozen=True)
class ScaleCurve:
    """One synapse and kind of neurons, read after `steps` steps under a readout.

    `name` is empty where there is one alone.
    """

    name: str
    readout: str
    steps: int
    points: tuple[ScalePoint, ...]

    @property
    def text(self) -> str:
        """Its name and readout."""
        return ", ".join(filter(None, [self.name, f"{self.readout} readout"]))


@dataclass(frozen=True)
class SweepInfo:
    """A sweep: `scales` in order, numbers or rules as text, and `curves` over them.

    `worth` is the measure of answers, `source` the score of the source (None where scores are
    relative to the source); `dt` is the length of a step in seconds, `n` the number of samples,
    `output` which of several outputs it is. `reference` is what `convert` chooses for some steps, a
    point for each readout.
    """

    scales: tuple[float | str, ...]
    curves: tuple[ScaleCurve, ...]
    worth: Worth
    source: float | None
    dt: float
    n: int
    output: str | None = None
    reference: tuple[ScaleCurve, ...] = ()
    columns: ClassVar[tuple[str, ...]] = ("setting", "scale", "steps")
    """The first columns of the data, by which an older file of them is known."""

    @property
    def numbers(self) -> bool:
        """Whether all scales are numbers above 0, which have an axis."""
        return all(not isinstance(s, str) and s > 0 for s in self.scales)

    @property
    def chosen(self) -> tuple[ScaleCurve, ScalePoint] | None:
        """The point that was chosen."""
        return next(((c, p) for c in self.curves for p in c.points if p.chosen), None)

    @property
    def steps(self) -> tuple[int, ...]:
        """The numbers of steps, at most four: the last, the chosen one, and others."""
        steps = sorted({curve.steps for curve in self.curves})
        if len(steps) <= _PANELS:
            return tuple(steps)
        spread = [steps[round(i)] for i in np.linspace(0, len(steps) - 1, _PANELS)]
        wanted = spread[0] if self.chosen is None else self.chosen[0].steps
        if wanted not in spread:
            nearest = min(range(_PANELS - 1), key=lambda i: abs(spread[i] - wanted))
            spread[nearest] = wanted
        return tuple(sorted(set(spread)))

    @property
    def shown_steps(self) -> int:
        """The number of steps of the choice, else the last."""
        return self.steps[-1] if self.chosen is None else self.chosen[0].steps

    def rows(self) -> list[Row]:
        """One row a point, header first."""
        key = self.worth.name.replace(" ", "_")
        header = (*self.columns, "time_ms", "readout", key, f"{key}_low")
        places = [(curve, self.scales) for curve in self.curves]
        places += [(curve, (REFERENCE,)) for curve in self.reference]
        body = [
            (
                curve.name or "default", scales[point.place], curve.steps,
                1000 * self.dt * curve.steps, curve.readout, point.value, point.low, point.high,
                "" if point.spikes is None else point.spikes,
                "" if self.source is None else self.source, int(point.chosen),
            )
            for curve, scales in places
            for point in curve.points
        ]  # fmt: skip
        return [(*header, f"{key}_high", "spikes_per_sample", "source", "chosen"), *body]

    def chart(self) -> charts.Chart:
        """Scores against the scale, and below them spikes, side by side by number of steps."""
        return self._chart(self.steps, f"{_TITLE}, over {self.n:,} samples", several=True)

    def at_one(self) -> charts.Chart:
        """The scores alone, after the steps of `shown_steps`."""
        after = f"after {counted(self.shown_steps, 'step')}"
        title = f"{capital(self.worth.name)} against the firing-rate scale, {after}"
        return self._chart((self.shown_steps,), f"{title} of {1000 * self.dt:g} ms", several=False)

    def _chart(self, steps: Sequence[int], title: str, several: bool) -> charts.Chart:
        curves = [c for c in self.curves if c.steps in steps and c.points]
        spiking = several and any(p.spikes is not None for c in curves for p in c.points)
        panels = [self._scores(curves, count, several, spiking) for count in steps]
        if spiking:
            panels += [self._spikes(curves, count) for count in steps]
        return charts.Chart(
            "sweep",
            title,
            panels,
            self._words([c for c in curves if c.steps == self.shown_steps]),
            self._keys(curves),
            f"{self.n:,} samples; bars are 95 % intervals.",
            columns=len(steps),
            width=charts.WIDE if len(steps) == 1 else 220 + 310 * len(steps),
        )

    def _scores(
        self, value_format: Sequence[ScaleCurve], steps: int, several: bool, spiking: bool
    ) -> charts.Panel:
        """The scores of the answers, with intervals, beside the source."""
        unit = 100 if self.worth.fraction else 1
        source = [] if self.source is None else [self.source]
        beside = [point.value for curve in self.reference[:1] for point in curve.points]
        reached = [v for c in value_format for p in c.points for v in (p.low, p.high)] + beside
        y = charts.measure_axis(
            self.worth.name, [*reached, *source], self.worth.fraction, whole=True
        )
        curves = [c for c in value_format if c.steps == steps]
        marks: list[charts.Mark] = [charts.Guide(unit * value, "source") for value in source]
        points = {c: [(self._at[p.place], unit * p.value) for p in c.points] for c in curves}
        marks += [charts.Guide(unit * value, _BESIDE) for value in beside]
        marks += [charts.Line(points[c], self._style(c)) for c in curves]
        few = sum(len(c.points) for c in curves) <= _WHISKERS
        for curve in curves:
            style = self._style(curve).split()[0]
            ends = [(at, unit * p.low, at, unit * p.high)
                    for (at, _), p in zip(points[curve], curve.points, strict=True)]  # fmt: skip
            marks += [charts.Strokes(ends, f"thin {style}")] if few else []
            titles = [self._title(curve, p) for p in curve.points]
            marks.append(charts.Marks(points[curve], style, 0, titles))
        for curve in curves:
            pairs = zip(points[curve], curve.points, strict=True)
            for place in [at for at, point in pairs if point.chosen]:
                marks += [charts.Ring(place), charts.PointLabel(place, "chosen", "strong")]
        title = f"{counted(steps, 'step')}, {1000 * self.dt * steps:g} ms"
        x = self._scales("" if spiking else _SCALE)
        return charts.Panel(x, y, marks, 272, title=title if several else "")

    def _spikes(self, value_format: Sequence[ScaleCurve], steps: int) -> charts.Panel:
        """Spikes a sample, which do not depend on the readout; dashes keep those below visible."""
        first = self.curves[0].readout
        counts = [p.spikes for c in value_format for p in c.points if p.spikes is not None]
        log = min(counts) > 0
        y = charts.Axis("spikes per sample", *charts.with_room(counts, log), number, (5, 5), log)
        marks: list[charts.Mark] = []
        drawn = [c for c in value_format if c.steps == steps and c.readout == first]
        for index, curve in enumerate(drawn):
            points = [(self._at[p.place], p.spikes) for p in curve.points if p.spikes is not None]
            style = self._style(curve).split()[0]
            if points:
                dash = charts.dashed(index).partition(" ")[2]
                marks += [charts.Line(points, f"{style} {dash}"), charts.Marks(points, style)]
        return charts.Panel(self._scales(_SCALE), y, marks, 180)

    @property
    def _at(self) -> list[float]:
        """The places of scales: numbers at their own on a logarithmic axis, rules side by side."""
        return [float(s) if self.numbers else float(i) for i, s in enumerate(self.scales)]

    def _scales(self, heading: str) -> charts.Axis:
        low, high = charts.with_room(self._at, self.numbers)
        named = [(v, scale_text(s)) for v, s in zip(self._at, self.scales, strict=True)]
        return charts.Axis(heading, low, high, log=self.numbers, named=named)

    def _style(self, curve: ScaleCurve) -> str:
        """A colour for each synapse and kind of neurons, a dash for each readout."""
        names = list(dict.fromkeys(c.name for c in self.curves))
        readouts = list(dict.fromkeys(c.readout for c in self.curves))
        dash = charts.dashed(readouts.index(curve.readout)).partition(" ")[2]
        return f"{charts.colour(names.index(curve.name))} {dash}".strip()

    def _keys(self, curves: Iterable[ScaleCurve]) -> list[charts.LegendEntry]:
        lines = (charts.LegendEntry("line", self._style(c), c.text) for c in curves)
        keys = list(dict.fromkeys(lines))
        if self.source is not None:
            text = f"the source, {value_format(self.worth)(self.source)}"
            keys.append(charts.LegendEntry("line", "source", text))
        keys += [
            charts.LegendEntry("line", _BESIDE, self._reference(curve, point))
            for curve in self.reference[:1]
            for point in curve.points
        ]
        if self.chosen is not None:
            keys.append(charts.LegendEntry("mark", "ring", "chosen", 2))
        return keys

    def _reference(self, curve: ScaleCurve, point: ScalePoint) -> str:
        chosen = ", chosen" if any(p.chosen for c in self.reference for p in c.points) else ""
        value = value_format(self.worth)(point.value)
        return f"{REFERENCE}, {counted(curve.steps, 'step')}: {value}{_cost(point)}{chosen}"

    def _title(self, curve: ScaleCurve, point: ScalePoint) -> str:
        text_of = value_format(self.worth)
        interval = f"{text_of(point.low)} to {text_of(point.high)}"
        scale = scale_text(self.scales[point.place])
        return f"scale {scale}, {curve.text}: {text_of(point.value)} ({interval}){_cost(point)}"

    def _words(self, curves: Sequence[ScaleCurve]) -> str:
        text_of = value_format(self.worth)
        lines = "; ".join(
            f"{curve.text}: "
            + ", ".join(
                f"{text_of(p.value)} at {scale_text(self.scales[p.place])}" for p in curve.points
            )
            for curve in curves[:8]
        )
        chosen = "" if self.chosen is None else f" Chosen: {self._title(*self.chosen)}."
        return f"{self.worth.name} against the firing-rate scale. {lines}.{chosen}"


def _cost(point: ScalePoint) -> str:
    """The spikes of a point as the end of a sentence, where they were counted."""
    return "" if point.spikes is None else f", {number(point.spikes)} spikes a sample"


def sweep_info(records: Iterable[Record]) -> SweepInfo:
    """From the records of a sweep, of its first output; raises `ValueError` where there are none.

    Settings are told apart by "neurons", "synapse" and "scale" in `how`; the score of the chosen
    one has `how["chosen"]`. Shown are the steps at which spikes were recorded, or rates.
    """
    found = list(records)
    settings = by_setting(r for r in found if "threshold" not in r.how)
    beside = {key: some for key, some in settings.items() if key.scale == REFERENCE}
    if len(beside) == len(settings):
        beside = {}  # it is all that there is
    settings = {key: some for key, some in settings.items() if key not in beside}
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
        dt=float(first.how.get("dt", 0.001)),
        n=first.n,
        output=output,
        reference=tuple(_curves(beside, (REFERENCE,), worth, output)),
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
) -> Iterable[ScaleCurve]:
    lines = dict.fromkeys((key.neurons, key.synapse) for key in settings)
    read = [r for some in settings.values() for r in some if r.name == worth.name]
    readouts = dict.fromkeys(str(r.how["readout"]) for r in read)
    for steps in steps_of_spikes(r for some in settings.values() for r in some):
        for neurons, synapse in lines:
            for readout in readouts:
                points = []
                for place, scale in enumerate(scales):
                    some = settings.get(Key(neurons, synapse, scale), [])
                    here = [r for r in some if r.how.get("steps") == steps and "layer" not in r.how]
                    for r in select(here, worth.name, readout=readout, output=output):
                        spikes, chosen = value_of(here, "spikes per sample"), r.how.get("chosen")
                        points.append(ScalePoint(place, *with_interval(r), spikes, bool(chosen)))
                name = Key(neurons, synapse, None).line or ("no synapse" if len(lines) > 1 else "")
                yield ScaleCurve(name, readout, steps, tuple(points))
