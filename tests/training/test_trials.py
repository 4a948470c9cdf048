"""The rate of learning, and how "auto" begins, are chosen by short trials."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright.training.gradients.trials import TRIED, Trial, chosen
from spikewright.training.history import Way

NAN = float("nan")
LONG: dict[str, Any] = {"learning_rate": "chosen", "epochs": 25, "steps": 2, "progress": False}
"""Of 900 samples 15 batches an epoch: long enough for trials."""


class Trials:
    """Losses by rate and way; `asked` are those that were tried."""

    def __init__(self, losses: dict[tuple[float, Way], float], batches: int = 50) -> None:
        self.losses, self.batches = losses, batches
        self.asked: list[tuple[float, Way]] = []

    def __call__(self, factor: float, way: Way) -> Trial:
        self.asked.append((factor, way))
        loss = self.losses[factor, way]
        return Trial(loss, factor, self.batches, {"factor": factor, "way": way})


def of_rates(*losses: float) -> dict[tuple[float, Way], float]:
    """Losses by rate, through time."""
    return {(factor, "time"): loss for factor, loss in zip(TRIED, losses, strict=True)}


@pytest.mark.parametrize("best", range(len(TRIED)))
def test_the_rate_with_the_smallest_loss_is_chosen(best: int) -> None:
    """Whichever it is."""
    losses = [1.0] * len(TRIED)
    losses[best] = 0.5
    found = chosen(Trials(of_rates(*losses)), ("time",))
    assert found is not None
    assert found.factor == TRIED[best]


def test_a_rate_whose_loss_is_no_number_is_not_chosen() -> None:
    """Nor one with an infinite loss; where all are so it is the least, and training says more."""
    found = chosen(Trials(of_rates(3.0, NAN, float("inf"))), ("time",))
    assert found is not None
    assert found.factor == TRIED[0]
    found = chosen(Trials(of_rates(NAN, NAN, NAN)), ("time",))
    assert found is not None
    assert found.factor == TRIED[0]


@pytest.mark.parametrize(("loss", "way"), [(0.4, "rounding"), (0.6, "time")])
def test_the_other_way_is_tried_at_the_best_rate_alone(loss: float, way: str) -> None:
    """And is taken where it comes nearer."""
    losses = {**of_rates(1.0, 0.5, 2.0), (TRIED[1], "rounding"): loss}
    trials = Trials(losses)
    found = chosen(trials, ("time", "rounding"))
    assert found is not None
    assert found.beginning == {"factor": TRIED[1], "way": way}
    assert trials.asked[-1] == (TRIED[1], "rounding")
    assert len(trials.asked) == len(TRIED) + 1


def test_where_there_is_no_time_nothing_is_chosen() -> None:
    """After one trial of a few batches there are no others."""
    trials = Trials(of_rates(1.0, 0.5, 2.0), batches=3)
    assert chosen(trials, ("time",)) is None
    assert len(trials.asked) == 1


def same(one: Any, other: Any) -> bool:
    """True where two trainings gave the same weights."""
    pairs = zip(one.conversion.graph, other.conversion.graph, strict=True)
    return all(
        np.array_equal(a, b)
        for x, y in pairs
        for a, b in zip(x.layer.arrays().values(), y.layer.arrays().values(), strict=True)
    )


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_a_long_training_chooses(
    conversion: sw.Conversion, digits: tuple[Any, Any], optimiser: str
) -> None:
    """Among its rates, the same in every call; the best epoch is no worse than the beginning."""
    usual = {"adam": 5e-4, "sgd": 5e-3}[optimiser]
    how = {**LONG, "optimiser": optimiser}
    one, other = (conversion.train(digits[0][:900], **how) for _ in range(2))
    assert one.learning_rate in [factor * usual for factor in TRIED]
    assert one.learning_rate == other.learning_rate
    assert same(one, other)
    assert len(one.history) == LONG["epochs"]


def test_a_rate_that_leads_away_is_not_chosen(
    conversion: sw.Conversion, digits: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rates a thousand times apart it is none that destroys the network."""
    from spikewright.training.gradients import trials

    monkeypatch.setattr(trials, "TRIED", (2.0, 2e3, 2e6))
    assert conversion.train(digits[0][:900], **LONG).learning_rate == 1e-3


def batches(x: Any) -> Iterator[Any]:
    """A generator of batches."""
    yield from np.array_split(x, 20)


@pytest.mark.parametrize("case", ["short", "budget", "generator"])
def test_nothing_is_tried_where_it_would_tell_nothing(
    conversion: sw.Conversion, digits: tuple[Any, Any], case: str
) -> None:
    """A short training, one with a budget and an iterator have the usual rate, to the bit."""
    x = digits[0][:900]
    changes = {
        "short": {"epochs": 3},
        "budget": {"epochs": 20, "spikes": 300.0},
        "generator": {"epochs": 1},
    }[case]
    found = []
    for rate in ("chosen", 5e-4):
        data = batches(x) if case == "generator" else x
        found.append(conversion.train(data, **{**LONG, **changes, "learning_rate": rate}))
    assert found[0].learning_rate == 5e-4
    assert same(*found)
