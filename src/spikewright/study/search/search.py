"""The search: starts that rules suggest, steps from the best so far, and Optuna's own proposals.

The next setting follows only from the trials that are finished and those that run. So a search that
was killed goes on where it was, and workers share it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from spikewright._base.optional import require
from spikewright.errors import SpikewrightError, TuningError
from spikewright.study.search.coding import waiting_otherwise
from spikewright.study.search.measurement import Measurement, PenalizedCost, joined
from spikewright.study.search.objective import Objective
from spikewright.study.search.space import Choices, Range, Space, Values, asked
from spikewright.study.search.trials import Study, points_as_json, quiet, values_of, worker_name

PARTS = (200, 600)
"""Samples after which a trial is looked at: one that cannot become good any more is pruned."""

_TURNS = 6  # of so many trials one is Optuna's own proposal
_LENGTHS = 3  # run lengths whose best settings are stepped from
_ORDER = (0, 1, 0, 2)
_SPARE = 0.35  # in `value`: what is not much worse than the best is measured to the end
_COARSE, _REFINED, _FINE = (1.0, 0.5, 0.25), (0.5, 0.25, 0.125), (0.25, 0.125, 0.0625)
_STALE = 40  # Optuna's own proposals in a row without progress, after which the search ends
_MOST_FAILURES = 5  # failures, and nothing else, after which it gives up


class ProposedSetting(NamedTuple):
    """Values to try, and where they come from."""

    values: Values
    origin: str


Generator = Callable[[Study], Iterable[ProposedSetting]]
"""Settings to try, after the trials that a study has; those that were tried may be among them."""


@dataclass(eq=False)
class Search:
    """Tries settings of an `objective` until it is over.

    What `generators` propose is tried in turn; then, for each of `criteria` in turn, settings one
    step away from the best so far. Optuna's sampler and the pruning go by the first criterion.
    `refine` gives settings near a point that parameters cannot express. With `sampling` Optuna
    proposes settings too; without it all begin with those of the generators.
    """

    study: Study
    objective: Objective
    refine: Callable[..., Iterable[Values]]
    criteria: Sequence[PenalizedCost]
    generators: Sequence[Generator]
    sampling: bool = True

    def run(
        self, over: Callable[[int], bool], advance: Callable[[int], None] = lambda done: None
    ) -> None:
        """Try settings, one after the other; `advance` is called after each.

        `over` says whether it ends, after so many trials in the study. Raises `TuningError` where
        none of the first settings can be tried.
        """
        self.study.revive()
        while not over(self.done) and not self.stale:
            proposal = self.next()
            if proposal is not None:
                self._enqueue(proposal)
            with quiet():
                self.study.inner.optimize(self._try, n_trials=1, catch=(SpikewrightError,))
            self.study.revive()
            self._check_failures()
            advance(1)

    @property
    def done(self) -> int:
        """Trials that are finished, pruned ones included."""
        counts = self.study.counts()
        return counts.get("COMPLETE", 0) + counts.get("PRUNED", 0)

    @property
    def stale(self) -> bool:
        """Whether nothing better was found for long, and no step is left to try."""
        points = self.study.finished()
        if self.study.counts().get("WAITING"):
            return False
        if not self.sampling:
            return self.next() is None
        if not points:
            return False
        last = max(self._fitted(criterion).best(points).trial for criterion in self.criteria)
        later = [t for t in self.study.trials if t.number > last]
        free = sum(t.user_attrs.get("origin") == "free" for t in later)
        return free >= _STALE and self.next(stepping=True) is None

    def next(self, stepping: bool = False) -> ProposedSetting | None:
        """The next setting to try; None leaves it to Optuna (never, where `stepping`)."""
        known = self.study.known()
        for proposal in chain.from_iterable(given(self.study) for given in self.generators):
            if self._is_new(proposal, known):
                return proposal
        points = self.study.finished()
        turn = len(known)
        if not points or (self.sampling and turn % _TURNS == 0 and not stepping):
            return None
        stepped = chain.from_iterable(self.steps_from(*base) for base in self._bases(points, turn))
        return next((p for p in stepped if self._is_new(p, known)), None)

    def _is_new(self, proposal: ProposedSetting, known: Collection[str]) -> bool:
        """Whether there is time for a setting, and it was not tried yet."""
        objective, values = self.objective, proposal.values
        return objective.affordable(values) and objective.identify(values) not in known

    def _bases(
        self, points: Sequence[Measurement], turn: int
    ) -> Iterator[tuple[PenalizedCost, Measurement]]:
        """Points to step from in turn: the best of each criterion, and the best of other lengths.

        Of each criterion the best comes every other time.
        """
        for i in range(len(self.criteria)):
            criterion = self._fitted(self.criteria[(turn + i) % len(self.criteria)])
            ranked = _best_of_lengths(points, criterion)[:_LENGTHS]
            first = _ORDER[turn // len(self.criteria) % len(_ORDER)] % len(ranked)
            yield from ((criterion, item) for item in [*ranked[first:], *ranked[:first]])

    def steps_from(self, criterion: PenalizedCost, point: Measurement) -> Iterator[ProposedSetting]:
        """Settings one step away from a point, coarse ones first.

        Numbers up and down, smaller and smaller; in between refinements, and other silent steps of
        digits, which come first where latency counts; at last other choices.
        """
        values = self.objective.shorten(dict(point.values), point.steps)
        if values != point.values:
            yield ProposedSetting(values, "fewer steps")
        refined = set(values) - set(self.objective.space)
        waiting = [ProposedSetting(other, "silent steps") for other in waiting_otherwise(values)]
        if self.objective.minimise == "latency":
            yield from waiting
        if not refined:
            for size in _COARSE:
                yield from _numbers(self.objective.space, values, size)
        for size in _REFINED:
            for found in self.refine(values, point, size, criterion.exchange):
                yield ProposedSetting(found, f"refined {size:g}")
            yield from waiting
        for size in _FINE:
            yield from _numbers(self.objective.space, values, size)
        if not refined:
            yield from _others(self.objective.space, values)

    def expected(self) -> Callable[[Measurement], float]:
        """The drop to be expected of a point, after all that was measured."""
        return self._fitted(self.criteria[0]).expected

    def _fitted(self, criterion: PenalizedCost) -> PenalizedCost:
        return criterion.fitted(self.study.finished())

    def _enqueue(self, proposal: ProposedSetting) -> None:
        refined = set(proposal.values) - set(self.objective.space)
        wanted = {} if refined else asked(self.objective.space, proposal.values)
        marks: dict[str, Any] = {"origin": proposal.origin, "asked": wanted}
        marks["key"] = self.objective.identify(proposal.values)
        if refined:  # nothing is left for a sampler to know of
            marks["values"] = json.dumps(proposal.values)
        self.study.inner.enqueue_trial(wanted, user_attrs=marks)

    def _values(self, trial: Any) -> Values:
        """The values of a trial, which keeps them or lets Optuna choose."""
        if "values" in trial.user_attrs:
            return values_of(trial)
        return {
            name: parameter.first if parameter.is_fixed else parameter.suggest(trial, name)
            for name, parameter in self.objective.space.items()
        }

    def _try(self, trial: Any) -> float:
        """Measure one setting on more and more samples; returns its value."""
        trial.set_user_attr("worker", worker_name())
        values = self._values(trial)
        key = self.objective.identify(values)
        if "key" not in trial.user_attrs:
            marks = {"origin": "free", "asked": asked(self.objective.space, values), "key": key}
            for name, mark in marks.items():
                trial.set_user_attr(name, mark)
        if not self.objective.affordable(values) or self.study.has_twin(trial.number, key):
            raise require("optuna").TrialPruned()
        parts: list[Sequence[Measurement]] = []
        criterion, samples = self._fitted(self.criteria[0]), len(self.objective.samples)
        for number, part in enumerate(_parts(samples)):
            try:
                parts.append(self.objective.measure(values, part))
            except SpikewrightError as error:
                trial.set_user_attr("error", str(error))
                raise
            if part.stop < samples:
                lower_bound = min(map(criterion.lower_bound, joined(parts)))
                trial.report(lower_bound, number)
                done = (t.value for t in self.study.trials if t.state.name == "COMPLETE")
                if lower_bound > min(done, default=float("inf")) + _SPARE:
                    raise require("optuna").TrialPruned()
        points = joined(parts)
        trial.set_user_attr("values", json.dumps(values))
        trial.set_user_attr("points", points_as_json(points))
        return criterion.value(criterion.best(points))

    def _check_failures(self) -> None:
        counts = self.study.counts()
        if counts.get("FAIL", 0) < _MOST_FAILURES or set(counts) - {"FAIL", "WAITING"}:
            return
        found = self.study.failures() or {"no reason was noted": counts["FAIL"]}
        reasons = "\n  - ".join(f"{count} x {reason}" for reason, count in found.items())
        raise TuningError(f"no setting of the space can be tried:\n  - {reasons}")


def _best_of_lengths(points: Sequence[Measurement], criterion: PenalizedCost) -> list[Measurement]:
    """The best point of every number of steps, the best of them first."""
    best: dict[int, Measurement] = {}
    for point in points:
        if point.steps not in best or criterion.value(point) < criterion.value(best[point.steps]):
            best[point.steps] = point
    return sorted(best.values(), key=lambda point: (criterion.value(point), point.trial))


def _parts(samples: int) -> Iterator[slice]:
    ends = [end for end in PARTS if end < samples] + [samples]
    for start, end in zip([0, *ends], ends, strict=False):
        yield slice(start, end)


def _numbers(space: Space, values: Values, size: float) -> Iterator[ProposedSetting]:
    for name, parameter in space.items():
        if not isinstance(parameter, Range) or parameter.is_fixed:
            continue
        for sign in (-1.0, 1.0):
            moved = parameter.clip(float(values[name] or 0.0) + sign * size)
            if moved != values[name]:
                yield ProposedSetting({**values, name: moved}, f"step {size:g} of {name}")


def _others(space: Space, values: Values) -> Iterator[ProposedSetting]:
    for name, parameter in space.items():
        if isinstance(parameter, Choices) and name != "readout":
            for value in parameter.values:
                if value != values[name]:
                    yield ProposedSetting({**values, name: value}, f"{name} {value}")
