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
from spikewright.modelling.semantic import SemanticPointer, Vocabulary

EXACT: dict[str, Any] = {"neuron_type": sw.Direct()}


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
        with semantic.Model(seed=1) as model:
            model.shown = semantic.Stimulus(known, "A")
            model.state = semantic.State(known, 30, subdimensions=part)
            semantic.Cortical("state = shown")
        got = SemanticPointer(run(model, model.state.output, 200)[100:].mean(axis=0))
        assert got.compare(known["A"]) > 0.97, part
        assert got.length() == pytest.approx(1.0, abs=0.12)


def test_a_memory_remembers() -> None:
    """A second after it was shown the pointer is still there; a plain state forgot it."""
    known = letters()
    with semantic.Model(seed=1) as model:
        model.shown = semantic.Stimulus(known, lambda t: "A" if t < 0.3 else "0")
        model.memory = semantic.Memory(known)
        model.state = semantic.State(known)
        semantic.Cortical("memory = shown", "state = shown")
        both = sw.Node(size_in=64)
        sw.Connection(model.memory.output, both[:32], None)
        sw.Connection(model.state.output, both[32:], None)
    got = run(model, both, 800)[-1]
    assert SemanticPointer(got[:32]).compare(known["A"]) > 0.8
    assert np.linalg.norm(got[:32]) > 0.5 and np.linalg.norm(got[32:]) < 0.1


@pytest.mark.parametrize(
    "text",
    ["A * ~B", "0.5 * x", "x * ~B", "~x", "x * y", "x * y + 0.3 * C - y", "dot(x, A) * C",
     "dot(x, y) * D", "A", "x * (y * ~A)"],
)  # fmt: skip
def test_effects_send_what_they_say(text: str) -> None:
    """Without neurons as the algebra of what the modules show has it."""
    known = letters(8, max_similarity=1.0)
    shown = known.create_subset(known)
    x, y = known.parse("0.7 * A + 0.2 * C"), known["B"]
    shown.add("X", x)
    shown.add("Y", y)
    with semantic.Model(seed=0) as model:
        model.config[sw.Ensemble].neuron_type = sw.Direct()
        model.x, model.y = (
            semantic.Stimulus(known, "0.7 * A + 0.2 * C"),
            semantic.Stimulus(known, "B"),
        )
        model.out = semantic.State(known)
        semantic.Cortical(f"out = {text}", synapse=None)
        probe = sw.Probe(model.out.output)
    with sw.Simulator(model, precision="float64") as sim:
        sim.run_steps(2)
    wanted = shown.parse(text.replace("x", "X").replace("y", "Y"))
    np.testing.assert_allclose(sim.data[probe][-1], wanted.v, atol=1e-9)


def test_binding_and_unbinding_by_neurons() -> None:
    """`A * B` from `bind`, unbound by `~B`, is more like `A` than like anything else."""
    known = letters(16, unitary=True)
    with semantic.Model(seed=2) as model:
        model.left, model.right = semantic.Stimulus(known, "A"), semantic.Stimulus(known, "B")
        model.bind = semantic.Bind(known, 100)
        model.out = semantic.State(known)
        semantic.Cortical("bind.a = left, bind.b = right", "out = bind * ~B")
    got = run(model, model.out.output, 200)[120:].mean(axis=0)
    assert SemanticPointer(got).compare(known["A"]) > 0.95
    assert known.text(got, terms=1)[-1] == "A"


def test_modules_compare() -> None:
    """`Compare` gives dot products, within 0.1: of a pointer with itself, and with another."""
    known = letters(16)
    for other in "AB":
        with semantic.Model(seed=2) as model:
            model.left, model.right = semantic.Stimulus(known, "A"), semantic.Stimulus(known, other)
            model.compare = semantic.Compare(known, 100)
            semantic.Cortical("compare.a = left", "compare.b = right")
        got = run(model, model.compare.output, 200)[120:].mean()
        assert got == pytest.approx(known["A"].dot(known[other]), abs=0.1)


@pytest.mark.parametrize("sharp", [False, True])
def test_a_cleanup_finds_the_pointer(sharp: bool) -> None:
    """From a noisy version; whole where it is sharp."""
    known = letters(32)
    noisy = "0.6 * B + 0.2 * C"
    with semantic.Model(seed=2) as model:
        model.shown = semantic.Stimulus(known, noisy)
        model.clean = semantic.Cleanup(known, threshold=0.45, sharp=sharp)
        semantic.Cortical("clean = shown")
    got = run(model, model.clean.output, 300)[200:].mean(axis=0)
    assert SemanticPointer(got).compare(known["B"]) > 0.99
    wanted = 1.0 if sharp else known.parse(noisy).dot(known["B"])
    assert np.linalg.norm(got) == pytest.approx(wanted, abs=0.07)


def test_a_cleanup_maps_to_other_pointers() -> None:
    """Of another vocabulary, even of another length."""
    known, numbers = letters(32), letters(16, "One; Two", label="numbers")
    with semantic.Model(seed=2) as model:
        model.shown = semantic.Stimulus(known, "B")
        model.names = semantic.Cleanup(
            known, mapping={"A": "One", "B": "Two", "A * B": "0.5 * One"}, output_vocabulary=numbers
        )
        semantic.Cortical("names = shown")
    got = run(model, model.names.output, 300)[200:].mean(axis=0)
    assert SemanticPointer(got).compare(numbers["Two"]) > 0.95


def test_actions_are_done_one_after_the_other() -> None:
    """Each action's effect is the next one's condition: the state goes round in order."""
    known = letters(32)
    with semantic.Model(seed=0) as model:
        model.start = semantic.Stimulus(known, lambda t: "A" if t < 0.05 else "0")
        model.state = semantic.State(known, 30)
        semantic.Cortical("state = 0.8 * start")
        model.actions = semantic.ActionSelection(
            *(f"dot(state, {a}) --> state = {b}" for a, b in zip("ABCD", "BCDA", strict=True))
        )
    similar = known.dot(run(model, model.state.output, 450))[100:]
    order = "".join(known.keys[i] for i in similar.argmax(axis=1))
    visits = [a for a, b in itertools.pairwise(order) if a != b]
    assert len(visits) >= 5
    assert "".join(visits) in "ABCD" * 20
    assert model.actions.actions[0] == "dot(state, A) --> state = B"


def test_a_choice_routes_what_changes() -> None:
    """Only the chosen action's source arrives; where nothing is similar the default does."""
    known = letters(32)
    with semantic.Model(seed=1) as model:
        model.cue = semantic.Stimulus(known, lambda t: "A" if t < 0.25 else "B" if t < 0.5 else "0")
        model.left, model.right = semantic.Stimulus(known, "C"), semantic.Stimulus(known, "D")
        model.out = semantic.State(known, 30)
        semantic.ActionSelection(
            "dot(cue, A) --> out = left",
            "dot(cue, B) --> out = right",
            "0.5 --> out = 0",
        )
    got = known.dot(run(model, model.out.output, 750))
    c, d = known.keys.index("C"), known.keys.index("D")
    first, second, last = got[200:250].mean(0), got[450:500].mean(0), got[700:].mean(0)
    leak = abs(known["C"].dot(known["D"])) + 0.1
    assert first[c] > 0.8 and first[d] < leak
    assert second[d] > 0.8 and second[c] < leak
    assert np.max(np.abs(last)) < 0.15


def test_names_of_modules_stand_in_labels() -> None:
    """So that messages about a part say which module it belongs to; a label of one's own stays."""
    known = letters(8, max_similarity=1.0)
    with semantic.Model() as model:
        model.vision = semantic.State(known, 5)
        model.other = semantic.Bind(known, 4, label="mine")
    labels = [e.label for e in model.vision.all_ensembles]
    assert labels == ["vision[0]"] and model.vision.input.label == "input of vision"
    assert model.other.a.label == "a of mine" and model.modules["other"] is model.other


def test_models_copy() -> None:
    """With their modules, which are the copy's own."""
    known = letters(8, max_similarity=1.0)
    with semantic.Model(seed=1) as model:
        model.state = semantic.State(known, 10)
    twin = copy.deepcopy(model)
    assert twin.state is twin.modules["state"] is not model.state
    assert twin.state in twin.networks and twin.state.label == "state"


def broken(ask: Any) -> None:
    """Something inside a model with a state, a cue of other pointers, and a comparison."""
    known, other = letters(8, max_similarity=1.0), letters(8, "A; B", label="other")
    with semantic.Model(label="mind") as model:
        model.state = semantic.State(known, 5)
        model.cue = semantic.Stimulus(other, "A")
        model.bind = semantic.Bind(known, 4)
        model.like = semantic.Compare(known, 4)
        ask(model)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda m: semantic.Cortical("stat = A"),
            "'mind' with .*> has no module 'stat'; there are: state",
        ),
        (lambda m: semantic.Cortical("state = X"), "'letters'> has no pointer 'X'"),
        (lambda m: semantic.Cortical("state = cue"), "cue has pointers of .*'other'>.*'letters'"),
        (lambda m: semantic.Cortical("bind = state"), "no single input; there are: a, b"),
        (lambda m: semantic.Cortical("bind.c = state"), "no input 'c'; there are: a, b"),
        (lambda m: semantic.Cortical("like = A"), "no single input"),
        (lambda m: semantic.Cortical("cue = A"), "no single input; there are: it has no input"),
        (lambda m: semantic.Cortical("state = 1"), "sends a number, and state takes pointers"),
        (lambda m: semantic.Cortical("state = A + 1"), "a pointer and a number cannot be added"),
        (lambda m: semantic.Cortical("state = ~2 * A"), "~ is of pointers"),
        (lambda m: semantic.Cortical("state = state.unitary()"), "pointers that do not change"),
        (lambda m: semantic.ActionSelection("dot(A, B) --> state = A"), "dot needs a module"),
        (lambda m: semantic.Cortical(), "needs effects"),
        (lambda m: semantic.ActionSelection().__enter__().__exit__(None), "needs actions"),
        (lambda m: semantic.ActionSelection("A --> state = B"), "number is needed, and A is a"),
        (lambda m: semantic.ActionSelection("state --> state = B"), "where a number is needed"),
        (lambda m: setattr(m, "State", semantic.State(m.state.vocabulary, 5)), "small letter"),
        (lambda m: setattr(m, "nodes", semantic.State(m.state.vocabulary, 5)), "attribute 'nodes'"),
        (lambda m: setattr(m, "state", semantic.State(m.state.vocabulary, 5)), "attribute 'state'"),
        (lambda m: semantic.State(8), "vocabulary must be a Vocabulary"),
        (lambda m: semantic.State(m.state.vocabulary, 5, 3), r"must divide 8, got 3; .*\[1, 2, 4"),
        (lambda m: semantic.Cleanup(Vocabulary(8)), "there is nothing to clean up to"),
        (lambda m: semantic.Cleanup(m.state.vocabulary, ["A"], {"A": "B"}), "not both"),
        (lambda m: semantic.Cleanup(m.state.vocabulary, "A"), "are a list of names, .* got 'A'"),
        (lambda m: semantic.Cleanup(m.state.vocabulary, mapping=["A"]), r"got \['A'\]"),
        (lambda m: semantic.Compare(m.state.vocabulary, input_magnitude="x"), "got 'x'"),
        (lambda m: semantic.Stimulus(m.state.vocabulary, 7), "an expression or a function of time"),
        (
            lambda m: semantic.Stimulus(m.state.vocabulary, lambda t: 7),
            "must give text, got 7 at t",
        ),
    ],
)
def test_what_is_impossible_is_named(ask: Any, message: str) -> None:
    """Each error quotes the effect or names the module, and what there is."""
    with pytest.raises(NetworkError, match=message):
        broken(ask)


def test_modules_belong_to_their_model() -> None:
    """One from elsewhere is refused, and actions outside of a model."""
    known = letters(8, max_similarity=1.0)
    with sw.Network():
        stranger = semantic.State(known, 5)
        with pytest.raises(NetworkError, match=r"make it inside `with model:` of a sw.semantic"):
            semantic.Cortical("state = A")
    with pytest.raises(NetworkError, match="is no part of"), semantic.Model() as model:
        model.state = stranger
    with pytest.raises(AttributeError, match="no attribute or module 'nothing'"):
        _ = model.nothing


def test_an_unknown_name_in_a_stimulus_ends_the_run() -> None:
    """It is read when it comes up, and the error names the vocabulary and the node."""
    known = letters(8, max_similarity=1.0)
    with semantic.Model() as model:
        model.shown = semantic.Stimulus(known, lambda t: "A" if t < 0.01 else "Q", label="shown")
        sw.Probe(model.shown.output)
    with sw.Simulator(model) as sim, pytest.raises(SimulationError, match="no pointer 'Q'"):
        sim.run_steps(20)
