"""Converted networks inside networks made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from slowly import in_turn
from spikewright.errors import SimulationError
from spikewright.graph import Graph

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
