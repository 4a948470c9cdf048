"""Error layer by layer, split by its causes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spikewright._base.amounts import capital, percent
from spikewright.records import Record, select
from spikewright.report.figures import charts
from spikewright.report.figures.saving import Cell, Row

PARTS = {
    "inherited": "what earlier layers have lost, passed on",
    "policy": "what was changed on purpose",
    "clipping": "more than the cap on spikes lets through",
    "quantisation": "what whole spikes cannot express",
    "arrival order": "spikes sent too early, or not any more, because input came unevenly",
    "settling": "what a synapse had not passed on by the end",
}
"""Parts of the gap in words; docs/diagnosis.md has the formulas."""
_ROW = 24  # pixels of a layer
_BOX = 8 / _ROW


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

    def chart(self) -> charts.Chart:
        """For each layer its parts side by side, those below zero leftwards."""
        ends = [0.0]
        boxes = [self._boxes(part, charts.colour(i), ends) for i, part in enumerate(self.present)]
        low, high = 1.05 * min(ends), 1.05 * max(*ends, 0.1)
        x = charts.Axis("error, % of the layer's values", low, high, most=(8, 4), grid=True)
        marks: list[charts.Mark] = [*boxes, charts.Guide(0, "axis", upright=True)]
        more = len(self.parts) - 12
        words = "; ".join([self._words(layer) for layer in self.parts][:12])
        meanings = "; ".join(f"{part}: {PARTS[part]}" for part in self.present if part in PARTS)
        return charts.Chart(
            "error_by_layer",
            "Error by layer, and what caused it",
            [charts.Panel(x, charts.rows_of(self.parts), marks, _ROW * len(self.parts))],
            words + (f"; and {more} more layers." if more > 0 else "."),
            [
                charts.LegendEntry("box", charts.colour(i), part)
                for i, part in enumerate(self.present)
            ],
            "The layer that costs most comes first; parts add up."
            + (f" {capital(meanings)}." if meanings else ""),
        )

    def _boxes(self, part: str, style: str, ends: list[float]) -> charts.Boxes:
        """A part of all layers, in percent, beside those before it; `ends` collects the ends."""
        before = self.present[: self.present.index(part)]
        spans, titles = [], []
        for row, (layer, parts) in enumerate(self.parts.items()):
            value = parts.get(part, 0.0)
            if value:
                others = (parts.get(name, 0.0) for name in before)
                start = 100 * sum(v for v in others if v * value > 0)
                ends.append(start + 100 * value)
                spans.append((start, row - _BOX, ends[-1], row + _BOX))
                titles.append(f"{layer}: {part} {percent(value)}")
        return charts.Boxes(spans, style, titles)

    def _words(self, layer: str) -> str:
        parts = self.parts[layer]
        told = ", ".join(f"{p} {percent(parts[p])}" for p in self.present if parts.get(p))
        return f"{layer} {percent(self.whole[layer])}" + (f" ({told})" if told else "")


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
