"""The step of a NIR file: it is read as it was saved, in seconds, and nothing else runs it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright import demo
from spikewright.errors import BuildError, ConversionWarning, NetworkError

nir = pytest.importorskip("nir")

STEPS = 16


def _saved(path: Path, dt: float, **more: Any) -> tuple[sw.Conversion, sw.Network]:
    """The digits' network whose scale times `dt` is an eighth, and the file of it read again."""
    conversion = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=1 / (8 * dt))
    sw.nir.save(conversion, path, dt=dt, **more)
    return conversion, sw.nir.load(path)


def _outputs(network: sw.Network, x: np.ndarray, dt: float | None = None) -> np.ndarray:
    simulator = sw.Simulator(network, dt, batch_size=len(x), progress=False)
    simulator.run_steps(STEPS, {network.inputs["input"]: x})
    found: np.ndarray = simulator.data[network.probes[0]].mean(axis=1)
    return found.reshape(len(x), -1)


@pytest.mark.parametrize("dt", [0.001, 1 / 128, 0.003, 2.0])
def test_a_file_is_read_in_the_seconds_it_was_saved_for(dt: float, tmp_path: Path) -> None:
    """Of any step: the outputs are those from before, with the step left out and with it given."""
    x, _ = demo.held_out(20)
    conversion, network = _saved(tmp_path / "net.nir", dt)
    wanted = conversion.run(x, steps=STEPS, dt=dt, progress=False).predict()

    assert network.dt == dt
    np.testing.assert_allclose(_outputs(network, x), wanted, rtol=1e-5, atol=1e-5)
    given = sw.nir.load(tmp_path / "net.nir", dt=dt)
    np.testing.assert_array_equal(_outputs(given, x, dt), _outputs(network, x))
    assert np.ptp(wanted) > 0


def test_another_step_than_the_stated_one_is_refused(tmp_path: Path) -> None:
    """By `load` and simulators, with both steps, also the one in the file's unit."""
    path = tmp_path / "net.nir"
    _, network = _saved(path, 0.001)
    for dt in (1, 0.002):
        with pytest.raises(NetworkError, match=rf"dt={dt}: the file states steps of 0.001 s"):
            sw.nir.load(path, dt)
        with pytest.raises(BuildError, match=rf"dt={float(dt)}: .* is for steps of 0.001 s"):
            sw.Simulator(network, dt)


def _foreign(**metadata: Any) -> Any:
    """A leaky neuron and an integrator, with time constants in seconds."""
    one = np.ones(2, np.float32)
    nodes = {
        "input": nir.Input(np.array([2])),
        "lif": nir.LIF(tau=one * 0.02, r=one, v_leak=one * 0, v_threshold=one * 0.1),
        "output": nir.Output(np.array([2])),
    }
    edges = [("input", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes, edges, metadata)


@pytest.mark.parametrize(
    "metadata", [{}, {"dt": 0.0}, {"dt": "1"}, {"dt": 1.0, "seconds_per_step": -1.0}]
)
def test_a_step_that_no_file_states_is_said(metadata: dict[str, Any]) -> None:
    """A warning names the step that is assumed, where the caller stands; `dt` says it instead."""
    with pytest.warns(ConversionWarning, match=r"steps of 0.001 s are assumed.*Give dt") as caught:
        assumed = sw.nir.load(_foreign(**metadata))
    assert [w.filename for w in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = sw.nir.load(_foreign(**metadata), 0.001)
        other = sw.nir.load(_foreign(**metadata), 1e-4)

    assert (assumed.dt, given.dt, other.dt) == (0.001, 0.001, 1e-4)
    fed = np.random.default_rng(0).uniform(0, 0.5, (200, 2))
    spikes = []
    for network in (assumed, given, other):
        simulator = sw.Simulator(network, progress=False)
        simulator.run_steps(200, {network.inputs["input"]: fed})
        spikes.append(simulator.data[network.probes[0]])
    np.testing.assert_array_equal(spikes[0], spikes[1])
    assert 0 < spikes[2].sum() < spikes[0].sum() and set(np.unique(spikes[0])) == {0.0, 1.0}


def test_a_step_in_another_unit_is_the_same_network(tmp_path: Path) -> None:
    """Time constants in steps and a stated length, or in seconds: every spike is the same."""
    graph, one = _foreign(dt=1.0, seconds_per_step=0.001), np.ones(2, np.float32)
    graph.nodes["lif"].tau = one * 20
    in_steps, in_seconds = sw.nir.load(graph), sw.nir.load(_foreign(), 0.001)
    fed = np.random.default_rng(0).uniform(0, 0.5, (200, 2))
    found = []
    for network in (in_steps, in_seconds):
        simulator = sw.Simulator(network, progress=False)
        simulator.run_steps(200, {network.inputs["input"]: fed})
        found.append(simulator.data[network.probes[0]])

    assert in_steps.dt == in_seconds.dt == 0.001
    np.testing.assert_array_equal(*found)
    assert found[0].sum() > 10


def test_a_loaded_file_is_saved_with_its_step(tmp_path: Path) -> None:
    """As a NIR file and as a network; the outputs stay."""
    x, _ = demo.held_out(5)
    _, network = _saved(tmp_path / "one.nir", 0.001)
    wanted = _outputs(network, x)
    sw.nir.save(network, tmp_path / "two.nir")
    sw.network.save(network, tmp_path / "net.sw")
    again, saved = sw.nir.load(tmp_path / "two.nir"), sw.network.load(tmp_path / "net.sw")
    saved.inputs = {"input": next(n for n in saved.nodes if n.label == "input")}

    assert again.dt == saved.dt == 0.001
    np.testing.assert_array_equal(_outputs(saved, x), wanted)
    np.testing.assert_allclose(_outputs(again, x), wanted, rtol=1e-6)
