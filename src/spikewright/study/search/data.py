"""The samples of a search: checked, and split into those searched on and those held back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.conversion import Conversion
from spikewright.errors import SimulationError, TuningError
from spikewright.measure.metric import given_for
from spikewright.measure.truth import labels_of
from spikewright.running.converted import as_source
from spikewright.running.recording import outputs_of
from spikewright.study.search.objective import Labelled
from spikewright.study.search.running import Running, run

FEWEST = 20
"""Samples that a search needs, and those that are held back as well."""

MOST_HELD_BACK = 10_000
"""Samples held back at most, of a fraction: more would take longer than it helps."""


def samples_of(conversion: Conversion, x: Any, y: Any, running: Running, what: str) -> Labelled:
    """Inputs, labels or the truth that a metric takes, and the source model's outputs for them.

    Raises `TuningError` where labels are missing, no class labels, or of another number than the
    inputs, and where there is more than one output to be judged by them.
    """
    arrays = conversion.as_inputs(x)
    count = len(next(iter(arrays.values())))
    try:
        given = _labels(conversion, y, count) if running.metric is None else given_for(y, count)
    except SimulationError as error:
        raise TuningError(f"{what}: {error}") from error
    if count < FEWEST:
        raise TuningError(f"{what} holds {count} samples; a search needs at least {FEWEST}")
    found = run(as_source(conversion), arrays, given, [1], ["mean"], replace(running, table=None))
    return Labelled(arrays, given, found.scores[1, "mean"], found.margins.get((1, "mean")))


def _labels(conversion: Conversion, y: Any, count: int) -> NDArray:
    """The class of each sample; raises `SimulationError` for anything else."""
    if y is None:
        raise SimulationError(
            "there are no labels: what is lost in accuracy cannot be measured without. Give y, "
            "the class of each sample (in a data file, the array y), or metric=f(outputs, y)"
        )
    outputs = outputs_of(conversion.lowered)
    if len(outputs) != 1:
        raise SimulationError(
            f"the model has outputs {list(outputs)}; a search needs one, with classes, or "
            "metric=f(outputs, y)"
        )
    (output,) = outputs.values()
    if not output.classes:
        raise SimulationError(
            f"output {output.name!r} of shape {output.shape} tells no classes apart, so that there "
            "is no accuracy to keep: give metric=f(outputs, y)"
        )
    return labels_of(y, output, count)


def divided(
    conversion: Conversion, data: tuple[Any, Any], validation: Any, searched: int, running: Running
) -> tuple[Labelled, Labelled]:
    """Samples searched on, at most `searched`, and those held back, as `tune` takes them.

    Raises `TuningError` for an invalid `validation`, and as `samples_of` and `split` do.
    """
    given = samples_of(conversion, data[0], data[1], running, "the data")
    if isinstance(validation, int | float) and not isinstance(validation, bool):
        return split(given, float(validation), searched, running.seed)
    if not (isinstance(validation, tuple | list) and len(validation) == 2):
        raise TuningError(
            f"validation is (x, y) or the fraction of the data to hold back, got {validation!r}"
        )
    held = samples_of(conversion, validation[0], validation[1], running, "validation")
    order = np.random.default_rng([2, running.seed]).permutation(len(given))
    return given[order[:searched]], held


def split(
    samples: Labelled, held_back: float, searched: int, seed: int
) -> tuple[Labelled, Labelled]:
    """Samples searched on, at most `searched`, and those held back; both in random order.

    Every class is split alike; the truth of a metric is split by chance. Raises `TuningError` for a
    fraction that leaves either too few.
    """
    if not 0 < held_back < 1:
        raise TuningError(
            f"validation is (x, y) or the fraction to hold back, between 0 and 1, got {held_back}"
        )
    rng = np.random.default_rng([2, seed])
    order = rng.permutation(len(samples))
    rank = np.empty(len(samples))  # how far down its own class each sample is, from 0 to 1
    labels = samples.y if samples.margins is not None else np.zeros(len(samples))
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        rank[mine] = (np.arange(len(mine)) + rng.random()) / len(mine)
    by_rank = order[np.argsort(rank[order], kind="stable")]
    count = round(held_back * len(samples))
    held, rest = by_rank[:count], by_rank[count:]
    if min(len(held), len(rest)) < FEWEST:
        raise TuningError(
            f"of {len(samples)} samples {len(held)} would be held back and {len(rest)} searched "
            f"on; both need at least {FEWEST}: give more samples"
        )
    held = rng.permutation(held[:MOST_HELD_BACK])
    return samples[rng.permutation(rest[:searched])], samples[held]


def digest(*parts: Labelled) -> str:
    """The same text for the same samples in the same order."""
    found = hashlib.sha256()
    for part in parts:
        for name, array in part.x.items():
            found.update(name.encode() + str(array.shape).encode())
            found.update(np.ascontiguousarray(array).tobytes())
        named = part.y if isinstance(part.y, Mapping) else {"": part.y}
        for name, array in named.items():
            found.update(name.encode() + (b"" if array is None else array.tobytes()))
    return found.hexdigest()[:16]
