"""Networks and their objects: containers, shapes, views, and what constructors refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikewright as sw
from spikewright import engines
from spikewright._base.windows import Windows
from spikewright.errors import NetworkError
from spikewright.network.neurons import NUMPY_RATES
from spikewright.testing import oracle


def population(shape: Any = 3, **options: Any) -> sw.Ensemble:
    """A labelled population of integrate-and-fire neurons."""
    options = {"neuron_type": sw.IntegrateAndFire(), "label": "cells", **options}
    return sw.Ensemble(shape, **options)


# Networks


def test_objects_land_in_the_innermost_network() -> None:
    """`with` fills a network; inner ones are parts, and `all_*` reach everything, outer first."""
    with sw.Network(label="outer") as outer:
        a = sw.Node([1.0])
        with sw.Network(label="inner") as inner:
            b = population(4)
            sw.Probe(b.neurons)
        c = sw.Node(size_in=1)
        link = sw.Connection(a, c)
    assert outer.networks == [inner] and outer.nodes == [a, c] and inner.ensembles == [b]
    assert outer.all_nodes == [a, c] and outer.all_ensembles == [b]
    assert outer.all_connections == [link] and len(outer.all_probes) == 1
    assert outer.n_neurons == 4 and inner.n_neurons == 4
    assert outer.all_objects == [b, a, c, *inner.nodes, link, inner, *outer.all_probes]
    held = "1 ensemble (4 neurons), 2 nodes, 1 connection, 1 probe"
    assert repr(outer) == f"<Network 'outer' with {held}>"
    assert repr(sw.Network("empty")) == "<Network 'empty'>"


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: sw.Node([1.0]), "Node"),
        (lambda: sw.Ensemble(2), "Ensemble"),
    ],
)
def test_objects_need_a_network(make: Any, what: str) -> None:
    """Outside any the error says how to make one."""
    with pytest.raises(NetworkError, match=f"a new {what} into: make it inside `with"):
        make()


def test_adding_networks() -> None:
    """A network can be added once, to one that is no part of it, and only networks can."""
    one, two, three = sw.Network(label="one"), sw.Network(label="two"), sw.Network(label="three")
    assert one.add(two) is two
    two.add(three)
    assert one.all_networks == [two, three]
    with pytest.raises(NetworkError, match=r"'two'> is a part of <Network 'one'> already"):
        one.add(two)
    with pytest.raises(NetworkError, match=r"'three'> is a part of <Network 'one'> already"):
        one.add(three)
    for cycle in (one, two):
        with pytest.raises(NetworkError, match="cannot be a part of itself"):
            (three if cycle is one else cycle).add(cycle)
    with pytest.raises(NetworkError, match="only a Network can be added, got 3"):
        one.add(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True])
def test_seeds_are_whole_numbers(seed: Any) -> None:
    """In networks, ensembles and simulators; the error names the object and the value."""
    with pytest.raises(NetworkError, match=r"'net'>: a seed is None or a whole number from 0"):
        sw.Network("net", seed=seed)
    with sw.Network() as net:
        with pytest.raises(NetworkError, match=r"'cells'>: a seed is None or a whole"):
            population(seed=seed)
        sw.Node([1.0])
    with pytest.raises(NetworkError, match=r"Simulator: a seed is None or a whole number"):
        sw.Simulator(net, seed=seed, engine="reference")


# Nodes


def test_node_shapes() -> None:
    """Constants have their own shape, junctions that of their input, functions what they return."""
    with sw.Network():
        assert sw.Node(2.0).shape_out == (1,)
        assert sw.Node(np.ones((2, 3))).shape_out == (2, 3)
        junction = sw.Node(size_in=(4, 5))
        assert junction.shape_in == junction.shape_out == (4, 5)
        assert (junction.size_in, junction.size_out) == (20, 20)
        assert sw.Node(lambda t: [t, t, t]).shape_out == (3,)
        assert sw.Node(lambda t: t).shape_out == (1,)
        assert sw.Node(lambda t, x: x.sum(), size_in=(2, 2)).shape_out == (1,)
        assert sw.Node(lambda t: 1 / t, size_out=(2, 1)).shape_out == (2, 1)
        assert sw.Node(lambda t, x: None, size_in=2).shape_out == (0,)
        windows = Windows((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
        assert sw.Node(sw.MaxPool(windows), size_in=(3, 4, 6)).shape_out == (3, 2, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"'n'>: give an output, or size_in= for a junction"),
        ({"size_in": 0}, r"give an output, or size_in="),
        ({"size_in": 2, "size_out": 3}, r"passes its input on .* size_in = \(2,\), got 3"),
        ({"size_in": 2.5}, r"'n'>: size_in must be a whole number .* got 2.5"),
        ({"size_in": (2, -1)}, r"size_in must be .* got \(2, -1\)"),
        ({"size_in": "3"}, r"size_in must be .* got '3'"),
        ({"output": "loud"}, r"output must be numbers, got 'loud'"),
        ({"output": [1.0, [2.0]]}, r"output must be numbers"),
        ({"output": [1.0, np.nan]}, r"constant output holds NaN or infinity"),
        ({"output": [1.0], "size_in": 2}, r"a constant node takes no input"),
        ({"output": lambda t: 1 / 0}, r"its function failed at t = 0 \(ZeroDivisionError"),
        ({"output": lambda t: "loud"}, r"its function failed at t = 0 \(ValueError"),
        ({"output": lambda t: t, "size_in": 1}, r"its function failed at t = 0 \(TypeError"),
        ({"output": lambda t, x: x, "size_out": -1}, r"size_out must be"),
    ],
)
def test_impossible_nodes_are_refused(arguments: dict[str, Any], message: str) -> None:
    """The error names the node and the value; the network stays without it."""
    with sw.Network() as net, pytest.raises(NetworkError, match=message):
        sw.Node(**arguments, label="n")
    assert net.nodes == []


# Ensembles


def test_ensemble_defaults_are_nengos() -> None:
    """LIF, one dimension, uniform start, rates of 200 to 400 Hz, intercepts of -1 to 0.9."""
    with sw.Network():
        ensemble = sw.Ensemble(10)
    assert ensemble.neuron_type == sw.LIF() and ensemble.dimensions == 1
    assert ensemble.initial_voltage == "uniform" and ensemble.rate_scale == 1.0
    assert (ensemble.max_rates, ensemble.intercepts) == ((200.0, 400.0), (-1.0, 0.9))
    assert ensemble.n_neurons == 10 and ensemble.neurons.shape == (10,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": 0}, r"'cells'>: n_neurons must be above 0, got 0"),
        ({"shape": (2, 0)}, r"n_neurons must be above 0, got \(2, 0\)"),
        ({"shape": -3}, r"n_neurons must be a whole number .* got -3"),
        ({"shape": 2.0}, r"n_neurons must be .* got 2.0"),
        ({"shape": True}, r"n_neurons must be .* got True"),
        ({"dimensions": 0}, r"dimensions must be at least 1, got 0"),
        ({"dimensions": 1.5}, r"dimensions must be at least 1, got 1.5"),
        ({"neuron_type": sw.LIF}, r"neuron_type must be a NeuronType, got <class"),
        ({"gain": 1.0}, r"gain and bias must be given both or neither"),
        ({"gain": [1.0, 2.0], "bias": 0.0}, r"gain must be a number or broadcast to \(3,\)"),
        ({"gain": "big", "bias": 0.0}, r"gain must be a number"),
        ({"gain": 1.0, "bias": [0.0, np.inf, 0.0]}, r"bias holds NaN or infinity"),
        ({"max_rates": (400.0, 200.0)}, r"max_rates must be \(low, high\), got \(400.0, 200.0\)"),
        ({"max_rates": (0.0, np.inf)}, r"max_rates must be \(low, high\)"),
        ({"intercepts": ("a", "b")}, r"intercepts must be \(low, high\), got \('a', 'b'\)"),
        ({"intercepts": np.zeros(4)}, r"intercepts must be a number or broadcast"),
        ({"rate_scale": 0.0}, r"rate_scale must be above 0, got 0.0"),
        ({"rate_scale": -1.0}, r"rate_scale must be above 0"),
        ({"rate_scale": np.nan}, r"rate_scale holds NaN"),
        ({"rate_scale": [1.0, 2.0]}, r"rate_scale must be a number or broadcast to \(3,\)"),
        ({"initial_voltage": "full"}, r"initial_voltage must be one of .* got 'full'"),
        ({"initial_voltage": [0.5, 0.5]}, r"initial_voltage must be a number or broadcast"),
        ({"initial_voltage": [0.5, 0.5, np.nan]}, r"initial_voltage holds NaN"),
    ],
)
def test_impossible_ensembles_are_refused(arguments: dict[str, Any], message: str) -> None:
    """The error names the ensemble, the parameter and the value; the network stays without it."""
    with sw.Network() as net, pytest.raises(NetworkError, match=message):
        population(**arguments)
    assert net.ensembles == []


# Connections and probes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda n, e: sw.Connection(n, e),
            r"values of shape \(2,\), <Ensemble 'cells'> takes \(1,\)",
        ),
        (lambda n, e: sw.Connection(3, n), r"pre must be a Node, an Ensemble or .* got 3"),
        (lambda n, e: sw.Connection(n, None), r"post must be a Node, .* got None"),
        (
            lambda n, e: sw.Connection(n, e.neurons),
            r"values of shape \(2,\), <Neurons of <Ensemble 'cells'>> takes \(3,\)",
        ),
        (
            lambda n, e: sw.Connection(n, e.neurons, transform=np.ones((2, 2))),
            r"makes values of shape \(2,\)",
        ),
        (
            lambda n, e: sw.Connection(n, e.neurons, transform=np.ones((3, 4))),
            r"Dense: a matrix of shape \(3, 4\) does not fit an input of shape \(2,\)",
        ),
        (lambda n, e: sw.Connection(n, n), r"values of shape \(2,\), <Node 'n'> takes \(0,\)"),
        (
            lambda n, e: sw.Connection(n, e.neurons[:2], "slow", label="c"),
            r"<Connection 'c'>: a synapse is None, a time constant .* got 'slow'",
        ),
        (
            lambda n, e: sw.Connection(n, e.neurons[:2], transform="big", label="c"),
            r"<Connection 'c'>: a transform is .* got 'big'",
        ),
        *(
            (
                lambda n, e, delay=delay: sw.Connection(n, e.neurons[:2], label="c", delay=delay),
                rf"<Connection 'c'>: a delay is a number of seconds from 0 on, got {delay!r}",
            )
            for delay in (-0.001, np.nan, np.inf, True, "long", None)
        ),
        (lambda n, e: sw.Connection(n[2], e.neurons[0]), r"<Node 'n'>\[2\]: 2 is out of range"),
        (lambda n, e: sw.Connection(n[0, 0], e.neurons[0]), r"<Node 'n'>\[0, 0\]: too many"),
        (lambda n, e: sw.Connection(n, e.neurons[[0, 5]]), r"\[\[0, 5\]\]: index 5"),
        (lambda n, e: sw.Connection(n["a"], e.neurons[0]), r"<Node 'n'>\[a\]: only integers"),
        (lambda n, e: sw.Connection(n[0:2:0], e.neurons[:2]), r"\[0:2:0\]: slice step cannot"),
        (lambda n, e: sw.Connection(n[0.5:], e.neurons[:2]), r"\[0.5:\]: slice indices must"),
        (lambda n, e: sw.Probe(e, "voltage"), r"'decoded_output', .*'scaled_encoders'\), not 'vol"),
        (lambda n, e: sw.Probe(e, solver=3), r"solver must be a Solver, got 3"),
        (lambda n, e: sw.Probe(7), r"a probe records a Node, .* got 7$"),
        (lambda n, e: sw.Probe(n[2]), r"<Node 'n'>\[2\]: 2 is out of range for 2 values"),
        (lambda n, e: sw.Probe(n[0], "voltage"), r"records one of \('output', 'input'\), not 'vol"),
        (lambda n, e: sw.Probe(n, "voltage"), r"records one of \('output', 'input'\), not 'vol"),
        (lambda n, e: sw.Probe(e.neurons, "rate"), r"'spike_count'\), not 'rate'"),
        (lambda n, e: sw.Probe(n, sample_every=0.0), r"sample_every must be above 0 s, got 0.0"),
        (lambda n, e: sw.Probe(n, sample_every=np.inf), r"sample_every must be above 0 s"),
        (lambda n, e: sw.Probe(n, sample_every=np.nan), r"sample_every must be above 0 s"),
        (lambda n, e: sw.Probe(n, synapse="slow", label="p"), r"<Probe 'p'>: a synapse is None"),
    ],
)
def test_impossible_connections_and_probes_are_refused(make: Any, message: str) -> None:
    """The error names the object and the value; the network stays without it."""
    with sw.Network() as net:
        node, ensemble = sw.Node([1.0, 2.0], label="n"), population()
        with pytest.raises(NetworkError, match=message):
            make(node, ensemble)
    assert net.connections == [] and net.probes == []


@pytest.mark.parametrize("wrapper", [sw.RegularSpiking, sw.StochasticSpiking, sw.PoissonSpiking])
@pytest.mark.parametrize("engine", engines.available())
def test_rates_that_spikes_are_made_of_can_be_recorded(wrapper: Any, engine: str) -> None:
    """In Hz, of the present current, whatever the scale; a part as in the whole."""
    base = sw.LIFRate(amplitude=0.5)
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(lambda t: 1.5 + np.sin(20 * t) * np.arange(4), size_out=4)
        ensemble = sw.Ensemble(4, neuron_type=wrapper(base), gain=2.0, bias=0.5, rate_scale=3.0)
        sw.Connection(stimulus, ensemble.neurons, synapse=None)
        whole, part = (
            sw.Probe(ensemble.neurons, "rate_out"),
            sw.Probe(ensemble.neurons[::2], "rate_out"),
        )
        current = sw.Probe(ensemble.neurons, "input")
    with sw.Simulator(net, engine=engine, precision="float64", progress=False) as sim:
        sim.run_steps(100)
    expected = 0.5 * base.rates(NUMPY_RATES, sim.data[current])
    assert len(np.unique(expected.round(6))) > 100
    np.testing.assert_allclose(sim.data[whole], expected, rtol=1e-9)
    np.testing.assert_array_equal(sim.data[part], sim.data[whole][:, ::2])


def test_a_connections_default_synapse() -> None:
    """5 ms, as Nengo's; None is no synapse, a number of seconds is a low-pass."""
    with sw.Network():
        a, b = sw.Node([1.0]), sw.Node(size_in=1)
        assert sw.Connection(a, b).synapse == sw.Lowpass(0.005)
        assert sw.Connection(a, b, None).synapse is None
        assert sw.Connection(a, b, 0.1).synapse == sw.Lowpass(0.1)


# Views

keys = st.one_of(
    st.integers(-5, 4),
    st.slices(5),
    st.lists(st.integers(-5, 4), min_size=1, max_size=6),
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.just(Ellipsis),
)


@settings(max_examples=75)
@given(key=keys, seed=st.integers(0, 9))
def test_views_select_and_place_as_numpy_does(key: Any, seed: int) -> None:
    """`node[key]` sends `x[key]`, and receives into `x[key]`, entries that meet adding up."""
    x = np.random.default_rng(seed).integers(-9, 10, 5).astype(np.float64)
    with sw.Network():
        node = sw.Node(x, label="n")
    index = np.array(key) if isinstance(key, list) else key
    wanted = np.atleast_1d(x[index])
    view = node[key]
    np.testing.assert_array_equal(oracle.apply_transform(view.select((5,)), x), wanted)
    shape, place = view.place((5,))
    assert shape == wanted.shape
    if wanted.size:
        received = oracle.apply_transform(place, wanted)
        expected = np.zeros(5)
        np.add.at(expected, index, wanted if wanted.size != 1 else wanted[0])
        np.testing.assert_array_equal(received, expected)
