"""A training epoch by epoch: its loss, scores and costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.records import Record, select
from spikewright.report.figures.base import BLACK, PALETTE, Row, clean, new_figure

MEASURES = ("loss", "accuracy", "score", "spikes per sample", "energy")


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


def draw_epochs(info: EpochsInfo) -> Any:
    """A `matplotlib.figure.Figure`: a line for each kind of samples, the kept epoch marked."""
    figure = new_figure(7.0, 4.0)
    axes = figure.subplots()
    unit = 100 if info.fraction else 1
    for (samples, line), colour in zip(info.lines.items(), PALETTE, strict=False):
        epochs, values = zip(*line, strict=True)
        axes.plot(epochs, [unit * v for v in values], "o-", color=colour, label=samples)
    if info.kept is not None:
        axes.axvline(info.kept, color=BLACK, linestyle="--", linewidth=1.2, label="kept")
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{info.measure} (%)" if info.fraction else info.measure)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    clean(axes)
    return figure
