"""The settings that a search tries: initial ones, a baseline sweep, and refinements by channel.

The baseline sweep tries many scales, each for the whole network, as a user would without a search.
A run of many steps is read out after every smaller number of steps too, so that a scale takes one
trial, whatever the number of steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.rules import MinimumError, ScaleRule
from spikewright.errors import SpikewrightError
from spikewright.study.search.measurement import Measurement
from spikewright.study.search.objective import Objective
from spikewright.study.search.parameters import CORRECTION, EACH_STEP
from spikewright.study.search.search import ProposedSetting
from spikewright.study.search.space import (
    Parameter,
    Range,
    Space,
    Values,
    begin,
    choices_of,
)
from spikewright.study.search.trials import Study

_RULE_LEVELS = (1.0, 0.0, -1.0, -2.0, -3.0, -4.0)
_CORRECTED = (-1.0, -2.0, 0.0, -3.0)  # corrections pay where spikes are few
_TWO = (-1.0, -2.5)
_TABLED, _LOWER = (2, 4), (0.0, -0.25, -0.5)  # steps, and octaves of all scales
_THREE = (1.0, -0.5, -2.0)


def initial_settings(space: Mapping[str, Parameter]) -> list[Values]:
    """The settings that a search begins with, those that take little time first.

    Every rule in the fewest steps, where neurons may send several spikes at once, and the first
    one with every correction; then the first rule in some steps and in the most, with each cap
    and correction. A cap alone needs more of these.
    """
    first = begin(space)
    steps = sorted(choices_of(space, "steps"))
    caps = choices_of(space, "max_spikes_per_step")
    free = None in caps
    corrections = choices_of(space, CORRECTION)
    found: list[Values] = []
    for rule in choices_of(space, "rule") if free else ():
        few = {**first, "steps": steps[0], "rule": rule, "max_spikes_per_step": None}
        found += list(_ladder(space, few, _TWO if found else _RULE_LEVELS))
        for correction in corrections[1:] if rule == first["rule"] else ():
            found += list(_ladder(space, {**few, CORRECTION: correction}, _CORRECTED))
    for length in dict.fromkeys((steps[len(steps) // 2], steps[-1])):
        for cap in caps:
            longer = {**first, "steps": length, "max_spikes_per_step": cap}
            levels = _TWO[:1] if cap is None else _THREE if free else _RULE_LEVELS
            found += list(_ladder(space, longer, levels))
            found += [
                {**values, CORRECTION: correction}
                for correction in corrections[1:]
                for values in _ladder(space, longer, _TWO[:1])
            ]
    return [item for place, item in enumerate(found) if item not in found[:place]]


def ordered_settings(
    space: Mapping[str, Parameter], dt: float, chosen: Callable[[Values, ScaleRule], Values]
) -> list[Values]:
    """The first settings: those that rank first in tables of few steps, then `initial_settings`.

    `chosen` gives the values of the thresholds that a rule chooses itself.
    """
    few, more = (_tabled(space, steps, dt, chosen) for steps in _TABLED)
    plain = initial_settings(space)
    return [*few, *plain[: len(_RULE_LEVELS)], *more, *plain[len(_RULE_LEVELS) :]]


def _tabled(
    space: Mapping[str, Parameter],
    steps: int,
    dt: float,
    chosen: Callable[[Values, ScaleRule], Values],
) -> list[Values]:
    """The settings of the tables in so many steps, and the same with smaller scales.

    Thresholds of the least error for one spike a step, neurons with negative spikes, and a bias
    for each step; none where the space leaves any of it out.
    """
    wanted: Values = {"steps": steps, "max_spikes_per_step": 1, "neuron": "bipolar"}
    wanted |= {"rule": "minimum error", CORRECTION: EACH_STEP}
    if any(value not in choices_of(space, name) for name, value in wanted.items()):
        return []
    values = chosen({**begin(space), **wanted}, MinimumError(steps, dt=dt))
    return list(_ladder(space, values, _LOWER))


def _ladder(
    space: Mapping[str, Parameter], values: Values, levels: Sequence[float]
) -> Iterator[Values]:
    level = space["level"]
    for value in levels:
        clipped = level.clip(value) if isinstance(level, Range) else value
        yield {**values, "level": clipped}


ORIGIN = "plain sweep"  # as studies on disk store it
RULE = "one scale"
_OCTAVES = (5.0, 4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0)
_GRID = 16  # levels in an octave, near the best
_NEAR = (-4, 4, -2, 2, -1, 1)  # of these levels
_BEST = 3  # points whose neighbours are tried
_LONGER = 2  # times the steps of such a point: so long a neighbour runs
_MOST = 45  # trials
_RUNS = 12  # about so many times as long as one of the first trials it takes
_SWEPT = 0.3  # of the time
_OF_TRIALS = 3  # of so many trials that were asked for one
_BEHIND = 1.25  # times the cheapest that was found elsewhere: beyond, no finer scale is tried


@dataclass(frozen=True, eq=False)
class BaselineSweep:
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

    def __call__(self, study: Study) -> Iterator[ProposedSetting]:
        """The octaves, those that were tried among them; finer ones too, if not settled."""
        tried = self._tried(study)
        if self._over(tried):
            return
        ordered_settings = (
            {**begin(self.space), **tried[0]["asked"]}["steps"] if tried else self._steps()
        )
        if ordered_settings is not None:
            for level in _OCTAVES:
                yield ProposedSetting(self._values(level, int(ordered_settings)), ORIGIN)
            if not self.settled:
                yield from self.finer(study)

    def finer(self, study: Study) -> Iterator[ProposedSetting]:
        """Scales beside the cheapest, unless what was found elsewhere costs much less."""
        finished, tried = study.finished(), self._tried(study)
        best = self.cheapest(finished, 1)
        if not tried or not best or self._over(tried):
            return
        others = (p.cost for p in finished if p.origin != ORIGIN and self.holds(p))
        if not self.settled or best[0].cost <= _BEHIND * min(others, default=math.inf):
            for values in self._neighbours(finished):
                yield ProposedSetting(values, ORIGIN)

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
        fits = [n for n in self._lengths if _RUNS * self.seconds(n) <= _SWEPT * self.time]
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


_PRICES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Prices of a rise of the risk, in units of its worth at the limit."""

_SHARES = (1.0, 1 / 3)  # of the moves that pay, the best ones first
_PAYS = 0.002  # gain of a move that is made, as a logarithm of the cost
_FEWEST_MOVED = 128  # samples that every move is measured on


class Move(NamedTuple):
    """Some channels of a layer, the octaves that they move by, and the effect of that.

    `saved` is the change of the logarithm of the cost, `risked` that of the risk.
    """

    layer: str
    channels: NDArray
    octaves: float
    saved: float
    risked: float


@dataclass(eq=False)
class Refinement:
    """Moves the scale of each channel up and down, alone, and puts together the moves that pay.

    First the change of cost and risk is measured for every move; then for several prices of the
    risk, the moves whose saving exceeds their price are made at once. The result is measured by the
    search: moves that are made together do not add up exactly. One look at all channels takes about
    `seconds`: on fewer samples, and with channels of similar scale moved together, where there are
    many.
    """

    objective: Objective
    seconds: float
    _found: dict[str, list[Values]] = field(default_factory=dict, init=False)

    def proposals(
        self, values: Values, point: Measurement, size: float, exchange: float
    ) -> Iterator[Values]:
        """Settings near a point, whose channels moved by `size` octaves; none is measured yet."""
        key = repr((sorted(values.items()), point.where, size))
        if key not in self._found:
            self._found[key] = list(self._combine(values, point, size, exchange))
        yield from self._found[key]

    def _combine(
        self, values: Values, point: Measurement, size: float, exchange: float
    ) -> Iterator[Values]:
        translation = self.objective.translation
        scales = translation.scales(values)
        moves = self._moves(values, scales, point, size)
        seen = set()
        for price in _PRICES:
            chosen = _paying(moves, price * exchange)
            for share in _SHARES:
                some = chosen[: math.ceil(share * len(chosen))]
                found = translation.refined(values, _moved(scales, some))
                text = repr(sorted(found.items()))
                if some and text not in seen:
                    seen.add(text)
                    yield found

    def _moves(
        self, values: Values, scales: Mapping[str, NDArray], point: Measurement, size: float
    ) -> list[Move]:
        """The effect of every move, on some of the samples."""
        pace = max(self.objective.seconds(point.steps, 1), 1e-9)
        affordable = self.seconds / (2 * pace)
        groups = _groups(scales, int(max(len(scales), affordable / _FEWEST_MOVED)))
        count = sum(len(some) for some in groups.values())
        samples = self.objective.samples
        some = samples[: int(np.clip(affordable / count, _FEWEST_MOVED, len(samples)))]
        biases = self.objective.convert(values).resolved["bias_correction"]

        def measured(scales: Mapping[str, NDArray]) -> tuple[float, float]:
            """Cost and risk, with biases of each step as the base has them."""
            changes = self.objective.translation.arguments(
                self.objective.translation.refined(values, scales)
            )
            moved = self.objective.conversion.replace(**changes, bias_correction=biases)
            found = self.objective.of(moved, point.where, some)
            return found.cost, found.risk

        cost, risk = measured(scales)
        moves = []
        for layer, parts in groups.items():
            for channels in parts:
                for octaves in (-size, size):
                    move = Move(layer, channels, octaves, 0.0, 0.0)
                    try:
                        found = measured(_moved(scales, [move]))
                    except SpikewrightError:  # what cannot be run saves nothing
                        continue
                    saved = math.log(max(found[0], 1e-300) / max(cost, 1e-300))
                    moves.append(move._replace(saved=saved, risked=found[1] - risk))
        return moves


def _paying(moves: list[Move], price: float) -> list[Move]:
    """The moves whose saving exceeds their risk at this price, one a channel, the best first."""
    best: dict[tuple[str, int], tuple[float, Move]] = {}
    for move in moves:
        change = move.saved + price * move.risked
        place = move.layer, int(move.channels[0])
        if change < min(-_PAYS, best[place][0] if place in best else 0.0):
            best[place] = change, move
    return [move for _, move in sorted(best.values(), key=lambda item: item[0])]


def _moved(scales: Mapping[str, NDArray], moves: list[Move]) -> dict[str, NDArray]:
    found = {name: np.array(scale, float) for name, scale in scales.items()}
    for move in moves:
        found[move.layer][move.channels] *= 2.0**move.octaves
    return found


def _groups(scales: Mapping[str, NDArray], most: int) -> dict[str, list[NDArray]]:
    """Channels that move together: single ones while there are at most `most`."""
    total = sum(len(scale) for scale in scales.values())
    found = {}
    for name, scale in scales.items():
        share = max(1, min(len(scale), round(most * len(scale) / total)))
        found[name] = np.array_split(np.argsort(scale, kind="stable"), share)
    return found
