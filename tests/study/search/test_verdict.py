"""The sentence about what a search chose."""

from __future__ import annotations

from typing import Any

from spikewright.study.search.choice import Choice


def choice(**changes: Any) -> Choice:
    """A choice of four steps that loses one point, as much as it may."""
    usual = {
        "arguments": {"steps": 4, "dt": 0.001}, "drop": 0.01, "interval": (0.0, 0.03),
        "certified": False, "costs": {"spikes": 5.0}, "needed": None, "runners_up": (),
        "limit": 0.01, "confidence": 0.95, "minimised": "spikes", "held_back": 100,
        "searched_on": 100, "records": (), "reproduce": "", "trials": {},
    }  # fmt: skip
    return Choice(**{**usual, **changes})


def test_a_loss_that_is_the_limit_is_certified_by_no_number_of_samples() -> None:
    """No number is made up, and none is missing from the sentence."""
    just = choice().verdict
    assert "None" not in just and "No number of them would certify what is just reached." in just
    assert (
        "About 900 held-back samples would certify 1 point."
        in choice(drop=0.005, needed=900).verdict
    )


def test_points_are_counted_as_words_are() -> None:
    """One point, and all others are points."""
    assert "at most 1 point," in choice(certified=True).verdict
    assert "at most 0.5 points," in choice(certified=True, limit=0.005).verdict
    assert "at most 2 points," in choice(certified=True, limit=0.02).verdict
