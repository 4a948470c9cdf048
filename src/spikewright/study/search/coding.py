"""Codes of values in a search, and as values that every database holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spikewright.choosing.coding import RateCode, SignedDigits
from spikewright.errors import TuningError
from spikewright.lower.coding import CODINGS, Coding
from spikewright.study.search.space import Plain, Values

CODING = "coding"
"""Under this name a setting has its code, as JSON; without it, it is one of firing rates."""


def codes_of(given: Any) -> tuple[Coding, ...]:
    """The argument `coding` as codes; firing rates where there is none.

    Raises `TuningError` for anything else.
    """
    several = given if isinstance(given, Sequence) else (given,)
    found = tuple(RateCode() if code is None else code for code in several)
    if not found or not all(isinstance(code, Coding) for code in found):
        raise TuningError(
            "coding is a code of values such as sw.SignedDigits(4), or a list of them, with "
            f"sw.RateCode() for firing rates, got {given!r}"
        )
    return found


def with_code(values: Values, code: Coding) -> Values:
    """The same values under a code."""
    return {**values, CODING: json.dumps([type(code).__name__, vars(code)])}


def code_of(values: Mapping[str, Plain]) -> Coding | None:
    """The code of some values; None of firing rates in steps that are searched.

    Raises `TuningError` for a kind of code that is not registered.
    """
    if values.get(CODING) is None:
        return None
    name, given = json.loads(str(values[CODING]))
    if name not in CODINGS:
        raise TuningError(
            f"coding: {name!r} is none of the registered codes, which are {', '.join(CODINGS)}"
        )
    found: Coding = CODINGS[name](**given)
    return found


def waiting_otherwise(values: Values) -> Iterator[Values]:
    """The same digits with a silent step less in every layer, and with one more."""
    code = code_of(values)
    if not isinstance(code, SignedDigits):
        return
    silent, most = code.silent_steps, code.steps
    for more in (-1, 1):
        moved: Any = (
            {name: min(most, max(0, n + more)) for name, n in silent.items()}
            if isinstance(silent, Mapping)
            else min(most, max(0, int(silent) + more))
        )
        yield with_code(values, replace(code, silent_steps=moved))
