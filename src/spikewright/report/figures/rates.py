"""The spread of the firing rates of a layer's neurons."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from spikewright._base.amounts import number, percent
from spikewright.report.figures import charts
from spikewright.report.figures.saving import ChartInfo, Row

_PERCENTILES = (5, 25, 50, 75, 95)
_ROW = 24  # pixels of a layer
_BOX, _MEDIAN = 7 / _ROW, 8 / _ROW


def rates_info(rates: Mapping[str, ArrayLike]) -> ChartInfo:
    """For each layer a box from the 25th to the 75th percentile of its neurons' rates, a whisker
    from the 5th to the 95th, the median and the mean.

    `rates` are those of every neuron in Hz, `{layer: (*shape)}`, over all samples.
    """
    rows: list[Row] = []
    ends, boxes, medians, means, titles = [], [], [], [], []
    for place, (layer, array) in enumerate(rates.items()):
        values = np.abs(np.asarray(array, np.float64).reshape(-1))
        silent, mean = float(np.mean(values == 0)), float(values.mean())
        spread = [float(p) for p in np.percentile(values, _PERCENTILES)]
        rows.append((layer, values.size, silent, mean, *spread, float(values.max())))
        lowest, low, median, top, highest = spread
        ends.append((lowest, place, highest, place))
        boxes.append((low, place - _BOX, top, place + _BOX))
        medians.append((median, place - _MEDIAN, median, place + _MEDIAN))
        means.append((mean, place))
        titles.append(
            f"{layer}: median {number(median)} Hz, mean {number(mean)} Hz, 95 % below "
            f"{number(highest)} Hz, {percent(silent)} of {values.size:,} silent"
        )
    marks = (
        charts.Strokes(ends, "whisker c0"),
        charts.Boxes(boxes, "c0 soft", titles),
        charts.Strokes(medians, "median c0"),
        charts.Marks(means, "c1", 2, titles),
    )
    reached = max([1e-9, *(highest for _, _, highest, _ in ends), *(mean for mean, _ in means)])
    x = charts.Axis("firing rate of a neuron (Hz)", 0, 1.05 * reached, most=(8, 4), grid=True)
    more = f"; and {len(rows) - 12} more layers" if len(rows) > 12 else ""
    chart = charts.Chart(
        "firing_rates",
        "Firing rates by layer",
        [charts.Panel(x, charts.rows_of(rates), marks, _ROW * len(rows))],
        f"{'; '.join(titles[:12])}{more}.",
        (
            charts.LegendEntry("box", "c0 soft", "half of the neurons"),
            charts.LegendEntry("line", "whisker c0", "nine in ten"),
            charts.LegendEntry("line", "median c0", "median"),
            charts.LegendEntry("mark", "c1", "mean", 2),
        ),
        "The rate of each neuron, over all samples.",
    )
    names = [f"percentile_{p}_hz" for p in _PERCENTILES]
    header = ("layer", "neurons", "silent", "mean_hz", *names, "largest_hz")
    return ChartInfo(chart, [header, *rows])
