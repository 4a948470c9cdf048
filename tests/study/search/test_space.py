from __future__ import annotations

import pytest

from spikewright.errors import TuningError
from spikewright.study.search.space import Choices, Range, asked, begin, restricted

SPACE = {
    "cap": Choices((None, 1)),
    "level": Range(-4.0, 4.0, 0.0),
    "rule": Choices(("a", "b")),
}


def test_a_space_without_restrictions_stays_as_it_is() -> None:
    """Nothing is restricted that nobody asked for."""
    assert restricted(SPACE, {}) == SPACE


def test_restrictions_are_values_choices_or_ranges() -> None:
    """One value, several, or two ends; the beginning moves inside."""
    found = restricted(SPACE, {"cap": 1, "level": (1, 2), "rule": ["b"]})

    assert found == {
        "cap": Choices((1,)),
        "level": Range(1.0, 2.0, 1.0),
        "rule": Choices(("b",)),
    }


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
    values = {"cap": 1, "level": 4.0, "rule": "a"}
    assert asked(restricted(SPACE, {"cap": 1}), values) == {"level": 4.0, "rule": "a"}


def test_the_beginning_is_the_first_choice_and_the_start() -> None:
    """Where a search begins."""
    assert begin(SPACE) == {"cap": None, "level": 0.0, "rule": "a"}
