"""Converted networks inside networks made by hand."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from slowly import in_turn
from spikewright.errors import BuildError, NetworkError, SimulationError
from spikewright.graph import Graph
from spikewright.network import load, save

GRAPHS = {
    "mlp": models.mlp,
    "residual": models.residual,
    "pooled": lambda: models.residual(pool=True),
    "curved": lambda: models.mlp(activation="tanh"),
    "softmax": lambda: models.mlp(output="softmax"),
}
SPIKING: dict[str, dict[str, Any]] = {
    "half": {"spiking": True, "scale_firing_rates": 200.0},
    "uniform": {"spiking": True, "scale_firing_rates": 400.0, "initial_voltage": "uniform"},
    "filtered": {"spiking": True, "scale_firing_rates": 500.0, "synapse": 0.003},
    "drawn": {
        "spiking": {"relu": sw.PoissonSpiking(sw.RectifiedLinear())},
        "scale_firing_rates": 300.0,
    },
}


CASES = [(graph, how) for graph in ("mlp", "residual", "pooled") for how in SPIKING]
CASES += [("curved", "uniform"), ("softmax", "half")]


def converted(graph: Graph, seed: int | None, **options: Any) -> sw.Conversion:
    """A conversion whose network has a seed of its own, or none."""
    conversion = sw.convert(graph, **options)
    conversion.network.seed = seed
    return conversion


def value_of(item: sw.Ensemble | sw.Node) -> Any:
    """What an object sends, as a pre of connections."""
    return item.neurons if isinstance(item, sw.Ensemble) else item


def around(conversion: sw.Conversion) -> sw.Network:
    """A network made by hand that holds a conversion and reads its output."""
    with sw.Network(seed=3) as net:
        stimulus = sw.Node(lambda t: np.sin(40 * t))
        before = sw.Ensemble(20, 1)
        sw.Connection(stimulus, before)
        net.add(conversion.network)
        (out,) = conversion.outputs.values()
        after = sw.Ensemble(40, 2)
        size = out.size_out if isinstance(out, sw.Node) else out.n_neurons
        weights = np.random.default_rng(1).normal(size=(2, size))
        sw.Connection(out, after, transform=weights)
        sw.Connection(before, after[0])
    return net


def spikes(
    net: sw.Network,
    conversion: sw.Conversion,
    x: NDArray,
    engine: str,
    batched: bool,
    **options: Any,
) -> dict[str, NDArray]:
    """Spike counts of every layer at every step of a run."""
    populations = conversion.populations()
    with conversion.network:
        probes = {name: sw.Probe(e.neurons, "spike_count") for name, e in populations.items()}
    batch = len(x) if batched else None
    with sw.Simulator(net, batch_size=batch, engine=engine, progress=False, **options) as sim:
        (node,) = conversion.inputs.values()
        sim.run_steps(25, {node: x if batched else x[0]})
    found = {name: np.array(sim.data[probe]) for name, probe in probes.items()}
    for probe in probes.values():
        conversion.network.probes.remove(probe)
    return found


@pytest.mark.parametrize(
    ("case", "engine", "batched"), in_turn(CASES, sw.engines.available(), [False, True])
)
def test_embedded_it_spikes_as_it_does_alone(
    case: tuple[str, str], engine: str, batched: bool
) -> None:
    """Every spike of every layer is the same, bit for bit: its seed is its own."""
    graph, how = case
    conversion = converted(GRAPHS[graph](), 4, **SPIKING[how])
    shape = next(iter(conversion.inputs.values())).shape_out
    x = np.random.default_rng(0).normal(size=(3, *shape))
    alone = spikes(conversion.network, conversion, x, engine, batched)
    embedded = spikes(around(conversion), conversion, x, engine, batched, seed=11)
    assert sum(np.abs(counts).sum() for counts in alone.values()) >= 20
    for name, counts in alone.items():
        np.testing.assert_array_equal(embedded[name], counts)


def test_the_seed_of_its_network_is_that_of_its_runs() -> None:
    """Embedded with a seed, it spikes as `Conversion.run` with that seed."""
    conversion = converted(models.residual(), 9, **SPIKING["uniform"])
    x = np.random.default_rng(0).normal(size=(2, 2, 8, 8))
    embedded = spikes(around(conversion), conversion, x, "auto", True)
    run = conversion.run(x, steps=25, seed=9, progress=False)
    for name, counts in embedded.items():
        np.testing.assert_array_equal(run.populations[name].totals, counts.sum(axis=1))


@pytest.mark.parametrize("engine", sw.engines.available())
def test_without_a_seed_what_is_not_random_is_the_same(engine: str) -> None:
    """Where neurons start from half a spike nothing is drawn, and no seed matters."""
    conversion = converted(models.residual(), None, **SPIKING["half"])
    x = np.random.default_rng(0).normal(size=(2, 2, 8, 8))
    alone = spikes(conversion.network, conversion, x, engine, True, seed=1)
    embedded = spikes(around(conversion), conversion, x, engine, True, seed=2)
    for name, counts in alone.items():
        np.testing.assert_array_equal(embedded[name], counts)


def test_scale_and_synapse_are_kept() -> None:
    """What was chosen for the conversion stands on the embedded objects, and shows as built."""
    conversion = converted(models.mlp(), 0, spiking=True, scale_firing_rates=7.0, synapse=0.004)
    net = around(conversion)
    with sw.Simulator(net, progress=False) as sim:
        layer = conversion.layers["act1"]
        assert np.all(sim.data[layer].gain == 7.0)
        assert np.all(sim.data[layer].amplitude == 1 / 7)
        inner = [c for c in conversion.network.connections if c.pre_obj == layer.neurons]
        assert [c.synapse for c in inner] == [sw.Lowpass(0.004)]


def test_a_layer_connects_as_it_is() -> None:
    """A connection from a layer carries its values, one from its neurons the same, and so a probe.

    Layers represent no vector: nothing is decoded.
    """
    conversion = converted(models.mlp(), 0, spiking=True, scale_firing_rates=50.0)
    layer = conversion.layers["act1"]
    assert isinstance(layer, sw.Ensemble) and not layer.represents
    weights = np.random.default_rng(2).normal(size=(2, 12))
    with sw.Network(seed=0) as net:
        net.add(conversion.network)
        ends = [sw.Node(size_in=2) for _ in range(2)]
        made = [
            sw.Connection(layer, ends[0], transform=weights, synapse=None),
            sw.Connection(layer.neurons, ends[1], transform=weights, synapse=None),
        ]
        part = sw.Node(size_in=3)
        sw.Connection(layer[:3], part, synapse=None)
        probes = [sw.Probe(item) for item in (*ends, layer, part)]
    with sw.Simulator(net, progress=False) as sim:
        sim.run_steps(20, {conversion.inputs["x"]: np.ones(6)})
    first, second, values, of_part = (sim.data[p] for p in probes)
    assert made[0].pre == layer.neurons
    assert values.shape == (20, 12) and values.any()
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, values @ weights.T, rtol=1e-5)
    np.testing.assert_array_equal(of_part, values[:, :3])


@pytest.mark.parametrize("engine", sw.engines.available())
def test_a_connection_drives_the_input(engine: str) -> None:
    """What a node sends along a connection does what the same values fed would do, bit for bit."""
    x = np.random.default_rng(5).normal(size=6)
    conversion = converted(models.mlp(), 0, **SPIKING["half"])
    fed = spikes(conversion.network, conversion, x[None], engine, False)
    with sw.Network() as net:
        net.add(conversion.network)
        sw.Connection(sw.Node(x), conversion.inputs["x"], synapse=None)
        probes = {
            name: sw.Probe(e.neurons, "spike_count") for name, e in conversion.populations().items()
        }
    with sw.Simulator(net, engine=engine, progress=False) as sim:
        sim.run_steps(25)
    assert fed["act1"].any()
    for name, counts in fed.items():
        np.testing.assert_array_equal(sim.data[probes[name]], counts)


def test_a_decoded_value_drives_the_input() -> None:
    """An ensemble's value, decoded from spikes, gives the answer that the source gives for it."""
    graph = models.mlp()
    conversion = converted(graph, 0, spiking=True, scale_firing_rates=200.0)
    point = np.array([0.6, -0.3])
    mixing = np.random.default_rng(3).normal(size=(6, 2))
    with sw.Network(seed=1) as net:
        net.add(conversion.network)
        eye = sw.Ensemble(400, 2)
        sw.Connection(sw.Node(point), eye)
        sw.Connection(eye, conversion.inputs["x"], transform=mixing, synapse=0.03)
        answer = sw.Probe(conversion.outputs["output"], synapse=0.05)
    with sw.Simulator(net, progress=False) as sim:
        sim.run(0.6)
    wanted = conversion.source.activations({"x": (mixing @ point)[None]})["fc3"][0]
    found = sim.data[answer][-100:].mean(0)
    assert np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(wanted)


def test_a_decoded_value_drives_a_layer() -> None:
    """What reaches a layer's neurons adds to their current: charge is conserved."""
    conversion = converted(models.mlp(), 0, spiking=True, initial_voltage="zero")
    layer = conversion.layers["act1"]
    weights = np.abs(np.random.default_rng(3).normal(size=(12, 1))) * 40
    with sw.Network(seed=1) as net:
        net.add(conversion.network)
        eye = sw.Ensemble(100, 1)
        sw.Connection(sw.Node(0.8), eye)
        sw.Connection(eye, layer, transform=weights)
        probes = [sw.Probe(layer, attr) for attr in ("input", "spike_count", "voltage")]
    with sw.Simulator(net, progress=False, precision="float64") as sim:
        sim.run(0.5)
    current, counts, voltage = (sim.data[p] for p in probes)
    assert counts.sum(0).min() >= 3
    np.testing.assert_allclose(current.sum(0) * 0.001 - counts.sum(0), voltage[-1], atol=1e-3)


@pytest.mark.parametrize("engine", sw.engines.available())
@pytest.mark.parametrize("whole", [True, False])
def test_a_rule_learns_what_is_read_from_a_layer(whole: bool, engine: str) -> None:
    """Weights from a layer, or from its neurons, begin at zero and end where the error is none.

    The layer's own spikes do not notice.
    """
    conversion = converted(models.mlp(), 0, **SPIKING["half"])
    layer = conversion.layers["act1"]
    x = np.ones(6)
    alone = spikes(conversion.network, conversion, x[None], engine, False)
    with sw.Network(seed=0) as net:
        net.add(conversion.network)
        answer, error = sw.Node(size_in=2), sw.Node(size_in=2)
        pre = layer if whole else value_of(layer)
        rule = sw.PES(learning_rate=20.0)
        learned = sw.Connection(pre, answer, transform=np.zeros((2, 12)), learning_rule_type=rule)
        sw.Connection(answer, error, synapse=None)
        sw.Connection(sw.Node([0.7, -0.4]), error, transform=-1, synapse=None)
        sw.Connection(error, learned.learning_rule)
        probe = sw.Probe(answer, synapse=0.02)
        counts = sw.Probe(layer, "spike_count")
    with sw.Simulator(net, engine=engine, progress=False) as sim:
        sim.run(1.0, {conversion.inputs["x"]: x})
    np.testing.assert_allclose(sim.data[probe][-200:].mean(0), [0.7, -0.4], atol=0.03)
    np.testing.assert_array_equal(sim.data[counts][:25], alone["act1"])


CHANGES: dict[str, Any] = {
    "radius": lambda hand, link: setattr(hand, "radius", 2.5),
    "encoders": lambda hand, link: setattr(hand, "encoders", np.ones((20, 1))),
    "points": lambda hand, link: setattr(hand, "eval_points", np.linspace(-0.1, 0.1, 30)[:, None]),
    "number of points": lambda hand, link: setattr(hand, "n_eval_points", 40),
    "solver": lambda hand, link: setattr(link, "solver", sw.solvers.LstsqL2(reg=0.5)),
    "solver's key": lambda hand, link: setattr(link, "seed", 9),
    "function": lambda hand, link: setattr(link, "function", np.square),
    "noise": lambda hand, link: setattr(hand, "noise", sw.processes.WhiteNoise()),
    "learned": lambda hand, link: setattr(link, "learned", {"weights": np.full((12, 20), 1e-3)}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_sees_what_was_changed_of_a_part_made_by_hand(change: str) -> None:
    """The network is compiled again: the run is that of a network that was made so."""

    def made() -> tuple[sw.Conversion, sw.Ensemble, sw.Connection]:
        conversion = converted(models.mlp(), None, **SPIKING["half"])
        with conversion.network:
            hand = sw.Ensemble(20, 1, seed=1)
            sw.Connection(sw.Node(0.7), hand, synapse=None)
            solver = sw.solvers.LstsqNoise() if change == "solver's key" else None
            weights = np.linspace(1, 3, 12)[:, None]
            layer = conversion.layers["act1"]
            link = sw.Connection(hand, layer, transform=weights, solver=solver, seed=4)
        return conversion, hand, link

    def run(conversion: sw.Conversion) -> NDArray:
        return np.asarray(conversion.run(np.ones((1, 6)), steps=30, progress=False).output)

    first, *parts = made()
    before = run(first)
    CHANGES[change](*parts)
    after = run(first)
    second, *parts = made()
    CHANGES[change](*parts)
    assert not np.array_equal(after, before)
    np.testing.assert_array_equal(after, run(second))


def test_parts_made_by_hand_are_measured_beside_the_layers() -> None:
    """Spikes, rates and operations of a population inside a conversion, under its label.

    The layers' own records are what they are without it; workers that get the conversion as a file
    count the same.
    """
    x, y = np.random.default_rng(0).normal(size=(6, 6)), np.arange(6) % 3
    bare, mixed = (converted(models.mlp(), 0, **SPIKING["half"]) for _ in range(2))
    with mixed.network:
        hand = [sw.Ensemble(30, 3, label=label) for label in ("hand", "act1", None)]
        for ensemble in hand:
            sw.Connection(mixed.outputs["output"], ensemble)
    run = mixed.run(x, steps=20, progress=False)
    names = ["act1", "act2", "hand", "act1 (4)", "ensemble 5"]
    assert list(run.firing_rates()) == names
    assert run.firing_rates()["hand"] > 1
    assert list(mixed.populations()) == names[:2]
    alone = bare.evaluate(x, y, steps=20, progress=False).records
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        beside = mixed.evaluate(x, y, steps=20, progress=False, executor=pool).records
    assert beside == mixed.evaluate(x, y, steps=20, progress=False).records
    layers = [r for r in alone if r.how.get("layer") in ("act1", "act2")]
    assert layers and all(record in beside for record in layers)
    operations = {r.how["layer"]: r for r in beside if "layer" in r.how and "accum" in r.name}
    assert operations["hand"].value > 0
    assert not [e for e in mixed.trace if e.stage == "run" and e.layer in names[2:]]


def test_a_driven_input_cannot_be_fed() -> None:
    """Two things that would decide one value are an error that names the node."""
    conversion = converted(models.mlp(), 0, spiking=True)
    node = conversion.inputs["x"]
    with sw.Network() as net:
        net.add(conversion.network)
        sw.Connection(sw.Node(np.ones(6)), node, synapse=None)
    with (
        sw.Simulator(net, progress=False) as sim,
        pytest.raises(SimulationError, match=r"<Node 'x'> cannot be fed: connections lead to it"),
    ):
        sim.run_steps(1, {node: np.zeros(6)})
    with conversion.network:
        sw.Connection(sw.Node(np.ones(6)), node, synapse=None)
    with pytest.raises(SimulationError, match=r"<Node 'x'> cannot be fed"):
        conversion.run(np.zeros((1, 6)), steps=2, progress=False)


def test_only_a_constant_with_a_size_takes_input() -> None:
    """A plain constant refuses connections, and a size_in that is not its own shape."""
    with sw.Network():
        plain = sw.Node([1.0, 2.0])
        with pytest.raises(NetworkError, match=r"<Node at .*takes \(0,\)"):
            sw.Connection(sw.Node([1.0, 2.0]), plain)
        with pytest.raises(NetworkError, match=r"size_in is \(2,\), got \(3,\)"):
            sw.Node([1.0, 2.0], size_in=3)


def test_layers_and_inputs_stay_so_in_files(tmp_path: Any) -> None:
    """A network read from a file connects as the one that was written."""
    conversion = converted(models.mlp(), 0, spiking=True)
    save(conversion.network, tmp_path / "network")
    network = load(tmp_path / "network")
    assert [e.represents for e in network.all_ensembles] == [False, False]
    (source,) = (n for n in network.all_nodes if n.label == "x")
    assert source.shape_in == (6,)
    with network:
        sw.Connection(sw.Node(np.ones(6)), source, synapse=None)
        probe = sw.Probe(network.ensembles[0])
    with sw.Simulator(network, progress=False) as sim:
        sim.run_steps(500)
    assert sim.data[probe].any()


def test_neurons_that_represent_nothing_have_no_encoders() -> None:
    """Asking for what belongs to a represented vector is an error that names the layer."""
    conversion = converted(models.mlp(), 0, spiking=True)
    with sw.Simulator(conversion.network, progress=False) as sim:
        built = sim.data[conversion.layers["act1"]]
        for name in ("encoders", "scaled_encoders", "eval_points"):
            with pytest.raises(BuildError, match="<Ensemble 'act1'> represents no vector"):
                getattr(built, name)
    with sw.Network(), pytest.raises(NetworkError, match="nothing in it"):
        sw.Ensemble(1, None, neuron_type=sw.Direct())
