"""What neurons begin with: every variable that a type keeps, as numbers, arrays or drawn.

An ensemble says it, or its neuron type, as in Nengo.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from slowly import in_turn, of_each_type
from spikewright import engines
from spikewright.errors import ConversionError, NetworkError
from spikewright.network import load, save
from spikewright.network.neurons import NEURON_TYPES, RunningMeanSpiking
from spikewright.testing.modelling import NeuronExample, neuron_type_examples

N, STEPS = 6, 40
KEEPING = of_each_type(e for e in neuron_type_examples() if e.neuron_type.state_names)
COUNTING = [e for e in KEEPING if isinstance(e.neuron_type, RunningMeanSpiking)]
VARYING = [e for e in KEEPING if e.neuron_type.spike_heights]
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


def started(example: NeuronExample, state: dict[str, Any]) -> NeuronExample:
    """The example, its neuron type with an initial state."""
    kind: Any = example.neuron_type
    return example._replace(neuron_type=replace(kind, initial_state=state))


def state_of(example: NeuronExample) -> dict[str, NDArray]:
    """Numbers that are no type's own, one a neuron."""
    rng, counted = np.random.default_rng(3), example.neuron_type.counted_names
    return {
        name: rng.integers(1, 8, N) / (1.0 if name in counted else 8.0)
        for name in example.neuron_type.state_names
    }


@pytest.mark.parametrize(("example", "engine"), in_turn(KEEPING, engines.available()))
def test_a_type_says_where_its_neurons_begin(example: NeuronExample, engine: str) -> None:
    """Every type with a state, on every engine: as if the ensemble said so, to the same bits."""
    currents, state = example.currents(STEPS, N), state_of(example)
    usual = run(example, currents, engine)
    wanted = run(example, currents, engine, initial_state=state)
    found = run(started(example, state), currents, engine)
    assert any(not np.array_equal(wanted[name], usual[name]) for name in wanted)
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


@pytest.mark.parametrize("example", KEEPING, ids=lambda e: e.id)
def test_a_type_with_a_start_is_in_files(example: NeuronExample, tmp_path: Path) -> None:
    """Numbers, arrays and distributions: the type that is read is equal, and draws the same."""
    counted = example.neuron_type.counted_names
    drawn = sw.distributions.Choice([[2.0], [3.0]])
    starts: list[Any] = [2.0, np.arange(float(N)), drawn]
    names = example.neuron_type.state_names
    state = {name: starts[(i + len(counted)) % 3] for i, name in enumerate(names)}
    kind = started(example, state).neuron_type
    with sw.Network(seed=0) as net:
        cells = sw.Ensemble(N, None, neuron_type=kind, gain=1.0, bias=0.0, rate_scale=example.scale)
        for name in example.neuron_type.state_names:
            sw.Probe(cells.neurons, name)
    save(net, tmp_path / "net.spike")
    again = load(tmp_path / "net.spike")
    assert again.ensembles[0].neuron_type == kind
    assert hash(again.ensembles[0].neuron_type) == hash(kind)
    assert repr(again.ensembles[0].neuron_type) == repr(kind)
    data = []
    for each in (net, again):
        with sw.Simulator(each, example.dt, seed=0, progress=False) as sim:
            sim.run_steps(3)
        data.append([sim.data[probe] for probe in each.probes])
    for one, other in zip(*data, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", sorted(NEURON_TYPES))
def test_every_type_refuses_a_state_that_it_does_not_keep(name: str) -> None:
    """By the type's name and what it keeps, when it is made; and says nothing of an empty one."""
    kind: Any = next(
        e.neuron_type for e in neuron_type_examples() if type(e.neuron_type).__name__ == name
    )
    kept = ", ".join(kind.state_names) or "nothing"
    for given in ({"volage": 0}, {1: 0}):
        with pytest.raises(NetworkError, match=rf"{name}\.initial_state has .*keeps {kept} from"):
            replace(kind, initial_state=given)
    for state in kind.state_names:
        with pytest.raises(NetworkError, match=rf"{name}\.initial_state\['{state}'\] must be fin"):
            replace(kind, initial_state={state: np.nan})
    with pytest.raises(NetworkError, match=rf"{name}\.initial_state is \{{name: values\}}, got 3"):
        replace(kind, initial_state=3)
    assert replace(kind, initial_state={}) == kind
    assert "initial_state" not in repr(kind)


def test_a_type_with_a_start_is_equal_by_value() -> None:
    """Whatever the order of its names; its text says what it was given."""
    one, other = (
        sw.LIF(initial_state={"voltage": [0.5, 1], "refractory_time": 0.001}),
        sw.LIF(initial_state={"refractory_time": 0.001, "voltage": np.array([0.5, 1])}),
    )
    assert one == other and hash(one) == hash(other)
    assert one not in (sw.LIF(), sw.LIF(initial_state={"voltage": 0.5}), 3)
    assert repr(one).endswith("initial_state={'voltage': [0.5, 1.0], 'refractory_time': 0.001})")
    assert repr(sw.Izhikevich(initial_state={"recovery": 1})).count("initial_state") == 1
    assert sw.LIF().initial_state == sw.LIF(initial_state=None).initial_state  # type: ignore[arg-type]


def test_an_ensemble_comes_before_its_type() -> None:
    """For the voltage and all else; a type that is put in its place brings its own start."""
    uniform = sw.distributions.Uniform(0.25, 0.5)
    kind = sw.LIF(initial_state={"voltage": uniform, "refractory_time": 0.25})
    with sw.Network(seed=0):
        plain = sw.Ensemble(4, 1, neuron_type=kind)
        own = sw.Ensemble(
            4, 1, neuron_type=kind, initial_voltage="half", initial_state={"refractory_time": 0.5}
        )
        later = sw.Ensemble(4, 1)
    assert plain.initial_voltage == uniform and own.initial_voltage == "half"
    assert plain.starts["refractory_time"] == 0.25 and own.starts["refractory_time"] == 0.5
    assert later.initial_voltage == "uniform" and later.starts == {}
    later.neuron_type = kind
    assert later.initial_voltage == uniform and later.starts["refractory_time"] == 0.25
    own.initial_voltage = None
    assert own.initial_voltage == uniform


def test_a_type_draws_a_start_a_neuron_from_the_seed() -> None:
    """As an ensemble does; two variables are drawn apart."""
    uniform = sw.distributions.Uniform(0.25, 0.5)
    kind = sw.AdaptiveLIF(initial_state={"voltage": uniform, "adaptation": uniform})
    found = []
    for seed in (0, 0, 1):
        with sw.Network(seed=seed) as net:
            cells = sw.Ensemble(500, None, neuron_type=kind, gain=1.0, bias=-9.0)
            probe = sw.Probe(cells.neurons, "adaptation")
        with sw.Simulator(net, 0.001, precision="float64", progress=False) as sim:
            sim.step()
            found.append((sim.data[cells].initial_voltage, sim.data[probe][0] / 0.999))
    for values in found[0]:
        assert 0.25 <= values.min() < 0.26 < 0.49 < values.max() <= 0.5
    assert abs(np.corrcoef(*found[0])[0, 1]) < 0.2
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.any(found[0][0] == found[2][0])


def test_starts_of_types_that_cannot_be_are_refused() -> None:
    """One a neuron of another number of neurons; rates inside a type; types of conversions."""
    with sw.Network(), pytest.raises(NetworkError, match=r"initial_state\['voltage'\] of its neu"):
        sw.Ensemble(5, 1, neuron_type=sw.LIF(initial_state={"voltage": [0.1, 0.2]}))
    rates = sw.AdaptiveLIFRate(initial_state={"adaptation": 0.5})
    with pytest.raises(NetworkError, match=r"RegularSpiking takes rates .* leave initial_state"):
        sw.RegularSpiking(rates)
    kind = sw.IntegrateAndFire(initial_state={"voltage": 0.5})
    with pytest.raises(
        ConversionError, match=r"has an initial_state.*\n?.*initial_voltage= to con"
    ):
        sw.convert(sw.demo.MODEL, spiking={"relu": kind})


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
        (
            {"refractory_time": np.nan},
            r"initial_state\['refractory_time'\] must be a number .*finite",
        ),
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
