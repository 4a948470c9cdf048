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
from spikewright.choosing.budgets import SpikeCost
from spikewright.choosing.rules import RULES
from spikewright.errors import ConversionError, ConversionWarning
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
    found = digits.replace(
        spiking=True,
        max_spikes_per_step=cap,
        initial_voltage=start,
        scale_firing_rates=sw.EnergyBudget(STEPS, spikes=budget),
        calibration=x,
    )

    assert sent(found, x) == pytest.approx(budget, rel=0.05)
    assert sent(found, others) == pytest.approx(budget, rel=0.10)
    assert all("measured on 200 samples" in text for text in lines(found))


def test_spikes_cost_more_than_a_rule_expects(digits, data) -> None:
    """Without correction the same budget is overspent: here is something to correct."""
    x, _ = data
    rule = sw.EnergyBudget(STEPS, spikes=300.0)
    expected = digits.replace(spiking=True, scale_firing_rates=_Expected(rule), calibration=x)

    assert sent(expected, x) > 300 * 1.06
    assert all("expected and not measured" in text for text in lines(expected))


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
    found = digits.replace(
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


def test_a_start_of_zero_counts_a_spike_for_every_value_below_it() -> None:
    """Such neurons send one at once: rules know, so that what they expect is not far off."""
    x = models.inputs(CURVED, 100, 5)
    rule = sw.EnergyBudget(STEPS, spikes=40.0)
    zero: dict[str, Any] = {"spiking": True, "initial_voltage": "zero", "calibration": x}
    assert sent(sw.convert(CURVED, **zero, scale_firing_rates=_Expected(rule)), x) < 100.0
    found = sw.convert(CURVED, **zero, scale_firing_rates=rule)
    run = found.run(x, STEPS, progress=False)
    assert sent(found, x) == pytest.approx(40.0, rel=0.05)
    assert any(np.any(p.net < 0) for p in run.populations.values())


def test_neurons_that_start_with_spikes_need_them(digits, data) -> None:
    """Three spikes a neuron are sent at any scale."""
    with pytest.raises(ConversionError, match="the least possible is") as caught:
        digits.replace(
            spiking=True,
            initial_voltage=3.0,
            scale_firing_rates=sw.EnergyBudget(STEPS, spikes=100.0),
            calibration=data[0],
        )
    least = float(str(caught.value).split("the least possible is ")[1].split(". ")[0])
    assert least == pytest.approx(3 * 768, rel=0.1)


@pytest.mark.parametrize("joules", [1e-9, 1e-8])
def test_a_budget_of_joules_is_what_the_report_says(digits, data, joules) -> None:
    """Additions at 0.9 pJ are the synapses of the table 45nm-fp32, to the last digit."""
    x, others = data
    found = digits.replace(
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
    found = digits.replace(spiking=True, scale_firing_rates=rule, calibration=x, **corrections)

    assert sent(found, x) == pytest.approx(300.0, rel=0.05)
    again = sw.convert(demo.MODEL, **found.resolved)
    assert sent(again, x) == sent(found, x)


def test_what_was_kept_is_reproduced_without_data(digits, data) -> None:
    """By the numbers in `resolved`, and by the same call once more, bit for bit."""
    x, others = data
    arguments = {"spiking": True, "calibration": x}
    rule = sw.EnergyBudget(STEPS, spikes=300.0)
    found = digits.replace(**arguments, scale_firing_rates=rule)
    numbers = found.resolved["scale_firing_rates"]

    assert found.resolved["calibration"] is None
    for other in (
        sw.convert(demo.MODEL, **found.resolved),
        found.replace(),
        digits.replace(**arguments, scale_firing_rates=rule),
    ):
        assert other.resolved["scale_firing_rates"] == numbers
        assert np.array_equal(
            other.run(others, STEPS, progress=False).output,
            found.run(others, STEPS, progress=False).output,
        )
    assert not np.allclose(
        [*numbers.values()],
        [*digits.replace(**arguments, scale_firing_rates=_Expected(rule))
         .resolved["scale_firing_rates"].values()],
        rtol=0.05,
    )  # fmt: skip
    (shown,) = [e.text for e in found.trace if e.stage == "lower" and e.layer == "relu1"]
    assert f"{numbers['relu1']:g}" in shown


def test_statistics_hold_few_samples(digits, data, tmp_path) -> None:
    """Their examples are what can be run: then it is an estimate, and the trace says so."""
    x, _ = data
    statistics = digits.calibrate(x, progress=False)
    statistics.save(tmp_path / "statistics")
    for given in (statistics, tmp_path / "statistics"):
        rule = sw.EnergyBudget(STEPS, spikes=300.0)
        found = digits.replace(spiking=True, scale_firing_rates=rule, calibration=given)
        assert all("estimated on 16 samples" in text for text in lines(found))
        assert sent(found, statistics.examples.values["image"]) == pytest.approx(300.0, rel=0.05)
        assert sent(found, x) == pytest.approx(300.0, rel=0.25)


def test_iterators_can_be_read_once(digits, data) -> None:
    """They are kept where a budget needs them twice, for statistics and to be run on."""
    x, _ = data
    rule = sw.EnergyBudget(STEPS, spikes=300.0)
    whole = digits.replace(spiking=True, scale_firing_rates=rule, calibration=x)
    parts = iter([x[:70], x[70:]])
    found = digits.replace(spiking=True, scale_firing_rates=rule, calibration=parts)
    assert found.resolved["scale_firing_rates"] == whole.resolved["scale_firing_rates"]


def test_layers_may_have_budgets_of_their_own(digits, data) -> None:
    """Each is kept by its own layers, whatever the others have."""
    x, _ = data
    rules = {
        "relu1": sw.EnergyBudget(STEPS, spikes=200.0),
        "relu2": sw.EnergyBudget(STEPS, spikes=90.0),
    }
    found = digits.replace(spiking=True, scale_firing_rates=rules, calibration=x)
    counts = found.run(x, STEPS, progress=False).spike_counts()
    assert counts["relu1"].mean() == pytest.approx(200.0, rel=0.05)
    assert counts["relu2"].mean() == pytest.approx(90.0, rel=0.05)

    found = digits.replace(spiking=True, scale_firing_rates={**rules, "relu1": 30.0}, calibration=x)
    assert found.resolved["scale_firing_rates"]["relu1"] == 30.0
    counts = found.run(x, STEPS, progress=False).spike_counts()
    assert counts["relu2"].mean() == pytest.approx(90.0, rel=0.05)


def test_a_budget_beyond_use_is_not_spent(digits, data) -> None:
    """Under a cap there are best thresholds: the trace says that what is left would do harm."""
    x, _ = data
    rule = sw.EnergyBudget(4, spikes=1e6)
    with pytest.warns(ConversionWarning, match="only make errors larger"):
        found = digits.replace(
            spiking=True, max_spikes_per_step=1, scale_firing_rates=rule, calibration=x
        )
    assert sent(found, x, 4) < 768 * 4
    assert all("only make errors larger" in text for text in lines(found))


def test_a_network_of_rates_sends_no_spikes(digits, data) -> None:
    """There is nothing to measure; the rule says what it expects."""
    rule = sw.EnergyBudget(STEPS, spikes=300.0)
    found = digits.replace(spiking=False, scale_firing_rates=rule, calibration=data[0])
    assert all("expected and not measured" in text for text in lines(found))
    assert found.verify(data[0][:4])


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("name", [name for name in RULES if name != "energy-budget"])
def test_no_other_rule_runs_the_network(digits, data, name, monkeypatch) -> None:
    """What is chosen from values alone takes no run."""
    examples: dict[str, ScaleRule] = {
        "percentile": sw.Percentile(),
        "target-rate": sw.TargetRate(250.0),
        "minimum-error": sw.MinimumError(8, spikes_per_step=1),
        "constant-scale": sw.ConstantScale(20.0),
        "local-threshold-balancing": sw.LocalThresholdBalancing(),
        "threshold-iteration": sw.ThresholdIteration(8, spikes_per_step=1),
        "data-free-calibration": sw.DataFreeCalibration(0, 1, sw.EnergyBudget(8, spikes=100.0)),
    }
    monkeypatch.setattr(SpikeCost, "cost", lambda *a: pytest.fail("it was run"))
    rule = examples[name]
    given = {"calibration": data[0]} if rule.needs_data else {}
    digits.replace(spiking=True, scale_firing_rates=rule, **given)


def test_few_runs_find_the_scales(digits, data, monkeypatch) -> None:
    """A search over many conversions can afford it."""
    runs: list[int] = []
    original = SpikeCost.cost
    monkeypatch.setattr(SpikeCost, "cost", lambda *a: runs.append(1) or original(*a))
    for budget in (60.0, 200.0, 700.0):
        rule = sw.EnergyBudget(STEPS, spikes=budget)
        digits.replace(spiking=True, scale_firing_rates=rule, calibration=data[0])
    assert len(runs) <= 3 * 5
    assert keeping._SPLITS + keeping._RUNS <= 20  # whatever the network
