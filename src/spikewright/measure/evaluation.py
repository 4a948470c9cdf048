"""The result of an evaluation of a conversion over a data set, and its file: JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.amounts import steps_text
from spikewright._base.codec import RecordDecoder, describing
from spikewright._base.files import begins_with, file_at, file_kind, write_file
from spikewright._base.markup import RichRepr, Rows
from spikewright._base.schema import (
    AboveZero,
    Finite,
    Natural,
    Positive,
    Where,
    is_plain,
)
from spikewright.errors import SimulationError
from spikewright.measure.activity import BITS
from spikewright.measure.exact_counts import Key
from spikewright.measure.readout import EveryStep
from spikewright.measure.run import Run
from spikewright.records import SCORE, Record, select, table_of, worths

FORMAT = 1
KIND = file_kind("a saved evaluation", begins_with(rb'\s*\{\s*"spikewright": "evaluation"'))
"""The kind of file that holds an evaluation."""

_Plain = Annotated[dict[str, Any], Where(is_plain, "plain data of finite numbers")]


@dataclass(frozen=True)
class DetailsEntry:
    """Details of a record, those that it has, as they stand in a file."""

    steps: Positive = 1
    dt: AboveZero = 1.0
    readout: str = ""
    output: str = ""
    layer: str = ""
    input: str = ""
    threshold: Finite = 0.0
    table: str = ""
    network: str = ""
    precision: str = ""
    part: str = ""
    bursts: str = ""
    citation: str = ""
    assumptions: str = ""
    events: str = ""


_NEEDED = {
    "readout": ("steps", "dt"),
    "threshold": ("steps", "dt", "readout"),
    "table": ("steps", "network", "precision"),
    "part": ("table",),
}
"""Details that a record with this detail has too."""

_OF_ITS_NAME = {
    "accuracy": "readout", "agreement": "readout", "firing rate": "layer", "energy": "table",
    "energy part": "part", "early exit steps": "threshold",
}  # fmt: skip
"""The detail that a record of this name has."""


@dataclass(frozen=True)
class SettingsEntry:
    """Settings that an evaluation cannot be without."""

    samples: Positive
    steps: Positive
    dt: AboveZero
    readouts: tuple[str, ...]
    metric: str | None = None


@dataclass(frozen=True)
class RecordEntry:
    """A record in a file."""

    name: str
    value: Finite
    unit: str
    n: Natural
    interval: tuple[Finite, Finite] | None
    how: _Plain


@dataclass(frozen=True)
class EvaluationEntry:
    """An evaluation in a file."""

    settings: _Plain
    records: tuple[RecordEntry, ...]


def _record(entry: RecordEntry) -> Record:
    how = entry.how
    RecordDecoder({}).record(DetailsEntry, how, "how")
    own = _OF_ITS_NAME.get(entry.name)
    details = [*how] if own is None else [*how, own]
    missing = [name for one in details for name in (one, *_NEEDED.get(one, ())) if name not in how]
    if missing:
        raise ValueError(f"a record of {entry.name!r} does not say its {missing[0]}")
    return Record(entry.name, entry.value, entry.unit, entry.n, entry.interval, how)


def _check_together(records: Sequence[Record]) -> None:
    """Raise `ValueError` for a record twice, and for an early exit whose steps are not known."""
    seen = {(r.name, json.dumps(r.how, sort_keys=True)) for r in records}
    if len(seen) < len(records):
        raise ValueError("it holds a record twice")
    for record in records:
        if record.name.startswith("early exit ") and not _exit_steps(records, record):
            raise ValueError(f"a record of {record.name!r} has none of the steps beside it")


def _exit_steps(records: Sequence[Record], record: Record) -> list[Record]:
    how = {name: record.how.get(name) for name in ("threshold", "output")}
    return select(records, "early exit steps", **how)


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(RichRepr):
    """Records of an evaluation, the settings that they hold for, and their origin.

    `samples` has a row a sample: `("correct", output, readout)`, `("agreement", output, readout)`,
    scores of a metric `("score", output, readout)` and errors `(samples, steps)`, `("source
    correct", output)` `(samples,)`, `("exit steps", output)` `(samples, thresholds)`, `("spikes",
    layer)` and `("neurons", layer)`, those that are no padding, `(samples, at)`. `totals` are the
    spikes of each neuron summed over samples, `{layer: (at, *shape)}`. Both are empty in an
    evaluation that was loaded from a file.
    """

    records: tuple[Record, ...]
    settings: Mapping[str, Any]
    samples: Mapping[Key, NDArray] = field(default_factory=dict)
    totals: Mapping[str, NDArray] = field(default_factory=dict)

    def __repr__(self) -> str:
        how = {"steps": self.settings["steps"]}
        scored = [r for worth in worths(self.records)[:1] for r in select(self.records, worth.name)]
        last = [r for r in scored if r.how.get("steps") == how["steps"]][:1]
        spikes = select(self.records, "spikes per sample", **how, layer=None)
        rows = table_of([*last, *spikes[:1]])[1:]
        figures = "".join(f", {name} {value}" for name, _, value, _ in rows)
        return f"<Evaluation of {self.settings['samples']} samples, {self._length}{figures}>"

    def __str__(self) -> str:
        from spikewright.report.printed import as_text

        return as_text(self.parts())

    def parts(self) -> Iterator[Any]:
        """The tables and paragraphs that `print` and `spikewright evaluate` show, in order."""
        from spikewright.report.printed import parts_of_evaluation

        lasts = length_of(self.settings, f"{1000 * self.settings['dt']:g} ms")
        title = f"{self.settings['samples']} samples, {lasts}"
        return parts_of_evaluation(self.records, self.settings["steps"], title)

    @property
    def _length(self) -> str:
        return length_of(self.settings, f"{self.settings['dt']:g} s")

    def _summary(self) -> tuple[str, Rows]:
        s = self.settings
        last = [r for r in self.records if "readout" in r.how and r.how.get("steps") == s["steps"]]
        ends = s["steps"]
        models = (r for r in self.records if r.name.startswith(("source ", "rounded ")))
        rest = [r for r in models if r.how.get("steps", ends) == ends]
        for name in ("spikes per sample", "spikes per active neuron", BITS):
            rest += select(self.records, name, steps=s["steps"])
        rows = table_of(r for r in (*last, *rest) if "layer" not in r.how)
        return f"{s['samples']} samples, {self._length}.", rows

    def _figure(self) -> Any:
        from spikewright.report import figures

        infos = figures.over_time_infos(self.records)
        return figures.draw(infos[0]) if infos else None

    def accuracy(
        self, readout: EveryStep = "mean", steps: int | None = None, output: str | None = None
    ) -> Record:
        """The accuracy after `steps` steps (default: all of them) under a readout.

        `output` names one of several. Raises `SimulationError` where that was not measured.
        """
        how = self._place(readout, steps)
        if output is not None:
            how["output"] = output
        found = select(self.records, "accuracy", **how)
        if len(found) == 1:
            return found[0]
        if found:
            raise SimulationError(f"outputs are {[r.how['output'] for r in found]}: name one")
        raise SimulationError(
            f"no accuracy was measured for {how}: it needs labels, which are whole "
            "numbers, and readouts are "
            f"{list(self.settings['readouts'])} at steps 1 to {self.settings['steps']}"
        )

    def score(self, readout: EveryStep = "mean", steps: int | None = None) -> Record:
        """The mean of a metric after `steps` steps (default: all of them) under a readout.

        Raises `SimulationError` where that was not measured.
        """
        how = self._place(readout, steps)
        named = select(self.records, str(self.settings.get("metric")), **how)
        found = [record for record in named if record.unit == SCORE]
        if not found:
            raise SimulationError(
                f"no score was measured for {how}: it needs metric=f(outputs, y), and readouts are "
                f"{list(self.settings['readouts'])} at steps 1 to {self.settings['steps']}"
            )
        return found[0]

    def _place(self, readout: EveryStep, steps: int | None) -> dict[str, Any]:
        return {
            "readout": str(readout),
            "steps": self.settings["steps"] if steps is None else steps,
        }

    def as_dict(self) -> dict[str, Any]:
        """Settings and records as plain data, ready for JSON."""
        records = [record.as_dict() for record in self.records]
        return {"settings": dict(self.settings), "records": records}

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write settings and records as JSON, atomically.

        An older evaluation is replaced, any other file only with `overwrite` (`ExistingFileError`).
        """
        document = {"spikewright": "evaluation", "format": FORMAT, **self.as_dict()}
        content = json.dumps(document, indent=1, allow_nan=False).encode()
        write_file(path, content, KIND, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Evaluation:
        """Read settings and records; raises `MissingFileError` or `DamagedFileError`."""
        text = file_at(path).read_bytes()
        with describing(KIND, path):
            document = json.loads(text)
            kind, version = document["spikewright"], document["format"]
            if (kind, version) != ("evaluation", FORMAT):
                raise ValueError(f"it holds {kind!r} of format {version!r}")
            entry = RecordDecoder({}).record(EvaluationEntry, document)
            RecordDecoder({}).record(SettingsEntry, entry.settings, "settings")
            records = tuple(map(_record, entry.records))
            _check_together(records)
            return cls(records, entry.settings)


def length_of(settings: Mapping[str, Any], each: str) -> str:
    """The steps of an evaluation with these settings, each so long, in words."""
    return steps_text(settings["steps"], settings.get("network_steps", settings["steps"]), each)


def neuron_rates(measured: Run | Evaluation) -> dict[str, NDArray]:
    """Firing rates in Hz of the neurons of spiking layers, `{layer: (*shape)}`.

    Spikes of either sign over samples and seconds; of an evaluation those of all its steps. Empty
    for an evaluation that was loaded from a file, which holds its records alone.
    """
    if isinstance(measured, Run):
        spiking = {name: p for name, p in measured.populations.items() if p.spiking}
        seconds = measured.steps * measured.dt
        return {name: p.totals.mean(axis=0) / seconds for name, p in spiking.items()}
    settings = measured.settings
    exposure = settings["samples"] * settings["steps"] * settings["dt"]
    return {name: np.asarray(total[-1]) / exposure for name, total in measured.totals.items()}
