"""`sw.best_rule`: what it compares, on what, and what it chooses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

import spikewright as sw
from spikewright import demo
from spikewright.choosing.rules import MinimumError
from spikewright.errors import ConversionError
from spikewright.graph import Graph, GraphNode
from spikewright.graph import layers as g
from spikewright.measure.targets import Output
from spikewright.records import Record
from spikewright.study import candidates as ways
from spikewright.study.candidates import (
    CandidateRefinement,
    candidates_of,
    codes_of,
    compared_rules,
)
from spikewright.study.comparison import LOSS, Comparison, by_candidate, kept, losses
from spikewright.study.halving import Halving, HalvingClock, better_half, expected_others
from spikewright.study.point import OutputScore
from spikewright.study.programs import MODEL

CLASSES, VALUES = Output("y", (5,)), Output("y", (1,))


def loss(output: Output, source: NDArray, found: NDArray) -> float:
    """The mean loss of values `(samples, *shape)`."""
    return float(losses(output, source, kept(output, source, found)).mean())


def first_candidates() -> list[sw.StudySetting]:
    """Those that are tried where none are given."""
    rules = candidates_of(compared_rules(8, 0.001, None), 8, 0.001, None)
    return [*rules, *codes_of(8, None)]


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
def best(rate: sw.Conversion) -> sw.results.StudyResult:
    """The closest for eight steps, without a cap."""
    return sw.best_rule(rate, inputs(), 8, max_spikes_per_step=None, progress=False)


# -- the loss --


@given(st.integers(0, 1000), st.floats(-5, 5), st.floats(0.01, 100))
def test_only_differences_between_classes_count(seed: int, constant: float, factor: float) -> None:
    """Nothing is lost by a common factor, or by the same amount in every class of a sample."""
    rng = np.random.default_rng(seed)
    source, found = rng.normal(size=(2, 7, 5))
    assert loss(CLASSES, source, source + constant) == pytest.approx(0.0, abs=1e-9)
    assert loss(CLASSES, source, found) > 0.0
    assert loss(CLASSES, source, factor * source) == pytest.approx(0.0, abs=1e-9)
    changed = factor * found + constant
    assert loss(CLASSES, source, changed) == pytest.approx(loss(CLASSES, source, found))


def test_the_loss_of_classes_is_the_share_that_outputs_do_not_explain() -> None:
    """By hand: leads are 2 and 4, found are 1 and 1: the best factor is 3, (1 + 1) / (4 + 16)."""
    source, found = np.array([[2.0, 0.0], [4.0, 0.0]]), np.array([[1.0, 0.0], [5.0, 4.0]])
    two = Output("y", (2,))
    assert loss(two, source, found) == pytest.approx(0.1)
    for nothing in (np.zeros((2, 2)), -source):
        assert loss(two, source, nothing) == pytest.approx(1.0)
    assert loss(two, np.ones((2, 2)), np.ones((2, 2))) == 0.0


def test_the_loss_of_values_is_relative_to_their_variance() -> None:
    """Off by half a deviation everywhere: a quarter; a constant source has no unit but 1."""
    source = np.array([[-2.0], [2.0]])
    assert loss(VALUES, source, source + 1.0) == pytest.approx(0.25)
    assert loss(VALUES, np.ones((3, 1)), np.full((3, 1), 1.5)) == pytest.approx(0.25)


# -- the choice --


def test_the_least_loss_is_chosen(best: sw.results.StudyResult) -> None:
    """Every rule is compared under every readout, the best one with corrections; least first.

    Others may be tried with corrections that are close to the best.
    """
    losses = [row.lost for row in best.points]
    assert losses == sorted(losses)
    assert best.best is best.points[0]
    names = {row.setting.name for row in best.points}
    plain = {candidate.name for candidate in first_candidates()}
    assert plain <= names and len(names) >= len(plain) + 3
    kinds = {name.rsplit(", ", 1)[-1] for name in names - plain}
    assert kinds == {"voltages corrected", "steps corrected", "biases corrected"}
    assert {str(row.readout) for row in best.points} >= {"mean", "MeanAfter(start=0.004)"}
    first = min(
        (row for row in best.points if row.setting.name in plain and "Digits" not in row.name),
        key=lambda row: row.lost,
    )
    assert {f"{first.setting.name}, {kind}" for kind in kinds} <= names


def test_the_choice_is_better_than_a_simple_rule_on_new_samples(
    rate: sw.Conversion, best: sw.results.StudyResult
) -> None:
    """On samples that no part of it saw, its outputs are nearer to the source's."""
    x = inputs(200, seed=1)
    source = rate.run(x, steps=1).predict()
    simple = rate.replace(
        spiking=True, max_spikes_per_step=1, calibration=inputs(),
        scale_firing_rates=sw.Percentile(99.9),
    )  # fmt: skip
    chosen = best.best.conversion.run(x, steps=8).predict(best.best.readout)
    other = simple.run(x, steps=8).predict()
    assert loss(CLASSES, source, chosen) < 0.5 * loss(CLASSES, source, other)


def test_its_arguments_make_the_same_network_without_data(best: sw.results.StudyResult) -> None:
    """Bit for bit, from a new reading of the model."""
    arguments, readout = best.best.arguments, best.best.readout
    assert (best.best.run, arguments["calibration"]) == ({"steps": 8, "dt": 0.001}, None)
    again = sw.convert(network(), example_input=inputs(1), **arguments)
    x = inputs(10, seed=2)
    np.testing.assert_array_equal(
        again.run(x, steps=8).predict(readout),
        best.best.conversion.run(x, steps=8).predict(readout),
    )


def test_no_neuron_sends_more_than_is_allowed(
    rate: sw.Conversion, best: sw.results.StudyResult
) -> None:
    """The cap holds for whatever is chosen; without a cap some send more, and less is lost."""
    capped = sw.best_rule(rate, inputs(), 8, progress=False)
    for found, most in ((best, None), (capped, 1)):
        types = [e.neuron_type for e in found.best.conversion.populations().values()]
        assert {neurons.most_spikes for neurons in types} == {most}
    assert best.best.lost < 0.5 * capped.best.lost


def test_under_a_cap_the_cheapest_near_the_fewest_other_answers_is_chosen(
    rate: sw.Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a sample or half a percent, all compared on the same samples; the closest is marked.

    What is surely farther left early; of candidates that cost about as much the closest is taken.
    """
    halved(monkeypatch)
    found = sw.best_rule(rate, inputs(300), 4, progress=False)
    rows = [row for row in found.points if row.n == 150]
    least = min(row.disagreement for row in rows)
    others = expected_others(rows)
    near = [
        row
        for row, share in zip(rows, others, strict=True)
        if share <= others.min() + 1 / 150 + 1e-9
    ]
    cheapest = min(row.spikes for row in near)
    assert found.best in near and found.best.spikes <= 1.05 * cheapest
    assert found.best.lost == min(r.lost for r in near if r.spikes <= 1.05 * cheapest)
    assert found.closest.lost == min(row.lost for row in rows)
    for row in set(found.points) - set(rows):
        assert row.n < 150 and row.disagreement > least
    marks = {row["candidate"]: row["chosen"] for row in found.table.as_dicts()}
    assert marks[found.best.setting.name] == "chosen"
    assert marks[found.closest.setting.name] in ("chosen", "closest")


def compared(loss: float, others: int, n: int) -> sw.results.OperatingPoint:
    """A candidate of so much loss, which gives so many other answers on `n` samples."""
    return sw.results.OperatingPoint(
        setting=sw.StudySetting("it", {}), steps=4, dt=0.001, different=np.arange(n) < others,
        scores=(OutputScore(LOSS, Record("loss", loss, "ratio", n)),),
    )  # fmt: skip


def test_luck_with_few_answers_does_not_decide() -> None:
    """Of two that count alike the one of four times the loss has more other answers to expect.

    As many as its loss lets expect, where few samples differ; as many as were counted of many.
    """
    few = expected_others([compared(0.02, 1, 100), compared(0.08, 1, 100)])
    many = expected_others([compared(0.02, 2000, 200_000), compared(0.08, 2000, 200_000)])
    assert few[1] > 4 * few[0] and many == pytest.approx(0.01, rel=0.05)
    as_expected = [compared(0.01, 8, 1000), compared(0.04, 64, 1000)]  # 4 ** 1.5 times as many
    assert expected_others(as_expected) == pytest.approx([0.008, 0.064])
    assert expected_others([compared(0.0, 0, 100)]) == pytest.approx(0.0)


@pytest.mark.parametrize("cap", [1, None])
def test_the_call_makes_it_again(cap: int | None) -> None:
    """As printed: rules by name on the samples that they saw, numbers where these have no name."""
    x = inputs(40)
    found = sw.best_rule(
        network(), x, 8, max_spikes_per_step=cap, example_input=x[:2], progress=False
    )
    for point in (found.best, found.closest):
        *made, run = point.call.splitlines()
        space: dict[str, Any] = {"model": network(), "example_input": x[:2], "x": x}
        exec("\n".join(made), space)
        expected = point.conversion.run(x, 8).predict(point.readout)
        np.testing.assert_array_equal(eval(run, space), expected)


def test_candidates_see_one_half_and_are_compared_on_the_other(rate: sw.Conversion) -> None:
    """Rules are given statistics of every other sample, once; rows are about the others."""
    seen: list[int] = []

    class Looking(MinimumError):
        def choose(self, case):
            assert case.statistics is not None
            seen.append(int(next(iter(case.statistics.layers.values())).values.total[0]))
            return super().choose(case)

    arguments = {"spiking": True, "max_spikes_per_step": 1, "scale_firing_rates": Looking(8)}
    it = [sw.StudySetting("it", arguments)]
    x = inputs(21)
    found = sw.best_rule(rate, x, 8, candidates=it, progress=False)
    assert seen == [11]
    assert found.best.n == 10
    source = rate.run(x[1::2], steps=1).predict()
    chosen = found.best.conversion.run(x[1::2], steps=8).predict()
    assert found.best.lost == pytest.approx(loss(CLASSES, source, chosen))
    assert found.best.disagreement == np.mean(source.argmax(1) != chosen.argmax(1))


def halved(monkeypatch: pytest.MonkeyPatch, first: int = 8) -> None:
    """Let candidates be compared on so few samples first."""
    monkeypatch.setattr("spikewright.study.comparison.FIRST", first)


def test_many_samples_are_kept_for_the_few_that_may_win(
    rate: sw.Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are compared on the first samples, at most half on twice as many, and three on all.

    Corrections of the best of these come to them, and those that help of three others.
    """
    halved(monkeypatch)
    found = sw.best_rule(rate, inputs(80), 8, max_spikes_per_step=None, progress=False)
    by_samples: dict[int, set[str]] = {}
    for row in found.points:
        by_samples.setdefault(row.n, set()).add(row.setting.name)
    first, second, final = (by_samples.get(n, set()) for n in (8, 16, 40))
    assert set(by_samples) <= {8, 16, 32, 40}
    assert len(first) >= len(first_candidates()) // 2
    plain = {name for name in final if not name.endswith("corrected")}
    assert len(plain) <= 3 and len(final - plain) <= 3 * (1 + 3)
    assert not final & (first | second)
    assert found.best.n == 40


@pytest.mark.parametrize("cap", [1, None, 2])
def test_signed_digits_are_compared_too(rate: sw.Conversion, cap: int | None) -> None:
    """Unless several spikes a step are asked for; their loss is that of a run of the code's steps.

    Nothing is added to them: corrections and fits are for rates.
    """
    found = sw.best_rule(rate, inputs(), 4, max_spikes_per_step=cap, progress=False)
    coded = [row for row in found.points if "SignedDigits" in row.setting.name]
    assert {row.setting.name for row in coded} == ({"SignedDigits(steps=4)"} if cap != 2 else set())
    for row in coded:
        assert not row.failed and row.conversion.coding.steps == 4
        assert row.conversion.run(inputs(3), progress=False).steps == 4


def test_layers_that_digits_cannot_say_are_named() -> None:
    """The candidate failed, with the layers and the reason; another one is chosen."""
    rounding = g.Activation("rounded_relu", {"threshold": 1.0, "levels": 4.0})
    weights = np.random.default_rng(0).normal(size=(5, 6))
    nodes = (
        GraphNode("x", g.Input((6,))),
        GraphNode("rounds", rounding, ("x",)),
        GraphNode("out", g.Affine(weights, None), ("rounds",)),
    )
    found = sw.best_rule(Graph(nodes, {"out": "out"}), inputs(), 4, progress=False)
    assert "it rounds its values to levels" in found.failed["SignedDigits(steps=4)"]
    assert found.best is not None and "Digits" not in found.best.name


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_none_in_the_list_is_surely_better_than_the_chosen_one(
    rate: sw.Conversion, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """On the samples that both saw, no other loses less by more than their paired interval."""
    halved(monkeypatch, first=4)
    found = sw.best_rule(rate, inputs(60, seed), 4, max_spikes_per_step=None, progress=False)
    others = [row for row in found.points if row is not found.best]
    assert any(row.n < 30 for row in others)
    for row in others:
        interval = found.best.behind(row)
        assert interval is not None
        assert interval[0] <= 0
    assert any((row.behind(found.best) or (0,))[0] > 0 for row in others)


def test_a_rule_is_compared_in_parts_as_in_one_go(rate: sw.Conversion) -> None:
    """On some samples and then on more: the losses, answers and spikes of one run of all."""
    (candidate, *_) = first_candidates()
    x = {next(iter(rate.canonical.inputs)): inputs(60).astype(np.float64)}
    parts, whole = (
        Comparison(rate, MODEL, x, 8, dt=0.001, engine="auto", threads=1) for _ in range(2)
    )
    for count in (4, 11, 30):
        found = parts.rows(candidate, count)
        assert {row.n for row in found} == {count}
    for row, other in zip(found, whole.rows(candidate), strict=True):
        np.testing.assert_array_equal(row.losses, other.losses)
        assert (row.lost, row.disagreement) == (other.lost, other.disagreement)
        assert row.spikes == pytest.approx(other.spikes)


@dataclass
class Made:
    """A comparison whose losses are given: `{name: (samples,)}` of each candidate, by readout."""

    losses: dict[str, dict[str, NDArray]]
    stages: list[int]
    runs: list[tuple[str, int]] = field(default_factory=list)
    fails: set[str] = field(default_factory=set)
    """Those that fail on all samples."""
    few: dict[str, NDArray] = field(default_factory=dict)
    seconds: float = 0.0
    seconds_to_run: float = 0.0
    steps: int = 4
    dt: float = 0.001

    def seconds_to_make(self, candidate: sw.StudySetting) -> float:
        """The time that a correction takes."""
        return self.seconds

    def numbers(self, candidate: sw.StudySetting) -> dict[str, float]:
        """The arguments of a candidate."""
        return {}

    @property
    def samples(self) -> int:
        return self.stages[-1]

    def rows(self, candidate: sw.StudySetting, count: int) -> list[sw.results.OperatingPoint]:
        self.runs.append((candidate.name, count))
        if candidate.name in self.fails and count == self.samples:
            return [
                sw.results.OperatingPoint(setting=candidate, steps=8, dt=0.001, failed="it fails")
            ]
        return [
            sw.results.OperatingPoint(
                setting=candidate, steps=8, dt=0.001, readout=readout, losses=loss[:count],
                scores=(OutputScore(LOSS, Record("loss", loss[:count].mean(), "ratio", count)),),
                costs=(Record("spikes per sample", 1.0, "spikes", count),),
            )
            for readout, loss in self.losses[candidate.name].items()
        ]  # fmt: skip


def constant(value: float, n: int = 64) -> NDArray:
    """Losses of about so much."""
    return value + 1e-3 * np.random.default_rng(round(1000 * value)).normal(size=n)


def test_who_left_too_early_is_brought_back() -> None:
    """A stays for one readout and wins by another, under which E had been better: E sees all."""
    late = np.concatenate([constant(1.0, 8), constant(0.0, 56)])
    early = np.concatenate([constant(0.0, 8), constant(1.0, 56)])
    losses = {name: {"mean": constant(0.3)} for name in "BCD"}
    first = {"A": {"mean": early, "last": late}}
    made = Made({**first, **losses, "E": {"mean": constant(0.4)}}, [8, 64])
    halving = Halving(made, lambda done: None, better_half)  # type: ignore[arg-type]
    halving.compare([sw.StudySetting(name, {}) for name in made.losses], HalvingClock(None))
    assert ("E", 64) not in made.runs
    assert (halving.left[0].setting.name, halving.left[0].readout) == ("A", "last")
    halving.settle()
    assert ("E", 64) in made.runs
    assert halving.left[0].readout == "last"
    for row in [*halving.left, *halving.gone]:
        interval = halving.left[0].behind(row)
        assert interval is None or interval[0] <= 0


def test_candidates_that_are_surely_worse_leave_at_once() -> None:
    """Of eight the better half may stay; only three of them are as good as the best."""
    losses = {f"{i}": {"mean": constant(0.0 if i < 3 else 0.5 + i)} for i in range(8)}
    made = Made(losses, [8, 64])
    halving = Halving(made, lambda done: None, better_half)  # type: ignore[arg-type]
    halving.compare([sw.StudySetting(name, {}) for name in losses], HalvingClock(None))
    assert {name for name, count in made.runs if count == 64} == {"0", "1", "2"}
    assert {row.n for row in halving.gone} == {8}


def test_time_that_runs_out_ends_it_with_the_best_until_then(
    rate: sw.Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of no time at all one candidate is left; with time for one stage the best of that."""
    found = sw.best_rule(rate, inputs(), 8, max_spikes_per_step=None, timeout=1e-9, progress=False)
    assert {row.setting.name for row in found.points} == {first_candidates()[0].name}
    made = Made({name: {"mean": constant(ord(name) % 3)} for name in "ABDEF"}, [8, 64])
    now = iter(range(1000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(now)))
    halving = Halving(made, lambda done: None, better_half)  # type: ignore[arg-type]
    halving.compare([sw.StudySetting(name, {}) for name in made.losses], HalvingClock(6.0))
    assert [count for _, count in made.runs] == [8, 8, 8, 8, 8, 64]
    assert halving.left[0].setting.name in "BE"
    assert {row.n for row in halving.left} == {8}


@pytest.mark.parametrize(("helps", "tried"), [(0.2, 5), (2.0, 3)])
def test_the_correction_that_helps_is_tried_with_the_others_too(helps: float, tried: int) -> None:
    """A is the best, and B with corrected steps is better; where none helps A that is all."""
    kinds = ("voltages", "steps", "biases")
    losses = {name: {"mean": constant(0.5 + place)} for place, name in enumerate("ABC")}
    losses |= {f"A, {kind} corrected": {"mean": constant(3.0)} for kind in kinds}
    losses["A, steps corrected"] = {"mean": constant(helps)}
    losses |= {"B, steps corrected": {"mean": constant(0.1)}}
    losses |= {"C, steps corrected": {"mean": constant(4.0)}}
    made = Made(losses, [8])
    halving = Halving(made, lambda done: None, better_half)  # type: ignore[arg-type]
    halving.compare([sw.StudySetting(name, {}) for name in "ABC"], HalvingClock(None))
    CandidateRefinement(halving).correct(HalvingClock(None))  # type: ignore[arg-type]
    assert halving.left[0].setting.name == ("B, steps corrected" if tried == 5 else "A")
    assert len(made.runs) == 3 + tried
    slow = Made(losses, [8], seconds=1e12)
    late = Halving(slow, lambda done: None, better_half)  # type: ignore[arg-type]
    late.left = halving.left[-1:]
    CandidateRefinement(late).correct(HalvingClock(time.monotonic() + 60))  # type: ignore[arg-type]
    assert len(late.left) == 1


def test_where_all_that_stayed_fail_others_come_back() -> None:
    """Three of five stay, and fail on more samples; of the two that left the better is chosen."""
    losses = {name: {"mean": constant(float(place))} for place, name in enumerate("ABCDE")}
    made = Made(losses, [8, 64], fails={"A", "B", "C"})
    halving = Halving(made, lambda done: None, better_half)  # type: ignore[arg-type]
    halving.compare([sw.StudySetting(name, {}) for name in losses], HalvingClock(None))
    assert halving.left[0].setting.name == "D"
    assert halving.left[0].n == 64
    assert {row.setting.name for row in halving.left if row.failed} == {"A", "B", "C"}


@pytest.mark.slow
def test_without_an_end_it_is_a_function_of_its_arguments(
    rate: sw.Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows twice, and the same with more time than it takes."""
    halved(monkeypatch)
    tables = [
        sw.best_rule(rate, inputs(60), 4, timeout=end, reconstruct=False, progress=False).table
        for end in (None, None, 600.0)
    ]
    assert tables[0] == tables[1] == tables[2]


@pytest.mark.parametrize("steps", [1, 2, 8, 32, 33])
def test_heights_fall_in_few_steps_of_capped_spikes(steps: int) -> None:
    """From two steps to 32; without a cap there is no room to make."""
    for cap in (1, 3, None):
        kinds = [
            c.arguments["spiking"][sw.RectifiedLinear]
            for c in candidates_of({"one": sw.ConstantScale()}, steps, 0.001, cap)
        ]
        falls = cap is not None and 1 < steps <= 32
        falling = [sw.BipolarIntegrateAndFire.in_steps(steps, cap or 1)] if falls else []
        assert [kind for kind in kinds if kind.spike_heights] == falling
        assert len(kinds) == 2 + falls


def test_given_candidates_alone_are_compared(rate: sw.Conversion) -> None:
    """One row a candidate and readout, nothing else."""
    made = [
        sw.StudySetting(
            str(hz), {"spiking": True, "scale_firing_rates": sw.TargetRate(hz)}, ("mean", "last")
        )
        for hz in (100.0, 3000.0)
    ]
    found = sw.best_rule(rate, inputs(), 8, candidates=made, progress=False)
    assert len(found.points) == 4
    assert found.best.setting.name == "3000.0"


UNABLE = {"spiking": {"relu": sw.SpikingRectifiedLinear()}, "max_spikes_per_step": 1}


def test_a_candidate_that_fails_is_a_row_with_its_reason(rate: sw.Conversion) -> None:
    """One cannot be converted, one sends too many spikes to count; the third is chosen."""
    tried = [
        sw.StudySetting("uncappable", UNABLE),
        sw.StudySetting("far too fast", {"spiking": True, "scale_firing_rates": 1e15}),
        sw.StudySetting("able", {"spiking": True, "scale_firing_rates": 1000.0}),
    ]
    found = sw.best_rule(rate, inputs(), 8, candidates=tried, progress=False)
    assert found.best.setting.name == "able"
    reasons = {row.setting.name: row.failed for row in found.points}
    assert not reasons.pop("able")
    assert "has no cap" in reasons["uncappable"]
    assert "lower its firing-rate scale" in reasons["far too fast"]
    rows = found.table.as_dicts()
    assert [row["chosen"] for row in rows] == ["chosen", "failed", "failed"]


@pytest.mark.parametrize("few", [8, 32])
def test_where_all_candidates_fail_every_reason_is_told(
    rate: sw.Conversion, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alike ones once, with the names of all; on few samples and on many."""
    halved(monkeypatch, few)
    fast = {"spiking": True, "scale_firing_rates": 1e15}
    tried = [sw.StudySetting(f"uncappable {i}", UNABLE) for i in range(4)]
    with pytest.raises(ConversionError, match="none of them can be run") as caught:
        sw.best_rule(
            rate, inputs(), 8, candidates=[*tried, sw.StudySetting("fast", fast)], progress=False
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
    assert {*found.failed} <= {"SignedDigits(steps=8)"}  # which have no tanh
    assert found.best.disagreement < 0.5


def test_the_table_has_the_chosen_one_first(best: sw.results.StudyResult) -> None:
    """One line a candidate under a head, the chosen one on top."""
    head, *rows = best.table.as_texts()
    assert len(rows) == len({row.setting.name for row in best.points})
    assert best.best.setting.name in rows[0]
    assert "other answers" in head


def test_a_network_without_relu_has_candidates_too() -> None:
    """Neurons that cannot be capped are left alone; spikes are unbounded then."""
    model = network(nn.Tanh)
    found = sw.best_rule(
        model, inputs(), 8, max_spikes_per_step=None, example_input=inputs(1), progress=False
    )
    assert found.best.lost == min(row.lost for row in found.points)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rate: sw.best_rule(rate, inputs(), 0), "steps"),
        (lambda rate: sw.best_rule(rate, inputs(), 8, 0.0), "dt"),
        (lambda rate: sw.best_rule(rate, inputs(), 8, timeout=0), "timeout"),
        (lambda rate: sw.best_rule(rate, inputs(1), 8), "at least two samples"),
        (lambda rate: sw.best_rule(rate, np.zeros((4, 3)), 8), "calibration"),
        (
            lambda rate: sw.best_rule(rate, inputs(), 8, candidates=5),
            "they are a list of rules",
        ),
        (lambda rate: sw.best_rule(rate, inputs(), 8, reconstruct="yes"), "reconstruct': it is"),
        (lambda rate: sw.best_rule(rate, inputs(), 8, max_spikes_per_step=0), "from 1 to"),
        (lambda rate: sw.best_rule(rate, inputs(), 8, max_spikes_per_step=10**400), "from 1 to"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    rate: sw.Conversion, call: Callable[[sw.Conversion], object], message: str
) -> None:
    """The error names the argument."""
    with pytest.raises(ConversionError, match=message):
        call(rate)


@pytest.mark.parametrize(
    "own",
    [
        {"bias_correction": sw.StepCorrection(8)},
        {"initial_voltage": sw.VoltageCorrection(8)},
    ],
    ids=lambda own: next(iter(own)),
)
def test_a_conversions_own_corrections_are_left_out(
    rate: sw.Conversion, own: dict[str, Any]
) -> None:
    """Rows are what their names say: those of a conversion without any of them."""
    rules = [sw.Percentile(99.0), MinimumError(8)]
    given = {"steps": 8, "candidates": rules, "progress": False}
    plain = sw.best_rule(rate, inputs(), **given)
    made = rate.replace(spiking=True, calibration=inputs(), **own)
    found = sw.best_rule(made, inputs(), **given)
    for one, other in zip(found.points, plain.points, strict=True):
        assert one.setting.name == other.setting.name
        assert one.records == other.records


# -- what is added to rules --


def random_network(seed: int) -> nn.Module:
    """One to three hidden layers of random widths and weights, some of them convolutions."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    widths = [6, *(int(n) for n in rng.integers(4, 20, size=rng.integers(1, 4)))]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    if seed % 2:
        layers = [nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 3), nn.ReLU(), nn.Flatten(),
                  nn.Linear(12, 6), nn.ReLU(), *layers]  # fmt: skip
    return nn.Sequential(*layers, nn.Linear(widths[-1], 5)).eval()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_what_is_added_to_rules_is_compared_as_they_are(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Rules, corrections and fits, of random networks; one of the near is chosen."""
    halved(monkeypatch, first=4)
    monkeypatch.setattr(ways, "_EPOCHS", 3)
    found = sw.best_rule(
        random_network(seed), inputs(60, seed), 3, reconstruct=True, progress=False
    )
    n = found.best.n
    names = {row.setting.name for row in found.points if not row.failed}
    for what in ("corrected", "reconstructed"):
        assert any(name.endswith(what) for name in names)
    rows = [row for row in found.points if row.n == n and not row.failed]
    others = expected_others(rows)
    assert others[rows.index(found.best)] <= others.min() + 1 / n + 1e-9
    again = sw.convert(random_network(seed), **found.best.arguments)
    x = inputs(10, seed=2)
    np.testing.assert_array_equal(
        again.run(x, steps=3).predict(found.best.readout),
        found.best.conversion.run(x, steps=3).predict(found.best.readout),
    )


@pytest.mark.parametrize("cap", [1, None])
def test_a_fit_begins_with_what_was_chosen_under_a_cap(
    monkeypatch: pytest.MonkeyPatch, cap: int | None
) -> None:
    """Else with thresholds of one spike a step: finer ones would cost ever more spikes."""
    asked = []
    monkeypatch.setattr(
        sw.Conversion, "reconstruct", lambda self, x, **how: asked.append(how["thresholds"]) or self
    )
    sw.best_rule(
        random_network(0), inputs(40), 3, max_spikes_per_step=cap, reconstruct=True, progress=False
    )
    assert asked == ["chosen" if cap is None else "kept"]


def test_a_rule_that_left_is_tried_with_the_correction_that_helps() -> None:
    """B is surely worse than A alone, and left; with its steps corrected it is the best."""
    losses = {name: {"mean": constant(0.5 + place)} for place, name in enumerate("ABCDE")}
    losses |= {f"A, {kind} corrected": {"mean": constant(0.4)} for kind in ("voltages", "biases")}
    losses["A, steps corrected"] = {"mean": constant(0.3)}
    losses |= {f"{name}, steps corrected": {"mean": constant(0.35)} for name in "CD"}
    losses["B, steps corrected"] = {"mean": constant(0.1)}
    made = Made(losses, [8, 64])
    halving = Halving(made, lambda done: None, better_half)  # type: ignore[arg-type]
    halving.compare([sw.StudySetting(name, {}) for name in "ABCDE"], HalvingClock(None))
    assert ("B", 64) not in made.runs
    CandidateRefinement(halving).correct(HalvingClock(None))  # type: ignore[arg-type]
    assert halving.left[0].setting.name == "B, steps corrected"
    assert ("C, steps corrected", 64) not in made.runs  # it was surely worse on 8
    assert "E, steps corrected" not in {name for name, _ in made.runs}


@pytest.mark.slow
def test_the_close_ones_are_corrected_on_more_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Corrections see few samples, and those of the close ones all that there are for them.

    What the mean of few samples misses is then no error that is corrected.
    """
    monkeypatch.setattr("spikewright.study.comparison.FEW", 24)
    model, x = random_network(5), inputs(400, 3)
    found = sw.best_rule(model, x, 3, progress=False)
    rows = {row.setting.name: row for row in by_candidate(found.points)}
    more = [name for name in rows if name.endswith(", on more samples")]
    assert 1 <= len(more) <= 3
    for name in more:
        few = rows[name.removesuffix(", on more samples")]
        sizes = [
            len(next(iter(row.setting.arguments["calibration"].values())))
            for row in (few, rows[name])
        ]
        assert sizes == [24, 200]
        assert rows[name].n == few.n == 200 and rows[name].lost != few.lost


def test_what_cannot_be_fitted_is_a_row_with_its_reason(rate: sw.Conversion) -> None:
    """Neurons that draw their spikes have no gradient: the error names the next move."""
    drawn = sw.StudySetting("drawn", {
        "spiking": {"relu": sw.PoissonSpiking(sw.RectifiedLinear())}, "scale_firing_rates": 100.0,
    })  # fmt: skip
    found = sw.best_rule(
        rate, inputs(), 3, candidates=[drawn], max_spikes_per_step=None, reconstruct=True,
        progress=False,
    )  # fmt: skip
    (row,) = (row for row in found.points if row.failed)
    assert row.setting.name == "drawn, reconstructed"
    assert "sends no counts that follow from its input" in row.failed
    assert found.best.setting is drawn


@pytest.mark.slow
def test_a_fit_takes_the_time_that_is_given(
    rate: sw.Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done where there is a `timeout`, unless that is too short, and never without one."""
    asked = []
    monkeypatch.setattr(CandidateRefinement, "reconstruct", lambda self, clock: asked.append(clock))
    for how in ({}, {"timeout": 60.0}, {"timeout": 60.0, "reconstruct": False}):
        sw.best_rule(rate, inputs(), 3, progress=False, **how)
    (clock,) = asked
    assert 0 < clock.left < 60
    monkeypatch.undo()
    made = Made({"A": {"mean": constant(0.5)}}, [8])
    halving = Halving(made, lambda done: None, better_half)  # type: ignore[arg-type]
    halving.compare([sw.StudySetting("A", {})], HalvingClock(None))
    CandidateRefinement(halving).reconstruct(HalvingClock(time.monotonic() + 1))  # type: ignore[arg-type]
    assert [row.setting.name for row in halving.left] == ["A"]


def test_a_result_in_the_place_of_a_scale_is_refused_with_the_call_that_takes_it() -> None:
    """Both the result and its best point."""
    x = demo.held_out(24)[0]
    result = sw.best_rule(demo.MODEL, x, 8, progress=False)
    for wrong in (result, result.best):
        with pytest.raises(ConversionError, match=r"\*\*result\.best\.arguments"):
            sw.convert(demo.MODEL, spiking=True, scale_firing_rates=wrong)
    sw.convert(demo.MODEL, **result.best.arguments)
