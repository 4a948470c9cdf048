"""Modules of numbers, sums, functions and choices; vocabularies by methods of pointers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from spikewright import semantic
from spikewright.errors import NetworkError, SimulationError
from spikewright.modelling.semantic import SemanticPointer, Vocabulary


def shows(vocabulary: Vocabulary, value: Any) -> semantic.Transcode:
    """A module that sends an expression, or that of a function of time."""
    return semantic.Transcode(value, output_vocabulary=vocabulary)


def letters(d: int = 32, names: str = "A; B; C; D", **options: Any) -> Vocabulary:
    """A seeded vocabulary."""
    made = Vocabulary(d, **{"seed": 3, "max_similarity": 0.3, "label": "letters", **options})
    made.populate(names)
    return made


def run(model: sw.Network, node: Any, steps: int) -> NDArray:
    """What a node sends over a run, behind a filter of 20 ms."""
    with model:
        probe = sw.Probe(node, synapse=0.02)
    with sw.Simulator(model) as sim:
        sim.run_steps(steps)
    values: NDArray = sim.data[probe]
    return values


@pytest.mark.parametrize("value", [-0.7, 0.4])
def test_a_scalar_represents_a_number(value: float) -> None:
    """Within 0.05, through its neurons."""
    with sw.Network(seed=1) as model:
        shown = semantic.Transcode(lambda t: value)
        level = semantic.Scalar(100)
        0.5 * shown + 0.25 >> level
    assert level.n_neurons == 100
    found = run(model, level.output, 300)[150:].mean()
    assert found == pytest.approx(0.5 * value + 0.25, abs=0.05)


def test_a_product_of_numbers() -> None:
    """`a * b`, within 0.05, for numbers as large as it is made for."""
    for a, b in ((0.8, -0.5), (1.5, 1.2)):
        with sw.Network(seed=1) as model:
            left = semantic.Transcode(lambda t, a=a: a)
            right = semantic.Transcode(lambda t, b=b: b)
            product = semantic.Product(300, input_magnitude=max(1.0, a))
            left >> product.a
            right >> product.b
        assert run(model, product.output, 300)[150:].mean() == pytest.approx(a * b, abs=0.05)


def test_functions_transcode() -> None:
    """Of pointers and time, into pointers, texts, values or a number, exactly and step by step."""
    known, other = letters(), letters(16, "X; Y", label="others")
    seen: list[float] = []

    def named(t: float, pointer: SemanticPointer) -> str:
        seen.append(t)
        return "X" if pointer.compare(known["A"]) > 0.9 else "0.5 * Y"

    with sw.Network(seed=1) as model:
        cue = shows(known, lambda t: "A" if t < 0.0105 else "B")
        named_by = semantic.Transcode(named, known, other)
        like_a = semantic.Transcode(lambda t, p: p.dot(known["A"]), known)
        turned_round = semantic.Transcode(lambda t, p: ~p, known, known)
        for module in (named_by, like_a, turned_round):
            sw.Connection(cue.output, module.input, None)
        probes = [sw.Probe(m.output) for m in (named_by, like_a, turned_round)]
    with sw.Simulator(model, precision="float64") as sim:
        sim.run_steps(20)
    names, like, turned = (sim.data[probe] for probe in probes)
    np.testing.assert_allclose(names[:10], np.tile(other["X"].v, (10, 1)))
    np.testing.assert_allclose(names[10:], np.tile(0.5 * other["Y"].v, (10, 1)))
    np.testing.assert_allclose(like[[0, -1], 0], known.dot(known["A"].v)[:2], atol=1e-12)
    np.testing.assert_allclose(turned[0], (~known["A"]).v)
    np.testing.assert_allclose(seen, 0.001 * np.arange(1, 21))


def test_functions_that_misbehave_are_named() -> None:
    """The module's label stands in the error, and what it gave."""
    known = letters(8, max_similarity=1.0)
    cases: list[tuple[Any, str]] = [
        (lambda t: "Q", "'told'>: its function failed .*no pointer 'Q'"),
        (lambda t: [1.0, 2.0], r"'told'>: its function returned shape \(2,\) .* expected \(8,\)"),
        (lambda t: "a +", "'told'>: its function failed .*cannot be read"),
    ]
    for function, message in cases:
        with sw.Network() as model:
            semantic.Transcode(function, output_vocabulary=known, label="told")
        with sw.Simulator(model) as sim, pytest.raises(SimulationError, match=message):
            sim.run_steps(2)


def noisy(known: Vocabulary) -> Any:
    """First more like A than B, then the other way round, then nothing."""

    def shown(t: float) -> str:
        return "0.8 * A + 0.45 * B" if t < 0.5 else "0.35 * A + 0.9 * B" if t < 1.5 else "0"

    return shows(known, shown)


def test_the_winner_takes_all() -> None:
    """Of two pointers above the threshold a cleanup brings up both, this one the larger."""
    known, found = letters(64), {}
    for kind in (semantic.Cleanup, semantic.WinnerTakeAll):
        with sw.Network(seed=1) as model:
            shown = noisy(known)
            memory = kind(known, threshold=0.2)
            shown >> memory
        utilities = run(model, memory.memory.utilities, 1800)
        found[kind] = [utilities[at : at + 100].mean(axis=0) for at in (350, 1300, 1700)]
    both, one = found[semantic.Cleanup], found[semantic.WinnerTakeAll]
    assert both[0][:2].min() > 0.2 and both[1][:2].min() > 0.2
    assert one[0][0] > 0.5 > 0.05 > np.delete(one[0], 0).max()
    assert one[1][1] > 0.5 > 0.05 > np.delete(one[1], 1).max()
    assert one[2].max() < 0.05


def test_accumulators_choose_once() -> None:
    """The first to arrive comes up whole and stays, whatever follows, until it is reset."""
    known, others = letters(64), letters(16, "One; Two", label="numbers")
    with sw.Network(seed=1) as model:
        shown = noisy(known)
        again = semantic.Transcode(lambda t: float(0.9 < t < 1.0))
        choice = semantic.Accumulators(
            known, mapping={"A": "One", "B": "Two"}, output_vocabulary=others
        )
        shown >> choice
        again >> choice.reset
    similar = others.dot(run(model, choice.output, 2000))
    kept, reset, other, left = (similar[at : at + 60].mean(0) for at in (750, 935, 1430, 1900))
    cross = abs(others["One"].dot(others["Two"]))
    assert kept[0] == pytest.approx(1.0, abs=0.15) and abs(kept[1]) < cross + 0.15
    assert np.abs(reset).max() < 0.15
    for later in (other, left):
        assert later[1] == pytest.approx(1.0, abs=0.15) and abs(later[0]) < cross + 0.15


def test_close_utilities_take_longer_and_are_told_apart() -> None:
    """The larger of two that nearly tie wins in all of six seeds; how soon falls with its size."""
    arrived: dict[float, list[int]] = {0.9: [], 0.45: []}
    for seed in range(6):
        for largest, times in arrived.items():
            with sw.Network(seed=seed) as net:
                race = sw.networks.IndependentAccumulator(3)
                shown = sw.Node([0.5 * largest, largest, 0.85 * largest])
                sw.Connection(shown, race.input, None)
            won = run(net, race.output, 900) > 0.5
            assert won[-1].tolist() == [False, True, False]
            times.append(int(won[:, 1].argmax()))
    assert np.mean(arrived[0.45]) > 1.5 * np.mean(arrived[0.9]) > 100


class TestPopulate:
    """Vocabularies by texts with methods of pointers."""

    def test_methods(self) -> None:
        """Of what a name is made of, and of a new one; `unitary` and `normalized`."""
        known = letters(64, "A; B; C = A * B.unitary(); D.unitary(); E = (A + B).normalized()")
        np.testing.assert_allclose(known["C"].v, (known["A"] * known["B"].unitary()).v)
        np.testing.assert_allclose(np.abs(np.fft.rfft(known["D"].v)), 1.0)
        np.testing.assert_allclose(known["E"].v, (known["A"] + known["B"]).normalized().v)
        assert known["E"].length() == pytest.approx(1.0)
        assert np.ptp(np.abs(np.fft.rfft(known["B"].v))) > 0.1

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("A.foo()", "is no part of"),
            ("A.unitary", "Attribute is no part of one"),
            ("A.unitary(2)", "is no part of"),
            ("A * B.unitary()", "what is added is a name, 'NAME = ...', got"),
            ("3", "what is added is a name"),
            ("E = 2.unitary()", "cannot be read as an expression"),
            ("E = (2).unitary()", "a pointer of .* is needed here, not the number 2"),
            ("E = A.v", "Attribute is no part of one"),
        ],
    )
    def test_other_texts_are_refused(self, text: str, message: str) -> None:
        """Quoted, and nothing is added."""
        known = letters(8, "A; B", max_similarity=1.0)
        with pytest.raises(NetworkError, match=message):
            known.populate(text)
        assert known.keys == ("A", "B")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda v: semantic.Scalar(0), "n_neurons must be a whole number from 1"),
        (lambda v: semantic.Accumulators(Vocabulary(8)), "nothing to clean up to"),
        (lambda v: semantic.Accumulators(v, ["A"], {"A": "B"}), "not both"),
        (lambda v: semantic.Accumulators(v, threshold=1.5), "threshold must be below 1"),
        (lambda v: semantic.WinnerTakeAll(v, inhibit_scale=0), "inhibit_scale must be above 0"),
        (lambda v: semantic.Transcode(len, 8), "input_vocabulary must be a Vocabulary"),
    ],
)
def test_modules_that_cannot_be_are_refused(make: Any, message: str) -> None:
    """The error names the module and the value."""
    with sw.Network(), pytest.raises(NetworkError, match=message):
        make(letters(8, max_similarity=1.0))
