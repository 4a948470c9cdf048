"""The spread of the firing rates of a layer's neurons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spikewright.report.figures.base import BLUE, VERMILION, Row, clean, new_figure

PERCENTILES = (5, 25, 50, 75, 95)


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


def draw_rates(info: RatesInfo) -> Any:
    """A `matplotlib.figure.Figure`: a bar from the 25th to the 75th percentile for each layer.

    Thin lines reach from the 5th to the 95th, the mark is the median, the diamond the mean.
    """
    figure = new_figure(7.0, 1.2 + 0.32 * len(info.layers))
    axes = figure.subplots()
    for place, rates in enumerate(info.layers.values()):
        low, first, median, third, high = rates.percentiles
        axes.plot([low, high], [place] * 2, color=BLUE, linewidth=1)
        axes.barh(place, third - first, left=first, height=0.55, color=BLUE, alpha=0.5)
        axes.plot([median] * 2, [place - 0.28, place + 0.28], color=BLUE, linewidth=2)
        axes.plot([rates.mean], [place], "D", color=VERMILION, markersize=5)
    axes.set_yticks(range(len(info.layers)), list(info.layers))
    axes.invert_yaxis()
    axes.set_xlabel("firing rate of a neuron (Hz)")
    clean(axes, "x")
    return figure
