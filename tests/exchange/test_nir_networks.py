"""Networks made by hand as NIR: leaky neurons, filters, delays, loops and residual edges."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nir_integrator import run

import spikewright as sw
from spikewright.errors import ExchangeError, NetworkError
from spikewright.exchange.nir.reading import late, walked
from spikewright.graph import Graph, GraphNode
from spikewright.graph import layers as g

nir = pytest.importorskip("nir")

DT, STEPS = 1e-3, 80


def _cells(kind: Any, n: int = 6, **more: Any) -> sw.Ensemble:
    gain = 3.0 if isinstance(kind, sw.GridLIF) else 1.0
    options = {"gain": gain, "bias": 0.0, "initial_voltage": "zero"} | more
    return sw.Ensemble(n, None, neuron_type=kind, **options)


def _network(first: Any, second: Any, synapse: Any = None, delay: float = 0.0) -> sw.Network:
    """Two populations, and what the second one sends."""
    rng = np.random.default_rng(1)
    with sw.Network() as net:
        source = sw.Node(np.zeros(4), label="x")
        a, b = _cells(first, label="a"), _cells(second, 3, label="b", bias=0.25)
        sw.Connection(source, a.neurons, None, rng.normal(0.5, 1.0, (6, 4)))
        weights = rng.normal(0.5, 1.0, (3, 6)) * DT
        sw.Connection(a.neurons, b.neurons, synapse, weights, delay=delay)
        sw.Probe(b.neurons, label="y")
    return net


def _leaky(**more: Any) -> Any:
    return sw.GridLIF(tau_rc=0.01, tau_ref=0.0, min_voltage=-math.inf, **more)


DECAYS = np.linspace(0.5, 0.95, 6)
NETWORKS = {
    "leaky": lambda: _network(_leaky(), _leaky()),
    "soft": lambda: _network(sw.DiscreteLIF(DECAYS, "subtract"), _leaky()),
    "reset below": lambda: _network(sw.DiscreteLIF(np.ones(6), reset_voltage=-0.5), _leaky()),
    "capped": lambda: _network(
        sw.DiscreteLIF(np.ones(6), "subtract", max_spikes_per_step=1), _leaky()
    ),
    "filtered": lambda: _network(_leaky(), _leaky(), sw.Lowpass(0.005)),
    "late": lambda: _network(_leaky(), _leaky(), delay=3 * DT),
    "integrated": lambda: _network(sw.DiscreteLI(np.array(0.75), amplitude=DT**-1), _leaky()),
    "summed": lambda: _network(sw.DiscreteLI(np.ones(6), amplitude=0.1 / DT), _leaky()),
    "at once": lambda: _network(sw.DiscreteLIF(np.zeros(6)), _leaky()),
}


def _counts(
    net: sw.Network, layers: dict[str, sw.Ensemble], source: Any, dt: float | None = None
) -> Any:
    with net:
        probes = {name: sw.Probe(e.neurons) for name, e in layers.items()}
    simulator = sw.Simulator(net, dt, engine="reference", precision="float64", progress=False)
    fed = np.random.default_rng(2).normal(0.6, 1.0, (STEPS, *source.shape_out))
    simulator.run_steps(STEPS, {source: fed})
    return {name: simulator.data[probe] for name, probe in probes.items()}, fed


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_spikes_alike_when_it_is_read_again(name: str, tmp_path: Path) -> None:
    """And in an integrator that knows NIR alone."""
    net = NETWORKS[name]()
    sw.nir.save(net, tmp_path / "net.nir", dt=DT)
    read, again = nir.read(tmp_path / "net.nir"), sw.nir.load(tmp_path / "net.nir")
    ours, fed = _counts(net, {e.label: e for e in net.all_ensembles}, net.all_nodes[0], DT)
    theirs, _ = _counts(again, again.layers, again.inputs["input"])
    independent = run(read, {"input": fed}, STEPS, 1.0)

    np.testing.assert_array_equal(theirs["b"] > 0, ours["b"] > 0)
    assert 5 < (ours["b"] > 0).sum() < ours["b"].size
    node = next(n for n, item in read.nodes.items() if item.metadata.get("layer") == "b")
    np.testing.assert_array_equal(independent[node] > 0, ours["b"] > 0)


def _loop(synapse: Any, delay: float = 0.0) -> sw.Network:
    net = _network(_leaky(), _leaky())
    rng = np.random.default_rng(3)
    a, b = net.all_ensembles
    with net:
        for pre, n in ((a, 6), (b, 3)):
            weights = rng.normal(0.0, 2.0, (6, n)) * DT
            sw.Connection(pre.neurons, a.neurons, synapse, weights, delay=delay)
    return net


@pytest.mark.parametrize(
    ("synapse", "delay"), [(0, 0.0), (None, DT), (sw.Lowpass(0.004), 0.0), (None, 3 * DT)]
)
def test_loops_wait_as_they_did(synapse: Any, delay: float, tmp_path: Path) -> None:
    """A step's delay is the loop's own; filters and longer delays are nodes."""
    net = _loop(synapse, delay)
    sw.nir.save(net, tmp_path / "net.nir", dt=DT)
    again = sw.nir.load(tmp_path / "net.nir")
    ours, _ = _counts(net, {e.label: e for e in net.all_ensembles}, net.all_nodes[0], DT)
    theirs, _ = _counts(again, again.layers, again.inputs["input"])
    alone, _ = _counts(
        plain := NETWORKS["leaky"](), {"b": plain.all_ensembles[1]}, plain.nodes[0], DT
    )

    for name in ("a", "b"):
        np.testing.assert_array_equal(theirs[name] > 0, ours[name] > 0, name)
    assert np.any(alone["b"] != ours["b"])  # the loop matters


def test_residual_edges_lead_into_one_population(tmp_path: Path) -> None:
    """With equal heights an edge is direct, with others it has weights of its own."""
    rng = np.random.default_rng(4)
    for scales, direct in (({"r": 64.0, "s": 64.0}, True), ({"r": 64.0, "s": 32.0}, False)):
        net = _residual(rng, tmp_path / "net.nir", scales)
        into = [pre for pre, post in net.edges if post == _named(net, "s")]
        assert len(into) == 2 and (_named(net, "r") in into) == direct


@pytest.mark.parametrize("dialect", [d.name for d in sw.nir.DIALECTS.values() if d.walks])
def test_readers_that_walk_get_no_branch_that_joins_too_late(dialect: str, tmp_path: Path) -> None:
    """An edge with weights of its own is refused by name; a direct one is written."""
    rng = np.random.default_rng(4)
    direct, weighted = (_joining(rng, {"r": 64.0, "s": height}) for height in (64.0, 32.0))
    how = {"dt": 1 / 64, "steps": 30, "reset": "zero"}
    sw.nir.save(direct, tmp_path / "net.nir", dialect, **how)
    sw.nir.save(weighted, tmp_path / "net.nir", "portable", dt=1 / 64, steps=30)
    with pytest.raises(ExchangeError, match=f"joins another branch, and {dialect} computes"):
        sw.nir.save(weighted, tmp_path / "net.nir", dialect, **how)


def test_a_walk_along_the_edges_of_a_loop_ends_at_the_output(tmp_path: Path) -> None:
    """Norse answers with the node that it comes to last; sinabs, which drops loops, gets none."""
    sw.nir.save(_loop(0), tmp_path / "net.nir", "norse", dt=DT)
    net = nir.read(tmp_path / "net.nir")

    assert walked(net.nodes, net.edges, "input")[-1] == "output"
    assert len(late(net.nodes, net.edges, "input")) == 2
    with pytest.raises(ExchangeError, match="closes a loop, and sinabs drops such edges"):
        sw.nir.save(_loop(0), tmp_path / "net.nir", "sinabs", dt=DT)


def _joining(rng: Any, scales: dict[str, float]) -> sw.Conversion:
    kernel = (rng.integers(-32, 32, (3, 3, 3, 3)) / 32).astype(np.float32)
    same = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}
    graph = Graph(
        [
            GraphNode("x", g.Input((3, 6, 6))),
            GraphNode("a", g.Convolution(kernel, None, **same), ("x",)),
            GraphNode("r", g.Activation("relu"), ("a",)),
            GraphNode("b", g.Convolution(kernel, None, **same), ("r",)),
            GraphNode("sum", g.Add(), ("b", "r")),
            GraphNode("s", g.Activation("relu"), ("sum",)),
        ],
        {"y": "s"},
    )
    return sw.convert(graph, spiking=True, scale_firing_rates=scales)


def _residual(rng: Any, path: Path, scales: dict[str, float]) -> Any:
    conversion = _joining(rng, scales)
    sw.nir.save(conversion, path, dt=1 / 64)
    read, x = nir.read(path), rng.integers(0, 32, (1, 3, 6, 6)) / 32
    ours = conversion.run(x, steps=30, dt=1 / 64, engine="reference", progress=False)
    sent = run(read, {"input": np.repeat(x, 30, 0)}, 30, 1.0)
    assert sent[_named(read, "s")].sum() == ours.spike_counts()["s"][0] > 50
    return read


def _named(read: Any, layer: str) -> str:
    return next(n for n, node in read.nodes.items() if node.metadata.get("layer") == layer)


REFUSED = {
    "no reader does.*GridLIF": lambda: _network(sw.LIF(), _leaky()),
    "silent for 0.002 s": lambda: _network(sw.GridLIF(min_voltage=-math.inf), _leaky()),
    "lower bound": lambda: _network(sw.GridLIF(tau_ref=0.0), _leaky()),
    "some of its neurons leak": lambda: _network(sw.DiscreteLIF(np.linspace(0, 1, 6)), _leaky()),
    "either sign": lambda: _network(sw.SignedIntegrateAndFire(), _leaky()),
    "sends rates": lambda: _network(sw.RectifiedLinear(), _leaky()),
    "only first-order filters": lambda: _network(_leaky(), _leaky(), sw.Alpha(0.01)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_nir_cannot_say_of_a_network(reason: str, tmp_path: Path) -> None:
    """The ensemble is named, with the reason."""
    with pytest.raises(ExchangeError, match=reason):
        sw.nir.save(REFUSED[reason](), tmp_path / "net.nir", dt=DT)


def test_dialects_refuse_what_their_readers_lack(tmp_path: Path) -> None:
    """A delay is for few readers, and a branch not for one of chains."""
    with pytest.raises(ExchangeError, match=r"norse reads no Delay.*portable"):
        sw.nir.save(NETWORKS["late"](), tmp_path / "net.nir", "norse", dt=DT)
    with pytest.raises(ExchangeError, match=r"spyx reads chains"):
        sw.nir.save(_loop(0), tmp_path / "net.nir", "spyx", dt=DT)
    for name in sw.nir.DIALECTS:
        if name not in ("snntorch", "spikingjelly"):  # they read LIF in a time of their own
            how = {"dt": DT, "reset": "subtract"}
            sw.nir.save(NETWORKS["leaky"](), tmp_path / f"{name}.nir", name, **how)


def test_a_network_without_ends_is_refused(tmp_path: Path) -> None:
    """NIR needs inputs and outputs, and something that is a network."""
    with sw.Network() as net:
        _cells(_leaky())
    with pytest.raises(NetworkError, match="it has no probe"):
        sw.nir.save(net, tmp_path / "net.nir")
    with pytest.raises(NetworkError, match="a conversion or a Network"):
        sw.nir.save("net", tmp_path / "net.nir")
