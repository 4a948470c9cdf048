"""The objective of the search: values of parameters in, what they lose and cost out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from numpy.typing import NDArray

from spikewright.conversion import Conversion
from spikewright.engines import Precision
from spikewright.measure import After, Evaluation, EveryStep
from spikewright.records import Record, select
from spikewright.tune.measured import Point
from spikewright.tune.paired import Paired
from spikewright.tune.space import Choices, Plain, Space
from spikewright.tuning.settings import Translation, read_at

Minimise = Literal["spikes", "energy", "latency"]
MINIMISED: tuple[Minimise, ...] = ("spikes", "energy", "latency")

_LATE = (2, 4, 8)  # steps that late readouts leave out


@dataclass(frozen=True)
class Running:
    """How networks are run."""

    dt: float = 0.001
    engine: str = "auto"
    precision: Precision = "float32"
    threads: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs `{name: array}`, labels, and which of them the source model answers rightly."""

    x: Mapping[str, NDArray]
    y: NDArray
    right: NDArray

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, part: slice | NDArray) -> Samples:
        return Samples(
            {name: array[part] for name, array in self.x.items()}, self.y[part], self.right[part]
        )


@dataclass(eq=False)
class Objective:
    """Converts, runs and measures.

    `minimise` names the cost; energy is that of the cost table `table`. `pace` says how many
    seconds a sample took lately.
    """

    conversion: Conversion
    translation: Translation
    space: Space
    minimise: Minimise
    running: Running
    table: str
    pace: float = field(default=0.0, init=False)
    _converted: tuple[str, Conversion] | None = field(default=None, init=False)

    def convert(self, values: Mapping[str, Plain]) -> Conversion:
        """The network under these values; the last one is kept."""
        key = repr(sorted(values.items()))
        if self._converted is None or self._converted[0] != key:
            changes = self.translation.arguments(values)
            self._converted = key, self.conversion.again(**changes)
        return self._converted[1]

    def __call__(self, values: Mapping[str, Plain], samples: Samples) -> list[Point]:
        """Measure on samples, at every number of steps and under every readout."""
        steps = int(values["steps"] or 1)
        at = read_at(self._choices("steps"), steps)
        readouts = self._readouts(at)
        found = self._evaluate(values, samples, steps, at, list(readouts.values()))
        return [
            self._point(found, samples, t, name, readout)
            for t in at
            for name, readout in readouts.items()
            if not isinstance(readout, After) or readout.steps(self.running.dt) < t
        ]

    def at(self, values: Mapping[str, Plain], where: Point, samples: Samples) -> Point:
        """Measure one number of steps and readout alone."""
        readout = self.readout(where.readout)
        found = self._evaluate(values, samples, where.steps, [where.steps], [readout])
        return self._point(found, samples, where.steps, where.readout, readout)

    def readout(self, name: str) -> EveryStep:
        """A readout from its name in a point."""
        if name in ("mean", "last"):
            return name  # type: ignore[return-value]
        return After(float(name.removeprefix("after ")) * self.running.dt)

    def _choices(self, name: str) -> Sequence[Plain]:
        parameter = self.space[name]
        return parameter.values if isinstance(parameter, Choices) else ()

    def _readouts(self, at: Sequence[int]) -> dict[str, EveryStep]:
        wanted = self._choices("readout")
        names = [str(name) for name in wanted if name != "late"]
        if "late" in wanted:
            names += [f"after {left}" for left in _LATE if left < at[-1]]
        if at[-1] == 1 and names:
            names = names[:1]  # they are all the same
        return {name: self.readout(name) for name in names}

    def _evaluate(
        self,
        values: Mapping[str, Plain],
        samples: Samples,
        steps: int,
        at: Sequence[int],
        readouts: Sequence[EveryStep],
    ) -> Evaluation:
        run, conversion = self.running, self.convert(values)
        begun = time.monotonic()
        found = conversion.evaluate(
            samples.x,
            samples.y,
            steps,
            run.dt,
            readouts=readouts,
            at=at,
            seed=run.seed,
            engine=run.engine,
            precision=run.precision,
            threads=run.threads,
            source=False,
            operations=self.minimise == "energy",
            progress=False,
        )
        taken = (time.monotonic() - begun) / len(samples)
        self.pace = taken if self.pace == 0.0 else 0.9 * self.pace + 0.1 * taken
        return found

    def _point(
        self, found: Evaluation, samples: Samples, steps: int, name: str, readout: EveryStep
    ) -> Point:
        (output,) = self.conversion.outputs
        hits = found.samples["correct", output, str(readout)][:, steps - 1]
        costs = self._costs(found.records, steps)
        return Point(steps, name, Paired.of(samples.right, hits), self._cost(costs, steps), costs)

    def _costs(self, records: Sequence[Record], steps: int) -> dict[str, float]:
        spikes = [
            r for r in select(records, "spikes per sample", steps=steps) if "layer" not in r.how
        ]
        costs = {"spikes": sum(record.value for record in spikes)}
        if self.minimise == "energy":
            joules = select(records, "energy", steps=steps, table=self.table, network="spiking")
            costs["energy"] = joules[0].value
        return costs

    def _cost(self, costs: Mapping[str, float], steps: int) -> float:
        """What is minimised; of latency the steps, and among equal ones the spikes."""
        if self.minimise != "latency":
            return costs[self.minimise]
        spikes = costs["spikes"]
        return steps + spikes / (spikes + self.translation.allocation.neurons)
