"""Axes: where a value lies, and which values get a tick."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

EACH = 7.2
"""Pixels of a character, on average and a little more."""

_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class PixelScale:
    """Values from `low` to `high` onto pixels from `start` to `end`; logarithmic where asked."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; values outside are put at the end of the axis."""
        low, high, here = self._of(self.low), self._of(self.high), self._of(value)
        share = 0.5 if high == low else (here - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def _of(self, value: float) -> float:
        return math.log(max(value, self.low if self.low > 0 else 1e-300)) if self.log else value


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    """Round values from `low` to `high`."""
    if high <= low:
        return [low]
    rough = (high - low) / max(1, most)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * s for s in _STEPS if unit * s >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """1, 2 and 5 times powers of ten where there is room for them, else powers of ten alone."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 5), (1,)):
        found = [f * 10.0**p for p in range(first, last + 1) for f in factors]
        found = [v for v in found if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
        if len(found) <= most:
            break
    stride = math.ceil(len(found) / max(1, most))
    return found[::stride] if len(found) > 1 else [low, high]


def whole_ticks(low: float, high: float, most: int) -> list[float]:
    """Round values that are whole numbers."""
    return [tick for tick in linear_ticks(low, high, most) if tick == int(tick)]


def step_ticks(low: float, high: float, most: int) -> list[float]:
    """Every step of a few; else powers of two up to a number of steps, and that number."""
    steps = int(high)
    if steps <= most:
        return [float(step) for step in range(1, steps + 1)]
    found = [1 << n for n in range(steps.bit_length()) if (1 << n) <= steps]
    found = found[:: math.ceil(len(found) / max(1, most))]
    if found[-1] != steps:
        found = [f for f in found if f * 1.5 < steps] + [steps]
    return [float(f) for f in found]


def spread(places: list[float], gap: float, low: float, high: float) -> list[float]:
    """Places from `low` to `high` moved apart to be at least `gap` from each other, in order."""
    order = sorted(range(len(places)), key=places.__getitem__)
    found = list(places)
    least = low
    for index in order:
        found[index] = least = max(found[index], least)
        least += gap
    most = high
    for index in reversed(order):
        found[index] = most = min(found[index], most)
        most -= gap
    return found


def fitting(
    ticks: Iterable[tuple[float, str]], scale: PixelScale, end: float
) -> list[tuple[float, str]]:
    """Pixels and texts of the ticks below an axis that have room between 0 and `end`."""
    found, taken = [], -math.inf
    for value, text in ticks:
        half = EACH * len(text) / 2
        place = min(max(scale(value), half), end - half)
        if place - half > taken:
            found.append((place, text))
            taken = place + half + 4
    return found


def shortened(text: str, width: float) -> str:
    """A text that fits so many pixels, its middle left out if need be."""
    room = max(3, int(width / EACH + 1e-9))
    if len(text) <= room:
        return text
    head = (room - 1) // 2
    return f"{text[:head]}\u2026{text[len(text) - (room - 1 - head) :]}"


def plain(value: float) -> str:
    """A tick's value, short: 0.5, 20, 5,000, 2e-9."""
    if value != 0 and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.10g}"


TickFormat = Callable[[float], str]
