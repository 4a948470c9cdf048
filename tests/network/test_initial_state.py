"""What neurons begin with: every variable that a type keeps, as numbers, arrays or drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from spikewright import engines
from spikewright.errors import NetworkError
from spikewright.network import load, save
from spikewright.network.neurons import RunningMeanSpiking
from spikewright.testing.modelling import NeuronExample, neuron_type_examples

N, STEPS = 6, 40
KEEPING = [e for e in neuron_type_examples() if e.neuron_type.state_names]
COUNTING = [e for e in KEEPING if isinstance(e.neuron_type, RunningMeanSpiking)]
VARYING = [e for e in KEEPING if e.neuron_type.assumed_spikes or e.neuron_type.spike_heights]
CONTINUED = [e for e in KEEPING if e not in (*COUNTING, *VARYING)]
"""Examples whose state is all that they know: others count their steps as well."""


def run(
    example: NeuronExample, currents: NDArray, engine: str = "reference", **given: Any
) -> dict[str, NDArray]:
    """Output and state of a population, step by step."""
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(np.zeros(N))
        ensemble = sw.Ensemble(
            N, None, neuron_type=example.neuron_type, gain=1.0, bias=0.0,
            rate_scale=example.scale, **given,
        )  # fmt: skip
        sw.Connection(stimulus, ensemble.neurons, None)
        names = ("output", *example.neuron_type.state_names)
        probes = {name: sw.Probe(ensemble.neurons, name) for name in names}
    precision: Any = "float32" if engine == "native" else "float64"
    with sw.Simulator(net, example.dt, engine=engine, precision=precision, progress=False) as sim:
        sim.run_steps(len(currents), {stimulus: currents})
    return {name: sim.data[probe] for name, probe in probes.items()}


@pytest.mark.parametrize("example", CONTINUED, ids=lambda e: e.id)
def test_a_run_goes_on_from_the_state_that_another_left(example: NeuronExample) -> None:
    """What is kept after half of the steps is all that the other half needs.

    What is drawn depends on the step too. So only the state of types that draw is compared: which
    of their spikes are lost does not change it.
    """
    currents = example.currents(STEPS, N)
    whole = run(
        example, currents, initial_voltage="zero" if not example.neuron_type.spiking else "half"
    )
    half = STEPS // 2
    state = {name: whole[name][half - 1] for name in example.neuron_type.state_names}
    assert any(values.any() for values in state.values())
    rest = run(example, currents[half:], initial_state=state)
    names = example.neuron_type.state_names if example.neuron_type.stochastic else tuple(rest)
    for name in names:
        np.testing.assert_allclose(
            rest[name], whole[name][half:], rtol=1e-9, atol=1e-9, err_msg=name
        )


@pytest.mark.parametrize("engine", [name for name in engines.available() if name != "reference"])
@pytest.mark.parametrize("example", KEEPING, ids=lambda e: e.id)
def test_engines_begin_alike(example: NeuronExample, engine: str) -> None:
    """From numbers that are no type's own; the reference's results follow from them."""
    rng, currents = np.random.default_rng(3), example.currents(STEPS, N)
    counted = example.neuron_type.counted_names
    state = {
        name: rng.integers(1, 8, N) / (1.0 if name in counted else 8.0)
        for name in example.neuron_type.state_names
    }
    usual = run(example, currents)
    wanted, found = (
        run(example, currents, name, initial_state=state) for name in ("reference", engine)
    )
    assert any(not np.allclose(wanted[name], usual[name]) for name in wanted)
    for name in wanted:
        size = max(1.0, float(np.abs(wanted[name]).max()))
        np.testing.assert_allclose(
            found[name], wanted[name], rtol=0, atol=1e-5 * size, err_msg=name
        )


def test_starts_are_drawn_from_the_seed() -> None:
    """Distributions of the voltage and of all else, one draw a neuron, the same at every build."""
    uniform = sw.distributions.Uniform(0.25, 0.5)
    found = []
    for seed in (0, 0, 1):
        with sw.Network(seed=seed) as net:
            ensemble = sw.Ensemble(
                500, 1, initial_state={"voltage": uniform, "refractory_time": uniform}
            )
            probe = sw.Probe(ensemble.neurons, "refractory_time")
        with sw.Simulator(net, 0.001, precision="float64", progress=False) as sim:
            sim.step()
            found.append((sim.data[ensemble].initial_voltage, sim.data[probe][0] + 0.001))
    for voltage, refractory in found:
        assert 0.25 <= voltage.min() < 0.26 < 0.49 < voltage.max() <= 0.5
        assert 0.25 <= refractory.min() < 0.26 < 0.49 < refractory.max() <= 0.5 + 1e-12
        assert abs(np.corrcoef(voltage, refractory)[0, 1]) < 0.2
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.any(found[0][0] == found[2][0])


def test_a_start_is_an_attribute_and_in_files(tmp_path: Path) -> None:
    """It may be changed; `initial_voltage` is the voltage's own name; files hold all of it."""
    uniform = sw.distributions.Uniform(0.0, 0.002)
    with sw.Network(seed=0) as net:
        one = sw.Ensemble(4, 1, initial_state={"voltage": [0.1, 0.2, 0.3, 0.4]})
        two = sw.Ensemble(4, 1, initial_voltage=uniform)
        two.initial_state = {"refractory_time": uniform}
    np.testing.assert_array_equal(one.initial_voltage, [0.1, 0.2, 0.3, 0.4])
    assert one.initial_state == {}
    save(net, tmp_path / "net.spike")
    first, second = load(tmp_path / "net.spike").ensembles
    np.testing.assert_array_equal(first.initial_voltage, one.initial_voltage)
    assert second.initial_voltage == uniform == second.initial_state["refractory_time"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"volage": 0}, r"'e'>: initial_state has 'volage', and LIF keeps .* mean 'voltage'"),
        ({"adaptation": 0}, r"has 'adaptation', and LIF keeps voltage, refractory_time"),
        ({"voltage": [1, 2]}, r"initial_voltage must be a number or broadcast to \(5,\)"),
        ({"refractory_time": np.nan}, r"initial_state\['refractory_time'\] holds NaN"),
        (3, r"initial_state is \{name: values\}, got 3"),
    ],
)
def test_starts_that_cannot_be_are_refused(given: Any, message: str) -> None:
    """The ensemble, what its neurons keep, and what was meant."""
    with sw.Network(), pytest.raises(NetworkError, match=message):
        sw.Ensemble(5, 1, initial_state=given, label="e")


def test_spikes_are_counted_in_whole_numbers() -> None:
    """A share of a spike that was sent is refused when the network is built."""
    with sw.Network(seed=0) as net:
        kind = sw.BipolarIntegrateAndFire()
        sw.Ensemble(5, None, neuron_type=kind, gain=1.0, bias=0.0, initial_state={"sent": 0.5})
    with pytest.raises(NetworkError, match=r"initial_state\['sent'\] is a number of spikes"):
        sw.Simulator(net, progress=False)


def test_neurons_that_do_not_keep_it_are_refused() -> None:
    """A type that is put in its place later, and rates, which keep nothing."""
    with sw.Network():
        ensemble = sw.Ensemble(5, 1, initial_state={"refractory_time": 0.001})
        with pytest.raises(NetworkError, match=r"RectifiedLinear keeps nothing"):
            ensemble.neuron_type = sw.RectifiedLinear()
        assert ensemble.neuron_type == sw.LIF()
