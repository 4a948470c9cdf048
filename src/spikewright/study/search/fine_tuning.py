"""Fine-tuning of what a search found: the best setting again, trained for less than it costs."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spikewright.choosing.coding import SignedDigits
from spikewright.errors import SpikewrightError
from spikewright.study.search.coding import code_of
from spikewright.study.search.measurement import Measurement
from spikewright.study.search.objective import Objective
from spikewright.study.search.parameters import CORRECTION
from spikewright.study.search.samples import Labelled

READ = "mean"
"""The readout that networks are trained under."""

_TRAININGS = 3
_WORTH = 0.25  # of the time: what is left of it, for another one without weights
_JUDGED = 0.25  # of the samples searched on, where these are trained on too
_UPDATES, _FEWEST, _BATCH = 3000, 10, 64  # of weights, where there is time; epochs; samples
_PART, _UNWEIGHTED = 0.5, 0.8  # of the cost that is tried first, with weights trained and without
_FASTER = 5e-3  # the rate of learning that thresholds and starts alone bear
_LEAST, _MOST = 0.3, 0.9  # of what held, the next that is tried
_AROUND, _SCALED = (0.74, 1.1), 10  # times the scales trained without weights; settings at most
_CHECKS = 0.4  # of the time of the trainings at most, for runs of these
_BESIDE = 0.2  # of a training's time, beside its epochs; at most half of it


@dataclass(frozen=True)
class TuningData:
    """Samples to train on, `x` and `y` as for `Conversion.train`, and others to validate on."""

    x: Any
    y: Any
    judged: Labelled

    @property
    def epochs(self) -> int:
        """Epochs of a training that is long enough."""
        arrays = list(self.x.values()) if isinstance(self.x, Mapping) else [self.x]
        count = len(arrays[0]) if hasattr(arrays[0], "shape") else _UPDATES * _BATCH
        return max(_FEWEST, math.ceil(_UPDATES * _BATCH / count))


def tuning_data(train: Any, searched: Labelled) -> TuningData:
    """The samples of a fine-tuning: those given as `(x, y)`, or of True most of those searched on.

    Labels of these are trained on; the truth of a metric is not, which only the metric knows.
    """
    if train is not True:
        return TuningData(train[0], train[1], searched)
    cut = len(searched) - round(_JUDGED * len(searched))
    mine = searched[:cut]
    return TuningData(mine.x, None if mine.margins is None else mine.y, searched[cut:])


@dataclass(eq=False)
class FineTuning:
    """Trains the settings of a search for a part of their cost, within about `seconds` in all.

    `limit` is the drop that is aimed at, `trainable` names what may change. What is trained will be
    checked on so many samples `held`. `failures` counts refused trainings by the reason.
    """

    objective: Objective
    given: TuningData
    limit: float
    trainable: tuple[str, ...]
    seconds: float
    held: int
    progress: bool
    failures: Counter[str] = field(default_factory=Counter, init=False)
    _ends: float = field(default=0.0, init=False)  # by the monotonic clock
    _beside: float | None = field(default=None, init=False)  # seconds of the last beside its epochs

    def candidates(
        self, found: Sequence[Measurement], expected: Callable[[Any], float]
    ) -> list[Measurement]:
        """The settings that were trained, each for its own part of the cost.

        First for half the cost of the cheapest that is expected to hold the limit, or of the
        nearest, and for more of it where no weight may change. From then on for what the drop
        allows, which falls with the third power of the cost, or between what held and what did not,
        as parts go in proportion. Where training refuses a setting, the next one has its turn.
        Trainings with weights share the time; without weights the first has all that it needs.
        Each of the latter gives further settings, with all scales smaller or larger, as many as
        there is time to check: they are about as good as if they were trained for what they cost.
        """
        trained: list[Measurement] = []
        self._ends = time.monotonic() + self.seconds
        nearest = sorted(found, key=expected)
        holding = [one for one in nearest if expected(one) <= self.limit]
        for base in [*sorted(holding, key=lambda one: one.cost), *nearest[len(holding) :]]:
            try:
                trained.extend(self._trained(base))
            except SpikewrightError as error:
                self.failures[f"not trained: {error}"] += 1
            if trained:
                break
        return trained

    def _trained(self, base: Measurement) -> Iterator[Measurement]:
        """Trainings of a setting, until one raises as `Conversion.train` does."""
        holds, fails, tried = 1.0, 0.0, list[dict[str, Any]]()
        part = _PART if self._weighted else _UNWEIGHTED
        factors = self._factors(base.steps)
        ends = self._ends - len(factors) * self._run(base.steps)
        for number in range(_TRAININGS):
            rest = ends - time.monotonic()
            if tried and rest < _WORTH * self.seconds:
                return
            share = math.sqrt(holds * fails) if fails else holds * part
            limits = self._limits(base, share)
            if limits in tried:
                return
            tried.append(limits)
            allowed = max(rest, 1.0) / (_TRAININGS - number if self._weighted else 1)
            candidate = self._train(base, limits, allowed)
            yield candidate
            yield from (self._scaled(candidate, factor) for factor in factors)
            spent = min(share, candidate.cost / base.cost)
            drop = candidate.drop
            if drop <= self.limit:
                samples = candidate.paired.n
                cube = max(drop, 0.5 / samples) / max(self.limit, 1.0 / samples)
                holds, part = spent, min(max(cube ** (1 / 3), _LEAST), _MOST)
            else:
                fails = share

    @property
    def _weighted(self) -> bool:
        """True where weights may change."""
        return "weights" in self.trainable

    def _run(self, steps: int) -> float:
        """Seconds of a setting on the samples that it is judged by, and on those held back."""
        return self.objective.seconds(steps, len(self.given.judged) + self.held)

    def _factors(self, steps: int) -> list[float]:
        """Factors of scales that give further settings, as many as there is time to run."""
        if self._weighted or self.objective.minimise == "latency":
            return []
        count = min(_SCALED, int(_CHECKS * self.seconds / max(self._run(steps), 1e-9)))
        return [float(factor) for factor in np.geomspace(*_AROUND, count + 2)[1:-1]]

    def _limits(self, base: Measurement, share: float) -> dict[str, Any]:
        """The arguments of `Conversion.train` that keep a part of the cost of a setting.

        Energy falls with spikes, and has a part that no training can spare. Signed digits are
        trained for all of their steps: what they say is no number of spikes.
        """
        if isinstance(code_of(base.values), SignedDigits):
            return {"steps": base.steps}
        if self.objective.minimise == "latency":
            return {"steps": max(1, int(share * base.steps))}
        return {"steps": base.steps, "spikes": share * base.costs["spikes"]}

    def _train(self, base: Measurement, limits: Mapping[str, Any], allowed: float) -> Measurement:
        """A training that takes about so many seconds at most."""
        begun = time.monotonic()
        beside = _BESIDE * allowed if self._beside is None else min(self._beside, allowed / 2)
        objective, judged = self.objective, self.given.judged
        metric = objective.running.metric
        values = {**base.values, CORRECTION: None}  # what is trained needs none
        beginning: dict[str, Any] = {}
        if not self._weighted:  # with the thresholds that the search found for as many steps
            thresholds = "kept" if limits["steps"] == base.steps else "chosen"
            beginning = {"learning_rate": _FASTER, "thresholds": thresholds}
        training = objective.convert(values).train(
            self.given.x,
            self.given.y,
            **limits,
            dt=objective.running.dt,
            epochs=self.given.epochs,
            batch_size=_BATCH,
            trainable=self.trainable,
            **beginning,
            timeout=allowed - beside,
            validation=(judged.x, judged.y) if metric is None else judged.x,
            seed=objective.running.seed,
            progress=self.progress,
        )
        found = self._candidate(base, limits["steps"], training, training)
        epochs = sum(epoch.seconds for epoch in training.history)
        self._beside = time.monotonic() - begun - epochs
        return found

    def _scaled(self, candidate: Measurement, factor: float) -> Measurement:
        """A trained setting with other scales."""
        training = candidate.training.scaled(factor)
        return self._candidate(candidate, candidate.steps, training, candidate.training)

    def _candidate(self, base: Measurement, steps: int, training: Any, alike: Any) -> Measurement:
        point = self.objective.of(training.conversion, (steps, READ), self.given.judged)
        return replace(point, values=base.values, trial=base.trial, training=training, alike=alike)
