"""The learning rate, and how "auto" begins, are chosen by short trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright.training.gradients import optimisers
from spikewright.training.gradients.optimisers import TRIED, RateTrial, chosen
from spikewright.training.history import Way

LONG: dict[str, Any] = {"learning_rate": "chosen", "epochs": 25, "steps": 2, "progress": False}
"""Of 900 samples 15 batches an epoch: long enough for trials."""


class Trials:
    """Losses by rate and way; `asked` are those that were tried."""

    def __init__(self, *losses: float, batches: int = 50, **others: float) -> None:
        self.losses = {(factor, "time"): loss for factor, loss in zip(TRIED, losses, strict=True)}
        self.losses |= {(TRIED[1], way): loss for way, loss in others.items()}
        self.batches, self.asked = batches, list[tuple[float, Way]]()

    def __call__(self, factor: float, way: Way) -> RateTrial:
        self.asked.append((factor, way))
        return RateTrial(self.losses[factor, way], factor, way, self.batches, {})

    def found(self, *ways: Way) -> dict[str, Any] | None:
        """How the best trial says that the training goes on."""
        best = chosen(self, ways)
        return None if best is None else {"factor": best.factor, "way": best.way}


def test_the_rate_with_the_smallest_loss_is_chosen() -> None:
    """Whichever it is."""
    for best, factor in enumerate(TRIED):
        losses = [1.0] * len(TRIED)
        losses[best] = 0.5
        assert Trials(*losses).found("time") == {"factor": factor, "way": "time"}


def test_a_rate_whose_loss_is_no_number_is_not_chosen() -> None:
    """Nor one with an infinite loss; where all are so it is the least, and training says more."""
    nan, inf = float("nan"), float("inf")
    for losses, factor in (((nan, inf, 3.0), TRIED[2]), ((nan, nan, nan), TRIED[0])):
        assert Trials(*losses).found("time") == {"factor": factor, "way": "time"}


def test_the_other_way_is_tried_at_the_best_rate_alone() -> None:
    """And is taken where it comes nearer."""
    for loss, way in ((0.4, "rounding"), (0.6, "time")):
        trials = Trials(1.0, 0.5, 2.0, rounding=loss)
        assert trials.found("time", "rounding") == {"factor": TRIED[1], "way": way}
        assert trials.asked == [*((factor, "time") for factor in TRIED), (TRIED[1], "rounding")]


def test_where_there_is_no_time_nothing_is_chosen() -> None:
    """After one trial of a few batches there are no others."""
    trials = Trials(1.0, 0.5, 2.0, batches=3)
    assert trials.found("time") is None
    assert len(trials.asked) == 1


def same(one: Any, other: Any) -> bool:
    """True where two trainings gave the same weights."""
    pairs = zip(one.conversion.graph, other.conversion.graph, strict=True)
    return all(
        np.array_equal(a, b)
        for x, y in pairs
        for a, b in zip(x.layer.arrays().values(), y.layer.arrays().values(), strict=True)
    )


@pytest.mark.slow
def test_a_long_training_chooses(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Among multiples of the usual rate, and the same in every call."""
    one, other = (conversion.train(digits[0][:900], **LONG) for _ in range(2))
    assert one.learning_rate in [factor * 5e-4 for factor in TRIED]
    assert one.learning_rate == other.learning_rate
    assert same(one, other)
    assert len(one.history) == LONG["epochs"]


@pytest.mark.slow
def test_a_rate_that_leads_away_is_not_chosen(
    conversion: sw.Conversion, digits: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rates a thousand times apart it is none that destroys the network."""
    monkeypatch.setattr(optimisers, "TRIED", (2.0, 2e3, 2e6))
    assert conversion.train(digits[0][:900], **LONG).learning_rate == 1e-3


@pytest.mark.parametrize(
    ("batches", "changes"),
    [(False, {"epochs": 3}), (False, {"epochs": 20, "spikes": 300.0}), (True, {"epochs": 1})],
    ids=["short", "budget", "generator"],
)
@pytest.mark.slow
def test_nothing_is_tried_where_it_would_tell_nothing(
    conversion: sw.Conversion, digits: tuple[Any, Any], batches: bool, changes: dict[str, Any]
) -> None:
    """A short training, one with a budget and an iterator have the usual rate, to the bit."""
    found = []
    for rate in ("chosen", 5e-4):
        x = digits[0][:900]
        data = iter(np.array_split(x, 20)) if batches else x
        found.append(conversion.train(data, **{**LONG, **changes, "learning_rate": rate}))
    assert found[0].learning_rate == 5e-4
    assert same(*found)
