"""The plain sweep that a search begins with: one scale for the whole network, many scales.

A user would try it without a search. One run of many steps is read after every smaller number of
them, so that a scale is one trial, whatever the number of steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.study.search.measurement import Measurement
from spikewright.study.search.search import Proposal
from spikewright.study.search.space import Range, Space, Values, begin, choices_of
from spikewright.study.search.trials import Study

ORIGIN = "plain sweep"
RULE = "one scale"
_LEVELS = (5.0, 4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0)
_GRID = 16  # levels in an octave, near the best
_NEAR = (-4, 4, -2, 2, -1, 1)  # of these levels
_BEST = 3  # points whose neighbours are tried
_LONGER = 2  # times the steps of such a point: so long a neighbour runs
_MOST = 45  # trials
_RUNS = 12  # about so many times as long as one of the first trials it takes
_SHARE = 0.3  # of the time
_OF_TRIALS = 3  # of so many trials that were asked for one
_BEHIND = 1.25  # times the cheapest that was found elsewhere: beyond, no finer scale is tried


@dataclass(frozen=True, eq=False)
class PlainSweep:
    """Proposes the scales of a sweep: octaves, and `finer` ones beside the best of these.

    `seconds(steps)` says how long a trial takes, `time` how long a search may last. The sweep has a
    part of it: it runs as many steps as there is time for. `holds` says whether a point keeps the
    limit, `trials` how many trials were asked for, of which it has a third. What is `settled` by
    certificates is no finer where something else costs much less; estimates are too kind for that.
    """

    space: Space
    seconds: Callable[[int], float]
    time: float
    holds: Callable[[Measurement], bool]
    trials: int | None = None
    settled: bool = True

    def __call__(self, study: Study) -> Iterator[Proposal]:
        """The octaves, those that were tried among them; finer ones too, if not settled."""
        tried = self._tried(study)
        if self._over(tried):
            return
        begun = {**begin(self.space), **tried[0]["asked"]}["steps"] if tried else self._steps()
        if begun is not None:
            for level in _LEVELS:
                yield Proposal(self._values(level, int(begun)), ORIGIN)
            if not self.settled:
                yield from self.finer(study)

    def finer(self, study: Study) -> Iterator[Proposal]:
        """Scales beside the cheapest, unless what was found elsewhere costs much less."""
        finished, tried = study.finished(), self._tried(study)
        best = self.cheapest(finished, 1)
        if not tried or not best or self._over(tried):
            return
        others = (p.cost for p in finished if p.origin != ORIGIN and self.holds(p))
        if not self.settled or best[0].cost <= _BEHIND * min(others, default=math.inf):
            for values in self._neighbours(finished):
                yield Proposal(values, ORIGIN)

    def _tried(self, study: Study) -> list[Mapping[str, Any]]:
        return [t.user_attrs for t in study.trials if t.user_attrs.get("origin") == ORIGIN]

    def _over(self, tried: Sequence[Any]) -> bool:
        """True after its share of the trials, and where the space leaves its rule out."""
        most = _MOST if self.trials is None else min(_MOST, self.trials // _OF_TRIALS)
        return len(tried) >= most or RULE not in choices_of(self.space, "rule")

    def cheapest(self, finished: Sequence[Measurement], most: int) -> list[Measurement]:
        """The cheapest points of the sweep that hold the limit, one a scale and number of steps."""
        points = sorted(
            (point for point in finished if point.origin == ORIGIN and self.holds(point)),
            key=lambda point: (point.cost, point.drop),
        )
        first = {(point.trial, point.steps): point for point in reversed(points)}
        return sorted(first.values(), key=lambda point: point.cost)[:most]

    @property
    def _lengths(self) -> list[int]:
        return sorted(choices_of(self.space, "steps"))

    def _steps(self) -> int | None:
        """The longest run that the sweep has time for; None where there is none."""
        fits = [n for n in self._lengths if _RUNS * self.seconds(n) <= _SHARE * self.time]
        return fits[-1] if fits else None

    def _neighbours(self, finished: Sequence[Measurement]) -> Iterator[Values]:
        """Scales beside those of the cheapest points that hold, in runs not much longer."""
        for found in self.cheapest(finished, _BEST):
            values, enough = found.values, _LONGER * found.steps
            longest = int(values["steps"] or 1)
            steps = min(n for n in (*self._lengths, longest) if n >= min(enough, longest))
            level = float(values["level"] or 0.0) + math.log2(steps / longest)
            for shift in _NEAR:
                yield self._values((round(_GRID * level) + shift) / _GRID, steps)

    def _values(self, level: float, steps: int) -> Values:
        allowed = self.space["level"]
        level = allowed.clip(level) if isinstance(allowed, Range) else level
        return {**begin(self.space), "rule": RULE, "steps": steps, "level": level}
