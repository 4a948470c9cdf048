"""Leaky neurons behind a synapse: one node of NIR, and the same network when it is read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nir_integrator import run

import spikewright as sw
from spikewright.errors import ExchangeError

nir = pytest.importorskip("nir")

DT, STEPS, N = 2.0**-10, 80, 6
DECAYS = np.linspace(0.5, 0.9, N)


def _weights(seed: int, *shape: int) -> np.ndarray:
    """Weights of a few bits."""
    return np.random.default_rng(seed).integers(-24, 64, shape) / 64.0


def _cells(kind: Any, label: str, n: int = N, **more: Any) -> sw.Ensemble:
    options = {"gain": 1.0, "bias": 0.0, "initial_voltage": "zero"} | more
    return sw.Ensemble(n, None, neuron_type=kind, label=label, **options)


def _spiking(reset: Any = "zero") -> sw.DiscreteLIF:
    return sw.DiscreteLIF(DECAYS[::-1].copy(), reset, amplitude=DT)


def _current(around: bool = False, cells: Any = None, bias: float = 0.0) -> sw.Network:
    """A population that is a current, in front of neurons; they may be heard by it."""
    with sw.Network() as net:
        x = sw.Node(np.zeros(4), label="x")
        current = _cells(sw.DiscreteLI(DECAYS), "current", gain=0.5, bias=0.125)
        lif = _cells(_spiking() if cells is None else cells, "lif", gain=0.75, bias=bias)
        sw.Connection(x, current.neurons, None, _weights(1, N, 4))
        sw.Connection(
            current.neurons, lif.neurons, None, sw.transforms.Scale(np.linspace(0.5, 1.5, N))
        )
        if around:
            loop = _weights(2, N, N) - 0.5
            sw.Connection(lif.neurons, current.neurons, None, loop, delay=DT)
        sw.Probe(lif.neurons, label="y")
    return net


def _filtered(around: bool = False, reset: Any = "zero") -> sw.Network:
    """Neurons all of whose connections have one filter."""
    with sw.Network() as net:
        x = sw.Node(np.zeros(4), label="x")
        lif = _cells(_spiking(reset), "lif", bias=0.05)
        sw.Connection(x, lif.neurons, sw.Lowpass(5 * DT), _weights(1, N, 4))
        if around:
            loop = _weights(2, N, N) - 0.5
            sw.Connection(lif.neurons, lif.neurons, sw.Lowpass(5 * DT), loop)
        sw.Probe(lif.neurons, label="y")
    return net


def _grid() -> Any:
    return sw.GridLIF(tau_rc=6 * DT, tau_ref=0.0, min_voltage=-np.inf, amplitude=DT)


NETWORKS: dict[str, tuple[Callable[[], sw.Network], str]] = {
    "current": (_current, "CubaLIF"),
    "current, recurrent": (lambda: _current(True), "CubaLIF"),
    "current, soft": (lambda: _current(True, _spiking("subtract")), "CubaLIF"),
    "current, biased": (lambda: _current(bias=0.0625), "CubaLIF"),
    "current, grid": (lambda: _current(True, _grid()), "CubaLIF"),
    "current, no spikes": (lambda: _current(cells=sw.DiscreteLI(DECAYS)), "CubaLI"),
    "filter": (_filtered, "CubaLIF"),
    "filter, recurrent": (lambda: _filtered(True), "CubaLIF"),
    "filter, soft": (lambda: _filtered(True, "subtract"), "CubaLIF"),
}


def _values(net: sw.Network, dt: float | None, engine: str) -> tuple[np.ndarray, np.ndarray]:
    """What the network answers, step by step, and what it was fed."""
    (x,) = getattr(net, "inputs", {"x": net.all_nodes[0]}).values()
    fed = np.random.default_rng(5).integers(-16, 48, (STEPS, 4)) / 16.0
    simulator = sw.Simulator(net, dt, engine=engine, precision="float64", progress=False)
    simulator.run_steps(STEPS, {x: fed})
    (probe,) = (p for p in net.all_probes if p.label in ("y", "output", "output_y"))
    return simulator.data[probe], fed


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("name", NETWORKS)
def test_neurons_and_their_synapse_are_one_node(name: str, engine: str, tmp_path: Path) -> None:
    """It is read again as a current and its neurons, which spike alike in every step.

    Without spikes potentials agree but for the single precision of files. An integrator that knows
    NIR alone finds the same.
    """
    make, kind = NETWORKS[name]
    net = make()
    sw.nir.save(net, tmp_path / "net.nir", dt=DT)
    read = nir.read(tmp_path / "net.nir")
    ours, fed = _values(net, DT, engine)
    theirs, _ = _values(sw.nir.load(tmp_path / "net.nir"), None, engine)
    alone = run(read, {"input": fed}, STEPS, 1.0)["output"]

    (node,) = [node for node in read.nodes.values() if hasattr(node, "r")]
    assert type(node).__name__ == kind
    np.testing.assert_array_equal(node.r, node.tau_mem)  # as readers want it
    np.testing.assert_array_equal(node.w_in, node.tau_syn)
    assert [e.label for e in sw.nir.load(read).all_ensembles] == ["lif.current", "lif"]
    if kind == "CubaLIF":
        np.testing.assert_array_equal(theirs, ours)
        np.testing.assert_array_equal(alone, ours)
        assert np.count_nonzero(ours) > 10 and np.any(np.ptp(ours, axis=0) > 0)
    else:
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(alone, ours, rtol=1e-5, atol=1e-5)


def test_a_file_of_such_neurons_is_written_again_as_it_was(tmp_path: Path) -> None:
    """Loaded and saved, its nodes are equal to the last bit, in the same order."""
    sw.nir.save(_current(True, bias=0.0625), tmp_path / "one.nir", dt=DT)
    sw.nir.save(sw.nir.load(tmp_path / "one.nir"), tmp_path / "two.nir")
    one, two = nir.read(tmp_path / "one.nir"), nir.read(tmp_path / "two.nir")

    assert len(one.nodes) == len(two.nodes) == 5 and len(one.edges) == len(two.edges)
    for node, again in zip(one.nodes.values(), two.nodes.values(), strict=True):
        assert type(again) is type(node)
        for field in ("weight", "bias", "tau_syn", "tau_mem", "r", "w_in", "v_leak", "v_threshold"):
            if hasattr(node, field):
                np.testing.assert_array_equal(getattr(again, field), getattr(node, field))


def _apart(how: str) -> sw.Network:
    """A current and neurons that are no CubaLIF."""
    net = _current()
    current, lif = net.all_ensembles
    with net:
        if how == "the current is heard elsewhere":
            sw.Probe(current.neurons, label="current")
        elif how == "something else arrives":
            sw.Connection(net.all_nodes[0], lif.neurons, None, _weights(3, N, 4))
        elif how == "neurons hear themselves without it":
            sw.Connection(lif.neurons, lif.neurons, None, _weights(3, N, N), delay=DT)
        elif how == "two filters":
            net = _filtered()
            with net:
                x, lif = net.all_nodes[0], net.all_ensembles[0]
                sw.Connection(x, lif.neurons, sw.Lowpass(3 * DT), _weights(3, N, 4))
        else:  # mixed
            net.all_connections[1].transform = sw.Dense(_weights(3, N, N))
    return net


APART = [
    "the current is heard elsewhere",
    "something else arrives",
    "neurons hear themselves without it",
    "two filters",
    "mixed",
]


@pytest.mark.parametrize("how", APART)
def test_what_is_no_such_node_stays_apart(how: str, tmp_path: Path) -> None:
    """The file has several nodes then, and the same spikes."""
    net = _apart(how)
    sw.nir.save(net, tmp_path / "net.nir", dt=DT)
    ours, _ = _values(net, DT, "reference")
    theirs, _ = _values(sw.nir.load(tmp_path / "net.nir"), None, "reference")

    kinds = {type(node).__name__ for node in nir.read(tmp_path / "net.nir").nodes.values()}
    assert {"LIF", "LI"} <= kinds and "CubaLIF" not in kinds
    np.testing.assert_array_equal(theirs, ours)
    assert ours.any()


def test_dialects_without_the_node_have_both(tmp_path: Path) -> None:
    """Norse reads the one node and no current; sinabs reads both, and not the one."""
    sw.nir.save(_current(), tmp_path / "norse.nir", "norse", dt=DT)
    sw.nir.save(_current(), tmp_path / "sinabs.nir", "sinabs", dt=DT, reset="subtract")
    kinds = [
        {type(node).__name__ for node in nir.read(tmp_path / f"{name}.nir").nodes.values()}
        for name in ("norse", "sinabs")
    ]
    assert "CubaLIF" in kinds[0] and "LI" not in kinds[0]
    assert {"LI", "LIF"} <= kinds[1] and "CubaLIF" not in kinds[1]


@pytest.mark.parametrize("dialect", [d.name for d in sw.nir.DIALECTS.values() if not d.rests])
def test_a_bias_behind_the_synapse_is_refused_where_readers_misread_it(
    dialect: str, tmp_path: Path
) -> None:
    """Neurons are named, with what would do."""
    with pytest.raises(ExchangeError, match=rf"'lif'.*v_leak.*{dialect}.*portable"):
        sw.nir.save(_current(bias=0.0625), tmp_path / "net.nir", dialect, dt=DT)


@pytest.mark.parametrize("kept", [1.0, 0.75])
def test_a_start_that_is_a_bias_agrees_at_the_end(kept: float, tmp_path: Path) -> None:
    """After so many steps, where no neuron has sent a spike; with a leak and without."""
    with sw.Network() as net:
        x = sw.Node(np.zeros(N), label="x")
        cells = _cells(sw.DiscreteLIF(np.array(kept)), "lif", initial_voltage=DECAYS)
        sw.Connection(x, cells.neurons, None)
        sw.Probe(cells.neurons, label="y")
    ends = []
    for steps in (None, 9):
        sw.nir.save(net, tmp_path / "net.nir", dt=DT, steps=steps)
        again = sw.nir.load(tmp_path / "net.nir")
        with again:
            probe = sw.Probe(again.layers["lif"].neurons, "voltage")
        simulator = sw.Simulator(again, progress=False)
        simulator.run_steps(9)
        ends.append(simulator.data[probe])
    np.testing.assert_allclose(ends[1][-1], ends[0][-1], rtol=1e-5)
    assert np.all(ends[0][-1] > 0) and np.any(ends[0][0] != ends[1][0])
