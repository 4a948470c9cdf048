"""Measured numbers as text: percentages, joules, and differences with their interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_ROUND_OFF = 1e-12  # of the largest of the numbers that stand together: less is 0


def percent(value: float) -> str:
    """A fraction as percent with one decimal: `98.3 %`."""
    return f"{bare_percent(value)} %"


def bare_percent(value: float) -> str:
    """A fraction as percent without the sign, as in intervals behind a percentage: `98.3`."""
    return _tenths(100 * value)


def points(value: float) -> str:
    """A difference of fractions in percentage points, with its sign: `-0.3 points`."""
    return f"{bare_percent(value)} points"


def _tenths(value: float) -> str:
    """One decimal, without a minus before 0.0."""
    text = f"{value:.1f}"
    return "0.0" if text == "-0.0" else text


def number(value: float) -> str:
    """Three significant digits below a thousand, whole numbers with separators above."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def counted(number: int, name: str) -> str:
    """A number of things by their name: "1 step", "1,024 steps"."""
    return f"{number:,} {name}{'s' * (number != 1)}"


def steps_text(steps: int, network_steps: int, each: str = "") -> str:
    """The steps of a run, each so long if that is said: "4 steps of 1 ms (22 of the network)".

    Those of the network are given where they are more than those of a layer.
    """
    whole = f" ({network_steps} of the network)" if network_steps != steps else ""
    return f"{steps} step{'s' * (steps != 1)}{each and f' of {each}'}{whole}"


def capital(text: str) -> str:
    """A text as a sentence or a title begins."""
    return text[:1].upper() + text[1:]


def joules(value: float) -> str:
    """Joules with a prefix and three significant digits: `1.24 nJ`."""
    for factor, unit in ((1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ"), (1e-12, "pJ")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e-12:.3g} pJ"


def format_energy(value: float, table: str) -> str:
    """Joules and the cost table that they were counted by: `1.24 nJ (45nm-fp32)`."""
    return f"{joules(value)} ({table})"


@dataclass(frozen=True)
class Unit:
    """The unit of a difference, and the words for a positive and a negative one.

    Numbers are multiplied by `factor` and have so many `decimals`, or three significant digits
    where that is None. `name` is empty for numbers without a unit. Up to `least` they are round-off
    of 0.
    """

    name: str = ""
    factor: float = 1.0
    decimals: int | None = None
    least: float = 0.0
    above: str = "lost"
    below: str = "gained"

    def format_size(self, value: float) -> str:
        """The amount without its sign; only 0 is shown as 0, smaller ones have more digits."""
        amount = abs(self.factor * value)
        if amount == 0:
            return "0"
        text = number(amount) if self.decimals is None else f"{amount:.{self.decimals}f}"
        return text if float(text.replace(",", "")) else f"{amount:.1g}"

    def format_signed(self, value: float) -> str:
        """The amount with the word for its sign, such as `0.4 gained`; 0 has none."""
        if value == 0:
            return "0"
        return f"{self.format_size(value)} {self.below if value < 0 else self.above}"

    def format(self, value: float) -> str:
        """The amount with its unit and the word for its sign, such as `0.4 points gained`."""
        word = self.below if value < 0 else self.above
        return " ".join(filter(None, (self.format_size(value), self.name, word)))


POINTS = Unit("points", 100.0, 1, _ROUND_OFF)
"""Losses of accuracy and other fractions, in percentage points."""

SPIKES = Unit("spikes", above="more", below="fewer")
"""Differences in the number of spikes."""


def loss_unit(fraction: bool) -> Unit:
    """The unit of losses: points of fractions, plain numbers of other scores."""
    return POINTS if fraction else Unit()


def format_difference(
    value: float,
    interval: Sequence[float] | None = None,
    unit: Unit = POINTS,
    kind: str = "95 % interval",
) -> str:
    """A difference in words, with its interval where there is one; `kind` says of which kind.

    `0.4 points lost (95 % interval 0.1 to 0.9)`, or where the ends have different signs `0.4 points
    gained (95 % interval 0.9 lost to 1.8 gained)`. `value` and `interval` are those before the
    unit's factor; positive ones are `unit.above`.
    """
    value, *ends = _without_round_off((value, *(interval or ())), unit.least)
    text = unit.format(value)
    return f"{text} ({kind} {format_interval(value, ends, unit)})" if ends else text


def format_interval(value: float, interval: Sequence[float], unit: Unit = POINTS) -> str:
    """The ends of a difference's interval, in the order of its direction: `0.9 lost to 1.8 gained`.

    Without words where both lie on the same side of 0 as `value`.
    """
    value, *ends = _without_round_off((value, *interval), unit.least)
    same = value != 0 and all(end == 0 or (end < 0) == (value < 0) for end in ends)
    text_of = unit.format_size if same else unit.format_signed
    return " to ".join(map(text_of, reversed(ends) if value < 0 else ends))


def _without_round_off(values: Sequence[float], least: float) -> list[float]:
    """The values, with 0 in the place of those that are nothing beside the largest."""
    sizes = [abs(value) for value in values if math.isfinite(value)]
    least = max(least, _ROUND_OFF * max(sizes, default=0.0))
    return [0.0 if abs(value) <= least else value for value in values]
