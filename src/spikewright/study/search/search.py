"""The search: starts that rules suggest, steps from the best so far, and Optuna's own proposals.

The next setting follows only from the trials that are finished and those that run. So a search that
was killed goes on where it was, and workers share it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, Protocol

from spikewright._base.optional import require
from spikewright.errors import SpikewrightError, TuningError
from spikewright.study.search.measurement import Measurement, joined
from spikewright.study.search.merit import Aim
from spikewright.study.search.space import (
    Choices,
    Range,
    Space,
    Values,
    asked,
    is_fixed,
    suggest,
)
from spikewright.study.search.trials import (
    Study,
    Trial,
    note,
    quiet,
    values_of,
    worker_name,
    written,
)

PARTS = (200, 600)
"""Samples after which a trial is looked at: one that cannot become good any more is pruned."""

_TURNS = 6  # of so many trials one is Optuna's own proposal
_LENGTHS = 3  # run lengths whose best settings are stepped from
_ORDER = (0, 1, 0, 2)
_SPARE = 0.35  # in merit: what is not much worse than the best is measured to the end
_COARSE, _REFINED, _FINE = (1.0, 0.5, 0.25), (0.5, 0.25, 0.125), (0.25, 0.125, 0.0625)
_STALE = 40  # Optuna's own proposals in a row without progress, after which the search ends
_HOPELESS = 5  # failures, and nothing else, after which it gives up


class Proposal(NamedTuple):
    """Values to try, and where they come from."""

    values: Values
    origin: str


Generator = Callable[[Study], Iterable[Proposal]]
"""Settings to try, after the trials that a study has; those that were tried may be among them."""


class Problem(Protocol):
    """The functions of a search that know what its values stand for."""

    def measure(self, values: Values, part: slice) -> Sequence[Measurement]:
        """The loss and the cost of values on some of the samples."""

    def shorten(self, values: Values, steps: int) -> Values:
        """The values of a run that ends earlier."""

    def refine(
        self, values: Values, point: Measurement, size: float, exchange: float
    ) -> Iterable[Values]:
        """Settings near a point that parameters cannot express; `exchange` is a risk's worth."""

    def identify(self, values: Values) -> str:
        """The same text for values that make the same network."""

    def affordable(self, values: Values) -> bool:
        """Whether there is time to try them."""


@dataclass(frozen=True)
class Limits:
    """The end of a search: `reserve()` seconds before `deadline`, or with `trials` in the study."""

    deadline: float
    reserve: Callable[[], float]
    trials: int | None = None

    def reached(self, done: int) -> bool:
        """Whether it ends now; `deadline` is of the monotonic clock."""
        late = time.monotonic() >= self.deadline - self.reserve()
        return late or (self.trials is not None and done >= self.trials)


@dataclass(eq=False)
class Search:
    """Tries settings of a space on `samples` samples until a limit is reached.

    What `generators` propose is tried in turn; then, for each of `aims` in turn, settings one step
    away from the best so far. The first aim is the one that Optuna's sampler and the pruning go by.
    """

    study: Study
    space: Space
    problem: Problem
    samples: int
    aims: Sequence[Aim]
    generators: Sequence[Generator]

    def run(self, limits: Limits, advance: Callable[[int], None] = lambda done: None) -> None:
        """Try settings, one after the other; `advance` is called after each.

        Raises `TuningError` where none of the first settings can be tried.
        """
        self.study.revive()
        while not limits.reached(self.done) and not self.stale:
            proposal = self.next()
            if proposal is not None:
                self._enqueue(proposal)
            with quiet():
                self.study.inner.optimize(self._try, n_trials=1, catch=(SpikewrightError,))
            self.study.revive()
            self._check_failures()
            advance(1)
        self.study.settle()

    @property
    def done(self) -> int:
        """Trials that are finished, pruned ones included."""
        counts = self.study.counts()
        return counts.get("COMPLETE", 0) + counts.get("PRUNED", 0)

    @property
    def stale(self) -> bool:
        """Whether nothing better was found for long, and no step is left to try."""
        trials = self.study.finished()
        if not trials or self.study.counts().get("WAITING"):
            return False
        last = max(self._best(trials, self._informed(aim))[0].number for aim in self.aims)
        later = [t for t in self.study.trials if t.number > last]
        free = sum(t.user_attrs.get("origin") == "free" for t in later)
        return free >= _STALE and self.next(stepping=True) is None

    def next(self, stepping: bool = False) -> Proposal | None:
        """The next setting to try; None leaves it to Optuna (never, where `stepping`)."""
        known = self.study.known()
        for proposal in chain.from_iterable(given(self.study) for given in self.generators):
            if self._is_new(proposal, known):
                return proposal
        trials = self.study.finished()
        turn = len(known)
        if not trials or (turn % _TURNS == 0 and not stepping):
            return None
        return next((p for p in self._stepped(trials, turn) if self._is_new(p, known)), None)

    def _is_new(self, proposal: Proposal, known: Collection[str]) -> bool:
        """Whether there is time for a setting, and it was not tried yet."""
        problem, values = self.problem, proposal.values
        return problem.affordable(values) and problem.identify(values) not in known

    def _stepped(self, trials: Sequence[Trial], turn: int) -> Iterator[Proposal]:
        """Settings one step away from the best one of this turn."""
        for base in self._bases(trials, turn):
            yield from self.steps_from(*base)

    def _bases(
        self, trials: Sequence[Trial], turn: int
    ) -> Iterator[tuple[Aim, Trial, Measurement]]:
        """Trials to step from, by turns: for each aim the best, and the best of other run lengths.

        Of each aim the best comes every other time.
        """
        for i in range(len(self.aims)):
            aim = self._informed(self.aims[(turn + i) % len(self.aims)])
            ranked = _best_of_lengths(trials, aim)[:_LENGTHS]
            first = _ORDER[turn // len(self.aims) % len(_ORDER)] % len(ranked)
            yield from ((aim, *item) for item in [*ranked[first:], *ranked[:first]])

    def steps_from(self, aim: Aim, trial: Trial, point: Measurement) -> Iterator[Proposal]:
        """Settings one step away from a point, coarse ones first.

        Numbers up and down, smaller and smaller; in between refinements; at last other choices.
        """
        values = self.problem.shorten(dict(trial.values), point.steps)
        if values != trial.values:
            yield Proposal(values, "fewer steps")
        refined = set(values) - set(self.space)
        if not refined:
            for size in _COARSE:
                yield from _numbers(self.space, values, size)
        for size in _REFINED:
            for found in self.problem.refine(values, point, size, aim.exchange):
                yield Proposal(found, f"refined {size:g}")
        for size in _FINE:
            yield from _numbers(self.space, values, size)
        if not refined:
            yield from _others(self.space, values)

    def expected(self) -> Callable[[Measurement], float]:
        """The drop to be expected of a point, after all that was measured."""
        return self._informed(self.aims[0]).expected

    def _informed(self, aim: Aim) -> Aim:
        return aim.informed(point for t in self.study.finished() for point in t.points)

    def _best(self, trials: Sequence[Trial], aim: Aim) -> tuple[Trial, Measurement]:
        found = [(trial, aim.best(trial.points)) for trial in trials]
        return min(found, key=lambda pair: (aim.merit(pair[1]), pair[0].number))

    def _enqueue(self, proposal: Proposal) -> None:
        refined = set(proposal.values) - set(self.space)
        wanted = {} if refined else asked(self.space, proposal.values)
        marks: dict[str, Any] = {"origin": proposal.origin, "asked": wanted}
        marks["key"] = self.problem.identify(proposal.values)
        if refined:  # nothing is left for a sampler to know of
            marks["values"] = json.dumps(proposal.values)
        self.study.inner.enqueue_trial(wanted, user_attrs=marks)

    def _try(self, trial: Any) -> float:
        """Measure one setting on more and more samples; returns its merit."""
        note(trial, worker=worker_name())
        kept = "values" in trial.user_attrs
        values = values_of(trial) if kept else suggest(self.space, trial)
        key = self.problem.identify(values)
        if "key" not in trial.user_attrs:
            note(trial, origin="free", asked=asked(self.space, values), key=key)
        if not self.problem.affordable(values) or self.study.has_twin(trial.number, key):
            raise require("optuna").TrialPruned()
        parts: list[Sequence[Measurement]] = []
        aim = self._informed(self.aims[0])
        for number, part in enumerate(_parts(self.samples)):
            try:
                parts.append(self.problem.measure(values, part))
            except SpikewrightError as error:
                note(trial, error=str(error))
                raise
            if part.stop < self.samples:
                trial.report(min(map(aim.hope, joined(parts))), number)
                if trial.should_prune():
                    raise require("optuna").TrialPruned()
        points = joined(parts)
        note(trial, values=json.dumps(values), points=written(points))
        return aim.merit(aim.best(points))

    def _check_failures(self) -> None:
        counts = self.study.counts()
        if counts.get("FAIL", 0) < _HOPELESS or set(counts) - {"FAIL", "WAITING"}:
            return
        found = self.study.failures() or {"no reason was noted": counts["FAIL"]}
        reasons = "\n  - ".join(f"{count} x {reason}" for reason, count in found.items())
        raise TuningError(f"no setting of the space can be tried:\n  - {reasons}")


def _best_of_lengths(trials: Sequence[Trial], aim: Aim) -> list[tuple[Trial, Measurement]]:
    """The best point of every number of steps, with its trial, the best of them first."""
    best: dict[int, tuple[float, int, Trial, Measurement]] = {}
    for trial in trials:
        for point in trial.points:
            merit = aim.merit(point)
            if point.steps not in best or merit < best[point.steps][0]:
                best[point.steps] = merit, trial.number, trial, point
    return [item[2:] for item in sorted(best.values(), key=lambda item: item[:2])]


def _parts(samples: int) -> Iterator[slice]:
    ends = [end for end in PARTS if end < samples] + [samples]
    for start, end in zip([0, *ends], ends, strict=False):
        yield slice(start, end)


def _numbers(space: Space, values: Values, size: float) -> Iterator[Proposal]:
    for name, parameter in space.items():
        if not isinstance(parameter, Range) or is_fixed(parameter):
            continue
        for sign in (-1.0, 1.0):
            moved = parameter.clip(float(values[name] or 0.0) + sign * size)
            if moved != values[name]:
                yield Proposal({**values, name: moved}, f"step {size:g} of {name}")


def _others(space: Space, values: Values) -> Iterator[Proposal]:
    for name, parameter in space.items():
        if isinstance(parameter, Choices) and name != "readout":
            for value in parameter.values:
                if value != values[name]:
                    yield Proposal({**values, name: value}, f"{name} {value}")


def hopeless_pruner() -> Any:
    """Optuna's pruner of this search: out go trials that cannot come near the best any more.

    They report how good they may turn out to be (`Aim.hope`).
    """
    optuna = require("optuna")

    class Hopeless(optuna.pruners.BasePruner):  # type: ignore[name-defined]
        """Prunes trials that cannot become nearly as good as the best."""

        def prune(self, study: Any, trial: Any) -> bool:
            values = [
                t.value for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"
            ]
            last = trial.last_step
            if not values or last is None:
                return False
            hope: float = trial.intermediate_values[last]
            return hope > min(values) + _SPARE

    return Hopeless()
