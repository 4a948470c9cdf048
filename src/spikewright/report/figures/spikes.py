"""Spikes of populations over time, one row of dots a neuron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.report.figures.base import BLACK, BLUE, GREEN, Row, clean, new_figure


@dataclass(frozen=True, eq=False)
class SpikesInfo:
    """Spikes as `(step, neuron, count)` rows, steps counted from 1, for each population.

    `neurons` are their numbers of neurons, `steps` how many steps were recorded, of `dt` seconds;
    `before` are the steps before them.
    """

    spikes: Mapping[str, NDArray]
    neurons: Mapping[str, int]
    steps: int
    dt: float
    before: int = 0

    def rates(self, population: str) -> float:
        """Mean rate of a neuron in Hz."""
        total = np.abs(self.spikes[population][:, 2]).sum()
        return float(total / (self.neurons[population] * self.steps * self.dt))

    def rows(self) -> list[Row]:
        """One row an event, header first."""
        body: list[Row] = [
            (name, int(n), float(t * self.dt), int(c))
            for name, events in self.spikes.items()
            for t, n, c in events
        ]
        return [("population", "neuron", "time_s", "spikes"), *body]


def spikes_info(
    counts: Mapping[str, ArrayLike], dt: float, order: Mapping[str, ArrayLike] | None = None
) -> SpikesInfo:
    """From spike counts at every step, `{population: (steps, *shape)}`, as probes record them.

    `order` sorts a population's neurons, `{population: numbers}`: by their encoders, say. Raises
    `ValueError` where populations differ in their number of steps.
    """
    lengths = {len(np.asarray(array)) for array in counts.values()}
    if len(lengths) != 1:
        raise ValueError(f"spikes need populations of one number of steps, got {sorted(lengths)}")
    (steps,) = lengths
    spikes, neurons = {}, {}
    for name, array in counts.items():
        flat = np.asarray(array).reshape(steps, -1)
        if order is not None and name in order:
            flat = flat[:, np.asarray(order[name])]
        at, which = np.nonzero(flat)
        spikes[name] = np.stack([at + 1, which, flat[at, which].astype(int)], axis=1)
        neurons[name] = flat.shape[1]
    return SpikesInfo(spikes, neurons, steps, dt)


def spike_times_info(
    times: Mapping[str, Sequence[NDArray]], steps: int, dt: float, before: int = 0
) -> SpikesInfo:
    """From times of spikes in seconds, `{population: one array a neuron}`, as simulators give them.

    `steps` of `dt` seconds were recorded, behind `before` others.
    """
    spikes = {}
    for name, neurons in times.items():
        rows = [np.zeros((0, 3), int)]
        for number, found in enumerate(neurons):
            at, counts = np.unique(np.rint(found / dt).astype(int), return_counts=True)
            rows.append(np.stack([at, np.full(len(at), number), counts], axis=1))
        spikes[name] = np.concatenate(rows)
    return SpikesInfo(spikes, {name: len(n) for name, n in times.items()}, steps, dt, before)


def draw_spikes(info: SpikesInfo) -> Any:
    """A `matplotlib.figure.Figure`: a panel a population, a dot a spike."""
    heights = [np.sqrt(n) for n in info.neurons.values()]
    figure = new_figure(7.0, 1.2 + 2.0 * len(heights))
    panels = np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    for axes, name, colour in zip(panels, info.spikes, (BLUE, GREEN) * len(heights), strict=False):
        draw_events(axes, info.spikes[name], info.dt, colour)
        axes.set_ylim(-1, info.neurons[name])
        axes.set_ylabel(f"{name}\nneuron")
        axes.set_title(f"{info.rates(name):.3g} Hz", loc="right", fontsize=9, color=BLACK)
        clean(axes)
    panels[-1].set_xlabel("time (s)")
    panels[-1].set_xlim(info.before * info.dt, (info.before + info.steps) * info.dt)
    figure.align_ylabels()
    return figure


def draw_events(axes: Any, events: NDArray, unit: float, colour: str) -> None:
    """Dots for `(step, neuron, count)` rows, larger where a neuron spikes more than once."""
    step, neuron, count = events.T
    size = 6.0 * np.abs(count)
    axes.scatter(step * unit, neuron, size, color=colour, linewidths=0, alpha=0.85, rasterized=True)
