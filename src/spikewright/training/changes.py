"""The change of each layer by a training, as records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import Graph
from spikewright.records import Record
from spikewright.training.history import Epoch
from spikewright.training.sites import TrainedSite
from spikewright.training.trainable import Group, trained_arrays

THRESHOLDS = "threshold, after over before"


def changes_of(
    before: Graph,
    after: Graph,
    sites: Mapping[str, TrainedSite],
    trained: Mapping[str, TrainedSite],
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
    for name, site in sites.items():
        ratio = float(np.exp(np.mean(np.log(trained[name].threshold / site.threshold))))
        yield Record(THRESHOLDS, ratio, "ratio", how={"layer": name})
        moved = float(np.mean(trained[name].start - site.start))
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
    yield Record("loss", found.loss, "loss", how=how)
    if found.accuracy is not None:
        yield Record("accuracy", found.accuracy, "fraction", how=how)
    if found.score is not None:
        yield Record("score", found.score, "score", how=how)
    yield Record("spikes per sample", found.spikes, "spikes", how=how)
    if found.joules is not None:
        yield Record("energy", found.joules, "J", how={**how, "table": found.energy_table})
