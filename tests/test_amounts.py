"""Measured numbers as text: what is read off a sentence is what was measured."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spikewright._base.amounts import (
    POINTS,
    SPIKES,
    Unit,
    format_difference,
    loss_unit,
)

UNITS = {
    "points": POINTS,
    "two decimals": Unit("points", 100.0, 2, 1e-12),
    "a metric": loss_unit(False),
    "spikes": SPIKES,
    "percent": Unit("%", 100.0, 1),
    "joules": Unit("nJ", 1e9, above="more", below="less"),
    "milliseconds": Unit("ms", 1e3, 3, above="later", below="earlier"),
}
NUMBERS = st.one_of(
    st.just(0.0), st.integers(-1000, 1000).map(lambda n: n / 1000), st.floats(-1e6, 1e6)
)


@st.composite
def differences(draw: st.DrawFn) -> tuple[float, float, float]:
    """A lower end, a value between, and an upper end; the value may be at an end."""
    low, value, high = sorted(draw(st.tuples(NUMBERS, NUMBERS, NUMBERS)))
    return low, value, high


def amounts(text: str, unit: Unit, usual: float) -> list[float]:
    """All amounts of a text with the sign of their word, the usual one where there is no word."""
    signs = {unit.above: 1.0, unit.below: -1.0, "": usual}
    name = rf"(?: {re.escape(unit.name)})?" if unit.name else ""
    word = rf"(?: ({unit.above}|{unit.below}))?"
    found = re.findall(rf"([\d,.]+(?:e[+-]?\d+)?){name}{word}", text)
    return [signs[word] * float(number.replace(",", "")) for number, word in found]


def read(text: str, unit: Unit) -> tuple[float, float, float]:
    """Value, lower and upper end as a reader takes them: an end without a word goes with the value.

    The ends stand in the order of the value's direction.
    """
    headline, _, rest = text.partition(" (95 % interval ")
    (value,) = amounts(headline, unit, math.nan)
    first, second = amounts(rest, unit, math.copysign(1.0, value))
    low, high = (second, first) if value < 0 else (first, second)
    assert low <= high
    return value, low, high


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
@given(found=differences())
@example(found=(-0.018, -0.004, 0.009))
@example(found=(0.0, 0.0, 0.0))
@example(found=(-0.002, 0.0, 0.004))
@example(found=(0.0, 0.004, 0.009))
@example(found=(-0.009, -0.004, 0.0))
@example(found=(-0.0001, 0.0001, 0.0004))
@example(found=(-1e-170, 1e-170, 1e-170))
def test_value_and_ends_are_read_back_with_their_signs(
    unit: Unit, found: tuple[float, float, float]
) -> None:
    """Whatever the sentence says has the sign and, as far as digits are shown, the size it has."""
    low, value, high = found
    largest = max(map(abs, found))
    said = read(format_difference(value, (low, high), unit), unit)
    for text, exact in zip(said, (value, low, high), strict=True):
        exact *= unit.factor
        if abs(exact) > 2 * unit.factor * max(1e-12 * largest, unit.least):
            assert math.copysign(1.0, text) == math.copysign(1.0, exact) and text != 0
        step = 0.5 * 10.0**-unit.decimals if unit.decimals is not None else 0.0
        assert abs(text - exact) <= max(
            step * 1.001, 0.51 * abs(exact), 1e-9 * unit.factor * largest
        )
