"""A NIR file in every reader, each in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.amounts import number, percent
from spikewright._base.arguments import is_number, is_whole
from spikewright._base.markup import Rows, Shown
from spikewright._base.optional import require
from spikewright._base.options import spelled
from spikewright._base.samples import duration, held
from spikewright.errors import NetworkError, SimulationError
from spikewright.exchange.nir.loading import network_of, step_of
from spikewright.exchange.nir.process import Heard, ReaderJob, ask, run_here
from spikewright.exchange.nir.readers import (
    RESETS,
    Reader,
    ReaderPlace,
    Readers,
    Semantics,
    places,
    rule_of,
)
from spikewright.exchange.nir.reading import Flat, NirWiring, read_flat, wiring_of
from spikewright.exchange.nir.simulate import TIES, Explanation, explain
from spikewright.network import Network
from spikewright.report.tables import Column, Table

Outcome = Literal["ran", "linted", "refused", "failed", "missing"]


@dataclass(frozen=True)
class CheckedLayer:
    """Spikes a sample of a layer here and there, and the share of neurons that send as many."""

    name: str
    here: float
    there: float
    same: float


@dataclass(frozen=True)
class Row:
    """The outcome of a file in one reader.

    `reason` says why it did not run. `why` says why its spikes are others than ours. `reproduced`
    is the share of neurons whose every spike these reasons give again, None where nothing was
    simulated. `deviation` is the largest difference of a mean output, as a share of the
    largest output here. `notes` are what else a user of the reader should know.
    """

    reader: str
    outcome: Outcome
    reason: str = ""
    versions: Mapping[str, str] | None = None
    layers: tuple[CheckedLayer, ...] = ()
    deviation: float | None = None
    accuracy: float | None = None
    why: tuple[str, ...] = ()
    reproduced: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The version of the reader, where it is known."""
        return next(iter((self.versions or {}).values()), "")

    @property
    def spikes(self) -> float | None:
        """All spikes a sample, where the reader ran."""
        return sum(layer.there for layer in self.layers) if self.outcome == "ran" else None

    @property
    def same(self) -> bool:
        """True where every neuron sends as many spikes as here."""
        return self.outcome == "ran" and all(layer.same == 1.0 for layer in self.layers)

    def told(self) -> str:
        """The reason why it differs or did not run, in one sentence."""
        if self.reason:
            return self.reason
        if self.outcome == "linted":
            return "; ".join(self.notes) or "nothing blocks it"
        if not self.why and not self.same:
            return "same spikes in the samples that were followed step by step"
        return "; ".join(self.why) or "same spikes"


@dataclass(frozen=True)
class NirCheck(Shown):
    """A file in other readers, a row each, beside this project's own run of it."""

    path: Path
    samples: int
    steps: int
    here: Mapping[str, float]
    accuracy: float | None
    rows: tuple[Row, ...]

    def __getitem__(self, reader: str) -> Row:
        """The row of a reader; raises `KeyError` where it was not asked."""
        for row in self.rows:
            if row.reader == reader:
                return row
        raise KeyError(reader)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        rows = [{**asdict(row), "told": row.told()} for row in self.rows]
        return {
            "path": str(self.path),
            "samples": self.samples,
            "steps": self.steps,
            "here": {"spikes": dict(self.here), "accuracy": self.accuracy},
            "readers": rows,
        }

    def table(self) -> Table:
        """One row a reader, this project's own first."""
        total = sum(self.here.values())
        ours = ("spikewright", "", "ran", total, 1.0, 0.0, self.accuracy, "")
        rows = [
            (
                row.reader,
                row.version,
                row.outcome,
                row.spikes,
                _mean_same(row),
                row.deviation,
                row.accuracy,
                row.told(),
            )
            for row in self.rows
        ]
        columns = (
            Column("reader", "reader"),
            Column("version", "version"),
            Column("outcome", "outcome"),
            Column("spikes", "spikes\nper sample", number),
            Column("same", "layers' neurons\nwith as many", percent),
            Column("deviation", "outputs\ndiffer by", percent),
            Column("accuracy", "accuracy", percent),
            Column("why", "why"),
        )
        title = f"{self.path.name}: {self.samples} samples, {self.steps} steps"
        return Table(title, columns, (ours, *rows))

    def _told(self) -> tuple[str, Rows]:
        table = self.table()
        return f"{table.title}.", table.as_texts()

    def layer_table(self) -> Table:
        """One row a layer and reader that ran: spikes a sample here and there."""
        rows = [
            (layer.name, row.reader, layer.here, layer.there, layer.same)
            for row in self.rows
            for layer in row.layers
        ]
        columns = (
            Column("layer", "layer"),
            Column("reader", "reader"),
            Column("here", "spikes\nhere", number),
            Column("there", "spikes\nthere", number),
            Column("same", "neurons\nwith as many", percent),
        )
        return Table("layer by layer", columns, tuple(rows))

    def __str__(self) -> str:
        lines = [f"{self.path.name}: {self.samples} samples, {self.steps} steps"]
        for row in self.rows:
            spikes = "" if row.spikes is None else f", {number(row.spikes)} spikes per sample"
            lines.append(f"{row.reader} {row.version}: {row.outcome}{spikes}: {row.told()}")
        return "\n".join(lines)


def _mean_same(row: Row) -> float | None:
    """The mean over layers of the share of neurons with as many spikes."""
    found = [layer.same for layer in row.layers]
    return sum(found) / len(found) if found else None


_EXPLAINED = 4  # samples whose every spike is compared
_FOLLOWED = 32  # samples with other counts, whose spikes are compared where those four say nothing
_OTHER_OUTPUT = "its outputs are those of another node"
_OUTCOMES: dict[str, Outcome] = {"import": "missing", "read": "refused", "run": "failed"}


@dataclass(frozen=True, eq=False)
class _Subject:
    """The file that readers are compared on: its job, our run of it, and our semantics."""

    wiring: NirWiring
    job: ReaderJob
    here: Heard
    labels: NDArray | None
    ours: Semantics


@spelled()
def check(
    path: str | Path,
    x: ArrayLike,
    readers: Readers = None,
    *,
    steps: int | None = None,
    dt: float | None = None,
    labels: ArrayLike | None = None,
    reset: str = "subtract",
    seconds: float = 300.0,
    memory: float = 8.0,
) -> NirCheck:
    """Run a NIR file in other simulators, and say by how much their spikes differ and why.

    `x` are samples `(batch, *shape)`, held for `steps` time steps, or `(batch, steps, *shape)`;
    `shape` is that of the file's input, channels first. `dt` is the length of a step in the unit of
    time of a file that states none, and needed there; of others leave it out. With class labels
    `(batch,)` accuracies stand beside each other, of the mean output. `reset` is the one that the
    file is read with here, as `load` takes it: "subtract" or "zero".

    `readers` None are all readers that are installed beside this project. A folder holds an
    environment a reader, as `scripts/nir_readers.py` makes it; a mapping has such environments, or
    their Pythons, by reader (None: this one); a list has names. Each runs in a process of its own
    that may take `seconds`, and `memory` GiB. One that is missing, refuses the file, crashes or
    does not end is a row with the reason.

    Reasons are evidence: `Row.reproduced` is the share of neurons for which the reader's stated
    semantics (`READERS`) give every spike again. Raises what `load` raises for the file,
    `SimulationError` for samples that do not fit, and `NetworkError` for other arguments.
    """
    where = places(readers)
    if not (is_number(seconds) and seconds > 0 and is_number(memory) and memory > 0):
        raise NetworkError(
            f"seconds and memory (GiB) must be above 0, got {seconds!r} and {memory!r}"
        )
    if reset not in RESETS:
        raise NetworkError(f"reset must be one of {', '.join(RESETS)}, got {reset!r}")
    require("nir")
    flat = read_flat(path)
    network, step = _read(flat, dt, reset)
    wiring = wiring_of(flat)
    values, timed, count = _samples(wiring, np.asarray(x), steps)
    truth = None if labels is None else _labels(labels, len(values))
    job = ReaderJob(
        path=Path(path),
        neurons=wiring.spiking,
        x=values,
        steps=count,
        timed=timed,
        dt=step,
        kept=_EXPLAINED,
        seconds=float(seconds),
        memory=int(memory * 2**30),
    )
    here = run_here(network, wiring, job)
    ours = RESETS[reset].in_time_of(rule_of(flat.metadata))
    subject = _Subject(wiring, job, here, truth, ours)
    rows = tuple(_row(place, subject) for place in where)
    totals = {name: float(c.sum() / len(values)) for name, c in here.counts.items()}
    return NirCheck(Path(path), len(values), count, totals, _accuracy(here, truth), rows)


def _read(flat: Flat, dt: float | None, reset: str) -> tuple[Network, float]:
    """The network of a file, and its step, in the file's unit of time, as readers have it."""
    step = step_of(flat.metadata, dt)
    if step is None:
        raise NetworkError(
            "dt: the file does not state the length of a step; give dt, in the unit of its time "
            "constants"
        )
    return network_of(flat, replace(step, seconds=step.units), reset), step.units


def _samples(wiring: NirWiring, x: NDArray, steps: Any) -> tuple[NDArray, bool, int]:
    """Samples, whether they have an axis of time, and the number of steps."""
    shape = wiring.nodes[wiring.input].shape("shape")
    if x.dtype.kind not in "biuf" or not np.isfinite(x).all() or not x.size:
        raise SimulationError("x must hold finite real numbers, at least one sample of them")
    found = held(x, shape)
    if found is not None:
        if not (is_whole(steps) and steps >= 1):
            raise NetworkError(
                f"steps must be a whole number from 1 where x has no axis of time, got {steps!r}"
            )
        return found, False, int(steps)
    timed = duration(x, shape)
    if timed is not None:
        if steps not in (None, timed):
            raise NetworkError(f"steps is {steps!r}, and x has {timed} steps. Leave it out")
        return x, True, timed
    raise SimulationError(
        f"x has the shape {x.shape}, and the file's input takes (samples, *{shape}) or "
        f"(samples, steps, *{shape})"
    )


def _labels(labels: ArrayLike, samples: int) -> NDArray:
    found = np.asarray(labels)
    if found.shape != (samples,) or found.dtype.kind not in "iu":
        raise SimulationError(
            f"labels must be whole numbers of shape ({samples},), got {found.dtype} {found.shape}"
        )
    return found


def _row(place: ReaderPlace, subject: _Subject) -> Row:
    """The row of a reader."""
    name, job, here = place.reader.name, subject.job, subject.here
    if place.python is None:
        return Row(name, "missing", place.reason)
    there = ask(place.reader, place.python, job)
    if there.stage != "done":
        return Row(name, _OUTCOMES.get(there.stage, "failed"), there.reason, there.versions)
    if place.reader.semantics is None or there.output is None:
        return Row(name, "linted", versions=there.versions, notes=there.notes)
    try:
        layers = tuple(_layer(n, c, there.counts[n]) for n, c in here.counts.items())
    except (KeyError, ValueError) as error:
        why = f"its layers are others than the file's ({error})"
        return Row(name, "failed", why, there.versions)
    found = _explained(place.reader, subject, job, there)
    if not found.why:
        found = _followed(place, subject, there) or found
    fits = here.output is not None and there.output.size == here.output.size
    return Row(
        name,
        "ran",
        versions=there.versions,
        layers=layers,
        deviation=_deviation(here, there) if fits else None,
        accuracy=_accuracy(there, subject.labels) if fits else None,
        why=found.why if fits else (*found.why, _OTHER_OUTPUT),
        reproduced=found.reproduced,
        notes=there.notes,
    )


def _explained(reader: Reader, subject: _Subject, job: ReaderJob, there: Heard) -> Explanation:
    """Reasons for the spikes of a reader in the samples of a job that are kept."""
    assert reader.semantics is not None
    x = job.x[: job.kept]
    timed = x if job.timed else np.repeat(x[:, None], job.steps, axis=1)
    return explain(subject.wiring, reader.semantics, timed, there.spikes, job.dt, subject.ours)


def _followed(place: ReaderPlace, subject: _Subject, there: Heard) -> Explanation | None:
    """Reasons from samples that have other counts, which the reader runs once more."""
    assert place.python is not None
    apart = _apart(subject.here, there)
    if not len(apart):
        return None
    some = apart[:_FOLLOWED]
    job = replace(subject.job, x=subject.job.x[some], kept=len(some))
    again = ask(place.reader, place.python, job)
    if again.stage != "done":
        return None
    found = _explained(place.reader, subject, job, again)
    where = f" (in {len(apart)} of {len(subject.job.x)} samples"
    where += ")" if len(some) == len(apart) else f"; {len(some)} of them were followed)"
    return replace(found, why=tuple(w + where if w == TIES else w for w in found.why))


def _apart(here: Heard, there: Heard) -> NDArray:
    """The samples in which some neuron sends another number of spikes."""
    other = [
        (counts != there.counts[name].reshape(counts.shape)).reshape(len(counts), -1).any(axis=1)
        for name, counts in here.counts.items()
    ]
    return np.flatnonzero(np.any(other, axis=0))


def _layer(name: str, here: NDArray, there: NDArray) -> CheckedLayer:
    same = float((here == there.reshape(here.shape)).mean())
    return CheckedLayer(name, here.sum() / len(here), there.sum() / len(here), same)


def _deviation(here: Heard, there: Heard) -> float:
    assert here.output is not None and there.output is not None
    apart = np.abs(there.output.reshape(here.output.shape) - here.output).max()
    largest = np.abs(here.output).max()
    return float(apart / largest) if largest else float(apart)


def _accuracy(found: Heard, labels: NDArray | None) -> float | None:
    if labels is None or found.output is None:
        return None
    answers = found.output.reshape(len(labels), -1).argmax(axis=1)
    return float((answers == labels).mean())
