"""Parameters of neuron types with a value for each neuron: gains, decoders, files, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright import engines
from spikewright.cli.option_texts import NEURONS
from spikewright.errors import NetworkError
from spikewright.network import load, save
from spikewright.network.neurons import NEURON_TYPES, NUMPY_NEURONS
from spikewright.testing.modelling import neuron_type_examples

KINDS: dict[str, Any] = {
    type(e.neuron_type).__name__: e.neuron_type
    for e in neuron_type_examples()
    if e.neuron_type.per_neuron
}
SOLVED = sorted(set(KINDS) - {"Izhikevich"})
"""Types with a formula of gain and bias."""
FACTORS = np.array([0.5, 0.75, 1.0, 1.5])


def each(kind: Any, factors: Any = FACTORS) -> Any:
    """The type with values of their own for four neurons."""
    return replace(kind, **{name: getattr(kind, name) * factors for name in kind.per_neuron})


def alone(kind: Any, number: int) -> Any:
    """The type of one of the neurons."""
    return replace(kind, **{n: float(values[number]) for n, values in kind.arrays.items()})


def test_every_type_with_time_constants_may_have_one_a_neuron() -> None:
    """Leaky ones, rates and those that adapt among them."""
    assert {"LIF", "GridLIF", "LIFRate", "SoftLIFRate", "AdaptiveLIF", "AdaptiveLIFRate"} < set(
        KINDS
    )
    for name, kind in KINDS.items():
        assert set(each(kind).arrays) == set(kind.per_neuron), name
        assert not kind.arrays


@pytest.mark.parametrize("name", SOLVED)
def test_gain_and_bias_are_those_of_each_neuron(name: str) -> None:
    """From rates and intercepts, and back; a rate that one of them cannot have is refused."""
    kind = each(KINDS[name])
    rates, intercepts = np.array([50.0, 80.0, 100.0, 60.0]), np.array([-0.5, 0.0, 0.25, 0.5])
    gain, bias = kind.gain_bias(rates, intercepts)
    for i in range(4):
        own = alone(kind, i)
        found = own.gain_bias(rates[[i]], intercepts[[i]])
        np.testing.assert_allclose([gain[i], bias[i]], np.ravel(found), rtol=1e-12)
        np.testing.assert_allclose(
            kind.max_rates(gain, bias)[i], own.max_rates(gain[i], bias[i]), rtol=1e-12
        )
    np.testing.assert_allclose(kind.intercepts(gain, bias), intercepts, atol=1e-12)
    slow = replace(KINDS[name], tau_ref=np.array([0.001, 0.001, 0.001, 0.02]))
    with pytest.raises(NetworkError, match=rf"{name}: 1 of 4 neurons .* lie below 50 Hz"):
        slow.gain_bias(rates, intercepts)


@pytest.mark.parametrize("name", SOLVED)
def test_decoders_are_those_of_the_differing_neurons(name: str) -> None:
    """Of a flat population and of a shaped one: a vector is decoded as well as usual."""
    factors = np.random.default_rng(0).uniform(0.7, 1.3, 80)
    data = []
    for shape in ((80,), (8, 10)):
        with sw.Network(seed=0) as net:
            kind = each(KINDS[name], factors.reshape(shape))
            cells = sw.Ensemble(shape, 1, neuron_type=kind, max_rates=(40, 60), seed=2)
            sw.Connection(sw.Node(0.5), cells, None)
            probe = sw.Probe(cells, synapse=0.05)
        with sw.Simulator(net, precision="float64", progress=False) as sim:
            sim.run(0.4)
            assert sim.data[cells].gain.shape == shape
            np.testing.assert_allclose(sim.data[cells].max_rates.mean(), 50, atol=2.5)
        data.append(sim.data[probe][-100:].mean())
    assert data[0] == pytest.approx(data[1], rel=1e-9)
    if not name.startswith("Adaptive"):  # which answer less and less
        assert data[0] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_type_with_values_for_each_neuron_is_equal_by_value_and_in_files(
    name: str, tmp_path: Path
) -> None:
    """Other values are another type; a number stays a number."""
    kind = each(KINDS[name])
    assert kind == each(KINDS[name]) != each(KINDS[name], FACTORS[::-1]) != KINDS[name]
    assert hash(kind) == hash(each(KINDS[name]))
    assert replace(KINDS[name]) == KINDS[name]
    with sw.Network(seed=0) as net:
        sw.Ensemble(4, None, neuron_type=kind, gain=1.0, bias=0.0)
        sw.Ensemble(4, None, neuron_type=KINDS[name], gain=1.0, bias=0.0)
    save(net, tmp_path / "net.spike")
    assert [e.neuron_type for e in load(tmp_path / "net.spike").ensembles] == [kind, KINDS[name]]
    with pytest.raises(ValueError, match="read-only"):
        next(iter(kind.arrays.values()))[0] = 1.0


@pytest.mark.parametrize("name", sorted(KINDS))
def test_values_that_cannot_be_are_refused(name: str) -> None:
    """Of another number of neurons, below the limit, no numbers; arrays where one is meant."""
    kind = KINDS[name]
    for field in kind.per_neuron:
        with sw.Network(), pytest.raises(NetworkError, match=rf"{field} of its neuron type must"):
            sw.Ensemble(5, None, neuron_type=replace(kind, **{field: FACTORS}), gain=1, bias=0)
        with pytest.raises(NetworkError, match=rf"{name}\.{field} must be"):
            replace(kind, **{field: [0.1, np.nan]})
        with pytest.raises(NetworkError, match=rf"{name}\.{field} must be"):
            replace(kind, **{field: ["a", "b"]})
    for field in (*kind.above_zero, *kind.from_zero):
        with pytest.raises(NetworkError, match=rf"{name}\.{field} must be"):
            replace(kind, **{field: np.array([0.1, -0.1])})
    for field in set(kind.above_zero) - set(kind.per_neuron):
        with pytest.raises(NetworkError, match=rf"{name}\.{field} must be above 0"):
            replace(kind, **{field: FACTORS})


def test_types_around_rates_of_differing_neurons() -> None:
    """Their spikes follow each neuron's own rate; a population of another size is refused."""
    base = sw.LIFRate(tau_rc=0.02 * FACTORS)
    with sw.Network(seed=0) as net:
        cells = sw.Ensemble(
            4, None, neuron_type=sw.RegularSpiking(base), gain=1.0, bias=3.0, initial_voltage="zero"
        )
        probe = sw.Probe(cells.neurons, "spike_count")
        with pytest.raises(NetworkError, match="tau_rc of its neuron type"):
            sw.Ensemble(5, None, neuron_type=sw.RegularSpiking(base), gain=1.0, bias=3.0)
    with sw.Simulator(net, progress=False) as sim:
        sim.run(1.0)
    np.testing.assert_allclose(
        sim.data[probe].sum(0), base.rates(NUMPY_NEURONS, np.full(4, 3.0)), atol=1.0
    )


def test_searched_types_need_gain_and_bias() -> None:
    """The search runs one neuron; what to give instead is said."""
    with sw.Network() as net:
        sw.Ensemble(4, 1, neuron_type=each(KINDS["Izhikevich"]))
    with pytest.raises(NetworkError, match=r"Izhikevich: its neurons differ, .* give gain= and"):
        sw.Simulator(net, progress=False)


def test_texts_of_commands_take_numbers() -> None:
    """As before there were arrays; an initial state has no text."""
    assert NEURONS("LIF:tau_rc=0.05") == sw.LIF(tau_rc=0.05)
    with pytest.raises(ValueError, match="tau_rc is a number, not 'x'"):
        NEURONS("LIF:tau_rc=x")
    with pytest.raises(ValueError, match="'initial_state' is no argument of it"):
        NEURONS("LIF:initial_state=0")


def test_registered_types_say_what_may_differ() -> None:
    """Every field that is named is one, and takes arrays in files."""
    for kind in NEURON_TYPES.values():
        assert set(kind.per_neuron) <= set(kind.__dataclass_fields__), kind  # type: ignore[attr-defined]


@pytest.mark.parametrize("engine", engines.available())
def test_silence_is_the_nearest_number_of_steps(engine: str) -> None:
    """Of two the even one, as for a number that all neurons share."""
    dt, halves = 0.0625, np.array([0.5, 1.5, 2.5, 3.5, 2.25, 2.75])
    found = []
    for kinds in ([sw.GridLIF(tau_ref=dt * halves)], [sw.GridLIF(tau_ref=dt * h) for h in halves]):
        with sw.Network(seed=0) as net:
            probes = []
            for kind in kinds:
                size = 6 // len(kinds)
                cells = sw.Ensemble(size, None, neuron_type=kind, gain=1.0, bias=30.0)
                probes.append(sw.Probe(cells.neurons, "refractory_steps"))
        with sw.Simulator(net, dt, engine=engine, progress=False) as sim:
            sim.run_steps(20)
        found.append(np.concatenate([sim.data[probe] for probe in probes], axis=1))
    np.testing.assert_array_equal(*found)
    assert found[0].max(0).tolist() == [0, 2, 2, 4, 2, 3]


@pytest.mark.parametrize("engine", engines.available())
def test_equal_values_are_as_one(engine: str) -> None:
    """An array of one value gives what the number gives."""
    found = []
    for tau in (0.02, np.full(6, 0.02)):
        with sw.Network(seed=0) as net:
            kind = sw.AdaptiveLIF(tau_rc=tau, tau_ref=0.1 * tau, tau_n=5 * tau)
            cells = sw.Ensemble(6, None, neuron_type=kind, gain=1.0, bias=np.arange(6.0))
            probe = sw.Probe(cells.neurons)
        with sw.Simulator(net, engine=engine, precision="float64", progress=False) as sim:
            sim.run(0.3)
        found.append(sim.data[probe])
    assert found[0].any()
    np.testing.assert_array_equal(*found)


NATIVE = {"LIF", "GridLIF", "AdaptiveLIF"}
"""Types whose neurons may differ in native kernels."""


def test_nir_holds_a_time_constant_for_each_neuron(tmp_path: Path) -> None:
    """In steps, one a neuron."""
    import nir

    kind = sw.GridLIF(0.02 * FACTORS, tau_ref=0.0, min_voltage=-np.inf, amplitude=0.001)
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(np.zeros(4), label="in")
        cells = sw.Ensemble(
            4, None, neuron_type=kind, gain=1.0, bias=0.0, initial_voltage="zero", label="cells"
        )
        sw.Connection(stimulus, cells.neurons, None)
        sw.Probe(cells.neurons, label="out")
    sw.nir.save(net, tmp_path / "net.nir", dt=0.001)
    nodes = nir.read(tmp_path / "net.nir").nodes.values()
    (found,) = (node for node in nodes if type(node).__name__ == "LIF")
    np.testing.assert_allclose(np.ravel(found.tau), 20 * FACTORS, rtol=1e-6)
