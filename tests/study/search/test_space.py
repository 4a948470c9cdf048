from __future__ import annotations

from typing import Any

import pytest

from spikewright.errors import TuningError
from spikewright.study.search.space import Choices, Range, asked, begin, restricted, suggest

SPACE = {"cap": Choices((None, 1)), "level": Range(-4.0, 4.0, 0.0), "rule": Choices(("a", "b"))}


class FirstOrHighest:
    """A trial that takes the first choice and the highest number, and notes what it was asked."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def suggest_float(self, name: str, low: float, high: float) -> float:
        self.names.append(name)
        return high

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.names.append(name)
        return choices[0]


def test_a_space_without_restrictions_stays_as_it_is() -> None:
    """Nothing is restricted that nobody asked for."""
    assert restricted(SPACE, {}) == SPACE


def test_restrictions_are_values_choices_or_ranges() -> None:
    """One value, several, or two ends; the beginning moves inside."""
    found = restricted(SPACE, {"cap": 1, "level": (1, 2), "rule": ["b"]})

    assert found == {"cap": Choices((1,)), "level": Range(1.0, 2.0, 1.0), "rule": Choices(("b",))}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"levels": 1}, "no parameter 'levels'; parameters are cap, level, rule"),
        ({"cap": []}, "without a choice"),
        ({"level": "high"}, "number or"),
        ({"level": (2, 1)}, "number or"),
        ({"level": (0, float("nan"))}, "number or"),
        ({"rule": [object()]}, "numbers, texts and None"),
    ],
)
def test_restrictions_that_make_no_sense_are_refused(wanted: dict, message: str) -> None:
    """The name is said, and what would do."""
    with pytest.raises(TuningError, match=message):
        restricted(SPACE, wanted)


def test_only_what_is_open_is_asked_of_a_trial() -> None:
    """A parameter with one value has it, without being asked."""
    trial = FirstOrHighest()

    values = suggest(restricted(SPACE, {"cap": 1}), trial)

    assert values == {"cap": 1, "level": 4.0, "rule": "a"}
    assert trial.names == ["level", "rule"]
    assert asked(restricted(SPACE, {"cap": 1}), values) == {"level": 4.0, "rule": "a"}


def test_the_beginning_is_the_first_choice_and_the_start() -> None:
    """Where a search begins."""
    assert begin(SPACE) == {"cap": None, "level": 0.0, "rule": "a"}


def test_one_is_not_true_and_numbers_lie_in_ranges() -> None:
    """Types are told apart where the database would mix them up."""
    assert Choices((1,)).holds(1)
    assert not Choices((1,)).holds(True)
    assert Range(0.0, 1.0, 0.0).holds(0.5)
    assert not Range(0.0, 1.0, 0.0).holds(1.5)
