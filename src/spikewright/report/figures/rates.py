"""The spread of the firing rates of a layer's neurons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spikewright._base.amounts import number, percent
from spikewright.report.figures import charts
from spikewright.report.figures.saving import Row

PERCENTILES = (5, 25, 50, 75, 95)
_ROW = 24  # pixels of a layer
_BOX, _MEDIAN = 7 / _ROW, 8 / _ROW


@dataclass(frozen=True)
class LayerRates:
    """Firing rates in Hz of `neurons` neurons: percentiles (5, 25, 50, 75, 95), mean and largest.

    `silent` is the share of those that never spike.
    """

    percentiles: tuple[float, ...]
    mean: float
    largest: float
    silent: float
    neurons: int

    def __str__(self) -> str:
        """Median, mean and ends, in words."""
        return (
            f"median {number(self.percentiles[2])} Hz, mean {number(self.mean)} Hz, 95 % below "
            f"{number(self.percentiles[4])} Hz, {percent(self.silent)} of {self.neurons:,} silent"
        )


@dataclass(frozen=True)
class RatesInfo:
    """The rates of every layer, in order."""

    layers: Mapping[str, LayerRates]

    def rows(self) -> list[Row]:
        """One row a layer, header first."""
        names = [f"percentile_{p}_hz" for p in PERCENTILES]
        body: list[Row] = [
            (name, r.neurons, r.silent, r.mean, *r.percentiles, r.largest)
            for name, r in self.layers.items()
        ]
        return [("layer", "neurons", "silent", "mean_hz", *names, "largest_hz"), *body]

    def chart(self) -> charts.Chart:
        """For each layer a box from the 25th to the 75th percentile, a whisker from the 5th to the
        95th, the median and the mean."""
        found = list(enumerate(self.layers.values()))
        titles = [f"{name}: {rates}" for name, rates in self.layers.items()]
        reached = [max(r.percentiles[-1], r.mean) for _, r in found]
        high = 1.05 * max([*reached, 1e-9])
        boxes, ends, medians = [], [], []
        for i, rates in found:
            lowest, low, median, top, highest = rates.percentiles
            ends.append((lowest, i, highest, i))
            boxes.append((low, i - _BOX, top, i + _BOX))
            medians.append((median, i - _MEDIAN, median, i + _MEDIAN))
        marks = (
            charts.Strokes(ends, "whisker c0"),
            charts.Boxes(boxes, "c0 soft", titles),
            charts.Strokes(medians, "median c0"),
            charts.Marks([(r.mean, i) for i, r in found], "c1", 2, titles),
        )
        x = charts.Axis("firing rate of a neuron (Hz)", 0, high, most=(8, 4), grid=True)
        more = f"; and {len(found) - 12} more layers" if len(found) > 12 else ""
        return charts.Chart(
            "firing_rates",
            "Firing rates by layer",
            [charts.Panel(x, charts.rows_of(self.layers), marks, _ROW * len(found))],
            f"{'; '.join(titles[:12])}{more}.",
            (
                charts.LegendEntry("box", "c0 soft", "half of the neurons"),
                charts.LegendEntry("line", "whisker c0", "nine in ten"),
                charts.LegendEntry("line", "median c0", "median"),
                charts.LegendEntry("mark", "c1", "mean", 2),
            ),
            "The rate of each neuron, over all samples.",
        )


def rates_info(rates: Mapping[str, ArrayLike]) -> RatesInfo:
    """From the rate of every neuron in Hz, `{layer: (*shape)}`, over all samples."""
    layers = {}
    for name, array in rates.items():
        values = np.abs(np.asarray(array, np.float64).reshape(-1))
        layers[name] = LayerRates(
            tuple(float(p) for p in np.percentile(values, PERCENTILES)),
            float(values.mean()),
            float(values.max()),
            float(np.mean(values == 0)),
            values.size,
        )
    return RatesInfo(layers)
