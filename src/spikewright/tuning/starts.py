"""Where the search begins: what rules suggest, from many spikes to few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from spikewright.tune.space import Choices, Parameter, Plain, Range, Values, begin

_LEVELS = (1.0, 0.0, -1.0, -2.0, -3.0, -4.0)
_FEW = (0.0, -1.5, -3.0)


def starts(space: Mapping[str, Parameter]) -> list[Values]:
    """Settings to begin with.

    The first rule at several numbers of spikes, in the fewest steps and in the most, without a cap
    and with each; then the other rules, in the fewest steps.
    """
    first = begin(space)
    steps = sorted(int(step) for step in _choices(space, "steps"))  # type: ignore[arg-type]
    found = []
    for cap in _choices(space, "max_spikes_per_step"):
        few = {**first, "steps": steps[0], "max_spikes_per_step": cap}
        many = {**few, "steps": steps[-1]}
        found += list(_ladder(space, few, _LEVELS)) if cap is None else []
        if len(steps) > 1 or cap is not None:
            found += list(_ladder(space, many, _LEVELS[:-1] if cap is None else _LEVELS))
    for rule in _choices(space, "rule")[1:]:
        found += list(_ladder(space, {**first, "steps": steps[0], "rule": rule}, _FEW))
    return _different(found)


def _ladder(
    space: Mapping[str, Parameter], values: Values, levels: Sequence[float]
) -> Iterator[Values]:
    level = space["level"]
    for value in levels:
        clipped = level.clip(value) if isinstance(level, Range) else value
        yield {**values, "level": clipped}


def _choices(space: Mapping[str, Parameter], name: str) -> tuple[Plain, ...]:
    parameter = space[name]
    return parameter.values if isinstance(parameter, Choices) else ()


def _different(items: Sequence[Values]) -> list[Values]:
    found: list[Values] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found
