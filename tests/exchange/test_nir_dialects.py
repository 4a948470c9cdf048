"""Files for a reader: its reset, start and time are made up for, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.nir.semantics import RESETS, under
from benchmarks.nir.simulate import cell_of, simulate
from benchmarks.nir.wiring import wiring_of

import spikewright as sw
from slowly import in_turn
from spikewright.errors import ExchangeError
from spikewright.exchange.nir.dialects import OURS, Semantics
from spikewright.exchange.nir.reading import read_flat

nir = pytest.importorskip("nir")

DT, STEPS, N = 2.0**-10, 48, 6
DECAYS = np.linspace(0.5, 0.9, N)
LEAKLESS = np.ones(N)

# What a spike leaves of the voltage of an IF, of leaky neurons: as each reader documents it.
THERE = {
    "portable": ("both", "both"),
    "sinabs": ("subtract", "subtract"),
    "norse": ("zero", "zero"),
    "snntorch": ("subtract", "unread"),
    "spikingjelly": ("zero", "unread"),
    "spyx": ("subtract", "subtract"),
}
OTHER = {"subtract": "zero", "zero": "subtract"}


def _cells(kind: Any, label: str, **more: Any) -> sw.Ensemble:
    options = {"gain": 1.0, "bias": 0.0, "initial_voltage": "zero"} | more
    return sw.Ensemble(N, None, neuron_type=kind, label=label, **options)


def _network(kind: Any, synapse: Any = None, **more: Any) -> sw.Network:
    """Two populations of one type, one behind the other."""
    rng = np.random.default_rng(1)
    with sw.Network() as net:
        x = sw.Node(np.zeros(4), label="x")
        a, b = _cells(kind, "a", **more), _cells(kind, "b", **more)
        sw.Connection(x, a.neurons, None, rng.normal(0.4, 0.6, (N, 4)))
        sw.Connection(a.neurons, b.neurons, synapse, rng.normal(0.3, 0.4, (N, N)))
        sw.Probe(b.neurons, label="y")
    return net


def _spiking(decays: np.ndarray, reset: str) -> sw.DiscreteLIF:
    return sw.DiscreteLIF(decays, reset, amplitude=DT)


@pytest.mark.parametrize("own", OTHER)
@pytest.mark.parametrize("decays", [LEAKLESS, DECAYS], ids=["IF", "LIF"])
@pytest.mark.parametrize("dialect", sw.nir.DIALECTS)
def test_a_reset_is_kept_or_refused_or_allowed_to_be_another(
    dialect: str, decays: np.ndarray, own: str, tmp_path: Path
) -> None:
    """Layer by layer, with the argument that allows it; a file is the same with and without it."""
    net, there = _network(_spiking(decays, own)), THERE[dialect][int(decays is DECAYS)]
    path, how = tmp_path / "net.nir", {"dialect": dialect, "dt": DT}
    if there in (own, "both"):
        sw.nir.save(net, path, **how)
        (a, *_) = [n for n in nir.read(path).nodes.values() if n.metadata.get("layer") == "a"]
        assert a.metadata["reset"] == own
        return
    with pytest.raises(ExchangeError) as caught:
        sw.nir.save(net, path, **how)
    assert list(tmp_path.iterdir()) == []
    if there == "unread":
        assert f"{dialect} reads no LIF" in str(caught.value) and "reset" not in str(caught.value)
        return
    assert [r.layer for r in caught.value.refusals] == ["a", "b"]
    assert f"and in {dialect} it" in str(caught.value)
    assert f'Give reset="{there}"' in str(caught.value) and '"portable"' in str(caught.value)
    with pytest.raises(ExchangeError, match=f"and in {dialect} it"):
        sw.nir.save(net, path, reset=own, **how)
    sw.nir.save(net, path, reset=there, **how)
    assert path.exists()


def test_dialects_are_known_here() -> None:
    """A dialect needs a row of facts, and the dialects that keep a reset are those of the rows."""
    assert set(THERE) == set(sw.nir.DIALECTS)
    for name, dialect in sw.nir.DIALECTS.items():
        for kind, there in zip(("IF", "LIF"), THERE[name], strict=True):
            kept = {own for own in OTHER if dialect.keeps(kind, own)}
            assert kept == {"both": set(OTHER), "unread": set()}.get(there, {there})


def test_all_that_a_reader_does_otherwise_is_refused_at_once(tmp_path: Path) -> None:
    """The reset and the start of every layer stand beside each other."""
    net = _network(_spiking(LEAKLESS, "subtract"), initial_voltage="half")
    with pytest.raises(ExchangeError) as caught:
        sw.nir.save(net, tmp_path / "net.nir", "norse", dt=DT)
    for layer in ("a", "b"):
        start, reset = (r.reason for r in caught.value.refusals if r.layer == layer)
        assert "start" in start and "a spike" in reset


def test_a_voltage_after_a_spike_is_refused_where_it_is_not_read(tmp_path: Path) -> None:
    """Norse sets the voltage to zero whatever the file says; SpikingJelly reads it."""
    net = _network(sw.DiscreteLIF(LEAKLESS, "zero", -0.5))
    with pytest.raises(ExchangeError, match=r"another value than 0, which norse does not read"):
        sw.nir.save(net, tmp_path / "net.nir", "norse", dt=DT)
    sw.nir.save(net, tmp_path / "net.nir", "spikingjelly", dt=DT)
    node = next(n for n in nir.read(tmp_path / "net.nir").nodes.values() if hasattr(n, "v_reset"))
    assert np.all(node.v_reset == -0.5)


@pytest.mark.parametrize("decays", [LEAKLESS, DECAYS], ids=["IF", "LIF"])
@pytest.mark.parametrize("dialect", sw.nir.DIALECTS)
def test_a_start_is_stated_or_added_up_or_refused(
    dialect: str, decays: np.ndarray, tmp_path: Path
) -> None:
    """A bias makes of zero, by the reader's rule of time, the voltage that the start would have
    after the run; snnTorch's leak of an IF, which no file can take away, is no part of it."""
    reset = "zero" if THERE[dialect][0] == "zero" else "subtract"
    net, path = _network(_spiking(decays, reset), initial_voltage="half"), tmp_path / "net.nir"
    semantics = sw.nir.DIALECTS[dialect].semantics
    if semantics.stated:
        sw.nir.save(net, path, dialect, dt=DT)
        (a, _) = [n for n in nir.read(path).nodes.values() if "v_init" in n.metadata]
        assert np.all(a.metadata["v_init"] == 0.5)
        return
    if THERE[dialect][int(decays is DECAYS)] == "unread":
        with pytest.raises(ExchangeError, match=f"{dialect} reads no LIF"):
            sw.nir.save(net, path, dialect, dt=DT, steps=STEPS)
        return
    why = f"start at other values than zero, which {dialect} does not read.*steps="
    with pytest.raises(ExchangeError, match=why):
        sw.nir.save(net, path, dialect, dt=DT)
    assert list(tmp_path.iterdir()) == []
    sw.nir.save(net, path, dialect, dt=DT, steps=9)
    read = read_flat(path)
    bias = next(n for n in read.nodes.values() if "bias" in n.fields).numbers("bias")
    node = next(n for n in read.nodes.values() if "v_init" in n.metadata)
    cell = cell_of(node, under(semantics), 1)
    for _ in range(9):
        cell.take(bias)
    np.testing.assert_allclose(cell.voltage[0], 0.5 * decays**9, rtol=1e-5)


def _behind_current(reset: str) -> sw.Network:
    """Neurons behind a population that is their current, in front of others."""
    with sw.Network() as net:
        x = sw.Node(np.zeros(4), label="x")
        kind = sw.DiscreteLI(DECAYS[::-1].copy())
        current = _cells(kind, "current", gain=0.5, bias=0.125)
        a = _cells(_spiking(DECAYS, reset), "a")
        sw.Connection(x, current.neurons, None, np.random.default_rng(1).random((N, 4)))
        sw.Connection(
            current.neurons, a.neurons, None, sw.transforms.Scale(np.linspace(0.5, 1.5, N))
        )
        sw.Probe(a.neurons, label="y")
    return net


def _on_grid() -> sw.GridLIF:
    return sw.GridLIF(tau_rc=6 * DT, tau_ref=0.0, min_voltage=-np.inf, amplitude=DT)


TIMED = {
    "LIF": lambda reset: _network(_spiking(DECAYS, reset)),
    "GridLIF": lambda reset: _network(_on_grid(), gain=6.0),
    "current": _behind_current,
}


def _ours(net: sw.Network, dt: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of the last layer, `(steps, N)`, and what the network was fed."""
    (x,) = getattr(net, "inputs", {"x": net.all_nodes[0]}).values()
    fed = np.random.default_rng(2).integers(-8, 40, (STEPS, 4)) / 32.0
    simulator = sw.Simulator(net, dt, engine="reference", precision="float64", progress=False)
    simulator.run_steps(STEPS, {x: fed})
    (probe,) = (p for p in net.all_probes if p.label in ("y", "output"))
    return simulator.data[probe], fed


def _under(rule: Semantics, reset: str, path: Path, fed: np.ndarray) -> np.ndarray:
    """Spikes of the last layer by NIR's equations, with the rule of time of some semantics."""
    stated = RESETS[reset].in_time_of(rule)
    return simulate(wiring_of(nir.read(path)), stated, fed[None].astype(np.float64)).output[0]


@pytest.mark.parametrize(("dialect", "name"), in_turn(sw.nir.DIALECTS, TIMED))
def test_a_reader_decays_as_the_network_does(dialect: str, name: str, tmp_path: Path) -> None:
    """By its own rule of time every spike is ours, also of the file read again; else the node is
    refused by name. By NIR's rule the file of a reader with another one would be another network.
    """
    known, path = sw.nir.DIALECTS[dialect], tmp_path / "net.nir"
    reset = "zero" if name == "GridLIF" else "subtract"
    net, there = TIMED[name](reset), THERE[dialect][1]
    how = {"dt": DT, "reset": there if there in OTHER else None}
    if "LIF" in known.lacks:
        with pytest.raises(ExchangeError, match=rf"{dialect} reads no \w*LI"):
            sw.nir.save(net, path, dialect, **how)
        return
    sw.nir.save(net, path, dialect, **how)
    ours, fed = _ours(net, DT)
    again, _ = _ours(sw.nir.load(path))

    assert ours.sum() > 20 and np.any(np.ptp(ours, axis=0) > 0)
    np.testing.assert_array_equal(_under(known.semantics, reset, path, fed), ours)
    np.testing.assert_array_equal(again, ours)
    apart = OURS.in_time_of(known.semantics) != OURS
    assert apart == bool(np.any(_under(OURS, reset, path, fed) != ours))
