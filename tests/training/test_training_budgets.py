"""A budget that is asked is a budget that is met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import STEPS, trained

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.measure.energy import energy
from spikewright.measure.operations import Counter
from spikewright.records import DEFAULT_TABLE, select
from spikewright.training.bounds import Bound
from spikewright.training.gradients.budget import AIM, Multiplier


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
    model = make()
    x, y = (torch.from_numpy(values) for values in digits)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for part in (p for _ in range(6) for p in torch.randperm(len(x)).split(64)):
        optimiser.zero_grad()
        out = model(x[part]).clamp_min(1e-9).log() if make is maxima else model(x[part])
        nn.functional.cross_entropy(out, y[part]).backward()
        optimiser.step()
    return sw.convert(
        model.eval(),
        spiking={"relu": sw.BipolarIntegrateAndFire()},
        example_input=x[:1],
        max_spikes_per_step=cap,
    )


def spent(conversion: sw.Conversion, x: Any) -> dict[str, Any]:
    """What the reference engine's run spends: spikes, joules, rates by layer."""
    run = conversion.run(x, steps=STEPS, engine="reference", progress=False)
    counts = {name: population.totals for name, population in run.populations.items()}
    counter = Counter(conversion.network, conversion.populations(), conversion.inputs)
    given = {conversion.graph.inputs[0]: x}
    operations = counter.count(counts, STEPS, given)
    spikes = sum(n.sum() for n in counts.values()) / len(x)
    joules = energy(operations, DEFAULT_TABLE).mean
    silent = counter.count(
        {name: 0 * n for name, n in counts.items()}, STEPS, {conversion.graph.inputs[0]: x}
    )
    paid = energy(silent, DEFAULT_TABLE).mean
    return {"spikes": spikes, "joules": joules, "paid": paid, "rates": run.firing_rates()}


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5, 0.75])
@pytest.mark.parametrize(("make", "cap"), [(None, None), (dense, 1), (maxima, None)])
@pytest.mark.parametrize("unit", ["spikes", "joules"])
def test_between_nine_tenths_and_all_of_it_is_sent(
    conversion: sw.Conversion,
    digits: tuple[Any, Any],
    make: Any,
    cap: int | None,
    share: float,
    unit: str,
) -> None:
    """The law, of three networks and four budgets: on the samples, never above; and it answers.

    The budget is a share of what the network sends that is trained without one, and of joules of
    those that are not paid anyway.
    """
    x, before = digits[0], conversion if make is None else fitted(make, digits, cap)
    held = x[800:]
    free = spent(trained(before, x[:800], epochs=1, validation=held).conversion, held)
    paid = free["paid"] if unit == "joules" else 0.0
    budget = paid + share * (free[unit] - paid)
    made = trained(before, x[:800], validation=held, **{unit: budget}).conversion
    found = spent(made, held)[unit]
    assert paid + 0.9 * (budget - paid) <= found <= budget
    answers = made.run(held, steps=STEPS, progress=False).predict().argmax(axis=1)
    (wanted,) = before.source.call({before.graph.inputs[0]: held}).values()
    assert (answers == wanted.argmax(axis=1)).mean() > 0.2  # by chance a tenth


@pytest.mark.parametrize(
    ("first", "second"), [((0, 40), (0, 60)), ((150, 200), (100, 120)), ((0, 50), (220, 300))]
)
def test_rates_come_into_their_ranges(
    conversion: sw.Conversion, digits: tuple[Any, Any], first: Any, second: Any
) -> None:
    """Layers that send too much and such that send too little, one and both, in Hz."""
    x, held = digits[0][:400], digits[0][800:]
    names = list(conversion.populations())
    before = spent(trained(conversion, x, epochs=1, validation=held).conversion, held)["rates"]
    rates: Mapping[str, Any] = dict(zip(names, (first, second), strict=True))
    result = trained(conversion, x, validation=held, rates=rates)
    after = spent(result.conversion, held)["rates"]
    assert any(not low <= before[name] <= high for name, (low, high) in rates.items())
    for name, (low, high) in rates.items():
        assert low <= after[name] <= high


def test_what_is_measured_is_what_an_engine_sends(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """Spikes, rates and joules of the history are those of the reference engine.

    Records of joules, and the figure of them, name the cost table.
    """
    x, held = digits[0][:200], digits[0][800:]
    result = trained(conversion, x, validation=held, joules=1.0, epochs=1, keep="last")
    measured, found = result.history[-1].held_back, spent(result.conversion, held)
    assert measured.spikes == pytest.approx(found["spikes"], rel=1e-3)
    assert measured.joules == pytest.approx(found["joules"], rel=1e-3)
    (paid,) = select(result.records, "energy")
    assert paid.how["table"] == measured.energy_table == DEFAULT_TABLE
    for name, rate in found["rates"].items():
        assert measured.rates[name] == pytest.approx(rate, rel=1e-2)


def test_a_budget_that_is_not_needed_changes_nothing(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """A network that sends less from the beginning is not made to send more."""
    x, held = digits[0][:200], digits[0][800:]
    free = trained(conversion, x, validation=held, epochs=1).history[-1].held_back.spikes
    made = trained(conversion, x, validation=held, epochs=1, spikes=3 * free).conversion
    assert spent(made, held)["spikes"] < 1.5 * free


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


def test_weights_that_were_pruned_stay_zero(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """So joules, which are counted by weights that are not zero, are what they were said to be."""
    torch.manual_seed(2)
    model = dense()
    for module in model:
        if isinstance(module, nn.Linear):
            with torch.no_grad():
                module.weight.mul_((torch.rand_like(module.weight) < 0.5).float())
    x = digits[0]
    before = sw.convert(
        model, spiking={"relu": sw.BipolarIntegrateAndFire()}, example_input=torch.from_numpy(x[:1])
    )
    after = trained(before, x[:200], epochs=1, keep="last").conversion.graph
    for node in before.graph:
        for name, array in node.layer.arrays().items():
            if name == "weight":
                changed = after[node.name].layer.arrays()[name]
                np.testing.assert_array_equal(changed == 0, array == 0)
                assert 0.2 < (array == 0).mean() < 0.8
                assert np.any(changed != array)


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


def test_a_kept_bound_is_aimed_at_from_the_beginning() -> None:
    """Nothing is eased where the network spends less than it may."""
    multiplier = Multiplier(Bound("spikes", "spikes", 100.0, {"relu": 1.0}), {"relu": 1.0})
    multiplier.amount = 60.0
    multiplier.begin()
    assert multiplier.aim == AIM


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
