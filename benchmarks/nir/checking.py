"""A NIR file in every reader, each in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.nir.process import ReaderJob, ReaderOutput, ask, run_here
from benchmarks.nir.semantics import READERS, RESETS, Reader, ReaderSemantics
from benchmarks.nir.simulate import TIES, Explanation, explain
from benchmarks.nir.wiring import NirWiring, wiring_of
from spikewright._base.amounts import number
from spikewright.exchange.nir.dialects import rule_of
from spikewright.exchange.nir.loading import network_of, step_of
from spikewright.exchange.nir.reading import read_flat

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
    largest output here. `notes` are what else the reader says.
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

    def explanation(self) -> str:
        """The reason why it differs or did not run, in one sentence."""
        if self.reason:
            return self.reason
        if self.outcome == "linted":
            return "; ".join(self.notes) or "nothing blocks it"
        if not self.why and not self.same:
            return "same spikes in the samples that were followed step by step"
        return "; ".join(self.why) or "same spikes"


@dataclass(frozen=True)
class NirCheck:
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
        rows = [{**asdict(row), "explanation": row.explanation()} for row in self.rows]
        return {
            "path": str(self.path),
            "samples": self.samples,
            "steps": self.steps,
            "here": {"spikes": dict(self.here), "accuracy": self.accuracy},
            "readers": rows,
        }

    def __str__(self) -> str:
        lines = [f"{self.path.name}: {self.samples} samples, {self.steps} steps"]
        for row in self.rows:
            spikes = "" if row.spikes is None else f", {number(row.spikes)} spikes per sample"
            lines.append(f"{row.reader} {row.version}: {row.outcome}{spikes}: {row.explanation()}")
        return "\n".join(lines)


_EXPLAINED = 4  # samples whose every spike is compared
_FOLLOWED = 32  # samples with other counts, whose spikes are compared where those four say nothing
_OTHER_OUTPUT = "its outputs are those of another node"
_OUTCOMES: dict[str, Outcome] = {"import": "missing", "read": "refused", "run": "failed"}


@dataclass(frozen=True, eq=False)
class _Subject:
    """The file that readers are compared on: its job, our run of it, and our semantics."""

    wiring: NirWiring
    job: ReaderJob
    here: ReaderOutput
    labels: NDArray | None
    ours: ReaderSemantics


def check(
    path: Path,
    x: NDArray,
    pythons: Mapping[str, Path],
    *,
    steps: int | None = None,
    labels: NDArray | None = None,
    reset: str = "subtract",
    seconds: float = 300.0,
    memory: float = 8.0,
) -> NirCheck:
    """Run a NIR file in other simulators, and say by how much their spikes differ and why.

    `x` are samples `(batch, *shape)`, held for `steps` time steps, or without these `(batch, steps,
    *shape)`; `shape` is that of the file's input. With class labels `(batch,)` accuracies stand
    beside each other, of the mean output. `reset` is the one that the file is read with here.

    `pythons` are environments by reader, as `benchmarks/nir/environments.py` makes them, or their
    Pythons. Each reader runs in a process of its own that may take `seconds`, and `memory` GiB. One
    that is missing, refuses the file, crashes or does not end is a row with the reason.

    Reasons are evidence: `Row.reproduced` is the share of neurons for which the reader's stated
    semantics (`READERS`) give every spike again. Raises what `load` raises for the file, which has
    to state its step.
    """
    flat = read_flat(path)
    step = step_of(flat.metadata)
    if step is None:
        raise ValueError(f"{path}: the file does not state the length of a step")
    network = network_of(flat, replace(step, seconds=step.units), reset)
    wiring = wiring_of(flat)
    count = x.shape[1] if steps is None else steps
    job = ReaderJob(
        path=path,
        neurons=wiring.spiking,
        x=x,
        steps=count,
        timed=steps is None,
        dt=step.units,
        kept=_EXPLAINED,
        seconds=float(seconds),
        memory=int(memory * 2**30),
    )
    here = run_here(network, wiring, job)
    ours = RESETS[reset].in_time_of(rule_of(flat.metadata))
    subject = _Subject(wiring, job, here, labels, ours)
    rows = tuple(_row(READERS[name], place, subject) for name, place in pythons.items())
    totals = {name: float(c.sum() / len(x)) for name, c in here.counts.items()}
    return NirCheck(path, len(x), count, totals, _accuracy(here, labels), rows)


def _python_of(place: Path) -> Path | None:
    """The Python of an environment's folder, or one that is named itself; None where none is."""
    inside = [place / "bin" / "python", place / "Scripts" / "python.exe"]
    return next((python for python in (*inside, place) if python.is_file()), None)


def _row(reader: Reader, place: Path, subject: _Subject) -> Row:
    """The row of a reader."""
    name, job, here = reader.name, subject.job, subject.here
    python = _python_of(place)
    if python is None:
        return Row(name, "missing", f"no environment: {place} has no Python")
    there = ask(reader, python, job)
    if there.stage != "done":
        return Row(name, _OUTCOMES.get(there.stage, "failed"), there.reason, there.versions)
    if reader.semantics is None or there.output is None:
        return Row(name, "linted", versions=there.versions, notes=there.notes)
    try:
        layers = tuple(_layer(n, c, there.counts[n]) for n, c in here.counts.items())
    except (KeyError, ValueError) as error:
        why = f"its layers are others than the file's ({error})"
        return Row(name, "failed", why, there.versions)
    found = _explained(reader, subject, job, there)
    if not found.why:
        found = _followed(reader, python, subject, there) or found
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


def _explained(
    reader: Reader, subject: _Subject, job: ReaderJob, there: ReaderOutput
) -> Explanation:
    """Reasons for the spikes of a reader in the samples of a job that are kept."""
    assert reader.semantics is not None
    x = job.x[: job.kept]
    timed = x if job.timed else np.repeat(x[:, None], job.steps, axis=1)
    return explain(subject.wiring, reader.semantics, timed, there.spikes, job.dt, subject.ours)


def _followed(
    reader: Reader, python: Path, subject: _Subject, there: ReaderOutput
) -> Explanation | None:
    """Reasons from samples that have other counts, which the reader runs once more."""
    apart = _apart(subject.here, there)
    if not len(apart):
        return None
    some = apart[:_FOLLOWED]
    job = replace(subject.job, x=subject.job.x[some], kept=len(some))
    again = ask(reader, python, job)
    if again.stage != "done":
        return None
    found = _explained(reader, subject, job, again)
    where = f" (in {len(apart)} of {len(subject.job.x)} samples"
    where += ")" if len(some) == len(apart) else f"; {len(some)} of them were followed)"
    return replace(found, why=tuple(w + where if w == TIES else w for w in found.why))


def _apart(here: ReaderOutput, there: ReaderOutput) -> NDArray:
    """The samples in which some neuron sends another number of spikes."""
    other = [
        (counts != there.counts[name].reshape(counts.shape)).reshape(len(counts), -1).any(axis=1)
        for name, counts in here.counts.items()
    ]
    return np.flatnonzero(np.any(other, axis=0))


def _layer(name: str, here: NDArray, there: NDArray) -> CheckedLayer:
    same = float((here == there.reshape(here.shape)).mean())
    return CheckedLayer(name, here.sum() / len(here), there.sum() / len(here), same)


def _deviation(here: ReaderOutput, there: ReaderOutput) -> float:
    assert here.output is not None and there.output is not None
    apart = np.abs(there.output.reshape(here.output.shape) - here.output).max()
    largest = np.abs(here.output).max()
    return float(apart / largest) if largest else float(apart)


def _accuracy(found: ReaderOutput, labels: NDArray | None) -> float | None:
    if labels is None or found.output is None:
        return None
    answers = found.output.reshape(len(labels), -1).argmax(axis=1)
    return float((answers == labels).mean())
