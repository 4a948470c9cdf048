"""Spikes of populations over time, one row of dots a neuron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.report.figures import charts
from spikewright.report.figures.saving import ChartInfo

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
    times: Mapping[str, Sequence[NDArray]], steps: int, dt: float, before: int = 0
) -> ChartInfo:
    """From times of spikes in seconds, `{population: one array a neuron}`, as simulators give them.

    `steps` of `dt` seconds were recorded, behind `before` others.
    """
    events = {}
    for name, neurons in times.items():
        rows = [np.zeros((0, 3), int)]
        for number, found in enumerate(neurons):
            at, counts = np.unique(np.rint(found / dt).astype(int), return_counts=True)
            rows.append(np.stack([at, np.full(len(at), number), counts], axis=1))
        events[name] = np.concatenate(rows), len(neurons)
    return _figure(events, steps, dt, before)


def _figure(events: Mapping[str, Events], steps: int, dt: float, before: int) -> ChartInfo:
    """Spikes of `steps` steps, behind `before` others."""
    panels: list[charts.Panel] = []
    words: list[str] = []
    for name, (spikes, neurons) in events.items():
        step, neuron, count = spikes.T
        rate = f"{np.abs(count).sum() / (neurons * steps * dt):.3g} Hz"
        heading = "time (s)" if len(panels) == len(events) - 1 else ""
        x = charts.Axis(heading, before * dt, (before + steps) * dt, grid=True)
        y = charts.Axis(f"{name}\nneuron", 0, neurons, most=(4, 4))
        marks = spike_marks(step * dt, neuron, count, dt)
        panels.append(charts.Panel(x, y, marks, height_of(neurons), remark=rate))
        words.append(f"{name}: {rate}")
    rows = [
        (name, int(n), float(t * dt), int(c))
        for name, (spikes, _) in events.items()
        for t, n, c in spikes
    ]
    chart = charts.Chart("spikes", "", panels, f"{'; '.join(words)}.")
    return ChartInfo(chart, [("population", "neuron", "time_s", "spikes"), *rows])


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
