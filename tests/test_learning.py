"""Networks that learn, run: what they learn, what is kept of it, and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright import engines
from spikewright._base.storage import read, write
from spikewright.errors import DamagedFileError, NetworkError, SimulationError

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
        first = sim.full_weights(link)
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
                c for c in net.connections if not isinstance(c.post_obj, sw.results.LearningRule)
            ]
        link.learning_rule_type = rules
        with sw.Simulator(net, precision="float64") as sim:
            sim.run_steps(1)
            built = sim.data[b].encoders if turning else sim.data[link].weights
            np.testing.assert_allclose(built, learned, rtol=1e-14, atol=0)
            assert np.abs(sim.full_weights(link) - first).max() > 0
        shown = sim.data[b].scaled_encoders if turning else built
        np.testing.assert_allclose(sim.data[weights][0], shown, rtol=1e-14, atol=1e-300)
        recorded.append(sim.data[current])
    np.testing.assert_array_equal(*recorded)


@pytest.mark.parametrize("form", ["decoders", "part", "shaped", "full", "encoders"])
def test_kept_weights_act_where_they_are_shown(form: str) -> None:
    """What arrives is `full_weights` of the kept weights times what is sent (and the rest)."""
    net, link = learning_network(form)
    with sw.Simulator(net) as sim:
        sim.run_steps(50)
        sim.keep_learned()
    link.learning_rule_type = None
    net.connections[:] = [c for c in net.connections if c is link or c.pre_obj is not None]
    net.connections[:] = [
        c for c in net.connections if not isinstance(c.post_obj, sw.results.LearningRule)
    ]
    link.synapse = None
    a, b = net.ensembles
    with net:
        spikes, current = sw.Probe(a.neurons), sw.Probe(b.neurons, "input")
    with sw.Simulator(net, precision="float64") as sim:
        sim.run_steps(20)
        matrix, bias = sim.full_weights(link), sim.data[b].bias
        other = sim.data[b].scaled_encoders @ [0.5, 0.25]
    sent = sim.data[spikes].reshape(20, -1)
    assert sent.any()
    wanted = sent @ matrix.T + other + bias
    np.testing.assert_allclose(sim.data[current], wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("form", ["values", "function", "scaled", "full", "encoders"])
def test_a_rule_without_rate_changes_no_bit(form: str, precision: Any) -> None:
    """Of what is decoded as of matrices: weights that do not change are weights that cannot."""
    rule: sw.LearningRuleType = sw.Voja(0.0) if form == "encoders" else sw.PES(0.0)
    options: dict[str, Any] = {
        "values": {},
        "function": {"function": lambda x: x**2},
        "scaled": {"transform": -1.5},
        "full": {"solver": sw.solvers.LstsqL2(weights=True)},
        "encoders": {"transform": 0.5},
    }[form]
    runs = []
    for rules in (None, rule):
        with sw.Network(seed=1) as net:
            a, b = sw.Ensemble(40, 2), sw.Ensemble(30, 2, radius=1.25)
            sw.Connection(sw.Node(lambda t: [np.sin(20 * t), np.cos(20 * t)]), a)
            link = sw.Connection(a, b, learning_rule_type=rules, **options)
            sw.Connection(b, a, transform=0.25)
            error = sw.Node([1.0, -1.0])
            if rules is not None:
                part = error if link.learning_rule.size_in == 2 else error[0]
                sw.Connection(part, link.learning_rule)
            spikes, value = sw.Probe(b.neurons), sw.Probe(b)
        with sw.Simulator(net, seed=3, precision=precision) as sim:
            sim.run_steps(200)
        runs.append((sim.data[spikes], sim.data[value]))
    assert runs[0][0].any()
    for plain, learning in zip(*runs, strict=True):
        np.testing.assert_array_equal(plain, learning)


def test_a_batch_keeps_what_one_sample_learned() -> None:
    """Samples learn alone, so that one of them is named."""
    net, link = learning_network("decoders")
    node = next(
        c.pre_obj for c in net.connections if isinstance(c.post_obj, sw.results.LearningRule)
    )
    with sw.Simulator(net, batch_size=3) as sim:
        sim.run_steps(20, {node: [[0.0, 0.0], [1.0, 0.0], [0.0, -1.0]]})  # type: ignore[dict-item]
        now = sim.learned[link]
        assert now.shape == (3, 2, 10)
        np.testing.assert_array_equal(now[0], sim.data[link].weights)
        assert (now[1, 0] != now[0, 0]).any() and (now[1, 1] == now[0, 1]).all()
        for wrong, message in ((None, "name one of 3"), (3, "from 0 to 3 - 1, got 3")):
            with pytest.raises(SimulationError, match=message):
                sim.keep_learned(wrong)
        sim.keep_learned(2)
    np.testing.assert_array_equal(link.learned["weights"], now[2])
    with sw.Simulator(net) as sim, pytest.raises(SimulationError, match="with a batch_size"):
        sim.keep_learned(0)


def test_a_scale_does_not_touch_what_was_learned() -> None:
    """Kept encoders and weights are those of every firing-rate scale."""
    with sw.Network(seed=2) as net:
        a = sw.Ensemble(10, 1, neuron_type=sw.SpikingRectifiedLinear(), rate_scale=4.0)
        b = sw.Ensemble(8, 2, neuron_type=sw.SpikingRectifiedLinear(), rate_scale=4.0)
        sw.Connection(sw.Node([0.5]), a, None)
        turning = sw.Connection(a, b, transform=[[1.0], [0.5]], learning_rule_type=sw.Voja(1e-3))
        full = sw.solvers.LstsqL2(weights=True)
        oja = sw.Connection(b, b[0], solver=full, function=lambda x: 0.1 * x[0])
        oja.learning_rule_type = sw.Oja(1e-9)
    with sw.Simulator(net) as sim:
        sim.run_steps(200)
        sim.keep_learned()
    kept = {**turning.learned, **oja.learned}
    assert set(kept) == {"encoders", "weights"}
    for scale in (1.0, 4.0):
        a.rate_scale = b.rate_scale = scale
        with sw.Simulator(net) as sim:
            np.testing.assert_array_equal(sim.data[b].encoders, kept["encoders"])
            np.testing.assert_allclose(sim.data[oja].weights, kept["weights"], rtol=1e-14)
            wanted = kept["encoders"] * sim.data[b].gain[:, None]
            np.testing.assert_allclose(sim.data[b].scaled_encoders, wanted, rtol=1e-14)


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


def _damaged(path: Path, change: Any) -> None:
    content, arrays = read(path, "network")
    change(content)
    write(path, "network", content, arrays)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: _to_rule(c).update(rule_of=10_000),
        lambda c: _to_rule(c).update(rule_of="first"),
        lambda c: _to_rule(c).update(rule="another"),
        lambda c: _to_rule(c).update(rule=0),
        lambda c: _rules(c).update(names=["follow", "follow"]),
        lambda c: _rules(c).update(names=[1, 2]),
        lambda c: _rules(c)["kinds"].pop(),
        lambda c: _rules(c)["kinds"].__setitem__(0, None),
        lambda c: _rules(c)["kinds"].__setitem__(0, {"type": "Lowpass", "tau": 1.0}),
        lambda c: _rules(c)["kinds"][0].update(learning_rate="fast"),
        lambda c: _rules(c)["kinds"][0].update(learning_rate=-1.0),
        lambda c: _learning(c).update(learned={"weights": 1.0}),
        lambda c: _learning(c).update(learned={"other": {"array": "a0"}}),
        lambda c: _to_rule(c).update(rule_of=_number_of_itself(c)),
    ],
)
def test_damaged_rules_are_found(change: Any, tmp_path: Path) -> None:
    """A file that describes no rule is damaged, and says so."""
    net, _ = learning_network(*RULES["dict"])
    sw.network.save(net, tmp_path / "net")
    sw.network.load(tmp_path / "net")
    _damaged(tmp_path / "net", change)
    with pytest.raises(DamagedFileError, match="does not describe a saved network"):
        sw.network.load(tmp_path / "net")


def _learning(content: Any) -> Any:
    return next(entry for entry in content["connections"] if "rules" in entry)


def _rules(content: Any) -> Any:
    return _learning(content)["rules"]


def _to_rule(content: Any) -> Any:
    return next(e["post"] for e in content["connections"] if "rule_of" in e["post"])


def _number_of_itself(content: Any) -> int:
    before = len(content["nodes"]) + len(content["ensembles"])
    places = [i for i, e in enumerate(content["connections"]) if "rule_of" in e["post"]]
    return before + places[0]


def test_rules_with_names_that_are_no_text_are_not_saved(tmp_path: Path) -> None:
    """A file holds names as text, so that others are refused before anything is written."""
    net, _ = learning_network("neurons", {1: sw.Oja()})
    with pytest.raises(
        NetworkError, match=r"'learning'> cannot be saved: RulesEntry\.names\[0\] holds"
    ):
        sw.network.save(net, tmp_path / "net")
    assert not list(tmp_path.iterdir())


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


def test_the_plan_says_what_learns() -> None:
    """Weights that change are an operator of their own, by the connection's name."""
    net, _ = learning_network("decoders")
    plan = sw.Simulator(net, engine="reference").plan
    assert any("weights of <Connection 'learning'>" in row.operator for row in plan)


@pytest.mark.parametrize("name", engines.available())
def test_memory_knows_of_weights_that_change(name: str) -> None:
    """Every sample has weights of its own, and a rule's state, in what a run is said to need."""
    with sw.Network(seed=0) as net:
        a, b = sw.Ensemble(200, 1), sw.Ensemble(300, 1)
        link = sw.Connection(
            a.neurons, b.neurons, transform=np.ones((300, 200)), learning_rule_type=sw.Oja()
        )
    sizes = []
    for rules in (None, sw.Oja(), sw.RLS()):
        link.learning_rule_type = rules
        with sw.Simulator(net, batch_size=4, engine=name) as sim:
            parts = [part for part in sim.memory(10) if part.kind == "state"]
        sizes.append(sum(part.bytes for part in parts))
    assert sizes[1] - sizes[0] >= 4 * 8 * 300 * 200
    assert sizes[2] - sizes[0] >= 4 * 8 * (300 * 200 + 200 * 200)
