"""Modules, what is sent between them, and actions that are chosen."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from spikewright import semantic
from spikewright.errors import NetworkError, SimulationError
from spikewright.modelling.semantic import SemanticPointer, Vocabulary, dot, ifmax, sym

EXACT: dict[str, Any] = {"neuron_type": sw.Direct()}


def shows(vocabulary: Vocabulary, value: Any) -> semantic.Transcode:
    """A module that sends an expression, or that of a function of time."""
    return semantic.Transcode(value, output_vocabulary=vocabulary)


def letters(d: int = 32, names: str = "A; B; C; D", **options: Any) -> Vocabulary:
    """A seeded vocabulary."""
    made = Vocabulary(d, **{"seed": 3, "max_similarity": 0.3, "label": "letters", **options})
    made.populate(names)
    return made


def run(model: sw.Network, node: Any, steps: int, **options: Any) -> NDArray:
    """What a node sends over a run, behind a filter of 20 ms."""
    with model:
        probe = sw.Probe(node, synapse=0.02)
    with sw.Simulator(model, **options) as sim:
        sim.run_steps(steps)
    values: NDArray = sim.data[probe]
    return values


def test_a_state_represents_a_pointer() -> None:
    """Within an angle whose cosine is 0.97, at nearly its length, whatever the parts."""
    known = letters(48)
    for part in (None, 1, 48):
        with sw.Network(seed=1) as model:
            shown = shows(known, "A")
            state = semantic.State(known, 30, subdimensions=part)
            shown >> state
        got = SemanticPointer(run(model, state.output, 200)[100:].mean(axis=0))
        assert got.compare(known["A"]) > 0.97, part
        assert got.length() == pytest.approx(1.0, abs=0.12)


def test_a_memory_remembers() -> None:
    """A second after it was shown the pointer is still there; a plain state forgot it."""
    known = letters()
    with sw.Network(seed=1) as model:
        shown = shows(known, lambda t: "A" if t < 0.3 else "0")
        memory = semantic.State(known, feedback=1.0)
        state = semantic.State(known)
        shown >> memory
        shown >> state
        both = sw.Node(size_in=64)
        sw.Connection(memory.output, both[:32], None)
        sw.Connection(state.output, both[32:], None)
    got = run(model, both, 800)[-1]
    assert SemanticPointer(got[:32]).compare(known["A"]) > 0.8
    assert np.linalg.norm(got[:32]) > 0.5 and np.linalg.norm(got[32:]) < 0.1


def test_binding_and_unbinding_by_neurons() -> None:
    """`A * B` from `bind`, unbound by `~B`, is more like `A` than like anything else."""
    known = letters(16, unitary=True)
    with sw.Network(seed=2) as model:
        left, right = (
            shows(known, "A"),
            shows(known, "B"),
        )
        bind = semantic.Bind(known, 100)
        out = semantic.State(known)
        left >> bind.a
        right >> bind.b
        bind * ~sym.B >> out
    got = run(model, out.output, 200)[120:].mean(axis=0)
    assert SemanticPointer(got).compare(known["A"]) > 0.95
    assert known.text(got, terms=1)[-1] == "A"


def test_modules_compare() -> None:
    """`Compare` gives dot products, within 0.1: of a pointer with itself, and with another."""
    known = letters(16)
    for other in "AB":
        with sw.Network(seed=2) as model:
            left, right = (
                shows(known, "A"),
                shows(known, other),
            )
            compare = semantic.Compare(known, 100)
            left >> compare.a
            right >> compare.b
        got = run(model, compare.output, 200)[120:].mean()
        assert got == pytest.approx(known["A"].dot(known[other]), abs=0.1)


@pytest.mark.parametrize("sharp", [False, True])
def test_a_cleanup_finds_the_pointer(sharp: bool) -> None:
    """From a noisy version; whole where it is sharp."""
    known = letters(32)
    noisy = "0.6 * B + 0.2 * C"
    with sw.Network(seed=2) as model:
        shown = shows(known, noisy)
        clean = semantic.Cleanup(known, threshold=0.45, sharp=sharp)
        shown >> clean
    got = run(model, clean.output, 300)[200:].mean(axis=0)
    assert SemanticPointer(got).compare(known["B"]) > 0.99
    wanted = 1.0 if sharp else known.parse(noisy).dot(known["B"])
    assert np.linalg.norm(got) == pytest.approx(wanted, abs=0.07)


def test_a_cleanup_maps_to_other_pointers() -> None:
    """Of another vocabulary, even of another length."""
    known, numbers = letters(32), letters(16, "One; Two", label="numbers")
    with sw.Network(seed=2) as model:
        shown = shows(known, "B")
        names = semantic.Cleanup(
            known, mapping={"A": "One", "B": "Two", "A * B": "0.5 * One"}, output_vocabulary=numbers
        )
        shown >> names
    got = run(model, names.output, 300)[200:].mean(axis=0)
    assert SemanticPointer(got).compare(numbers["Two"]) > 0.95


def test_actions_are_done_one_after_the_other() -> None:
    """Each action's effect is the next one's condition: the state goes round in order."""
    known = letters(32)
    with sw.Network(seed=0) as model:
        start = shows(known, lambda t: "A" if t < 0.05 else "0")
        state = semantic.State(known, 30)
        0.8 * start >> state
        with semantic.ActionSelection() as actions:
            for a, b in zip("ABCD", "BCDA", strict=True):
                ifmax(dot(state, sym(a)), sym(b) >> state)
    similar = known.dot(run(model, state.output, 450))[100:]
    order = "".join(known.keys[i] for i in similar.argmax(axis=1))
    visits = [a for a, b in itertools.pairwise(order) if a != b]
    assert len(visits) >= 5
    assert "".join(visits) in "ABCD" * 20
    assert actions.actions[0] == "dot(state, A) --> B >> state"


def test_a_choice_routes_what_changes() -> None:
    """Only the chosen action's source arrives; where nothing is similar the default does."""
    known = letters(32)
    with sw.Network(seed=1) as model:
        cue = semantic.Transcode(
            lambda t: "A" if t < 0.25 else "B" if t < 0.5 else "0", output_vocabulary=known
        )
        left, right = (
            shows(known, "C"),
            shows(known, "D"),
        )
        out = semantic.State(known, 30)
        with semantic.ActionSelection():
            ifmax(dot(cue, sym.A), left >> out)
            ifmax(dot(cue, sym.B), right >> out)
            ifmax(0.5, 0 >> out)
    got = known.dot(run(model, out.output, 750))
    c, d = known.keys.index("C"), known.keys.index("D")
    first, second, last = got[200:250].mean(0), got[450:500].mean(0), got[700:].mean(0)
    leak = abs(known["C"].dot(known["D"])) + 0.1
    assert first[c] > 0.8 and first[d] < leak
    assert second[d] > 0.8 and second[c] < leak
    assert np.max(np.abs(last)) < 0.15


def test_modules_copy() -> None:
    """With their network, and the twin's are its own."""
    known = letters(8, max_similarity=1.0)
    with sw.Network(seed=1) as model:
        state = semantic.State(known, 10, label="state")
    (twin,) = copy.deepcopy(model).networks
    assert twin is not state and twin.label == "state"
    assert twin.find_input().node is twin.input is not state.input


def act(utility: Any, state: Any) -> None:
    """An action of this utility."""
    with semantic.ActionSelection():
        ifmax(utility, sym.A >> state)


def broken(ask: Any) -> None:
    """Something beside a state, a cue of other pointers, and a comparison."""
    known, other = letters(8, max_similarity=1.0), letters(8, "A; B", label="other")
    with sw.Network(label="mind"):
        ask(
            semantic.State(known, 5, label="state"),
            semantic.Transcode("A", output_vocabulary=other, label="cue"),
            semantic.Bind(known, 4, label="bind"),
        )


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda state, cue, bind: sym.X >> state, "'letters'> has no pointer 'X'"),
        (lambda state, cue, bind: cue >> state, "cue has pointers of .*'other'>.*'letters'"),
        (lambda state, cue, bind: state >> bind, "no single input; there are: a, b"),
        (lambda state, cue, bind: sym.A >> cue, "no single input; there are: it has no input"),
        (lambda state, cue, bind: 1 >> state, "sends a number, and state takes pointers"),
        (lambda state, cue, bind: sym.A + 1 >> state, "a pointer and a number cannot be added"),
        (lambda state, cue, bind: sym("~2 * A") >> state, "~ is of pointers"),
        (lambda state, cue, bind: act(dot(sym.A, sym.B), state), "dot needs a module"),
        (lambda state, cue, bind: act(sym.A, state), "number is needed, and A is a"),
        (lambda state, cue, bind: act(state, state), "where a number is needed"),
        (lambda state, *_: semantic.State(8), "vocabulary must be a Vocabulary"),
        (
            lambda state, *_: semantic.State(state.vocabulary, 5, 3),
            r"must divide 8, got 3; .*\[1, 2, 4",
        ),
        (lambda state, *_: semantic.Cleanup(Vocabulary(8)), "there is nothing to clean up to"),
        (lambda state, *_: semantic.Cleanup(state.vocabulary, ["A"], {"A": "B"}), "not both"),
        (
            lambda state, *_: semantic.Cleanup(state.vocabulary, "A"),
            "are a list of names, .* got 'A'",
        ),
        (lambda state, *_: semantic.Cleanup(state.vocabulary, mapping=["A"]), r"got \['A'\]"),
        (lambda state, *_: semantic.Compare(state.vocabulary, input_magnitude="x"), "got 'x'"),
        (lambda state, *_: semantic.Transcode(7), "function must be a callable, or .* got 7"),
        (lambda state, *_: semantic.Transcode("A"), "with an output_vocabulary alone .* got 'A'"),
    ],
)
def test_what_is_impossible_is_named(ask: Any, message: str) -> None:
    """Each error quotes the effect or names the module, and what there is."""
    with pytest.raises(NetworkError, match=message):
        broken(ask)


def test_an_unknown_name_in_a_stimulus_ends_the_run() -> None:
    """It is read when it comes up, and the error names the vocabulary and the node."""
    known = letters(8, max_similarity=1.0)
    with sw.Network() as model:
        shown = semantic.Transcode(
            lambda t: "A" if t < 0.01 else "Q", output_vocabulary=known, label="shown"
        )
        sw.Probe(shown.output)
    with sw.Simulator(model) as sim, pytest.raises(SimulationError, match="no pointer 'Q'"):
        sim.run_steps(20)
