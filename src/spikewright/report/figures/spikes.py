"""Spikes of populations over time, one row of dots a neuron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.report.figures import charts
from spikewright.report.figures.saving import Row


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

    def chart(self) -> charts.Chart:
        """A panel a population, a dot a spike."""
        names = list(self.spikes)
        return charts.Chart(
            "spikes",
            "",
            [self._panel(name, "time (s)" if name == names[-1] else "") for name in names],
            "; ".join(f"{name}: {self.rates(name):.3g} Hz" for name in names) + ".",
        )

    def _panel(self, name: str, heading: str) -> charts.Panel:
        n = self.neurons[name]
        x = charts.Axis(
            heading, self.before * self.dt, (self.before + self.steps) * self.dt, grid=True
        )
        step, neuron, count = self.spikes[name].T
        marks = spike_marks(step * self.dt, neuron, count, self.dt)
        y = charts.Axis(f"{name}\nneuron", 0, n, most=(4, 4))
        return charts.Panel(x, y, marks, height_of(n), remark=f"{self.rates(name):.3g} Hz")


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
    spikes, neurons = {}, {}
    for name, array in counts.items():
        spikes[name], neurons[name] = events_of(np.asarray(array), (order or {}).get(name))
    return SpikesInfo(spikes, neurons, lengths.pop(), dt)


def events_of(counts: NDArray, order: ArrayLike | None = None) -> tuple[NDArray, int]:
    """Spikes `(step, neuron, count)` from counts `(steps, *shape)`, and the number of neurons.

    Steps are counted from 1, and neurons in the order that is given.
    """
    flat = counts.reshape(len(counts), -1)
    flat = flat if order is None else flat[:, np.asarray(order)]
    at, which = np.nonzero(flat)
    return np.stack([at + 1, which, flat[at, which].astype(int)], axis=1), flat.shape[1]


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


KINDS = (
    ("c0 soft", "a spike", lambda count: count == 1),
    ("c0", "several in a step", lambda count: count > 1),
    ("c1", "taken back", lambda count: count < 0),
)
"""Spikes by how they are drawn: style, meaning, and a condition on their number."""


def spike_marks(times: NDArray, rows: NDArray, counts: NDArray, step: float) -> list[charts.Spikes]:
    """Marks of spikes that end steps of a length, by their kind."""
    found = [(style, is_of(counts)) for style, _, is_of in KINDS]
    return [
        charts.Spikes(times[at], rows[at], counts[at], step, s) for s, at in found if np.any(at)
    ]


def height_of(neurons: int) -> float:
    """Pixels of a panel of neurons."""
    return min(192.0, max(48.0, 3.0 * neurons))
