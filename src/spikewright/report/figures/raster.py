"""One sample, spike by spike, beside the source's values for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.pictures import as_pictures, picture_shape
from spikewright.report.figures.base import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    Row,
    clean,
    new_figure,
)
from spikewright.report.figures.spikes import draw_events

_OUTPUTS = 10  # that a page shows
_SIDE = 32  # pixels of the input on a page, which is thinned out where it has more


@dataclass(frozen=True, eq=False)
class RasterInfo:
    """Spikes of one sample, and the output's running mean beside the source's value.

    `spikes` maps each layer to `(step, neuron, count)` rows, steps counted from 1; `neurons` to its
    number of neurons, and `picked` to the neurons that are shown, where not all are. `activations`
    are the source's values of the picked neurons, `means` the time means that the spiking layer
    sent; both may be empty. `running_mean` is `(steps, outputs)`, `source` `(outputs,)`; `outputs`
    are the numbers of those that are shown, None for all. `settings` describes the run. `picture`
    is the input as a grey picture `(lines, columns)` from 0 to 1, where it is one.
    """

    spikes: Mapping[str, NDArray]
    neurons: Mapping[str, int]
    running_mean: NDArray
    source: NDArray
    dt: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    activations: Mapping[str, NDArray] = field(default_factory=dict)
    means: Mapping[str, NDArray] = field(default_factory=dict)
    picked: Mapping[str, NDArray] = field(default_factory=dict)
    outputs: NDArray | None = None
    picture: NDArray | None = None
    columns: ClassVar[tuple[str, ...]] = ("what", "layer", "index")
    """The first columns of the data, by which an older file of them is known."""

    @property
    def time_ms(self) -> NDArray:
        """Time at the end of each step in milliseconds, `(steps,)`."""
        return np.arange(1, len(self.running_mean) + 1) * self.dt * 1000

    def shown(self, layer: str) -> NDArray:
        """Numbers of the neurons of a layer that are shown."""
        return self.picked.get(layer, np.arange(self.neurons[layer]))

    @property
    def largest(self) -> NDArray:
        """Places of the outputs, that of the source's largest value first."""
        return np.argsort(self.source, kind="stable")[::-1]

    @property
    def numbers(self) -> NDArray:
        """Numbers of the outputs that are shown."""
        return np.arange(len(self.source)) if self.outputs is None else self.outputs

    def thinned(
        self, layers: int = 12, neurons: int = 64, steps: int = 512, events: int = 12_000
    ) -> RasterInfo:
        """The part that fits a page: so many layers, neurons, steps, and the ten largest outputs.

        Layers are evenly spaced, and neurons those with the most spikes. Where they would have more
        than `events` events, neurons are left out first, then steps.
        """
        names = list(self.spikes)
        kept = [names[i] for i in _spaced(len(names), layers)]
        found = self._part(kept, neurons, steps)
        while sum(map(len, found.spikes.values())) > events:
            neurons, steps = (neurons // 2, steps) if neurons > 8 else (neurons, steps // 2)
            found = self._part(kept, neurons, steps)
        return found

    def _part(self, layers: list[str], neurons: int, steps: int) -> RasterInfo:
        steps = max(1, min(steps, len(self.running_mean)))
        places = {name: self._most_active(name, neurons) for name in layers}
        picked = {name: self.shown(name)[places[name]] for name in layers}
        spikes = {}
        for name in layers:
            found = self.spikes[name]
            spikes[name] = found[np.isin(found[:, 1], picked[name]) & (found[:, 0] <= steps)]
        shown = np.sort(self.largest[:_OUTPUTS])
        return replace(
            self,
            spikes=spikes,
            neurons={name: self.neurons[name] for name in layers},
            running_mean=self.running_mean[:steps, shown],
            source=self.source[shown],
            activations=_at(self.activations, places),
            means=_at(self.means, places),
            picked=picked,
            outputs=self.numbers[shown],
            picture=None if self.picture is None else _coarse(self.picture),
        )

    def _most_active(self, layer: str, most: int) -> NDArray:
        """Places of the neurons with the most spikes among those that are shown, in their order."""
        shown, events = self.shown(layer), self.spikes[layer]
        counts = np.zeros(self.neurons[layer], int)
        np.add.at(counts, events[:, 1], np.abs(events[:, 2]))
        return np.sort(np.argsort(-counts[shown], kind="stable")[:most])

    def rows(self) -> list[Row]:
        """Long form, header first: spikes, layers' values, running means, the source's values."""
        body: list[Row] = []
        time = self.time_ms
        for layer, events in self.spikes.items():
            body += [("spikes", layer, int(n), float(time[t - 1]), int(c)) for t, n, c in events]
        for what, values in (("time mean", self.means), ("source", self.activations)):
            for layer, array in values.items():
                pairs = zip(self.shown(layer), array, strict=True)
                body += [(what, layer, int(n), "", float(v)) for n, v in pairs]
        numbers = list(map(int, self.numbers))
        for step, values in zip(time, self.running_mean, strict=True):
            pairs = zip(numbers, values, strict=True)
            body += [("running mean", "output", i, float(step), float(v)) for i, v in pairs]
        pairs = zip(numbers, self.source, strict=True)
        body += [("source", "output", i, "", float(v)) for i, v in pairs]
        return [(*self.columns, "time_ms", "value"), *body]


def _at(values: Mapping[str, NDArray], places: Mapping[str, NDArray]) -> dict[str, NDArray]:
    return {name: values[name][chosen] for name, chosen in places.items() if name in values}


def _coarse(picture: NDArray) -> NDArray:
    lines, columns = (max(1, -(-side // _SIDE)) for side in picture.shape)
    return picture[::lines, ::columns]


def _spaced(n: int, most: int) -> NDArray:
    """Numbers from 0 to n - 1, at most so many, evenly spaced, with both ends."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def raster_info(
    counts: Mapping[str, ArrayLike],
    answers: ArrayLike,
    source: ArrayLike,
    dt: float,
    settings: Mapping[str, Any] | None = None,
    activations: Mapping[str, ArrayLike] | None = None,
    means: Mapping[str, ArrayLike] | None = None,
    x: ArrayLike | None = None,
) -> RasterInfo:
    """A raster from spike counts `{layer: (steps, *shape)}` and answers `(steps, *out)`.

    `answers` are the mean readout at each step, and `source` is the value `(*out)` that they should
    tend to; `activations` and `means` `{layer: (*shape)}` the values of the source's layers and the
    mean values that the spiking ones sent. `dt` is the length of a step in seconds. `x` is the
    sample `(*shape)`, which is shown where it is a picture.
    """
    values = np.asarray(answers, np.float64)
    values = values.reshape(len(values), -1)
    spikes, neurons = {}, {}
    for layer, array in counts.items():
        flat = np.asarray(array).reshape(len(values), -1)
        steps, indices = np.nonzero(flat)
        rows = np.stack([steps + 1, indices, flat[steps, indices].astype(int)], axis=1)
        spikes[layer], neurons[layer] = rows, flat.shape[1]
    return RasterInfo(
        spikes,
        neurons,
        values,
        np.asarray(source, np.float64).reshape(-1),
        dt,
        dict(settings or {}),
        {name: np.asarray(v, np.float64).reshape(-1) for name, v in (activations or {}).items()},
        {name: np.asarray(v, np.float64).reshape(-1) for name, v in (means or {}).items()},
        picture=None if x is None else _grey(np.asarray(x)),
    )


def _grey(x: NDArray) -> NDArray | None:
    """A sample from 0, its least value, to 1, its greatest; colours are averaged."""
    if picture_shape(x.shape) is None:
        return None
    return as_pictures(x[None], (float(x.min()), float(x.max())))[0].mean(axis=2) / 255


def draw_raster(info: RasterInfo) -> Any:
    """A `matplotlib.figure.Figure`: a raster per layer, and below it the output over time."""
    figure = new_figure(8.0, 7.5)
    layers = list(info.spikes)
    heights = [np.sqrt(info.neurons[layer]) for layer in layers]
    panels = figure.subplots(
        len(layers) + 1, 1, sharex=True, height_ratios=[*heights, 0.9 * sum(heights) or 1.0]
    )
    panels = np.atleast_1d(panels)
    for axes, layer, colour in zip(panels, layers, (BLUE, GREEN) * len(layers), strict=False):
        events = info.spikes[layer]
        draw_events(axes, events, info.dt * 1000, colour)
        axes.set_ylim(-1, info.neurons[layer])
        axes.set_ylabel(f"{layer}\nneuron")
        axes.set_title(
            f"{int(np.abs(events[:, 2]).sum()):,} spikes", loc="right", fontsize=9, color=BLACK
        )
        clean(axes)
    _draw_output(panels[-1], info)
    panels[-1].set_xlabel("time (ms)")
    title = "One sample, spike by spike"
    if info.settings:
        title += f" ({', '.join(f'{name} {value}' for name, value in info.settings.items())})"
    panels[0].set_title(title, loc="left")
    figure.align_ylabels()
    return figure


def _draw_output(axes: Any, info: RasterInfo) -> None:
    """Running means as lines, the source's values as dashed lines; the two largest stand out."""
    first, second = [*map(int, info.largest[:2]), -1][:2]
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
                f"output {info.numbers[index]}",
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
    clean(axes)
