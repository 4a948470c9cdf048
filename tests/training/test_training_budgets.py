"""A budget that is asked is a budget that is met."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import STEPS, learn, trained

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.training.gradients.budget import AIM, SpikeBudget


def dense() -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 10)
    )


def maxima() -> nn.Module:
    """Convolutions with a maximum between, and softmax."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 2), nn.ReLU(),
        nn.Flatten(), nn.Linear(32, 10), nn.Softmax(-1),
    )  # fmt: skip


def fitted(make: Any, digits: tuple[Any, Any], cap: int | None) -> sw.Conversion:
    """A network that knows the digits a little."""
    torch.manual_seed(1)
    neurons = {"relu": sw.BipolarIntegrateAndFire()}
    model, example = learn(make(), digits, 6), torch.from_numpy(digits[0][:1])
    return sw.convert(model, spiking=neurons, example_input=example, max_spikes_per_step=cap)


def spikes_of(conversion: sw.Conversion, x: Any) -> float:
    """The spikes of a sample in the reference engine's run."""
    run = conversion.run(x, steps=STEPS, engine="reference", progress=False)
    return float(sum(population.totals.sum() for population in run.populations.values()) / len(x))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "cap", "share"), [(None, None, 0.3), (dense, 1, 0.15), (maxima, None, 0.75)]
)
def test_between_nine_tenths_and_all_of_it_is_sent(
    conversion: sw.Conversion, digits: tuple[Any, Any], make: Any, cap: int | None, share: float
) -> None:
    """The law, of three networks: on the samples, never above; and it answers.

    The budget is a share of what the network sends that is trained without one.
    """
    x, before = digits[0], conversion if make is None else fitted(make, digits, cap)
    held = x[800:]
    free = spikes_of(trained(before, x[:400], epochs=1, validation=held).conversion, held)
    budget = share * free
    made = trained(before, x[:400], validation=held, spikes=budget).conversion
    assert 0.9 * budget <= spikes_of(made, held) <= budget
    answers = made.run(held, steps=STEPS, progress=False).predict().argmax(axis=1)
    (wanted,) = before.source.call({before.graph.inputs[0]: held}).values()
    assert (answers == wanted.argmax(axis=1)).mean() > 0.2  # by chance a tenth


def test_a_budget_below_what_the_loss_allows(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """It is an error with both losses."""
    with pytest.raises(TrainingError, match=r"spikes=0\.05: is below what the loss allows"):
        trained(conversion, digits[0][:200], spikes=0.05)


def budget(limit: float) -> SpikeBudget:
    """A budget of a network with one layer, whose counts are its spikes."""
    counted = SimpleNamespace(spikes=lambda counts: counts)
    return SpikeBudget(SimpleNamespace(roundings={"relu": counted}), limit)  # type: ignore[arg-type]


def test_the_aim_moves_to_the_bound() -> None:
    """From what was sent before the training to the bound at its half, the same factor a time."""
    found = budget(100.0)
    found.amount = 800.0
    found.begin()
    aims = []
    for passed in (0.0, 0.125, 0.25, 0.375, 0.5, 0.9, 1.0):
        found.ease(passed)
        aims.append(found.aim)
    assert aims[0] == pytest.approx(8 * AIM)
    assert aims[4:] == pytest.approx([AIM] * 3)
    np.testing.assert_allclose(np.diff(np.log(aims[:5])), np.log(1 / 8) / 4)
    found.amount = 60.0  # within the bound: nothing is eased
    found.begin()
    assert found.aim == AIM


def test_a_multiplier_comes_back_in_time() -> None:
    """However long a bound was kept or broken: some hundred batches bring it back."""
    for first, then in [(10.0, 300.0), (300.0, 10.0)]:
        found = budget(100.0)
        for _ in range(5000):
            found.penalty({"relu": torch.tensor([first])}, 1)
        kept = found.value
        for _ in range(250):
            found.penalty({"relu": torch.tensor([then])}, 1)
        assert 0 < kept < float("inf")
        assert found.value > 1e4 * kept if then > first else found.value < 1e-4 * kept
        assert found.value > 1 if then > first else found.value < 1
