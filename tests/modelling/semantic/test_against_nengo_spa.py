"""nengo_spa beside `sw.semantic`, where it is installed (the project does not install it)."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip(
    "nengo_spa.vocabulary", reason="nengo_spa is not installed: pip install nengo_spa"
)

import nengo
import nengo_spa as spa
import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from spikewright import semantic
from spikewright.modelling.semantic import Vocabulary

D, NAMES = 64, "A; B; C; D"


def shows(vocabulary: Vocabulary, value: Any) -> semantic.Transcode:
    """A module that sends an expression, or that of a function of time."""
    return semantic.Transcode(value, output_vocabulary=vocabulary)


def vocabularies(d: int = D, names: str = NAMES) -> tuple[Any, Vocabulary]:
    """The same pointers, theirs and ours."""
    theirs = spa.Vocabulary(d, pointer_gen=np.random.RandomState(1), max_similarity=0.3)
    theirs.populate(names)
    ours = Vocabulary(d, max_similarity=1.0)
    for name in names.split("; "):
        ours.add(name, theirs[name].v)
    return theirs, ours


@pytest.mark.parametrize("d", [7, 64])
@pytest.mark.parametrize(
    "text",
    ["A * B", "A + 0.5 * B - C", "~A", "A * ~B", "A * B.unitary()", "(A + B).normalized()",
     "A.unitary() * (B - C) * ~(A * D)", "-A * 2", "A / 4"],
)  # fmt: skip
def test_the_algebra_is_the_same(text: str, d: int) -> None:
    """Every text that both read."""
    theirs, ours = vocabularies(d)
    np.testing.assert_allclose(ours.parse(text).v, theirs.parse(text).v, atol=1e-12)


def test_products_of_vectors_are_the_same() -> None:
    """Dot products, cosines, lengths, translations."""
    theirs, ours = vocabularies()
    others, other = vocabularies(32)
    a, b = theirs["A"], theirs["B"]
    assert ours["A"].dot(ours["B"]) == pytest.approx(a.dot(b))
    assert ours["A"].compare(ours["A"] + ours["B"]) == pytest.approx(a.compare(a + b))
    assert (ours["A"] - ours["B"]).length() == pytest.approx((a - b).length())
    found, wanted = ours.transform_to(other), theirs.transform_to(others)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def theirs_run(model: Any, output: Any, seconds: float) -> NDArray:
    """What an output of a model of nengo_spa's sends, on Nengo."""
    with model:
        probe = nengo.Probe(output, synapse=0.02)
    with nengo.Simulator(model, progress_bar=False) as simulator:
        simulator.run(seconds)
    values: NDArray = simulator.data[probe]
    return values


def ours_run(model: Any, output: Any, seconds: float) -> NDArray:
    """The same here."""
    with model:
        probe = sw.Probe(output, synapse=0.02)
    with sw.Simulator(model, progress=False) as simulator:
        simulator.run(seconds)
    values: NDArray = simulator.data[probe]
    return values


def _likeness(ours: Vocabulary, values: NDArray, at: int) -> NDArray:
    found: NDArray = ours.compare(values[at : at + 100].mean(axis=0))
    return found


def test_binding_and_unbinding_are_the_same() -> None:
    """Both bring back what was bound, as well: cosines within 0.15 of each other."""
    theirs, ours = vocabularies(32)
    with spa.Network(seed=1) as model:
        left, right = (
            spa.Transcode("A", output_vocab=theirs),
            spa.Transcode("B", output_vocab=theirs),
        )
        out = spa.State(theirs)
        left * right * ~spa.sym.B >> out
    found = [_likeness(ours, theirs_run(model, out.output, 0.4), 300)]
    with sw.Network(seed=1) as net:
        x, y = (
            shows(ours, "A"),
            shows(ours, "B"),
        )
        state = semantic.State(ours)
        x * y * ~semantic.sym.B >> state
    found.append(_likeness(ours, ours_run(net, state.output, 0.4), 300))
    for likeness in found:
        assert likeness.argmax() == 0 and likeness[0] > 0.6
    assert np.abs(found[0] - found[1]).max() < 0.15


def _shown(t: float) -> str:
    return "0.8 * A + 0.45 * B" if t < 0.5 else "0.3 * A + 0.9 * B" if t < 1.0 else "0"


@pytest.mark.parametrize("kind", ["winner takes all", "accumulators"])
def test_choices_are_the_same(kind: str) -> None:
    """Which pointer comes up first, whether it gives way to another, and what is left."""
    theirs, ours = vocabularies()
    names = NAMES.split("; ")
    with spa.Network(seed=1) as model:
        shown = spa.Transcode(_shown, output_vocab=theirs)
        if kind == "accumulators":
            memory = spa.IAAssocMem(theirs, mapping=names)
        else:
            memory = spa.WTAAssocMem(0.3, theirs, mapping=names)
        shown >> memory
    with sw.Network(seed=1) as net:
        own_shown = shows(ours, _shown)
        if kind == "accumulators":
            own: Any = semantic.Accumulators(ours)
        else:
            own = semantic.WinnerTakeAll(ours, threshold=0.3)
        own_shown >> own
    runs = [theirs_run(model, memory.output, 1.3), ours_run(net, own.output, 1.3)]
    chosen = []
    for values in runs:
        products = [ours.dot(values[at : at + 50].mean(axis=0)) for at in (420, 900, 1230)]
        chosen.append([names[p.argmax()] if p.max() > 0.4 else "-" for p in products])
    assert chosen[0] == chosen[1] == (["A"] * 3 if kind == "accumulators" else ["A", "B", "-"])


def test_actions_go_round_in_the_same_order() -> None:
    """The state visits the same pointers one after the other, about as fast."""
    theirs, ours = vocabularies(32)
    order = "ABCD"
    with spa.Network(seed=1) as model:
        start = spa.Transcode(lambda t: "A" if t < 0.1 else "0", output_vocab=theirs)
        state = spa.State(theirs)
        start >> state
        with spa.ActionSelection():
            for now, then in zip(order, order[1:] + order[0], strict=True):
                spa.ifmax(spa.dot(state, spa.sym(now)), spa.sym(then) >> state)
    with sw.Network(seed=1) as net:
        own_start = shows(ours, lambda t: "A" if t < 0.1 else "0")
        own = semantic.State(ours)
        own_start >> own
        with semantic.ActionSelection():
            for now, then in zip(order, order[1:] + order[0], strict=True):
                semantic.ifmax(semantic.dot(own, semantic.sym(now)), semantic.sym(then) >> own)
    visits = []
    for values in (theirs_run(model, state.output, 0.8), ours_run(net, own.output, 0.8)):
        seen = "".join(ours.keys[i] for i in ours.dot(values[150:]).argmax(axis=1))
        visits.append("".join(a for a, b in zip(seen, seen[1:] + " ", strict=True) if a != b))
    for visit in visits:
        assert len(visit) >= 6 and visit in order * 20
    assert 0.5 < len(visits[1]) / len(visits[0]) < 2.0


def test_models_of_nengo_spas_run_as_they_are() -> None:
    """On `sw.NengoSimulator`, to rounding: states, bindings, memories and actions."""
    theirs, _ = vocabularies(32)
    with spa.Network(seed=0) as model:
        start = spa.Transcode(lambda t: "A" if t < 0.1 else "0", output_vocab=theirs)
        state = spa.State(theirs, feedback=0.8)
        memory = spa.WTAAssocMem(0.3, theirs, mapping=theirs.keys())
        start * spa.sym.B >> state
        state * state >> memory
        with spa.ActionSelection():
            spa.ifmax(spa.dot(state, spa.sym.A), spa.sym.B >> state)
            spa.ifmax(0.3, spa.sym.C >> state)
        probes = [nengo.Probe(end, synapse=0.02) for end in (state.output, memory.output)]
    with nengo.Simulator(model, progress_bar=False) as simulator:
        simulator.run(0.15)
    with sw.NengoSimulator(model, precision="float64", progress_bar=False) as ours:
        ours.run(0.15)
    for probe in probes:
        assert np.abs(simulator.data[probe]).max() > 0.1
        np.testing.assert_allclose(ours.data[probe], simulator.data[probe], rtol=0, atol=1e-9)
