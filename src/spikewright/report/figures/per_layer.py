"""A row a layer: its error, split by causes, and the spread of its neurons' firing rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from spikewright._base.amounts import capital, number, percent
from spikewright.records import Record, select
from spikewright.report.figures import charts
from spikewright.report.figures.picture import ChartInfo, Row

PARTS = {
    "inherited": "what earlier layers have lost, passed on",
    "policy": "what was changed on purpose",
    "clipping": "more than the cap on spikes lets through",
    "quantisation": "what whole spikes cannot express",
    "rounding": "what digits cannot express",
    "lateness": "what neurons knew too late to send",
    "arrival order": "spikes sent too early, or not any more, because input came unevenly",
    "settling": "what a synapse had not passed on by the end",
}
"""Parts of the gap in words; docs/guarantees.md has the formulas."""
_ROW = 24  # pixels of a layer
_BOX = 8 / _ROW
_LEAST = 5e-4  # of a layer's values: a part that is smaller everywhere is not shown

Parts = Mapping[str, Mapping[str, float]]
"""The parts of each layer's gap, which add up to it: fractions of the layer's values."""


def gaps_info(records: Iterable[Record]) -> ChartInfo:
    """For each layer of a diagnosis the parts of its gap side by side, those below zero leftwards.

    Gaps are relative to a layer's values in the source. Raises `ValueError` for records without.
    """
    found = list(records)
    gaps = [r for r in select(found, "gap") if "layer" in r.how]
    if not gaps:
        raise ValueError("error by layer needs the records of a diagnosis")
    parts: dict[str, dict[str, float]] = {str(r.how["layer"]): {} for r in gaps}
    for record in gaps:
        parts[str(record.how["layer"])][str(record.how["part"])] = record.value
    whole = {layer: of_layer.pop("whole") for layer, of_layer in parts.items()}
    names = list(dict.fromkeys(part for of_layer in parts.values() for part in of_layer))
    cost = "drop of the layer alone"
    cost = cost if select(found, cost) else "change of the layer alone"
    alone = {str(r.how["layer"]): r.value for r in select(found, cost)}
    header = ("layer", cost, "gap", *names)
    rows = [
        (layer, alone.get(layer, ""), whole[layer], *(of_layer.get(n, 0.0) for n in names))
        for layer, of_layer in parts.items()
    ]
    return ChartInfo(_chart(parts, whole, names), [[h.replace(" ", "_") for h in header], *rows])


def _chart(parts: Parts, whole: Mapping[str, float], names: Sequence[str]) -> charts.Chart:
    present = [n for n in names if any(abs(p.get(n, 0.0)) >= _LEAST for p in parts.values())]
    ends = [0.0]
    marks: list[charts.Mark] = [
        _boxes(parts, present, place, ends) for place in range(len(present))
    ]
    low, high = 1.05 * min(ends), 1.05 * max(*ends, 0.1)
    x = charts.Axis("error, % of the layer's values", low, high, most=(8, 4), grid=True)
    more = len(parts) - 12
    words = "; ".join([_words(layer, parts, whole, present) for layer in parts][:12])
    meanings = "; ".join(f"{part}: {PARTS[part]}" for part in present if part in PARTS)
    marks.append(charts.Guide(0, "axis", upright=True))
    return charts.Chart(
        "error_by_layer",
        "Error by layer, and what caused it",
        [charts.Panel(x, charts.rows_of(parts), marks, _ROW * len(parts))],
        words + (f"; and {more} more layers." if more > 0 else "."),
        [charts.LegendEntry("box", charts.colour(i), part) for i, part in enumerate(present)],
        "The layer that costs most comes first; parts add up."
        + (f" {capital(meanings)}." if meanings else ""),
    )


def _boxes(parts: Parts, names: Sequence[str], place: int, ends: list[float]) -> charts.Boxes:
    """A part of all layers, in percent, beside those before it; `ends` collects the ends."""
    spans, titles = [], []
    for row, (layer, of_layer) in enumerate(parts.items()):
        value = of_layer.get(names[place], 0.0)
        if value:
            others = (of_layer.get(name, 0.0) for name in names[:place])
            start = 100 * sum(v for v in others if v * value > 0)
            ends.append(start + 100 * value)
            spans.append((start, row - _BOX, ends[-1], row + _BOX))
            titles.append(f"{layer}: {names[place]} {percent(value)}")
    return charts.Boxes(spans, charts.colour(place), titles)


def _words(layer: str, parts: Parts, whole: Mapping[str, float], names: Sequence[str]) -> str:
    texts = [f"{n} {percent(parts[layer][n])}" for n in names if parts[layer].get(n)]
    return f"{layer} {percent(whole[layer])}" + (f" ({', '.join(texts)})" if texts else "")


_PERCENTILES = (5, 25, 50, 75, 95)
_HALF, _MEDIAN = 7 / _ROW, 8 / _ROW


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
        boxes.append((low, place - _HALF, top, place + _HALF))
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
