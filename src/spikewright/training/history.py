"""The course of a training: epochs, each layer's change, and the file from which it goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.codec import Format
from spikewright._base.files import check_place
from spikewright._base.storage import differing
from spikewright.errors import TrainingError
from spikewright.graph import Graph
from spikewright.records import DEFAULT_TABLE, Record
from spikewright.training.quantized_layers import QuantizedLayer
from spikewright.training.trainable import Group, trained_arrays

Way = Literal["rounding", "time"]
THRESHOLDS = "threshold, after over before"


@dataclass(frozen=True)
class Measured:
    """The spiking network on samples that were held back, run through all its steps.

    `accuracy` is the share of right answers, None without labels; `score` a metric's mean.
    `spikes` are a sample's, `rates` those of a neuron of each layer in Hz, on average.
    """

    loss: float
    accuracy: float | None
    spikes: float
    rates: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None


@dataclass(frozen=True)
class Epoch:
    """One epoch: its mean loss, what was measured after it, and how long it took in seconds.

    `way` says how it went: through the rounded network alone, or with spikes run through time.
    """

    number: int
    way: Way
    loss: float
    held_back: Measured | None
    seconds: float


def changes_of(
    before: Graph,
    after: Graph,
    quantized: Mapping[str, QuantizedLayer],
    trained: Mapping[str, QuantizedLayer],
) -> Iterator[Record]:
    """By layer: the relative change of weights and biases, and of thresholds and starts.

    Of weights and biases it is the 2-norm of the difference over that of the arrays before; of
    thresholds the geometric mean of after over before; of starts the mean difference in spikes.
    """
    fields: dict[tuple[str, Group], list[str]] = {}
    for (node, entry), group in trained_arrays(before).items():
        fields.setdefault((node, group), []).append(entry)
    for (node, group), entries in fields.items():
        arrays = (graph[node].layer.arrays() for graph in (before, after))
        moved = _relative(*(np.concatenate([np.ravel(a[f]) for f in entries]) for a in arrays))
        yield Record(f"change of {group}", moved, "fraction", how={"layer": node})
    for name, layer in quantized.items():
        ratio = float(np.exp(np.mean(np.log(trained[name].threshold / layer.threshold))))
        yield Record(THRESHOLDS, ratio, "ratio", how={"layer": name})
        moved = float(np.mean(trained[name].start - layer.start))
        yield Record("change of start", moved, "spikes", how={"layer": name})


def _relative(before: NDArray, after: NDArray) -> float:
    size = float(np.linalg.norm(before))
    moved = float(np.linalg.norm(after.astype(np.float64) - before))
    return moved / size if size else moved


def records_of(epoch: Epoch, kept: bool) -> Iterator[Record]:
    """An epoch's measurements; `how` has its number, its way, and whether it was kept."""
    how: dict[str, Any] = {"epoch": epoch.number, "way": epoch.way, "kept": kept}
    yield Record("loss", epoch.loss, "loss", how={**how, "samples": "trained on"})
    found = epoch.held_back
    if found is None:
        return
    how = {**how, "samples": "held back"}
    for name, value, unit in (
        ("loss", found.loss, "loss"),
        ("accuracy", found.accuracy, "fraction"),
        ("score", found.score, "score"),
        ("spikes per sample", found.spikes, "spikes"),
    ):
        if value is not None:
            yield Record(name, value, unit, how=how)


@dataclass(frozen=True)
class TrainingEntry:
    """A training in a file: all that its results depend on, and its state."""

    about: dict[str, Any]
    state: Any


_LEFT_OUT: Mapping[str, Any] = {
    "joules": None, "rates": {}, "energy_table": DEFAULT_TABLE, "patience": None,
    "precision": "float32", "optimiser": "adam", "refit": False,
}  # fmt: skip
"""Settings of earlier versions, with the values that all trainings have today."""
_DEBT = ", debt=True"  # likewise, of a neuron type

_PARTS = {"Epoch": Epoch, "Measured": Measured}
FORMAT = Format("training", TrainingEntry, (_PARTS,))


class TrainingCheckpoint:
    """The state of one training in a file, which is replaced in one step after every epoch.

    `about` is plain data: all that the results depend on, by name. States are plain data with
    arrays and epochs. Raises `OSError` for a place where no file can be.
    """

    def __init__(self, path: str | Path, about: Mapping[str, Any]) -> None:
        self._path = check_place(path)
        self._about = json.loads(json.dumps(about))

    def load(self) -> Any:
        """The state, or None where there is no file.

        Raises `TrainingError` naming what differs for a file of another training, and
        `DamagedFileError` for any other file; it stays as it is.
        """
        if not self._path.exists():
            return None
        entry = FORMAT.read(self._path)
        facts = json.loads(json.dumps(entry.about).replace(_DEBT, ""))
        about = {n: v for n, v in facts.items() if n not in _LEFT_OUT or v != _LEFT_OUT[n]}
        if what := differing(about, self._about):
            raise TrainingError(
                f"{self._path}: holds another training, which differs in {what}. Use another path"
            )
        return entry.state

    def save(self, state: Any) -> None:
        """Replace what the file holds, whole or not at all."""
        FORMAT.write(self._path, TrainingEntry(self._about, state))
