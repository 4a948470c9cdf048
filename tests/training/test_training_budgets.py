"""A budget that is asked is a budget that is met."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import STEPS, learn, trained

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.measure.energy import energy
from spikewright.measure.operations import Counter
from spikewright.records import DEFAULT_TABLE
from spikewright.training.gradients.budget import AIM, Multiplier
from spikewright.training.job import Bound


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


def spent(conversion: sw.Conversion, x: Any) -> dict[str, Any]:
    """What the reference engine's run spends: spikes, joules, rates by layer.

    "paid" are the joules of a run in which no neuron sends.
    """
    run = conversion.run(x, steps=STEPS, engine="reference", progress=False)
    counts = {name: population.totals for name, population in run.populations.items()}
    counter = Counter(conversion.network, conversion.populations(), conversion.inputs)
    joules, paid = (
        energy(counter.count(sent, STEPS, {conversion.graph.inputs[0]: x}), DEFAULT_TABLE).mean
        for sent in (counts, {name: 0 * n for name, n in counts.items()})
    )
    spikes = sum(n.sum() for n in counts.values()) / len(x)
    return {"spikes": spikes, "joules": joules, "paid": paid, "rates": run.firing_rates()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "cap", "share", "unit"),
    [
        (None, None, 0.3, "joules"),
        (dense, 1, 0.15, "spikes"),
        (dense, 1, 0.5, "joules"),
        (maxima, None, 0.75, "spikes"),
    ],
)
def test_between_nine_tenths_and_all_of_it_is_sent(
    conversion: sw.Conversion,
    digits: tuple[Any, Any],
    make: Any,
    cap: int | None,
    share: float,
    unit: str,
) -> None:
    """The law, of three networks and both units: on the samples, never above; and it answers.

    The budget is a share of what the network sends that is trained without one, and of joules of
    those that are not paid anyway.
    """
    x, before = digits[0], conversion if make is None else fitted(make, digits, cap)
    held = x[800:]
    free = spent(trained(before, x[:400], epochs=1, validation=held).conversion, held)
    paid = free["paid"] if unit == "joules" else 0.0
    budget = paid + share * (free[unit] - paid)
    made = trained(before, x[:400], validation=held, **{unit: budget}).conversion
    found = spent(made, held)[unit]
    assert paid + 0.9 * (budget - paid) <= found <= budget
    answers = made.run(held, steps=STEPS, progress=False).predict().argmax(axis=1)
    (wanted,) = before.source.call({before.graph.inputs[0]: held}).values()
    assert (answers == wanted.argmax(axis=1)).mean() > 0.2  # by chance a tenth


@pytest.mark.slow
def test_rates_come_into_their_ranges(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """A layer that sends too much and one that sends too little, in Hz."""
    x, held = digits[0][:400], digits[0][800:]
    rates = dict(zip(conversion.populations(), ((0, 50), (220, 300)), strict=True))
    before = spent(trained(conversion, x, epochs=1, validation=held).conversion, held)["rates"]
    result = trained(conversion, x, validation=held, rates=rates)
    after = spent(result.conversion, held)["rates"]
    for name, (low, high) in rates.items():
        assert not low <= before[name] <= high
        assert low <= after[name] <= high


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"spikes": 0.05}, "spikes=0.05: is below what the loss allows"),
        ({"joules": 1e-12}, "joules=1e-12: a sample costs .* J in 2 steps where no neuron sends"),
        ({"energy_table": "no", "joules": 1.0}, "no cost table is named 'no'"),
    ],
)
def test_a_budget_below_what_the_loss_allows(
    conversion: sw.Conversion, digits: tuple[Any, Any], how: Any, message: str
) -> None:
    """It is an error with both losses; joules that are paid without a spike are one at once."""
    with pytest.raises((TrainingError, sw.errors.SimulationError), match=message):
        trained(conversion, digits[0][:200], **how)


def test_rates_and_spikes_that_exclude_each_other(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """Both are named; a rate above what the neurons can send is refused before anything is done."""
    first = next(iter(conversion.populations()))
    with pytest.raises(TrainingError, match="spikes=50 cannot be met beside rates="):
        trained(conversion, digits[0][:200], spikes=50, rates={first: (200, 400)}, epochs=1)
    capped = conversion.again(max_spikes_per_step=1)
    with pytest.raises(TrainingError, match=r"at most 1 spikes a step, 1000 Hz.*below 1500 Hz"):
        trained(capped, digits[0][:200], rates={first: (1500, 2000)})


@pytest.mark.parametrize(("least", "spent"), [(False, 800.0), (True, 5.0)])
def test_the_aim_moves_to_the_bound(least: bool, spent: float) -> None:
    """From what was spent before the training to the bound at its half, the same factor a time."""
    multiplier = Multiplier(Bound("rates", "Hz", 100.0, {"relu": 1.0}, least=least), {"relu": 1.0})
    multiplier.amount = spent
    multiplier.begin()
    aims = []
    for passed in (0.0, 0.125, 0.25, 0.375, 0.5, 0.9, 1.0):
        multiplier.ease(passed)
        aims.append(multiplier.aim)
    last = 1 / AIM if least else AIM
    assert aims[0] == pytest.approx(last * spent / 100.0)
    assert aims[4:] == pytest.approx([last] * 3)
    np.testing.assert_allclose(np.diff(np.log(aims[:5])), np.log(100.0 / spent) / 4)
    multiplier.amount = 200.0 if least else 60.0  # within the bound: nothing is eased
    multiplier.begin()
    assert multiplier.aim == last


def test_a_multiplier_comes_back_in_time() -> None:
    """However long a bound was kept or broken: some hundred batches bring it back."""
    bound = Bound("spikes", "spikes", 100.0, {"relu": 1.0})
    for first, then in [(10.0, 300.0), (300.0, 10.0)]:
        multiplier = Multiplier(bound, {"relu": 1.0})
        for _ in range(5000):
            multiplier.penalty({"relu": torch.tensor([first])}, 1)
        kept = multiplier.value
        for _ in range(250):
            multiplier.penalty({"relu": torch.tensor([then])}, 1)
        assert 0 < kept < float("inf")
        assert multiplier.value > 1e4 * kept if then > first else multiplier.value < 1e-4 * kept
        assert multiplier.value > 1 if then > first else multiplier.value < 1
