"""`sw.best_rule`: what it compares, on what, and what it chooses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

import spikewright as sw
from spikewright.choosing.compare.candidates import candidates_of, compared_rules
from spikewright.choosing.compare.loss import loss
from spikewright.choosing.rules import MinimumError
from spikewright.errors import ConversionError
from spikewright.measure.truth import Output

CLASSES, VALUES = Output("y", (5,)), Output("y", (1,))


def first_candidates() -> list[sw.Candidate]:
    """Those that are tried where none are given."""
    return candidates_of(compared_rules(8, 0.001, 1), 8, 0.001, 1)


def network(activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """Two hidden layers, random weights."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 24), activation(), nn.Linear(24, 24), activation(), nn.Linear(24, 5)
    ).eval()


def inputs(n: int = 40, seed: int = 0) -> NDArray:
    """Samples for it."""
    return np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def rate() -> sw.Conversion:
    """Its rate network."""
    return sw.convert(network(), example_input=inputs(1))


@pytest.fixture(scope="module")
def best(rate: sw.Conversion) -> sw.BestRule:
    """What is chosen for eight steps."""
    return sw.best_rule(rate, inputs(), 8, progress=False)


# -- the loss --


@given(st.integers(0, 1000), st.floats(-5, 5))
def test_only_differences_between_classes_count(seed: int, constant: float) -> None:
    """Equal outputs lose nothing, nor do ones that are higher by the same in every class."""
    rng = np.random.default_rng(seed)
    source, found = rng.normal(size=(2, 7, 5))
    assert loss(CLASSES, source, source + constant) == pytest.approx(0.0, abs=1e-9)
    assert loss(CLASSES, source, found) > 0.0
    assert loss(CLASSES, source, found + constant) == pytest.approx(loss(CLASSES, source, found))


def test_the_loss_of_classes_is_the_divergence_of_their_softmax() -> None:
    """By hand: p = (1/2, 1/2), q = (3/4, 1/4): 1/2 ln(2/3) + 1/2 ln 2 = 0.14384."""
    source, found = np.log([[0.5, 0.5]]), np.log([[0.75, 0.25]])
    assert loss(Output("y", (2,)), source, found) == pytest.approx(0.143841, abs=1e-6)


def test_the_loss_of_values_is_relative_to_their_variance() -> None:
    """Off by half a deviation everywhere: a quarter; a constant source has no unit but 1."""
    source = np.array([[-2.0], [2.0]])
    assert loss(VALUES, source, source + 1.0) == pytest.approx(0.25)
    assert loss(VALUES, np.ones((3, 1)), np.full((3, 1), 1.5)) == pytest.approx(0.25)


# -- the choice --


def test_the_least_loss_is_chosen(best: sw.BestRule) -> None:
    """Every rule is compared under every readout, the best one with corrections; least first."""
    losses = [row.loss for row in best.compared]
    assert losses == sorted(losses)
    assert best.best is best.compared[0]
    names = {row.candidate.name for row in best.compared}
    assert len(names) == len(first_candidates()) + 3
    assert {str(row.readout) for row in best.compared} >= {"mean", "After(start=0.004)"}
    first = min(
        (row for row in best.compared if "corrected" not in row.candidate.name),
        key=lambda row: row.loss,
    )
    assert f"{first.candidate.name}, voltages corrected" in names


def test_the_choice_is_better_than_a_simple_rule_on_new_samples(
    rate: sw.Conversion, best: sw.BestRule
) -> None:
    """On samples that no part of it saw, its outputs are nearer to the source's."""
    x = inputs(200, seed=1)
    source = rate.run(x, steps=1).predict()
    simple = rate.again(
        spiking=True, max_spikes_per_step=1, calibration=inputs(),
        scale_firing_rates=sw.Percentile(99.9),
    )  # fmt: skip
    chosen = best.conversion.run(x, steps=8).predict(best.readout)
    other = simple.run(x, steps=8).predict()
    assert loss(CLASSES, source, chosen) < 0.5 * loss(CLASSES, source, other)


def test_its_arguments_make_the_same_network_without_data(best: sw.BestRule) -> None:
    """Bit for bit, from a new reading of the model."""
    arguments = best.arguments
    steps, dt, readout = (arguments.pop(name) for name in ("steps", "dt", "readout"))
    assert (steps, dt, readout) == (8, 0.001, best.readout)
    assert arguments["calibration"] is None
    again = sw.convert(network(), example_input=inputs(1), **arguments)
    x = inputs(10, seed=2)
    np.testing.assert_array_equal(
        again.run(x, steps=8).predict(readout), best.conversion.run(x, steps=8).predict(readout)
    )


def test_no_neuron_sends_more_than_is_allowed(rate: sw.Conversion, best: sw.BestRule) -> None:
    """The cap holds for whatever is chosen; without a cap some send more."""
    types = [e.neuron_type for e in best.conversion.populations().values()]
    assert all(neurons.most_spikes == 1 for neurons in types)
    free = sw.best_rule(rate, inputs(), 4, max_spikes_per_step=None, progress=False)
    types = [e.neuron_type for e in free.conversion.populations().values()]
    assert all(neurons.most_spikes is None for neurons in types)
    assert free.best.loss < 0.2 * sw.best_rule(rate, inputs(), 4, progress=False).best.loss


def test_a_tolerance_buys_the_cheapest(rate: sw.Conversion) -> None:
    """Of those that answer as the source on all but that share, the one with fewest spikes."""
    found = sw.best_rule(
        rate, inputs(), 8, max_spikes_per_step=None, tolerance=0.1, progress=False
    )  # fmt: skip
    within = [row for row in found.compared if row.disagreement <= 0.1]
    assert len(within) > 1
    assert found.best.spikes == min(row.spikes for row in within)
    assert found.best.spikes < found.compared[0].spikes


def test_candidates_see_one_half_and_are_compared_on_the_other(rate: sw.Conversion) -> None:
    """Rules are given statistics of every other sample, once; rows are about the others."""
    seen: list[int] = []

    class Looking(MinimumError):
        def choose(self, case):
            assert case.statistics is not None
            seen.append(int(next(iter(case.statistics.layers.values())).values.total[0]))
            return super().choose(case)

    arguments = {"spiking": True, "max_spikes_per_step": 1, "scale_firing_rates": Looking(8)}
    it = [sw.Candidate("it", arguments)]
    x = inputs(21)
    found = sw.best_rule(rate, x, 8, candidates=it, progress=False)
    assert seen == [11]
    assert found.best.samples == 10
    source = rate.run(x[1::2], steps=1).predict()
    chosen = found.conversion.run(x[1::2], steps=8).predict()
    assert found.best.loss == pytest.approx(loss(CLASSES, source, chosen))
    assert found.best.disagreement == np.mean(source.argmax(1) != chosen.argmax(1))


def test_many_samples_are_kept_for_the_few_that_may_win(
    rate: sw.Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All candidates are compared on the first samples, three of them and corrections on all."""
    monkeypatch.setattr("spikewright.choosing.compare.comparing.FEW", 8)
    found = sw.best_rule(rate, inputs(60), 8, progress=False)
    names = [row.candidate.name for row in found.compared if row.samples == 30]
    others = [row.candidate.name for row in found.compared if row.samples == 8]
    assert len(set(names)) == 3 + 3
    assert len(set(others)) == len(first_candidates()) - 3
    assert not set(names) & set(others)
    assert found.best.samples == 30


def test_given_candidates_alone_are_compared(rate: sw.Conversion) -> None:
    """One row a candidate and readout, nothing else."""
    made = [
        sw.Candidate(
            str(hz), {"spiking": True, "scale_firing_rates": sw.TargetRate(hz)}, ("mean", "last")
        )
        for hz in (100.0, 3000.0)
    ]
    found = sw.best_rule(rate, inputs(), 8, candidates=made, progress=False)
    assert len(found.compared) == 4
    assert found.best.candidate.name == "3000.0"


UNABLE = {"spiking": {"relu": sw.SpikingRectifiedLinear()}, "max_spikes_per_step": 1}


def test_a_candidate_that_fails_is_a_row_with_its_reason(rate: sw.Conversion) -> None:
    """One cannot be converted, one sends too many spikes to count; the third is chosen."""
    tried = [
        sw.Candidate("uncappable", UNABLE),
        sw.Candidate("far too fast", {"spiking": True, "scale_firing_rates": 1e15}),
        sw.Candidate("able", {"spiking": True, "scale_firing_rates": 1000.0}),
    ]
    found = sw.best_rule(rate, inputs(), 8, candidates=tried, progress=False)
    assert found.best.candidate.name == "able"
    reasons = {row.candidate.name: row.failed for row in found.compared}
    assert not reasons.pop("able")
    assert "has no cap" in reasons["uncappable"]
    assert "lower its firing-rate scale" in reasons["far too fast"]
    lines = str(found).splitlines()
    assert sum(line.startswith("failed: ") for line in lines) == 2
    assert "able" in lines[1]


@pytest.mark.parametrize("few", [8, 128])
def test_where_all_candidates_fail_every_reason_is_told(
    rate: sw.Conversion, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alike ones once, with the names of all; on few samples and on many."""
    monkeypatch.setattr("spikewright.choosing.compare.comparing.FEW", few)
    fast = {"spiking": True, "scale_firing_rates": 1e15}
    tried = [sw.Candidate(f"uncappable {i}", UNABLE) for i in range(4)]
    with pytest.raises(ConversionError, match="none of them can be run") as caught:
        sw.best_rule(
            rate, inputs(), 8, candidates=[*tried, sw.Candidate("fast", fast)], progress=False
        )
    text = str(caught.value)
    assert text.count("has no cap") == 1
    assert "uncappable 0, uncappable 1, uncappable 2, uncappable 3: " in text
    assert "lower its firing-rate scale" in text


def test_a_rounding_error_ends_no_search() -> None:
    """A layer that is zero but for rounding: every rule of the field has a row with a loss."""

    class Cancelling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.second = nn.Linear(6, 24), nn.Linear(24, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.first(x)
            nothing = torch.tanh(torch.relu(h) - torch.relu(0.37 * h) / 0.37)
            return self.second(torch.relu(h) + nothing)

    found = sw.best_rule(Cancelling().eval(), inputs(), 8, example_input=inputs(1), progress=False)
    assert not any(row.failed for row in found.compared)
    assert found.best.disagreement < 0.5


def test_the_table_has_the_chosen_one_first(best: sw.BestRule) -> None:
    """One line a candidate under a head, the chosen one on top."""
    lines = str(best).splitlines()
    assert len(lines) == 1 + len({row.candidate.name for row in best.compared})
    assert best.best.candidate.name in lines[1]
    assert "other answers" in lines[0]


def test_a_network_without_relu_has_candidates_too() -> None:
    """Neurons that cannot be capped are left alone; spikes are unbounded then."""
    model = network(nn.Tanh)
    found = sw.best_rule(
        model, inputs(), 8, max_spikes_per_step=None, example_input=inputs(1), progress=False
    )
    assert found.best.loss == min(row.loss for row in found.compared)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rate: sw.best_rule(rate, inputs(), 0), "steps"),
        (lambda rate: sw.best_rule(rate, inputs(), 8, 0.0), "dt"),
        (lambda rate: sw.best_rule(rate, inputs(), 8, tolerance=2.0), "tolerance"),
        (lambda rate: sw.best_rule(rate, inputs(1), 8), "at least two samples"),
        (lambda rate: sw.best_rule(rate, np.zeros((4, 3)), 8), "calibration"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    rate: sw.Conversion, call: Callable[[sw.Conversion], object], message: str
) -> None:
    """The error names the argument."""
    with pytest.raises(ConversionError, match=message):
        call(rate)
