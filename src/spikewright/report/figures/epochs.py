"""A training epoch by epoch: its loss, scores and costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spikewright._base.amounts import capital, joules, number, percent
from spikewright.records import Record, select
from spikewright.report.figures import charts
from spikewright.report.figures.saving import Row
from spikewright.report.figures.scale import whole_ticks

MEASURES = ("loss", "accuracy", "score", "spikes per sample", "energy")
_MARKED = 40  # epochs up to which each gets a mark


@dataclass(frozen=True)
class EpochsInfo:
    """One measure by epoch: `lines` of `(epoch, value)` by the samples that it is of.

    `kept` is the number of the epoch that was kept, None where the network is as it began. The
    measure of an energy names its cost table.
    """

    measure: str
    lines: Mapping[str, tuple[tuple[int, float], ...]]
    kept: int | None
    fraction: bool
    unit: str = ""

    def rows(self) -> list[Row]:
        """One row a kind of samples and epoch, header first."""
        body = [
            (samples, epoch, value) for samples, line in self.lines.items() for epoch, value in line
        ]
        return [("samples", "epoch", self.measure.replace(" ", "_")), *body]

    def chart(self) -> charts.Chart:
        """A line for each kind of samples, the kept epoch dashed."""
        values = [value for line in self.lines.values() for _, value in line]
        y = charts.measure_axis(self.measure, values, self.fraction, unit=self.unit)
        last = max(line[-1][0] for line in self.lines.values())
        x = charts.Axis("epoch", 1, max(last, 2), most=(9, 9), ticks_of=whole_ticks)
        unit = 100 if self.fraction else 1
        lines = {name: [(at, unit * v) for at, v in line] for name, line in self.lines.items()}
        marks, ends = charts.series(lines, _MARKED)
        if self.kept is not None:
            marks.insert(0, charts.Guide(self.kept, "source", upright=True))
        kept = f"epoch {self.kept} was kept" if self.kept is not None else "no epoch was kept"
        return charts.Chart(
            f"training_{self.measure}".replace(" ", "_"),
            f"{capital(self.measure)} by epoch",
            [charts.Panel(x, y, marks, 182, ends=ends)],
            f"{capital(self.measure)} {'; '.join(map(self._words, self.lines))}; {kept}.",
            note=None if self.kept is None else f"Dashed: epoch {self.kept}, which was kept.",
        )

    def _words(self, samples: str) -> str:
        show = percent if self.fraction else joules if self.unit == "J" else number
        (first, began), (last, ended) = self.lines[samples][0], self.lines[samples][-1]
        return (
            f"of samples {samples} from {show(began)} in epoch {first} to {show(ended)} in epoch "
            f"{last}"
        )


def epochs_infos(records: Iterable[Record]) -> list[EpochsInfo]:
    """One for each measure of the records of a training (`Training.records`)."""
    found = [record for record in records if "epoch" in record.how]
    kept = next((int(r.how["epoch"]) for r in found if r.how.get("kept")), None)
    infos = []
    for measure in MEASURES:
        lines: dict[str, list[tuple[int, float]]] = {}
        records_of_it = select(found, measure)
        for record in records_of_it:
            line = lines.setdefault(str(record.how["samples"]), [])
            line.append((int(record.how["epoch"]), record.value))
        if lines:
            ordered = {samples: tuple(sorted(line)) for samples, line in lines.items()}
            first = records_of_it[0]
            name = f"{measure} under {first.how['table']}" if "table" in first.how else measure
            infos.append(EpochsInfo(name, ordered, kept, measure == "accuracy", first.unit))
    return infos
