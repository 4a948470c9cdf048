"""Networks made by hand as NIR: leaky neurons, filters, delays, loops and residual edges."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nir_integrator import run

import spikewright as sw
from spikewright.errors import ExchangeError

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
