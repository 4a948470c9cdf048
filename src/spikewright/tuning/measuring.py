"""One run of a network on labelled samples: how sure each answer is, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.conversion import Conversion
from spikewright.conversion.encoding import feeds_of
from spikewright.conversion.runner import Job, Runner
from spikewright.engines import Precision, Totals
from spikewright.measure import EveryStep
from spikewright.measure.energy import energy
from spikewright.measure.operations import Counter
from spikewright.measure.truth import Output
from spikewright.network import Node


@dataclass(frozen=True)
class Running:
    """How networks are run; `table` names the cost table that energy is counted by, if it is."""

    dt: float = 0.001
    engine: str = "auto"
    precision: Precision = "float32"
    threads: int | None = None
    seed: int = 0
    table: str | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gave, `(samples,)` each and by where it was read: (steps, readout).

    `margins` say by how much the right class leads; `right` whether it does. `costs` are means a
    sample by name, by the number of steps.
    """

    margins: Mapping[tuple[int, EveryStep], NDArray]
    right: Mapping[tuple[int, EveryStep], NDArray]
    costs: Mapping[int, Mapping[str, float]]


def run(
    conversion: Conversion,
    x: Mapping[str, NDArray],
    y: NDArray,
    at: Sequence[int],
    readouts: Sequence[EveryStep],
    running: Running,
) -> Outcome:
    """Run up to the last of the steps `at`, and look at all of them.

    Raises as `Conversion.run` does.
    """
    lowered, steps = conversion.lowered, max(at)
    runner = Runner(lowered)
    program = runner.program(running.dt, running.seed, running.precision)
    engine = runner.engine(running.engine, program, running.threads)
    fed = feeds_of(x, lowered.inputs, None, steps, running.dt, running.seed)
    job = Job(program, engine, fed.values, fed.batch, steps)
    costs = _Costs(conversion, running.table)
    name, output = output_of(conversion)
    margins: dict[tuple[int, EveryStep], list[NDArray]] = {}
    right: dict[tuple[int, EveryStep], list[NDArray]] = {}
    for part in runner.parts(job, runner.batch_size(), costs.count, at):
        labels = y[part.samples]
        for readout in readouts:
            values = output.at_every_step(part.raw[name], readout, running.dt)
            for t in at:
                read = values[:, t - 1]
                margins.setdefault((t, readout), []).append(margins_of(read, labels))
                right.setdefault((t, readout), []).append(output.decided(read) == labels)
    return Outcome(
        {where: np.concatenate(parts) for where, parts in margins.items()},
        {where: np.concatenate(parts) for where, parts in right.items()},
        costs.means(fed.batch, at),
    )


def output_of(conversion: Conversion) -> tuple[str, Output]:
    """The one output of a network."""
    ((name, node),) = conversion.graph.outputs.items()
    activation = conversion.lowered.readouts.get(name)
    return name, Output(name, conversion.graph.shapes[node], activation)


def margins_of(values: NDArray, labels: NDArray) -> NDArray:
    """By how much the value of the right class exceeds the largest other, `(samples,)`.

    A single value is a sigmoid's, which one half divides.
    """
    if values.shape[-1] == 1:
        above: NDArray = np.where(labels == 1, values[:, 0] - 0.5, 0.5 - values[:, 0])
        return above
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
        self._inputs = conversion.inputs
        self._counter: Counter | None = None
        if table is not None:
            self._counter = Counter(conversion.network, conversion.populations(), conversion.inputs)
        self._sums: dict[int, dict[str, float]] = {}

    def count(self, step: int, totals: Mapping[str, Totals], fed: Mapping[Node, NDArray]) -> None:
        """Take the spikes of some samples up to a step, and what they were fed."""
        sums = self._sums.setdefault(step, {})
        spikes = {name: totals[name].sent for name in self._spiking}
        sums["spikes"] = sums.get("spikes", 0.0) + sum(float(t.sum()) for t in spikes.values())
        if self._counter is not None and self._table is not None:
            held = {name: fed[node][:, 0] for name, node in self._inputs.items()}
            joules = energy(self._counter.count(spikes, step, held), self._table).total
            sums["energy"] = sums.get("energy", 0.0) + float(joules.sum())

    def means(self, samples: int, at: Sequence[int]) -> dict[int, dict[str, float]]:
        """Means a sample up to each step."""
        return {t: {name: v / samples for name, v in self._sums[t].items()} for t in at}
