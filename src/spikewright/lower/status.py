"""The words for guarantees, their order, and the number of steps at which one holds."""

import re
from collections.abc import Iterable
from typing import Annotated

from spikewright._base.schema import Where
from spikewright.lower.rounding import STEP

KINDS = ("refused", "", "approximated", "exact after", "convergent", "exact")
"""All kinds of guarantees, the weakest first; "" is one that is not known."""

_AFTER = re.compile(r"exact after (different numbers of steps \(.+\)|\d+ steps?)")
_WHOLE = 1e-6  # of a step: numbers of steps that differ by less are one


def steps_in(seconds: float, dt: float) -> int | None:
    """The whole number of steps of `dt` seconds that lasts so long, or None."""
    number = round(seconds / dt)
    return number if number >= 1 and abs(seconds / dt - number) <= _WHOLE * number else None


def exact_after(seconds: float) -> str | None:
    """The guarantee of a layer that has its source's value after so many seconds alone.

    None where no whole number of steps of 1 ms lasts so long.
    """
    steps = steps_in(seconds, STEP)
    return None if steps is None else f"exact after {steps} step{'s' * (steps != 1)}"


def kind_of(status: str) -> str:
    """The kind of a guarantee: "exact after 4 steps" is "exact after"; others are their own."""
    return "exact after" if _AFTER.fullmatch(status) else status


def _is_status(text: str) -> bool:
    return kind_of(text) in (*KINDS, "warning")


Status = Annotated[str, Where(_is_status, f"one of {', '.join(filter(None, KINDS))}, warning")]
"""A guarantee in words, or "warning"."""


def weakest(statuses: Iterable[str]) -> str:
    """The guarantee of a whole, from those of its parts: the weakest of them.

    Parts that are exact after a number of steps do not tend to their source with more of them. So
    beside a convergent part, which has an error then, the whole is approximated; and where their
    numbers differ, it is exact after none.
    """
    found = dict.fromkeys(statuses)
    kind = next((kind for kind in KINDS if any(kind_of(s) == kind for s in found)), "exact")
    if kind != "exact after":
        return kind
    if "convergent" in found:
        return "approximated"
    lengths = [status for status in found if kind_of(status) == kind]
    if len(lengths) == 1:
        return lengths[0]
    numbers = sorted({int(number) for status in lengths for number in re.findall(r"\d+", status)})
    return f"exact after different numbers of steps ({', '.join(map(str, numbers))})"
