"""Rules of chips by the number of a profile that they are about, and what breaks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from spikewright._base.registries import Registry
from spikewright.chips.case import ChipMapping, Placed
from spikewright.chips.chip import FigureSource


class Breach(NamedTuple):
    """A rule is broken: by which layer (none: the whole network), how, and what would help."""

    layer: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Broken:
    """A broken rule of a chip.

    `rule` is the number of the profile, such as "limits.channels", and `source` where it is from.
    """

    rule: str
    layer: str
    reason: str
    remedy: str
    source: FigureSource

    def __str__(self) -> str:
        where = f"layer {self.layer!r}: " if self.layer else ""
        return f"{where}{self.reason}. {self.remedy}."


Placements = Mapping[str, Placed]
Check = Callable[[ChipMapping, Placements, Any], Iterator[Breach]]
RULES: Registry[Check] = Registry("rule")
"""Every rule, by the number of a profile that it is about (read only)."""


rule = RULES.named
"""Decorator: a function that finds where a network breaks the rule of a number."""


def broken_rules(case: ChipMapping, placed: Placements) -> list[Broken]:
    """All rules of the chip that a network breaks, once it is laid out."""
    figures = case.chip.figures
    return [
        Broken(number, *breach, figures[number].source)
        for number, check in RULES.items()
        if number in figures
        for breach in check(case, placed, figures[number].value)
    ]


def fewer(found: int, most: int, what: str) -> str:
    """`2 channels fewer`."""
    return f"{found - most:,} {what if found - most != 1 else what.rstrip('s')} fewer"
