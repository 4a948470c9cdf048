"""Spikes over time: of populations, and of one sample beside the source's values for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.amounts import capital, number
from spikewright._base.image_axes import as_images, image_shape
from spikewright.report.figures import charts
from spikewright.report.figures.picture import ChartInfo, Row
from spikewright.report.figures.scale import linear_ticks, shortened

Events = tuple[NDArray, int]
"""Spikes `(step, neuron, count)`, steps counted from 1, and the number of neurons."""


def spikes_info(
    counts: Mapping[str, ArrayLike], dt: float, order: Mapping[str, ArrayLike] | None = None
) -> ChartInfo:
    """From spike counts at every step, `{population: (steps, *shape)}`, as probes record them.

    A panel a population, a dot a spike; steps are of `dt` seconds. `order` sorts a population's
    neurons, `{population: numbers}`: by their encoders, say. Raises `ValueError` where populations
    differ in their number of steps.
    """
    lengths = {len(np.asarray(array)) for array in counts.values()}
    if len(lengths) != 1:
        raise ValueError(f"spikes need populations of one number of steps, got {sorted(lengths)}")
    sorted_by = order or {}
    found = {name: events_of(np.asarray(a), sorted_by.get(name)) for name, a in counts.items()}
    return _figure(found, lengths.pop(), dt, 0)


def events_of(counts: NDArray, order: ArrayLike | None = None) -> Events:
    """The spikes of counts `(steps, *shape)`, neurons in the order that is given."""
    flat = counts.reshape(len(counts), -1)
    flat = flat if order is None else flat[:, np.asarray(order)]
    at, which = np.nonzero(flat)
    return np.stack([at + 1, which, flat[at, which].astype(int)], axis=1), flat.shape[1]


def spike_times_info(
    times: Mapping[str, Sequence[NDArray]],
    steps: int,
    dt: float,
    before: int = 0,
    most: int | None = None,
) -> ChartInfo:
    """From times of spikes in seconds, `{population: one array a neuron}`, as simulators give them.

    `steps` of `dt` seconds were recorded, behind `before` others. Of a population at most `most`
    neurons are drawn, those with the most spikes.
    """
    events = {}
    for name, neurons in times.items():
        rows = [np.zeros((0, 3), int)]
        for neuron, found in enumerate(neurons):
            at, counts = np.unique(np.rint(found / dt).astype(int), return_counts=True)
            rows.append(np.stack([at, np.full(len(at), neuron), counts], axis=1))
        events[name] = np.concatenate(rows), len(neurons)
    return _figure(events, steps, dt, before, most)


def _figure(
    events: Mapping[str, Events], steps: int, dt: float, before: int, most: int | None = None
) -> ChartInfo:
    """Spikes of `steps` steps, behind `before` others, of the `most` active neurons."""
    panels: list[charts.Panel] = []
    words: list[str] = []
    for name, (spikes, neurons) in events.items():
        step, neuron, count = spikes.T
        rate = f"{np.abs(count).sum() / (neurons * steps * dt):.3g} Hz"
        heading = "time (s)" if len(panels) == len(events) - 1 else ""
        x = charts.Axis(heading, before * dt, (before + steps) * dt, grid=True)
        shown = most_active(spikes, np.arange(neurons), neurons if most is None else most)
        drawn = np.isin(neuron, shown)
        of = f"{len(shown)} most active of {neurons:,}" if len(shown) < neurons else "neuron"
        y = charts.Axis(f"{name}\n{of}", 0, len(shown), most=(4, 4))
        rows = np.searchsorted(shown, neuron[drawn])
        marks = spike_marks(step[drawn] * dt, rows, count[drawn], dt)
        panels.append(charts.Panel(x, y, marks, height_of(len(shown)), remark=rate))
        words.append(f"{name}: {rate}")
    body = [
        (name, int(n), float(t * dt), int(c))
        for name, (spikes, _) in events.items()
        for t, n, c in spikes
    ]
    chart = charts.Chart("spikes", "Spikes over time", panels, f"{'; '.join(words)}.")
    return ChartInfo(chart, [("population", "neuron", "time_s", "spikes"), *body])


KINDS = (
    ("c0 soft", "a spike", lambda count: count == 1),
    ("c0", "several in a step", lambda count: count > 1),
    ("c1", "negative", lambda count: count < 0),
)
"""Spikes by how they are drawn: style, meaning, and a condition on their number."""


def spike_marks(times: NDArray, rows: NDArray, counts: NDArray, step: float) -> list[charts.Spikes]:
    """Marks of spikes that end steps of a length, by their kind."""
    found = [(style, is_of(counts)) for style, _, is_of in KINDS]
    return [
        charts.Spikes(times[at], rows[at], counts[at], step, s) for s, at in found if np.any(at)
    ]


def most_active(spikes: NDArray, neurons: NDArray, most: int) -> NDArray:
    """At most so many of the `neurons`, in their order: those with the most spikes."""
    counts = np.zeros(1 + max(neurons.max(initial=0), spikes[:, 1].max(initial=0)), int)
    np.add.at(counts, spikes[:, 1], np.abs(spikes[:, 2]))
    return neurons[np.sort(np.argsort(-counts[neurons], kind="stable")[:most])]


def height_of(neurons: int) -> float:
    """Pixels of a panel of neurons."""
    return min(192.0, max(48.0, 3.0 * neurons))


_OUTPUTS = 10  # that a page shows
_SIDE = 32  # pixels of the input on a page, which is thinned out where it has more
_PICTURE, _LEVELS = 96.0, 8  # height of the input, and greys of it
_OUTPUT = 150  # height of the output
_NAME = 180  # pixels of a layer's name
_RANKS = ("c1", "c3")  # colours of the source's two largest outputs


@dataclass(frozen=True, eq=False)
class RasterInfo:
    """Spikes of one sample, and the output's running mean beside the source's value.

    `spikes` maps each layer to `(step, neuron, count)` rows, steps counted from 1; `neurons` to its
    number of neurons, and `shown` to the numbers of those that are shown. `activations` are the
    source's values of these, `means` the time means that the spiking layer sent; both may be empty.
    `running_mean` is `(steps, outputs)`, `source` `(outputs,)`; `outputs` are the numbers of those
    that are shown. `settings` describes the run. `picture` is the input as a grey picture
    `(lines, columns)` from 0 to 1, where it is one.
    """

    spikes: Mapping[str, NDArray]
    neurons: Mapping[str, int]
    shown: Mapping[str, NDArray]
    activations: Mapping[str, NDArray]
    means: Mapping[str, NDArray]
    running_mean: NDArray
    source: NDArray
    outputs: NDArray
    dt: float
    settings: Mapping[str, Any]
    picture: NDArray | None = None
    columns: ClassVar[tuple[str, ...]] = ("what", "layer", "index")
    """The first columns of the data, by which an older file of them is known."""

    @property
    def time_ms(self) -> NDArray:
        """Time at the end of each step in milliseconds, `(steps,)`."""
        return np.arange(1, len(self.running_mean) + 1) * self.dt * 1000

    @property
    def largest(self) -> NDArray:
        """Places of the outputs, that of the source's largest value first."""
        return np.argsort(self.source, kind="stable")[::-1]

    def thinned(
        self, layers: int = 12, neurons: int = 64, steps: int = 512, events: float = 12_000
    ) -> RasterInfo:
        """The part that fits a page: so many layers, neurons, steps, and the ten largest outputs.

        Layers are evenly spaced, and neurons those with the most spikes. Where they would have more
        than `events` events, neurons are left out first, then steps.
        """
        names, last = list(self.spikes), len(self.spikes) - 1
        places = np.linspace(0, last, min(last + 1, layers)).round().astype(int)
        kept = [names[i] for i in np.unique(places)]
        found = self._part(kept, neurons, steps)
        while sum(map(len, found.spikes.values())) > events:
            neurons, steps = (neurons // 2, steps) if neurons > 8 else (neurons, steps // 2)
            found = self._part(kept, neurons, steps)
        return found

    def _part(self, layers: list[str], neurons: int, steps: int) -> RasterInfo:
        steps = max(1, min(steps, len(self.running_mean)))
        shown = {n: most_active(self.spikes[n], self.shown[n], neurons) for n in layers}
        places = {n: np.searchsorted(self.shown[n], shown[n]) for n in layers}
        spikes = {}
        for name in layers:
            found = self.spikes[name]
            spikes[name] = found[np.isin(found[:, 1], shown[name]) & (found[:, 0] <= steps)]
        outputs = np.sort(self.largest[:_OUTPUTS])
        return replace(
            self,
            spikes=spikes,
            neurons={name: self.neurons[name] for name in layers},
            shown=shown,
            activations=_at(self.activations, places),
            means=_at(self.means, places),
            running_mean=self.running_mean[:steps, outputs],
            source=self.source[outputs],
            outputs=self.outputs[outputs],
            picture=None if self.picture is None else _coarse(self.picture),
        )

    def rows(self) -> list[Row]:
        """Long form, header first: spikes, layers' values, running means, the source's values."""
        body: list[Row] = []
        time = self.time_ms
        for layer, events in self.spikes.items():
            body += [("spikes", layer, int(n), float(time[t - 1]), int(c)) for t, n, c in events]
        for what, values in (("time mean", self.means), ("source", self.activations)):
            for layer, array in values.items():
                pairs = zip(self.shown[layer], array, strict=True)
                body += [(what, layer, int(n), "", float(v)) for n, v in pairs]
        numbers = list(map(int, self.outputs))
        for step, answers in zip(time, self.running_mean, strict=True):
            pairs = zip(numbers, answers, strict=True)
            body += [("running mean", "output", i, float(step), float(v)) for i, v in pairs]
        pairs = zip(numbers, self.source, strict=True)
        body += [("source", "output", i, "", float(v)) for i, v in pairs]
        return [(*self.columns, "time_ms", "value"), *body]

    def chart(self) -> charts.Chart:
        """A panel a layer, with the source's values beside it, and below the output over time."""
        layers = [self._layer(name) for name in self.spikes]
        settings = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return charts.Chart(
            "raster",
            "One sample, spike by spike",
            [*self._input(), *layers, self._output()],
            self._words(),
            self._keys(),
            f"{capital(settings)}." if settings else None,
        )

    @property
    def _right(self) -> charts.Sizes:
        """Pixels to the right of spikes, for the source's values and the names of outputs."""
        return (182, 82) if self.activations else (72, 72)

    def _input(self) -> list[charts.Panel]:
        """The input, where it is a picture: the higher a value, the more of the text's colour."""
        if self.picture is None:
            return []
        lines, columns = self.picture.shape
        levels = np.round(_LEVELS * self.picture).astype(int)
        marks = [
            charts.Boxes([(c, r, c + 1, r + 1) for r, c in np.argwhere(levels == n)], f"pixel p{n}")
            for n in range(1, _LEVELS + 1)
            if np.any(levels == n)
        ]
        x, y = charts.Axis("", 0, columns), charts.Axis("", 0, lines, down=True)
        width = _PICTURE / lines * columns
        return [charts.Panel(x, y, marks, _PICTURE, "input", ground=True, width=width)]

    def _layer(self, name: str) -> charts.Panel:
        """The spikes of one layer, and the source's values."""
        shown, events = self.shown[name], self.spikes[name]
        title = f"{shortened(name, _NAME)}: {int(np.abs(events[:, 2]).sum()):,} spikes"
        if len(shown) < self.neurons[name]:
            title += f" of the {len(shown)} most active of {self.neurons[name]:,} neurons"
        step, neuron, count = events.T
        unit = 1000 * self.dt
        marks = spike_marks(step * unit, np.searchsorted(shown, neuron), count, unit)
        x = charts.Axis("", 0, float(self.time_ms[-1]))
        y = charts.Axis(f"{name}\nneuron", 0, len(shown), most=(4, 4), down=True)
        beside = self._activations(name, y) if name in self.activations else None
        height, right = height_of(len(shown)), self._right
        return charts.Panel(x, y, marks, height, title, ground=True, beside=beside, right=right)

    def _activations(self, name: str, rows: charts.Axis) -> charts.Panel:
        """The source's value of each neuron as a bar, and the spiking one's mean as a stroke."""
        values, sent = self.activations[name], self.means.get(name)
        both = values if sent is None else np.concatenate([values, sent])
        marks: list[charts.Mark] = [charts.Guide(0, "axis", upright=True)]
        bars = [(0, i, float(v), i + 1) for i, v in enumerate(values) if v]
        if bars:
            marks.append(charts.Boxes(bars, "c2 soft", gap=(0, 0.3)))
        if sent is not None:
            pairs = enumerate(zip(values, sent, strict=True))
            at = [(float(s), i, float(s), i + 1) for i, (v, s) in pairs if v or s]
            marks.append(charts.Strokes(at, "sent c1"))
        x = charts.Axis("", min(0.0, float(both.min())), max(float(both.max()), 1e-12))
        return charts.Panel(x, rows, marks, 0, remark="source, and mean sent", ground=True)

    def _output(self) -> charts.Panel:
        """The answer so far, output by output, and the values that it should tend to."""
        shown = [int(i) for i in self.largest]
        values, ends = self.source[shown], self.running_mean[-1, shown]
        low, high = min(values.min(), ends.min()), max(values.max(), ends.max())
        margin = 0.15 * (high - low) or 1.0
        marks: list[charts.Mark] = []
        for rank, index in reversed(list(enumerate(shown))):
            style = _RANKS[rank] if rank < len(_RANKS) else "other"
            line = list(zip(self.time_ms, self.running_mean[:, index], strict=True))
            marks.append(charts.Line(line, f"{style} thin" if style == "other" else style))
            if len(line) == 1:
                marks.append(charts.Marks(line, style))
            marks.append(charts.Guide(float(values[rank]), f"dots {style}"))
        named = zip(shown, _RANKS, strict=False)
        names = [
            (float(self.source[i]), f"output {self.outputs[i]}", f"name {s}") for i, s in named
        ]
        title = "output, mean so far"
        y = charts.Axis("output", float(low - margin), float(high + margin), most=(4, 4))
        x = charts.Axis(
            "time (ms)", 0, float(self.time_ms[-1]), most=(8, 4), ticks_of=self._whole_steps
        )
        return charts.Panel(x, y, marks, _OUTPUT, title, ends=names, right=self._right)

    def _whole_steps(self, low: float, high: float, most: int) -> list[float]:
        steps = [(tick, tick / (1000 * self.dt)) for tick in linear_ticks(low, high, most)]
        return [tick for tick, step in steps if abs(step - round(step)) < 1e-6]

    def _keys(self) -> list[charts.LegendEntry]:
        counts = np.concatenate([*(e[:, 2] for e in self.spikes.values()), np.zeros(0, int)])
        keys = [
            charts.LegendEntry("box", style, text)
            for style, text, is_of in KINDS
            if np.any(is_of(counts))
        ]
        if self.activations:
            keys.append(charts.LegendEntry("box", "c2 soft", "the source's activation"))
        if self.means:
            keys.append(charts.LegendEntry("line", "c1", "mean that was sent"))
        return [*keys, charts.LegendEntry("line", "dots other", "the source's output")]

    def _words(self) -> str:
        layers = "; ".join(
            f"{name}: {int(np.abs(events[:, 2]).sum()):,} spikes of {len(self.shown[name]):,} "
            "neurons"
            for name, events in self.spikes.items()
        )
        first = int(self.largest[0])
        error = np.abs(self.running_mean - self.source).max(axis=1)
        answers = (
            f"The source's largest output is number {self.outputs[first]}, "
            f"{number(float(self.source[first]))}; the mean of the spiking network ends at "
            f"{number(float(self.running_mean[-1, first]))}"
        )
        settled = f"; outputs end within {number(float(error[-1]))} of the source's"
        return f"{layers}. {answers}{settled if np.any(np.diff(error) < 0) else ''}."


def _at(values: Mapping[str, NDArray], places: Mapping[str, NDArray]) -> dict[str, NDArray]:
    return {name: values[name][chosen] for name, chosen in places.items() if name in values}


def _coarse(picture: NDArray) -> NDArray:
    lines, columns = (max(1, -(-side // _SIDE)) for side in picture.shape)
    return picture[::lines, ::columns]


def raster_info(
    sample: Any, settings: Mapping[str, Any] | None = None, x: ArrayLike | None = None
) -> RasterInfo:
    """The raster of one sample, as `spikewright.conversion.watch` keeps it; of its first output.

    `settings` describe the run by name. `x` is the sample's input `(*shape)`, which is shown where
    it is a picture.
    """
    ((output, answers), *_) = sample.answers.items()
    means = np.asarray(answers, np.float64)
    found = {layer: events_of(np.asarray(counts)) for layer, counts in sample.counts.items()}
    source = np.asarray(sample.source[output], np.float64).reshape(-1)
    return RasterInfo(
        spikes={layer: events for layer, (events, _) in found.items()},
        neurons={layer: neurons for layer, (_, neurons) in found.items()},
        shown={layer: np.arange(neurons) for layer, (_, neurons) in found.items()},
        activations=_flat(sample.activations),
        means=_flat(sample.means),
        running_mean=means.reshape(len(means), -1),
        source=source,
        outputs=np.arange(len(source)),
        dt=sample.dt,
        settings=dict(settings or {}),
        picture=None if x is None else _grey(np.asarray(x)),
    )


def _flat(values: Mapping[str, NDArray]) -> dict[str, NDArray]:
    return {layer: np.asarray(array, np.float64).reshape(-1) for layer, array in values.items()}


def _grey(x: NDArray) -> NDArray | None:
    """A sample from 0, its least value, to 1, its greatest; colours are averaged."""
    if image_shape(x.shape) is None:
        return None
    return as_images(x[None], (float(x.min()), float(x.max())))[0].mean(axis=2) / 255
