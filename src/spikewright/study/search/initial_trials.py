"""The settings that a search begins with: those of tables, and those that rules suggest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from spikewright.choosing.rules import MinimumError, ScaleRule
from spikewright.study.search.parameters import CORRECTION, EACH_STEP
from spikewright.study.search.space import Parameter, Range, Values, begin, choices_of

_LEVELS = (1.0, 0.0, -1.0, -2.0, -3.0, -4.0)
_CORRECTED = (-1.0, -2.0, 0.0, -3.0)  # corrections pay where spikes are few
_TWO = (-1.0, -2.5)
_TABLED, _LOWER = (2, 4), (0.0, -0.25, -0.5)  # steps, and octaves of all scales
_THREE = (1.0, -0.5, -2.0)


def starts(space: Mapping[str, Parameter]) -> list[Values]:
    """Settings to begin with, those that take little time first.

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
        found += list(_ladder(space, few, _TWO if found else _LEVELS))
        for correction in corrections[1:] if rule == first["rule"] else ():
            found += list(_ladder(space, {**few, CORRECTION: correction}, _CORRECTED))
    for length in dict.fromkeys((steps[len(steps) // 2], steps[-1])):
        for cap in caps:
            longer = {**first, "steps": length, "max_spikes_per_step": cap}
            levels = _TWO[:1] if cap is None else _THREE if free else _LEVELS
            found += list(_ladder(space, longer, levels))
            found += [
                {**values, CORRECTION: correction}
                for correction in corrections[1:]
                for values in _ladder(space, longer, _TWO[:1])
            ]
    return [item for place, item in enumerate(found) if item not in found[:place]]


def begun(
    space: Mapping[str, Parameter], dt: float, chosen: Callable[[Values, ScaleRule], Values]
) -> list[Values]:
    """Settings to begin with: those that rank first in the tables of few steps, and the `starts`.

    `chosen` gives the values of the thresholds that a rule chooses itself.
    """
    few, more = (_tabled(space, steps, dt, chosen) for steps in _TABLED)
    plain = starts(space)
    return [*few, *plain[: len(_LEVELS)], *more, *plain[len(_LEVELS) :]]


def _tabled(
    space: Mapping[str, Parameter],
    steps: int,
    dt: float,
    chosen: Callable[[Values, ScaleRule], Values],
) -> list[Values]:
    """The settings of the tables in so many steps, and the same with smaller scales.

    Thresholds of the least error for one spike a step, neurons that take spikes back, and a bias
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
