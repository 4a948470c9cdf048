"""The spending of a network's layers on samples: it is run, and its spikes are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.calibration import count
from spikewright.choosing.rules.spending import Spent, Split
from spikewright.choosing.scales import Budget
from spikewright.choosing.statistics.batches import Batch
from spikewright.engines import Totals
from spikewright.lower import Lowered
from spikewright.measure.operations import Counter
from spikewright.running.run import feeds_for
from spikewright.running.runner import Job, Runner


class Batches(NamedTuple):
    """Batches that a network is run on; `few` where they are only some of the calibration data."""

    batches: Sequence[Batch]
    few: bool = False


class Meter:
    """A network and the samples that it is run on, under whatever thresholds it is given."""

    def __init__(self, lowered: Lowered, samples: Batches) -> None:
        self._lowered, self._samples = lowered, samples
        self._runner = Runner(lowered)
        self._ensembles = self._runner.populations()
        self._spiking = [n for n, e in self._ensembles.items() if e.neuron_type.spiking]
        self._counter: Counter | None = None

    def take(self, budget: Budget, split: Split) -> None:
        """Give the layers of a budget these thresholds."""
        for name, theta in split.thresholds.items():
            layer = budget.spending.items[name].layer
            self._ensembles[name].rate_scale = layer.spread(1.0 / (theta * budget.rule.dt))

    def spent(self, budget: Budget) -> Spent:
        """The spending of a budget's spiking layers on a sample, or on a step of a sequence."""
        rule = budget.rule
        totals, windows = self._totals(rule.steps, rule.dt)
        mine = {name: total for name, total in totals.items() if name in budget.case.settings}
        spikes = {name: float(total.sum()) / windows for name, total in mine.items()}
        each = spikes if rule.joules is None else self._joules(budget, mine, windows)
        return Spent(each, sum(map(count, self._samples.batches)), self._samples.few)

    def _totals(self, steps: int, dt: float) -> tuple[dict[str, NDArray], float]:
        """Spikes of each neuron in all samples together, and in how many times `steps` steps."""
        program = self._runner.program(dt, 0, "float32")
        engine = self._runner.engine("auto", program)
        sums: dict[str, NDArray] = {}
        windows = 0.0
        for batch in self._samples.batches:
            held = steps if self._lowered.stepping is None else None
            fed = feeds_for(self._lowered, batch, None, held, dt, 0)
            windows += fed.batch * fed.steps / steps
            job = Job(program, engine, fed.values, fed.batch, fed.steps)
            for part in self._runner.parts(job, self._runner.batch_size(engine), self._counted):
                for name, total in part.counted[fed.steps].items():
                    sums[name] = sums.get(name, np.zeros(())) + total
        return sums, windows

    def _counted(self, step: int, totals: Mapping[str, Totals], fed: object) -> dict[str, NDArray]:
        return {name: totals[name].sent.sum(axis=0, dtype=np.float64) for name in self._spiking}

    def _joules(
        self, budget: Budget, totals: Mapping[str, NDArray], windows: float
    ) -> dict[str, float]:
        """The energy of all additions that spikes cause, shared out by the weights that they meet.

        Spikes that pass a maximum over a window count behind it, so that only the sum is exact.
        """
        if self._counter is None:
            self._counter = Counter(self._lowered.network, self._ensembles, self._lowered.inputs)
        nothing = {name: np.zeros((1, *self._ensembles[name].shape)) for name in self._spiking}
        sent = {name: total[None] for name, total in totals.items()}
        without, whole = (
            int(self._counter.count(given, budget.rule.steps).total().accumulates.sum())
            for given in (nothing, {**nothing, **sent})
        )
        paid = (whole - without) * budget.rule.joules_per_addition / windows
        met = {n: float(t.sum()) * budget.rule.price(budget.case, n) for n, t in totals.items()}
        return {name: paid * part / max(sum(met.values()), 1e-300) for name, part in met.items()}
