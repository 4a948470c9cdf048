"""A rule that is registered once is taken by `convert`, `best_rule`, `tune` and commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from calibrating import EXAMPLES, MLP, population_names, statistics_of
from click.testing import CliRunner
from sklearn.datasets import load_digits

import spikewright as sw
from spikewright.choosing import NeuronConfig, RuleContext, ScaleChoice
from spikewright.choosing.rules import RULES
from spikewright.choosing.rules import rule as rules
from spikewright.cli import main
from spikewright.errors import ConversionError, TuningError
from spikewright.showing.demo import MODEL
from spikewright.study.search.parameters import Allocation, searched_rules, with_rules

X = np.random.default_rng(0).normal(size=(40, 6))


@pytest.fixture
def mine() -> Iterator[type[sw.ScaleRule]]:
    """A rule of one's own, known for the length of a test."""

    @rules.register("largest-value")
    @dataclass(frozen=True)
    class LargestValue(sw.ScaleRule):
        """One spike a step means the largest value that a layer sends."""

        dt: float = 0.001

        def choose(self, case: RuleContext) -> dict[str, ScaleChoice]:
            found = {n: float(la.magnitude("layer").highest[0]) for n, la in case.layers.items()}
            return {
                n: ScaleChoice(np.asarray(1 / (self.dt * theta)), f"{self}: {theta:.3g}")
                for n, theta in found.items()
            }

    yield LargestValue
    del rules.RULES._members["largest-value"]


def test_a_rule_of_ones_own_is_taken_everywhere(mine: type[sw.ScaleRule], tmp_path) -> None:
    """Nothing but its class names it: converted, compared, searched, and named in a command."""
    made = sw.convert(MLP, spiking=True, scale_firing_rates=mine(), calibration=X)
    values = statistics_of(MLP, X).layers
    for name, scale in made.resolved["scale_firing_rates"].items():
        assert scale == pytest.approx(1000 / values[name].magnitude("layer").highest[0])

    compared = sw.best_rule(made, X, 4, progress=False).points
    assert any(row.setting.name.startswith("LargestValue") for row in compared)

    digits = load_digits()
    x, y = digits.images[:80, None].astype(np.float32), digits.target[:80]
    space = {"rule": "LargestValue", "steps": [2], "synapse": None}
    found = sw.tune(MODEL, x, y, max_drop=0.5, space=space, trials=2, progress=False)
    assert isinstance(found.best.rule.like, mine)

    data, out = tmp_path / "x.npz", tmp_path / "network"
    np.savez(data, x=x)
    done = CliRunner().invoke(
        main,
        ["convert", str(MODEL), "--spiking", "-o", str(out), "--calibration", str(data),
         "--scale", "largest-value"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert sw.load(out).populations()


def test_it_is_searched_unless_it_says_otherwise(mine: type[sw.ScaleRule]) -> None:
    """By default with the others, which keep their places: studies know them by these."""
    known = list(searched_rules())
    assert known[-1] == "LargestValue"

    mine.searched = classmethod(lambda cls: {})  # type: ignore[assignment,method-assign]
    assert list(searched_rules()) == known[:-1]

    mine.searched = classmethod(lambda cls: {"percentile": cls()})  # type: ignore[assignment]
    with pytest.raises(TuningError, match="two kinds of rules are searched as 'percentile'"):
        searched_rules()


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_taken_by_all_three(name: str) -> None:
    """As an object, whatever its arguments; the search spends its budget in its proportions."""
    rule = EXAMPLES[name][-1]
    data = {"calibration": X} if rule.needs_data else {}
    made = sw.convert(MLP, spiking=True, scale_firing_rates=rule, max_spikes_per_step=1, **data)
    assert set(made.resolved["scale_firing_rates"]) == set(population_names(MLP))

    best = sw.best_rule(made, X, 4, candidates=[rule], progress=False)
    assert {row.setting.arguments["scale_firing_rates"] for row in best.points} == {rule}
    assert not any(row.failed for row in best.points)

    wanted, known = with_rules({"rule": [rule]})
    layers = dict.fromkeys(population_names(MLP), NeuronConfig(cap=1))
    case = RuleContext(MLP, MLP, layers, ("fc3",), statistics_of(MLP, X))
    weights = {n: np.ones(la.values.channels) for n, la in case.layers.items()}
    allocation = Allocation(case, weights, known)
    few, many = (
        allocation.thresholds(wanted["rule"][0], spikes, {}, 8, NeuronConfig(cap=1))
        for spikes in (10.0, 40.0)
    )
    assert all(np.all(few[layer] >= many[layer]) for layer in layers)
    assert any(np.any(few[layer] > many[layer]) for layer in layers)


def test_rules_are_searched_as_text_too() -> None:
    """As the command line takes them, beside the names that studies know."""
    given = ["percentile", "target-rate:50,99", sw.ConstantScale(3.0)]
    wanted, known = with_rules({"rule": iter(given)})

    assert wanted["rule"] == ["percentile", "target-rate:50,99", "ConstantScale(scale=3.0)"]
    assert known["percentile"] == sw.Percentile(per="layer")
    assert known["target-rate:50,99"] == sw.TargetRate(50.0, 99.0)


@pytest.mark.parametrize("given", ["fastest", "target-rate:-1", 3, [sw.ConstantScale(), None]])
def test_what_is_no_rule_is_refused_by_a_search(given: object) -> None:
    """With the names that there are."""
    with pytest.raises(TuningError, match="'rule' is"):
        with_rules({"rule": given})


def test_what_is_no_candidate_is_refused() -> None:
    """A name is no rule here."""
    made = sw.convert(MLP, spiking=True)
    with pytest.raises(ConversionError, match=r"rules, or of sw\.StudySetting"):
        sw.best_rule(made, X, 4, candidates=["percentile"], progress=False)  # type: ignore[list-item]
