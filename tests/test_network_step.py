"""A network carries the step that its parameters hold for: simulators and writers take it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from slowly import of_each_type
from spikewright import network as files
from spikewright._base import storage
from spikewright.errors import BuildError, DamagedFileError, NetworkError
from spikewright.explorer.live import live
from spikewright.testing.modelling import NeuronExample, neuron_type_examples

STEP, OTHER = 0.002, 0.001
N = 5


def _network(kind: sw.NeuronType, dt: float | None = STEP) -> tuple[sw.Network, sw.Probe]:
    with sw.Network("stepped", seed=1) as net:
        x = sw.Node(np.linspace(0.1, 0.9, N), label="x")
        cells = sw.Ensemble(
            N, None, neuron_type=kind, gain=1.0, bias=0.0, initial_voltage="zero", label="cells"
        )
        sw.Connection(x, cells.neurons, synapse=None)
        probe = sw.Probe(cells.neurons, label="y")
    net.dt = dt
    return net, probe


def _decaying(dt: float | None = STEP) -> sw.Network:
    return _network(sw.DiscreteLIF(np.asarray(0.9)), dt)[0]


def _run(net: sw.Network, probe: sw.Probe, dt: float | None) -> Any:
    with sw.Simulator(net, dt, engine="reference", progress=False) as simulator:
        simulator.run_steps(8)
        return simulator.data[probe], simulator.dt


def test_a_simulator_takes_the_networks_step() -> None:
    """Without `dt`; a network that states none is run in steps of 1 ms."""
    assert sw.Simulator(_decaying()).dt == STEP
    assert sw.Simulator(_decaying(None)).dt == 0.001
    assert sw.Simulator(_decaying(), STEP).dt == STEP
    assert live(_decaying()).dt == STEP


@pytest.mark.parametrize("example", of_each_type(neuron_type_examples()), ids=lambda e: e.id)
def test_neurons_with_a_state_hold_for_one_step(example: NeuronExample) -> None:
    """Of every type: another step is refused by name where a state goes on from step to step.

    Where none does the values are those of any step.
    """
    kind = example.neuron_type
    net, probe = _network(kind)
    found, step = _run(net, probe, None)

    assert step == STEP
    if kind.state_names:
        name = type(kind).__name__
        with pytest.raises(BuildError, match=rf"dt=0.001: .*'stepped'.* 0.002 s.*'cells'.*{name}"):
            sw.Simulator(net, OTHER)
    else:
        np.testing.assert_array_equal(_run(net, probe, OTHER)[0], found)


def test_a_part_has_its_own_step() -> None:
    """A network inside another one brings its step; two different ones need a word."""
    with sw.Network("outer") as outer:
        pass
    outer.add(_decaying())
    assert sw.Simulator(outer).dt == STEP
    with pytest.raises(BuildError, match=r"is for steps of 0.002 s, as <Ensemble 'cells'>"):
        sw.Simulator(outer, OTHER)

    outer.add(inner := _decaying(OTHER))
    with pytest.raises(BuildError, match=r"for steps of 0.002 s and .* for steps of 0.001 s"):
        sw.Simulator(outer)
    with pytest.raises(BuildError, match="is for steps of"):
        sw.Simulator(outer, OTHER)
    inner.dt = None
    assert sw.Simulator(outer).dt == STEP


@pytest.mark.parametrize("wrong", [0, -1.0, np.nan, np.inf, "1 ms", True])
def test_a_step_is_above_zero(wrong: Any) -> None:
    """Anything else is refused when it is set."""
    with pytest.raises(NetworkError, match="dt must be None or above 0 s"):
        sw.Network().dt = wrong


def test_a_step_is_kept_in_copies_and_files(tmp_path: Path) -> None:
    """Of the network and of those inside it; a file that states another kind is damaged."""
    outer = _decaying(None)
    outer.add(_decaying())
    files.save(outer, tmp_path / "net.sw")
    for made in (files.load(tmp_path / "net.sw"), outer.copy(), copy.deepcopy(outer)):
        assert made.dt is None and made.networks[0].dt == STEP
        assert sw.Simulator(made).dt == STEP

    content, arrays = storage.read(tmp_path / "net.sw", "network")
    content["dt"] = -1
    storage.write(tmp_path / "net.sw", "network", content, arrays)
    with pytest.raises(DamagedFileError, match="dt must be None or above 0 s"):
        files.load(tmp_path / "net.sw")


def test_writers_take_the_networks_step(tmp_path: Path) -> None:
    """NIR files and time steps in ONNX are for it; another one is refused."""
    import onnx

    net = _decaying()
    sw.nir.save(net, tmp_path / "net.nir")
    assert sw.nir.load(tmp_path / "net.nir").dt == STEP
    sw.onnx.save_step(net, tmp_path / "step.onnx")
    stated = {p.key: p.value for p in onnx.load(tmp_path / "step.onnx").metadata_props}
    assert float(stated["dt"]) == STEP

    with pytest.raises(NetworkError, match=r"dt=0.001: .* is for steps of 0.002 s"):
        sw.nir.save(net, tmp_path / "other.nir", dt=OTHER)
    with pytest.raises(BuildError, match=r"dt=0.001: .* is for steps of 0.002 s"):
        sw.onnx.save_step(net, tmp_path / "other.onnx", dt=OTHER)
    assert {p.name for p in tmp_path.iterdir()} == {"net.nir", "step.onnx"}


def test_whole_numbers_hold_for_their_step(tmp_path: Path) -> None:
    """Weights of few bits are whole for one step: a conversion is refused in another, saved too."""
    import models

    model = models.mlp()
    made = sw.convert(model, spiking=True, weights=sw.Quantised(8, dt=STEP))
    assert made.for_chip("speck", dt=OTHER).network.dt == OTHER
    made.save(tmp_path / "net.sw")
    for conversion in (made, sw.load(tmp_path / "net.sw")):
        x = models.inputs(model, 2)
        assert conversion.run(x, steps=3, dt=STEP, progress=False).steps == 3
        with pytest.raises(BuildError, match=r"dt=0.001: .* is for steps of 0.002 s"):
            conversion.run(x, steps=3, progress=False)
