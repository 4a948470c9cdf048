"""Budgets are kept by what the network sends, not by what is expected of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from slowly import in_turn
from spikewright import demo
from spikewright.choosing import ScaleRule
from spikewright.choosing import budgets as keeping
from spikewright.choosing.meter import Meter
from spikewright.records import select

STEPS = 16
SIGNED = models.residual(seed=4)  # batch norm behind ReLU, sums
CURVED = models.mlp(seed=3, activation="gelu")


@pytest.fixture(scope="module")
def digits() -> sw.Conversion:
    """The shipped network."""
    return sw.convert(demo.MODEL)


@pytest.fixture(scope="module")
def data() -> tuple[NDArray, NDArray]:
    """Digits to calibrate on, and others."""
    (x, _), _ = demo.digits()
    drawn = x[np.random.default_rng(0).permutation(len(x))]
    return drawn[:200], drawn[200:600]


def sent(conversion: sw.Conversion, x: NDArray, steps: int = STEPS) -> float:
    """Spikes of all layers, a sample."""
    run = conversion.run(x, steps, progress=False)
    return float(sum(counts.mean() for counts in run.spike_counts().values()))


def lines(conversion: sw.Conversion) -> list[str]:
    """What the trace says of the choice for each layer."""
    return [entry.text for entry in conversion.trace if entry.stage == "calibrate"]


@pytest.mark.parametrize(
    ("start", "cap", "budget"), in_turn(2 * ["half", "zero", "uniform"], [None, 1], [60.0, 700.0])
)
def test_a_budget_is_kept(digits, data, start, cap, budget) -> None:
    """Within 5 % on the data that it was measured on, within 10 % on others."""
    x, others = data
    found = digits.again(
        spiking=True,
        max_spikes_per_step=cap,
        initial_voltage=start,
        scale_firing_rates=sw.EnergyBudget(STEPS, spikes=budget),
        calibration=x,
    )

    assert sent(found, x) == pytest.approx(budget, rel=0.05)
    assert sent(found, others) == pytest.approx(budget, rel=0.10)
    assert all("measured on 200 samples" in text for text in lines(found))


class _Expected(ScaleRule):
    """What a rule chooses by itself."""

    def __init__(self, rule: ScaleRule) -> None:
        self.rule = rule

    def choose(self, case):
        """As the rule does."""
        return self.rule.choose(case)


TYPES: dict[str, dict[str, Any]] = {
    "bipolar": {"relu": sw.BipolarIntegrateAndFire()},
    "running mean": {"relu": sw.RunningMeanSpiking(sw.RectifiedLinear())},
    "thrown away": {"relu": sw.SpikingRectifiedLinear()},
    "random": {"relu": sw.PoissonSpiking(sw.RectifiedLinear())},
}


@pytest.mark.parametrize(("kind", "synapse"), in_turn(TYPES, [None, 0.005]))
def test_a_budget_is_kept_by_neurons_of_all_types(digits, data, kind, synapse) -> None:
    """Whatever they send for a current, behind synapses too."""
    x, _ = data
    found = digits.again(
        spiking=TYPES[kind],
        synapse=synapse,
        scale_firing_rates=sw.EnergyBudget(STEPS, spikes=300.0),
        calibration=x,
    )
    assert sent(found, x) == pytest.approx(300.0, rel=0.05)


@pytest.mark.parametrize("graph", [CURVED, SIGNED], ids=["gelu", "residual"])
@pytest.mark.parametrize("cap", [None, 1])
def test_spikes_below_zero_count(graph, cap) -> None:
    """Curved activations and functions send spikes of either sign, and all of them cost."""
    x = models.inputs(graph, 100, 5)
    neurons = sum(e.n_neurons for e in sw.convert(graph).populations().values())
    budget = neurons * (5.0 if cap is None else 2.0)
    found = sw.convert(
        graph,
        spiking=True,
        max_spikes_per_step=cap,
        scale_firing_rates=sw.EnergyBudget(STEPS, spikes=budget),
        calibration=x,
    )
    run = found.run(x, STEPS, progress=False)

    assert sent(found, x) == pytest.approx(budget, rel=0.05)
    if graph is CURVED:
        assert any(np.any(p.net < 0) for p in run.populations.values())


@pytest.mark.parametrize("joules", [1e-9, 1e-8])
def test_a_budget_of_joules_is_what_the_report_says(digits, data, joules) -> None:
    """Additions at 0.9 pJ are the synapses of the table 45nm-fp32, to the last digit."""
    x, others = data
    found = digits.again(
        spiking=True, scale_firing_rates=sw.EnergyBudget(STEPS, joules=joules), calibration=x
    )

    def synapses(images: NDArray) -> float:
        records = found.evaluate(images, None, STEPS, progress=False).records
        (record,) = select(
            records, "energy part", part="synapses", table="45nm-fp32", network="spiking"
        )
        return record.value

    assert synapses(x) == pytest.approx(joules, rel=0.05)
    assert synapses(others) == pytest.approx(joules, rel=0.10)
    assert f"of {synapses(x):.4g} J a sample" in lines(found)[0]


@pytest.mark.parametrize(
    "corrections",
    [
        {"bias_correction": sw.BiasCorrection(STEPS)},
        {"initial_voltage": sw.VoltageCorrection(STEPS)},
        {"bias_correction": {"relu1": 0.5, "relu2": 0.3}},
    ],
    ids=["biases", "voltages", "given"],
)
def test_a_budget_is_kept_with_corrections(digits, data, corrections) -> None:
    """They change what is sent; the scales and they are found together."""
    x, _ = data
    rule = sw.EnergyBudget(STEPS, spikes=300.0)
    found = digits.again(spiking=True, scale_firing_rates=rule, calibration=x, **corrections)

    assert sent(found, x) == pytest.approx(300.0, rel=0.05)
    again = sw.convert(demo.MODEL, **found.resolved)
    assert sent(again, x) == sent(found, x)


def test_what_was_kept_is_reproduced_without_data(digits, data) -> None:
    """By the numbers in `resolved`, and by the same call once more, bit for bit."""
    x, others = data
    arguments = {"spiking": True, "calibration": x}
    rule = sw.EnergyBudget(STEPS, spikes=300.0)
    found = digits.again(**arguments, scale_firing_rates=rule)
    numbers = found.resolved["scale_firing_rates"]

    assert found.resolved["calibration"] is None
    for other in (
        sw.convert(demo.MODEL, **found.resolved),
        found.again(),
        digits.again(**arguments, scale_firing_rates=rule),
    ):
        assert other.resolved["scale_firing_rates"] == numbers
        assert np.array_equal(
            other.run(others, STEPS, progress=False).output,
            found.run(others, STEPS, progress=False).output,
        )
    assert not np.allclose(
        [*numbers.values()],
        [*digits.again(**arguments, scale_firing_rates=_Expected(rule))
         .resolved["scale_firing_rates"].values()],
        rtol=0.05,
    )  # fmt: skip
    (shown,) = [e.text for e in found.trace if e.stage == "lower" and e.layer == "relu1"]
    assert f"{numbers['relu1']:g}" in shown


def test_layers_may_have_budgets_of_their_own(digits, data) -> None:
    """Each is kept by its own layers, whatever the others have."""
    x, _ = data
    rules = {
        "relu1": sw.EnergyBudget(STEPS, spikes=200.0),
        "relu2": sw.EnergyBudget(STEPS, spikes=90.0),
    }
    found = digits.again(spiking=True, scale_firing_rates=rules, calibration=x)
    counts = found.run(x, STEPS, progress=False).spike_counts()
    assert counts["relu1"].mean() == pytest.approx(200.0, rel=0.05)
    assert counts["relu2"].mean() == pytest.approx(90.0, rel=0.05)

    found = digits.again(spiking=True, scale_firing_rates={**rules, "relu1": 30.0}, calibration=x)
    assert found.resolved["scale_firing_rates"]["relu1"] == 30.0
    counts = found.run(x, STEPS, progress=False).spike_counts()
    assert counts["relu2"].mean() == pytest.approx(90.0, rel=0.05)


def test_few_runs_find_the_scales(digits, data, monkeypatch) -> None:
    """A search over many conversions can afford it."""
    runs: list[int] = []
    original = Meter.spent
    monkeypatch.setattr(Meter, "spent", lambda *a: runs.append(1) or original(*a))
    for budget in (60.0, 200.0, 700.0):
        rule = sw.EnergyBudget(STEPS, spikes=budget)
        digits.again(spiking=True, scale_firing_rates=rule, calibration=data[0])
    assert len(runs) <= 3 * 5
    assert keeping._SPLITS + keeping._RUNS <= 20  # whatever the network
