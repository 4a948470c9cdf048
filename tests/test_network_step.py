"""A network carries the step that its parameters hold for: simulators and writers take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from slowly import of_each_type
from spikewright.errors import BuildError
from spikewright.explorer.live.opening import live
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


def test_whole_numbers_hold_for_their_step(tmp_path: Path) -> None:
    """Weights of few bits are whole for one step: a conversion is refused in another, saved too."""
    import models

    model = models.mlp()
    made = sw.convert(model, spiking=True, weights=sw.Quantised(8, dt=STEP))
    assert made.on("speck", dt=OTHER).network.dt == OTHER
    made.save(tmp_path / "net.sw")
    for conversion in (made, sw.load(tmp_path / "net.sw")):
        x = models.inputs(model, 2)
        assert conversion.run(x, steps=3, dt=STEP, progress=False).steps == 3
        with pytest.raises(BuildError, match=r"dt=0.001: .* is for steps of 0.002 s"):
            conversion.run(x, steps=3, progress=False)
