"""The samples of a search, those searched on and those held back, and runs of networks on them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.conversion import Conversion
from spikewright.engines import Precision, Program, Totals
from spikewright.errors import SimulationError, TuningError
from spikewright.measure import EveryStep
from spikewright.measure.energy import energy
from spikewright.measure.operations import Counter
from spikewright.measure.targets import Metric, Output, given_for, labels_of
from spikewright.network import Node
from spikewright.records import Worth
from spikewright.running.inputs import feeds_of
from spikewright.running.protocols import as_source
from spikewright.running.recording import outputs_of, padding_in
from spikewright.running.runner import RunJob, Runner


@dataclass(frozen=True)
class Running:
    """Settings for running networks and judging their outputs.

    `table` names the cost table that energy is counted by, if it is; `metric` stands in for
    accuracy.
    """

    dt: float = 0.001
    engine: str = "auto"
    precision: Precision = "float32"
    threads: int | None = None
    seed: int = 0
    table: str | None = None
    metric: Metric | None = None

    @property
    def worth(self) -> Worth:
        """The measure of answers."""
        return Worth("accuracy") if self.metric is None else Worth(self.metric.name, fraction=False)


@dataclass(frozen=True, eq=False)
class Outcome:
    """The results of a run, `(samples,)` each, by (steps, readout).

    `scores` say how right each answer is: of labels one or zero. `margins` say by how much the
    right class leads; there are none under a metric. `costs` are means a sample by name, by the
    number of steps.
    """

    scores: Mapping[tuple[int, EveryStep], NDArray]
    margins: Mapping[tuple[int, EveryStep], NDArray]
    costs: Mapping[int, Mapping[str, float]]


def run(
    conversion: Conversion,
    x: Mapping[str, NDArray],
    y: Any,
    at: Sequence[int],
    readouts: Sequence[EveryStep],
    running: Running,
) -> Outcome:
    """Run up to the last of the steps `at`, and look at all of them.

    `y` are labels `(samples,)`, or the truth that the metric of `running` takes. Raises as
    `Conversion.run` does.
    """
    lowered, steps = conversion.lowered, max(at)
    runner = Runner(lowered)
    whole = {*at} == {steps}
    fed = feeds_of(x, lowered.inputs, None, steps, running.dt, running.seed)
    program = runner.program(
        running.dt, running.seed, running.precision, own_steps=whole, moving=fed.moving
    )
    engine = runner.engine(running.engine, program, running.threads)
    job = RunJob(program, engine, fed.values, fed.batch, steps)
    costs, outputs = _Costs(conversion, running.table, program), outputs_of(lowered)
    found: dict[str, Any] = {what: defaultdict(list) for what in ("scores", "margins")}
    for part in runner.parts(job, runner.batch_size(engine), costs.count, at):
        given = part_of(y, part.samples)
        for readout in readouts:
            values = {
                name: output.at_every_step(part.raw[name], readout, running.dt)
                for name, output in outputs.items()
            }
            for t in at:
                read = {name: value[:, t - 1] for name, value in values.items()}
                if running.metric is not None:
                    found["scores"][t, readout].append(running.metric(read, given))
                    continue
                ((name, output),) = outputs.items()
                found["scores"][t, readout].append(output.decided(read[name]) == given)
                found["margins"][t, readout].append(margins_of(output, read[name], given))
    scores, margins = (
        {where: np.concatenate(rows) for where, rows in parts.items()} for parts in found.values()
    )
    return Outcome(scores, margins, costs.means(fed.batch, at))


def part_of(y: Any, part: slice | NDArray) -> Any:
    """The labels or truth of some samples: of an array, of arrays by name, or None."""
    if isinstance(y, Mapping):
        return {name: array[part] for name, array in y.items()}
    return None if y is None else y[part]


def margins_of(output: Output, values: NDArray, labels: NDArray) -> NDArray:
    """By how much the value of the right class exceeds the largest other, `(samples,)`.

    A single value is a sigmoid's, which one half divides.
    """
    if output.single:
        above = output.number(values) - 0.5
        return np.where(labels == 1, above, -above)
    others = np.array(values, np.float64)
    rows = np.arange(len(labels))
    mine = others[rows, labels].copy()
    others[rows, labels] = -np.inf
    found: NDArray = mine - others.max(axis=-1)
    return found


class _Costs:
    """Sums spikes, and energy where a table is given, over the parts of a run."""

    def __init__(self, conversion: Conversion, table: str | None, program: Program) -> None:
        self._table = table
        self._spiking = [
            name for name, e in conversion.populations().items() if e.neuron_type.spiking
        ]
        self._inputs, self._lowered = conversion.inputs, conversion.lowered
        self._counter: Counter | None = None
        if table is not None:
            populations, inputs = conversion.populations(), conversion.inputs
            self._counter = Counter(conversion.network, populations, inputs, program=program)
        self._sums: dict[int, dict[str, float]] = {}

    def count(self, step: int, totals: Mapping[str, Totals], fed: Mapping[Node, NDArray]) -> None:
        """Take the spikes of some samples up to a step, and their feeds."""
        sums = self._sums.setdefault(step, {})
        spikes = {name: totals[name].sent for name in self._spiking}
        sums["spikes"] = sums.get("spikes", 0.0) + sum(float(t.sum()) for t in spikes.values())
        if self._counter is not None and self._table is not None:
            held = {name: fed[node][:, 0] for name, node in self._inputs.items()}
            padding = padding_in(self._lowered, fed)
            operations = self._counter.count(spikes, step, held, padding=padding)
            joules = energy(operations, self._table).total
            sums["energy"] = sums.get("energy", 0.0) + float(joules.sum())

    def means(self, samples: int, at: Sequence[int]) -> dict[int, dict[str, float]]:
        """Means a sample up to each step."""
        return {t: {name: v / samples for name, v in self._sums[t].items()} for t in at}


FEWEST = 20
"""Samples that a search needs, and those that are held back as well."""

MOST_HELD_BACK = 10_000
"""Samples held back at most, of a fraction: more would take longer than it helps."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Inputs `{name: array}`, labels or the truth that a metric takes, and the source's outputs.

    `scores` say how right it is, of labels which it answers rightly; `margins` by how much the
    right class leads, None under a metric.
    """

    x: Mapping[str, NDArray]
    y: Any
    scores: NDArray
    margins: NDArray | None

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, part: slice | NDArray) -> Labelled:
        x = {name: array[part] for name, array in self.x.items()}
        margins = None if self.margins is None else self.margins[part]
        return Labelled(x, part_of(self.y, part), self.scores[part], margins)

    @cached_property
    def size(self) -> float:
        """The largest loss of one sample: the range of scores; for right and wrong answers, one."""
        return float(np.ptp(self.scores)) or 1.0 if self.margins is None else 1.0

    @cached_property
    def unit(self) -> float:
        """A small margin: a quarter of that which three in four right answers exceed."""
        if self.margins is None:
            return 1.0
        leads = self.margins[self.margins > 0]
        return float(np.percentile(leads, 25)) / 4 if len(leads) else 1.0


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
