"""Cases: some in the default run and all in the slow one, one of each kind, and in turn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Any, TypeVar

import pytest

from conformance.base import turns

Case = TypeVar("Case")


def slow_but(quick: Collection[Any], cases: Iterable[Any]) -> list[Any]:
    """Cases as parameters, all but the quick ones marked slow; the quick ones are among them."""
    every = list(cases)
    assert set(quick) <= set(every), set(quick) - set(every)
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in every]


def one_of_each(cases: Iterable[Case], kind: Callable[[Case], Hashable]) -> list[Case]:
    """The first case of each kind."""
    found: dict[Hashable, Case] = {}
    for case in cases:
        found.setdefault(kind(case), case)
    return list(found.values())


def of_each_type(examples: Iterable[Case]) -> list[Case]:
    """The first example of each neuron type, and of each rate that one is around."""

    def kind(example: Any) -> Hashable:
        made = example.neuron_type
        return type(made), type(getattr(made, "base_type", None))

    return one_of_each(examples, kind)


def in_turn(cases: Iterable[Any], *others: Iterable[Any]) -> list[Any]:
    """Parameters: each case with the value of every other argument whose turn it is."""
    every = turns(cases, *others)
    return [pytest.param(*values, id="-".join(map(_named, values))) for values in every]


def _named(value: Any) -> str:
    name = str(getattr(value, "id", value))
    return name if len(name) < 40 else type(value).__name__
