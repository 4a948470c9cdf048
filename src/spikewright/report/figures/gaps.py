"""Error layer by layer, split by its causes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.records import Record, select
from spikewright.report.figures.base import PALETTE, Cell, Row, clean, new_figure


@dataclass(frozen=True)
class GapsInfo:
    """The gap of every layer, relative to its values in the source, that of the worst layer first.

    `parts` are `{layer: {part: share}}`, in the order of the parts, and add up to `whole`; `alone`
    is the loss by the layer alone: points of accuracy, or change of the output. All fractions.
    """

    parts: Mapping[str, Mapping[str, float]]
    whole: Mapping[str, float]
    alone: Mapping[str, float]
    cost: str

    @property
    def present(self) -> list[str]:
        """The parts that show anywhere."""
        names = dict.fromkeys(part for parts in self.parts.values() for part in parts)
        return [n for n in names if any(abs(p.get(n, 0.0)) >= 5e-4 for p in self.parts.values())]

    def rows(self) -> list[Row]:
        """One row a layer, header first."""
        names = list(dict.fromkeys(part for parts in self.parts.values() for part in parts))
        body = []
        for layer, parts in self.parts.items():
            cells: list[Cell] = [parts.get(name, 0.0) for name in names]
            body.append((layer, self.alone.get(layer, ""), self.whole[layer], *cells))
        keys = [name.replace(" ", "_") for name in names]
        return [("layer", self.cost.replace(" ", "_"), "gap", *keys), *body]


def gaps_info(records: Iterable[Record]) -> GapsInfo:
    """From the records of a diagnosis; raises `ValueError` where they hold no gap."""
    found = list(records)
    gaps = [r for r in select(found, "gap") if "layer" in r.how]
    if not gaps:
        raise ValueError("error by layer needs the records of a diagnosis")
    parts: dict[str, dict[str, float]] = {}
    for record in gaps:
        of_layer = parts.setdefault(str(record.how["layer"]), {})
        if record.how["part"] != "whole":
            of_layer[str(record.how["part"])] = record.value
    cost = "drop of the layer alone"
    if not select(found, cost):
        cost = "change of the layer alone"
    return GapsInfo(
        parts,
        {str(r.how["layer"]): r.value for r in select(gaps, "gap", part="whole")},
        {str(r.how["layer"]): r.value for r in select(found, cost)},
        cost,
    )


def draw_gaps(info: GapsInfo) -> Any:
    """A `matplotlib.figure.Figure`: for each layer its parts side by side, below zero leftwards."""
    figure = new_figure(7.0, 1.4 + 0.32 * len(info.parts))
    axes = figure.subplots()
    colours = dict(zip(info.present, PALETTE * 2, strict=False))
    for place, parts in enumerate(info.parts.values()):
        ends = [0.0, 0.0]  # below zero, above
        for name in info.present:
            value = 100 * parts.get(name, 0.0)
            side = int(value > 0)
            axes.barh(place, value, left=ends[side], height=0.6, color=colours[name])
            ends[side] += value
    axes.axvline(0, color="#222222", linewidth=0.8)
    axes.set_yticks(range(len(info.parts)), list(info.parts))
    axes.invert_yaxis()
    axes.set_xlabel("error, % of the layer's values")
    handles = [axes.barh(0, 0, color=colour) for colour in colours.values()]
    axes.legend(handles, list(colours), frameon=False, loc="best")
    clean(axes, "x")
    return figure
