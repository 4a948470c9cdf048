"""Operators on modules: they say what texts say, and send what the algebra has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import spikewright as sw
from spikewright import semantic
from spikewright.errors import NetworkError
from spikewright.modelling.semantic import SemanticPointer, Vocabulary, dot, ifmax, sym
from spikewright.modelling.semantic.expression import Number, Reference, format_expression, read

D = 8


def shows(vocabulary: Vocabulary, value: Any) -> semantic.Transcode:
    """A module that sends an expression, or that of a function of time."""
    return semantic.Transcode(value, output_vocabulary=vocabulary)


def letters(d: int = D, names: str = "A; B; C", seed: int = 0) -> Vocabulary:
    """A seeded vocabulary."""
    made = Vocabulary(d, max_similarity=1.0, seed=seed, label="letters")
    made.populate(names)
    return made


def exact() -> sw.Network:
    """A network whose ensembles have no neurons, so that what is sent is exact."""
    net = sw.Network(seed=0)
    net.config[sw.Ensemble].neuron_type = sw.Direct()
    return net


def sent(node: Any, steps: int = 200) -> NDArray:
    """What a node has at the end of a run, behind the operators' synapses."""
    probe = sw.Probe(node)
    with sw.Simulator(sw.network.network._contexts.items[0], precision="float64") as sim:
        sim.run_steps(steps)
    values: NDArray = sim.data[probe][-1]
    return values


EXPRESSIONS = st.recursive(
    st.sampled_from(["x", "y", "A", "B"]),
    lambda inner: st.one_of(
        st.builds("({} + {})".format, inner, inner),
        st.builds("({} - {})".format, inner, inner),
        st.builds("({} * {})".format, inner, inner),
        st.builds("(~{})".format, inner),
        st.builds("(-{})".format, inner),
        st.builds("(0.5 * {})".format, inner),
        st.builds("({} / 4)".format, inner),
        st.builds("(dot({}, {}) * A)".format, inner, inner),
    ),
    max_leaves=5,
)


@given(EXPRESSIONS)
@settings(max_examples=30)
def test_operators_send_what_the_algebra_has(text: str) -> None:
    """Of modules without neurons, exactly, whatever is written; Python evaluates the same text."""
    known = letters()
    shown = {"x": known["C"], "y": known.parse("0.3 * A - 0.6 * B")}
    pointers = {"A": known["A"], "B": known["B"]}
    wanted = eval(text, {**shown, **pointers, "dot": lambda a, b: a.dot(b)})
    with exact():
        x, y = (
            shows(known, "C"),
            shows(known, "0.3 * A - 0.6 * B"),
        )
        out = semantic.State(known)
        value = eval(text, {"x": x, "y": y, "dot": dot, "A": sym.A, "B": sym.B})
        value >> out
        found = sent(out.output)
    np.testing.assert_allclose(found, wanted.v, atol=1e-6 * (1 + wanted.length()))


@given(EXPRESSIONS)
def test_what_is_said_reads_back(text: str) -> None:
    """The text of an expression says that expression."""
    expression = read(text.upper().replace("DOT", "dot"))
    assert read(format_expression(expression)) == expression


def test_pointers_and_numbers_on_either_side() -> None:
    """`pointer * module`, `2 * module`, `pointer >> module`, and a sum with a number's own kind."""
    known = letters()
    with exact():
        x, out, number = (
            shows(known, "C"),
            semantic.State(known),
            semantic.Scalar(),
        )
        for value in (known["A"] * x, x * known["A"], known["A"] * (x + 0 * x)):
            assert format_expression(value.expression).count("*") >= 1
        known["A"] * x - known["B"] + x / 2 >> out
        dot(x, known["C"]) - 0.25 >> number
        both = sw.Node(size_in=D + 1)
        sw.Connection(out.output, both[:D], None)
        sw.Connection(number.output, both[D], None)
        found = sent(both)
    wanted = known.parse("A * C - B + 0.5 * C").v
    np.testing.assert_allclose(found[:D], wanted, atol=1e-6)
    assert found[D] == pytest.approx(known["C"].dot(known["C"]) - 0.25, abs=1e-6)


def test_ends_and_nodes_are_sent_to() -> None:
    """One of several inputs, by its node; a node of one's own, which takes what it is sent."""
    known = letters()
    with exact():
        x = shows(known, "C")
        bind = semantic.Bind(known, 10)
        x >> bind.a
        sym.A >> bind.b
        node, number = sw.Node(size_in=D), sw.Node(size_in=1)
        bind >> node
        x @ known["C"] >> number
        both = sw.Node(size_in=D + 1)
        sw.Connection(node, both[:D], None)
        sw.Connection(number, both[D], None)
        found = sent(both)
    np.testing.assert_allclose(found[:D], known.parse("A * C").v, atol=1e-6)
    assert found[D] == pytest.approx(known["C"].dot(known["C"]), abs=1e-6)


def test_other_vocabularies() -> None:
    """By name, or by value; in sums and bindings of the vocabulary that they come to."""
    known, other = letters(), letters(16, "A; B; C", seed=5)
    same = letters(D, "X; Y", seed=7)
    with exact():
        x = shows(known, "C")
        out, again = semantic.State(other), semantic.State(same)
        semantic.translate(x, other) * sym.A >> out
        semantic.reinterpret(x, same) + sym.X >> again
        both = sw.Node(size_in=16 + D)
        sw.Connection(out.output, both[:16], None)
        sw.Connection(again.output, both[16:], None)
        found = sent(both)
    moved = SemanticPointer(known.transform_to(other) @ known["C"].v)
    np.testing.assert_allclose(found[:16], (moved * other["A"]).v, atol=1e-6)
    np.testing.assert_allclose(found[16:], known["C"].v + same["X"].v, atol=1e-6)


@pytest.mark.parametrize("kinds", ["numbers", "pointer"])
def test_a_changing_number_scales(kinds: str) -> None:
    """Another number, or a pointer: a product of neurons."""
    known = letters(16)
    with sw.Network(seed=2) as model:
        level = semantic.Transcode(lambda t: 0.6)
        x = shows(known, "A")
        other = semantic.Transcode(lambda t: -0.5)
        out = semantic.Scalar() if kinds == "numbers" else semantic.State(known)
        level * (other if kinds == "numbers" else x) >> out
        probe = sw.Probe(out.output, synapse=0.03)
    with sw.Simulator(model) as sim:
        sim.run_steps(300)
    found = sim.data[probe][200:].mean(axis=0)
    wanted = [-0.3] if kinds == "numbers" else 0.6 * known["A"].v
    assert np.linalg.norm(found - wanted) < 0.1


class TestActions:
    """Actions by operators, and one that does nothing."""

    def test_an_action_without_effects_does_nothing(self) -> None:
        """It keeps the others from being chosen; where it says something that is sent."""
        known, found = letters(32, "A; B; C; D", seed=3), []
        for idle in (True, False):
            with sw.Network(seed=0) as model:
                cue, out = (
                    shows(known, lambda t: "A" if t < 0.3 else "0"),
                    semantic.State(known, 30),
                )
                with semantic.ActionSelection():
                    ifmax(dot(cue, sym.A), sym.B >> out)
                    ifmax(0.5, *(() if idle else (sym.C >> out,)))
                probe = sw.Probe(out.output, synapse=0.02)
            with sw.Simulator(model) as sim:
                sim.run_steps(600)
            found.append(known.dot(sim.data[probe]))
        for similar in found:
            assert similar[200:290, 1].mean() > 0.7
        assert np.abs(found[0][550:]).max() < 0.15 and found[1][550:, 2].mean() > 0.7

    def test_actions_lead_to_ends_of_modules(self) -> None:
        """One of several inputs, by its node, takes pointers of its vocabulary there too."""
        known = letters(32, seed=3)
        with sw.Network(seed=0) as net:
            bind, out = semantic.Bind(known, 60), semantic.State(known, 30)
            cue = shows(known, "A")
            with semantic.ActionSelection():
                ifmax(dot(cue, sym.A), sym.B >> bind.a, cue >> bind.b)
                ifmax(0.2)
            bind * ~sym.A >> out
            probe = sw.Probe(out.output, synapse=0.03)
        with sw.Simulator(net) as sim:
            sim.run_steps(400)
        found = SemanticPointer(sim.data[probe][300:].mean(axis=0))
        assert found.compare(known["B"] * known["A"] * ~known["A"]) > 0.8

    def test_effects_in_actions_wait_for_the_choice(self) -> None:
        """Inside nothing is connected at once; outside `ifmax` is refused."""
        known = letters()
        with sw.Network() as net:
            x, out = shows(known, "A"), semantic.State(known, 5)
            before = len(net.connections)
            with semantic.ActionSelection(label="choice") as actions:
                effect = x * sym.B >> out
                assert effect.text == "transcode * B >> state" and len(net.connections) == before
                ifmax(dot(x, sym.A) - 0.1, effect)
            assert actions.actions == ("dot(transcode, A) - 0.1 --> transcode * B >> state",)
            assert actions in net.networks and len(net.connections) == before
            with pytest.raises(NetworkError, match=r"inside `with sw.semantic.ActionSelection"):
                ifmax(0.5)
            with (
                pytest.raises(NetworkError, match="'choice2'> needs actions"),
                semantic.ActionSelection(label="choice2"),
            ):
                pass
            with (
                pytest.raises(NetworkError, match="an effect reads `value >> module`, got 3"),
                semantic.ActionSelection(),
            ):
                ifmax(0.5, 3)  # type: ignore[arg-type]
            with (
                pytest.raises(
                    NetworkError, match=r"'transcode >> state' belongs to no action; put it"
                ),
                semantic.ActionSelection(),
            ):
                ifmax(0.5)
                x >> out
            with pytest.raises(ZeroDivisionError), semantic.ActionSelection():
                _ = 1 / 0
            x >> out
            assert len(net.connections) == before + 1


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda x, out: x + 3j, r"\+ is of modules, pointers and numbers, got 3j"),
        (lambda x, out: x * "A", r"\* is of .* got 'A'; texts are read by sym\(\)"),
        (lambda x, out: x / 0, "divided by a number other than 0"),
        (lambda x, out: x >> 3, r"transcode >> 3: a module or a node is sent to"),
        (lambda x, out: x >> (out + out), r"a module or a node is sent to"),
        (lambda x, out: 1 >> out, "'1 >> state' sends a number, and state takes pointers"),
        (lambda x, out: x + 1 >> out, "a pointer and a number cannot be added"),
        (lambda x, out: dot(sym.A, sym.B) >> sw.Node(size_in=1), "dot needs a module"),
        (lambda x, out: sym("A + ") >> out, "cannot be read as an expression"),
        (lambda x, out: sym.A >> sw.Node(size_in=D), "is no input of a module"),
        (lambda x, out: SemanticPointer(np.ones(3)) >> out, "a pointer of 3 values is given"),
        (lambda x, out: semantic.translate(x, 3), "vocabulary must be a Vocabulary.*got 3"),
        (lambda x, out: semantic.translate(sym.A, letters()) >> out, "needs a module"),
        (
            lambda x, out: semantic.reinterpret(x, letters(4)) >> out,
            "pointers have 8 values, there 4",
        ),
        (lambda x, out: sym("x.unitary()") >> out, "'x' does not begin with a capital letter"),
        (lambda x, out: sym("x.y") >> out, "Attribute is no part of one"),
    ],
)
def test_what_means_nothing_is_refused(ask: Any, message: str) -> None:
    """The error quotes what was written."""
    known = letters()
    with sw.Network(), pytest.raises(NetworkError, match=message):
        ask(shows(known, "A"), semantic.State(known, 5))
    with pytest.raises(AttributeError, match="begins with a capital letter"):
        _ = sym.a
    with sw.Network():
        x, node = shows(known, "A"), sw.Node(size_in=D)
    with pytest.raises(NetworkError, match="no network to put a new Connection into"):
        x >> node


def test_references_are_named_by_their_modules() -> None:
    """In messages, by label or kind."""
    with sw.Network():
        module = semantic.Scalar(label="level")
        assert repr(2 * module) == "<2 * level>" and module.expression == Reference(module)
        assert format_expression(Number(0.5)) == "0.5"
