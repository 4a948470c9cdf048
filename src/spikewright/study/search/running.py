"""One run of a network on labelled samples: the margin of each answer, and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.conversion import Conversion
from spikewright.engines import Precision, Totals
from spikewright.measure import EveryStep
from spikewright.measure.energy import energy
from spikewright.measure.metric import Metric
from spikewright.measure.operations import Counter
from spikewright.measure.truth import Output
from spikewright.network import Node
from spikewright.running.encoding import feeds_of
from spikewright.running.padding import padding_in
from spikewright.running.recording import outputs_of
from spikewright.running.runner import Job, Runner


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
    program = runner.program(running.dt, running.seed, running.precision)
    engine = runner.engine(running.engine, program, running.threads)
    fed = feeds_of(x, lowered.inputs, None, steps, running.dt, running.seed)
    job = Job(program, engine, fed.values, fed.batch, steps)
    costs, outputs = _Costs(conversion, running.table), outputs_of(lowered)
    scores: dict[tuple[int, EveryStep], list[NDArray]] = {}
    margins: dict[tuple[int, EveryStep], list[NDArray]] = {}
    for part in runner.parts(job, runner.batch_size(engine), costs.count, at):
        given = part_of(y, part.samples)
        for readout in readouts:
            values = {
                name: output.at_every_step(part.raw[name], readout, running.dt)
                for name, output in outputs.items()
            }
            for t in at:
                read = {name: value[:, t - 1] for name, value in values.items()}
                found = _judged(read, given, outputs, running.metric)
                for kept, rows in zip((scores, margins), found, strict=False):
                    kept.setdefault((t, readout), []).append(rows)
    return Outcome(_joined(scores), _joined(margins), costs.means(fed.batch, at))


def _judged(
    read: Mapping[str, NDArray],
    given: Any,
    outputs: Mapping[str, Output],
    metric: Metric | None,
) -> list[NDArray]:
    """Scores of values that were read out, and margins where there are labels."""
    if metric is not None:
        return [metric(read, given)]
    ((name, output),) = outputs.items()
    return [output.decided(read[name]) == given, margins_of(output, read[name], given)]


def _joined(
    parts: Mapping[tuple[int, EveryStep], list[NDArray]],
) -> dict[tuple[int, EveryStep], NDArray]:
    return {where: np.concatenate(rows) for where, rows in parts.items()}


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

    def __init__(self, conversion: Conversion, table: str | None) -> None:
        self._table = table
        self._spiking = [
            name for name, e in conversion.populations().items() if e.neuron_type.spiking
        ]
        self._inputs, self._lowered = conversion.inputs, conversion.lowered
        self._counter: Counter | None = None
        if table is not None:
            self._counter = Counter(conversion.network, conversion.populations(), conversion.inputs)
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
