"""Networks that learn, run: what they learn, what is kept of it, and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw

FORMS = ("decoders", "full", "neurons", "part", "encoders", "shaped")


def learning_network(form: str, rules: Any = None) -> tuple[sw.Network, sw.Connection]:
    """Two populations and a connection that learns, an error where it takes one."""
    with sw.Network(seed=1) as net:
        size: Any = (2, 5) if form == "shaped" else 10
        a = sw.Ensemble(size, 1, label="a")
        b = sw.Ensemble(8, 2, radius=1.25, label="b")
        sw.Connection(sw.Node([0.5]), a, None)
        sw.Connection(sw.Node([0.5, 0.25]), b, None)
        pes, full = rules or sw.PES(1e-2), sw.solvers.LstsqL2(weights=True)
        made: dict[str, Any] = {
            "decoders": lambda: sw.Connection(
                a, b, transform=[[1.0], [2.0]], learning_rule_type=pes
            ),
            "full": lambda: sw.Connection(a, b[0], solver=full, learning_rule_type=pes),
            "neurons": lambda: sw.Connection(
                a.neurons, b.neurons, transform=np.ones((8, 10)) / 1024.0,
                learning_rule_type=rules or sw.Oja(1e-5),
            ),
            "part": lambda: sw.Connection(
                a.neurons[::2], b.neurons[3:5], transform=np.ones((2, 5)) / 1024.0,
                learning_rule_type=pes,
            ),
            "encoders": lambda: sw.Connection(
                a, b, transform=[[1.0], [2.0]], learning_rule_type=rules or sw.Voja()
            ),
            "shaped": lambda: sw.Connection(
                a.neurons, b, transform=_flattened(), learning_rule_type=pes
            ),
        }  # fmt: skip
        link = made[form]()
        link.label = "learning"
        for rule in link.learning_rules:
            if rule.size_in:
                sw.Connection(sw.Node(np.arange(rule.size_in) - 0.5), rule, None)
    return net, link


def _flattened() -> sw.Transform:
    from spikewright.network.transforms import Chain, Dense, Reshape

    return Chain((Reshape((10,)), Dense(np.ones((2, 10)) / 1024.0)))


@pytest.mark.parametrize("form", FORMS)
def test_a_network_begins_with_what_it_kept(form: str) -> None:
    """After `keep_learned` a new simulator has these weights, at a scale of its own, rules or not.

    Rules that have a rate of 0 then keep them; `data` and `full_weights` show them.
    """
    net, link = learning_network(form)
    b = next(e for e in net.ensembles if e.label == "b")
    turning = form == "encoders"
    with net:
        attr: Any = (b, "scaled_encoders") if turning else (link, "weights")
        weights, current = sw.Probe(*attr), sw.Probe(b.neurons, "input")
    with sw.Simulator(net, precision="float64") as sim:
        before = sim.data[b].encoders if turning else sim.data[link].weights
        first = sw.full_weights(sim, link)
        sim.run_steps(100)
        (owner,) = sim.learned
        assert owner is (b if turning else link) and len(sim.learned) == 1
        learned = sim.learned[owner]
        again = sim.data[b].encoders if turning else sim.data[link].weights
        np.testing.assert_array_equal(again, before)  # `data` is what was built
        sim.keep_learned()
    assert np.abs(learned - before).max() > 1e-3 * np.abs(before).max()
    np.testing.assert_array_equal(link.learned["encoders" if turning else "weights"], learned)
    recorded = []
    for rules in (link.learning_rule_type, None):
        net.connections[:] = [c for c in net.connections if rules or c.post_obj is not None]
        if rules is None:
            net.connections[:] = [
                c for c in net.connections if not isinstance(c.post_obj, sw.LearningRule)
            ]
        link.learning_rule_type = rules
        with sw.Simulator(net, precision="float64") as sim:
            sim.run_steps(1)
            built = sim.data[b].encoders if turning else sim.data[link].weights
            np.testing.assert_allclose(built, learned, rtol=1e-14, atol=0)
            assert np.abs(sw.full_weights(sim, link) - first).max() > 0
        shown = sim.data[b].scaled_encoders if turning else built
        np.testing.assert_allclose(sim.data[weights][0], shown, rtol=1e-14, atol=1e-300)
        recorded.append(sim.data[current])
    np.testing.assert_array_equal(*recorded)


RULES = {
    "one": ("decoders", sw.PES(1e-3)),
    "list": ("neurons", [sw.BCM(1e-7, post_synapse=None), sw.Oja(1e-5, beta=0.5)]),
    "dict": ("decoders", {"follow": sw.PES(1e-3), "turn": sw.Voja(1e-3)}),
    "rls": ("part", sw.RLS(1e-3, sw.Alpha(0.01))),
}


@pytest.mark.parametrize("name", RULES)
def test_networks_that_learn_are_saved(name: str, tmp_path: Path) -> None:
    """A loaded network learns as the saved one does, and begins with what that had kept."""
    net, link = learning_network(*RULES[name])
    inner = sw.Network(label="inner")
    for kind in ("nodes", "ensembles"):
        getattr(inner, kind)[:] = getattr(net, kind)
        getattr(net, kind)[:] = []
    inner.connections.append(link)  # what leads to its rules stands before it in the file
    net.connections.remove(link)
    net.add(inner)
    with net:
        for rule in link.learning_rules:
            for attr in rule.probeable:
                sw.Probe(rule, attr)
        sw.Probe(link, "weights")
        sw.Probe(inner.ensembles[1].neurons[1::3], "refractory_time")
        sw.Probe(inner.ensembles[1][0], "input")
    with sw.Simulator(net, seed=5) as sim:
        sim.run_steps(10)
        sim.keep_learned()
    assert link.learned
    sw.network.save(net, tmp_path / "net")
    other = sw.network.load(tmp_path / "net")
    (theirs,) = other.networks[0].connections
    assert theirs.learning_rule_type == link.learning_rule_type
    assert [c.label for c in other.all_connections] == [c.label for c in net.all_connections]
    runs = []
    for each in (net, other):
        with sw.Simulator(each, seed=5) as sim:
            sim.run_steps(30)
        runs.append([sim.data[probe] for probe in each.all_probes])
    assert any(np.any(recorded != recorded[:1]) for recorded in runs[0])
    for ours, loaded in zip(*runs, strict=True):
        np.testing.assert_array_equal(ours, loaded)


def _learning(content: Any) -> Any:
    return next(entry for entry in content["connections"] if "rules" in entry)


def test_a_channel_is_learned() -> None:
    """PES brings a connection that begins with nothing to what is wanted, within a few percent."""
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(lambda t: np.sin(6.0 * t))
        pre, post = sw.Ensemble(100, 1), sw.Node(size_in=1)
        sw.Connection(stimulus, pre)
        link = sw.Connection(
            pre, post, solver=sw.solvers.NoSolver(), learning_rule_type=sw.PES(5e-4)
        )
        error = sw.Node(size_in=1)
        sw.Connection(post, error, None)
        sw.Connection(stimulus, error, 0.005, transform=-1.0)
        sw.Connection(error, link.learning_rule, None)
        wrong = sw.Probe(error, synapse=0.02)
    with sw.Simulator(net) as sim:
        sim.run(4.0)
    first, last = np.sqrt(np.mean(sim.data[wrong].reshape(8, -1) ** 2, axis=1))[[0, -1]]
    assert first > 0.2 and last < 0.06
