"""Networks and their objects: containers, shapes, views, and what constructors refuse."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikewright as sw
from conformance import oracle
from spikewright import engines
from spikewright._base.windows import Windows
from spikewright.engines.operators import Delay
from spikewright.errors import BuildError, NetworkError
from spikewright.network import NeuronsView, input_shape, output_shape
from spikewright.network.neurons import NUMPY_NEURONS


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


def test_an_exception_leaves_no_network_open() -> None:
    """After an error inside `with`, objects have no container again."""
    with pytest.raises(RuntimeError), sw.Network():
        raise RuntimeError("inside")
    with pytest.raises(NetworkError, match="no network to put a new Node into"):
        sw.Node([1.0])


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


def test_threads_fill_their_own_networks() -> None:
    """A network that is open in one thread receives nothing from another."""
    errors: list[Exception] = []

    def other() -> None:
        try:
            sw.Node([1.0])
        except NetworkError as error:
            errors.append(error)

    with sw.Network() as net:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(errors) == 1 and net.nodes == []


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


def test_constants_are_copied() -> None:
    """What a user does to an array afterwards does not reach the node."""
    value = np.ones(3)
    with sw.Network():
        node = sw.Node(value)
    value[:] = 7.0
    assert isinstance(node.output, np.ndarray) and node.output.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"'n'>: give an output, or size_in= for a junction"),
        ({"size_in": 0}, r"give an output, or size_in="),
        ({"size_in": 2, "size_out": 3}, r"passes its input on .* size_in = \(2,\), got 3"),
        ({"size_in": 2.5}, r"'n'>: size_in must be a whole number .* got 2.5"),
        ({"size_in": (2, -1)}, r"size_in must be .* got \(2, -1\)"),
        ({"size_in": "3"}, r"size_in must be .* got '3'"),
        ({"output": "loud"}, r"constant output must be finite numbers, got 'loud'"),
        ({"output": [1.0, [2.0]]}, r"constant output must be finite numbers"),
        ({"output": [1.0, np.nan]}, r"constant output must be finite numbers"),
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


def test_neurons_are_equal_where_their_ensemble_is_the_same() -> None:
    """`ensemble.neurons` is made at every access and still one thing."""
    with sw.Network():
        one, two = population(), population()
    assert one.neurons == one.neurons and hash(one.neurons) == hash(one.neurons)
    assert one.neurons != two.neurons and one.neurons != one
    assert (
        isinstance(one.neurons, NeuronsView)
        and repr(one.neurons) == "<Neurons of <Ensemble 'cells'>>"
    )
    assert output_shape(one.neurons) == input_shape(one.neurons) == (3,)


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
        ({"gain": 1.0, "bias": [0.0, np.inf, 0.0]}, r"bias must be a number or .*, finite numbers"),
        ({"max_rates": (400.0, 200.0)}, r"max_rates must be \(low, high\), got \(400.0, 200.0\)"),
        ({"max_rates": (0.0, np.inf)}, r"max_rates must be \(low, high\)"),
        ({"intercepts": ("a", "b")}, r"intercepts must be \(low, high\), got \('a', 'b'\)"),
        ({"intercepts": np.zeros(4)}, r"intercepts must be a number or broadcast"),
        ({"rate_scale": 0.0}, r"rate_scale must be above 0, got 0.0"),
        ({"rate_scale": -1.0}, r"rate_scale must be above 0"),
        ({"rate_scale": np.nan}, r"rate_scale must be a number or .*, finite numbers"),
        ({"rate_scale": [1.0, 2.0]}, r"rate_scale must be a number or broadcast to \(3,\)"),
        ({"initial_voltage": "full"}, r"initial_voltage must be one of .* got 'full'"),
        ({"initial_voltage": [0.5, 0.5]}, r"initial_voltage must be a number or broadcast"),
        (
            {"initial_voltage": [0.5, 0.5, np.nan]},
            r"initial_voltage must be .* finite numbers",
        ),
    ],
)
def test_impossible_ensembles_are_refused(arguments: dict[str, Any], message: str) -> None:
    """The error names the ensemble, the parameter and the value; the network stays without it."""
    with sw.Network() as net, pytest.raises(NetworkError, match=message):
        population(**arguments)
    assert net.ensembles == []


def test_a_refused_change_leaves_the_ensemble_as_it_was() -> None:
    """Attributes that may be changed are checked as the constructor checks them."""
    with sw.Network():
        ensemble = population(rate_scale=2.0, initial_voltage="half")
    for name, value in (
        ("rate_scale", 0.0), ("initial_voltage", "full"), ("neuron_type", None),
    ):  # fmt: skip
        before = getattr(ensemble, name)
        with pytest.raises(NetworkError, match=r"'cells'>"):
            setattr(ensemble, name, value)
        assert getattr(ensemble, name) is before


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


def test_spikes_and_rates_are_names_of_what_neurons_send() -> None:
    """Each of its own kind of neurons alone; a probe keeps the one name."""
    with sw.Network():
        spiking, rates = sw.Ensemble(3), sw.Ensemble(3, neuron_type=sw.LIFRate())
        assert sw.Probe(spiking.neurons, "spikes").attr == "output"
        assert sw.Probe(rates.neurons[1:], "rates").attr == "output"
        for ensemble, name in ((spiking, "rates"), (rates, "spikes")):
            with pytest.raises(NetworkError, match=f"not '{name}'"):
                sw.Probe(ensemble.neurons, name)


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
    expected = 0.5 * base.rates(NUMPY_NEURONS, sim.data[current])
    assert len(np.unique(expected.round(6))) > 100
    np.testing.assert_allclose(sim.data[whole], expected, rtol=1e-9)
    np.testing.assert_array_equal(sim.data[part], sim.data[whole][:, ::2])


def test_probes_of_state_that_a_type_does_not_keep_are_refused() -> None:
    """Rate neurons have no voltage and no spikes, stochastic ones no voltage."""
    with sw.Network():
        rate = population(neuron_type=sw.RectifiedLinear())
        chance = population(neuron_type=sw.StochasticSpiking(sw.RectifiedLinear()))
        for ensemble, attr in ((rate, "voltage"), (rate, "spike_count"), (chance, "voltage")):
            name = type(ensemble.neuron_type).__name__
            with pytest.raises(NetworkError, match=f"cells.*{name}.*not '{attr}'"):
                sw.Probe(ensemble.neurons, attr)
        sw.Probe(chance.neurons, "spike_count")


def test_a_connections_default_synapse() -> None:
    """5 ms, as Nengo's; None is no synapse, a number of seconds is a low-pass."""
    with sw.Network():
        a, b = sw.Node([1.0]), sw.Node(size_in=1)
        assert sw.Connection(a, b).synapse == sw.Lowpass(0.005)
        assert sw.Connection(a, b, None).synapse is None
        assert sw.Connection(a, b, 0.1).synapse == sw.Lowpass(0.1)


def test_a_delay_is_seconds_that_may_be_changed() -> None:
    """None by default; one that is refused leaves the connection as it was."""
    with sw.Network() as net:
        assert sw.Connection(sw.Node([1.0]), sw.Node(size_in=1)).delay == 0.0
        net.config[sw.Connection].delay = 0.002
        delayed = sw.Connection(sw.Node([1.0]), sw.Node(size_in=1))
        assert delayed.delay == 0.002
        delayed.delay = 3
        with pytest.raises(NetworkError, match="got -1"):
            delayed.delay = -1
    assert delayed.delay == 3.0


_SPARSE = sw.Sparse((2, 3), indices=[[0, 1], [1, 2], [0, 0]], init=1.0)


def test_delays_by_synapse_are_one_for_each_entry() -> None:
    """Of a Sparse transform, also after one of the two has changed; else they are refused."""
    with sw.Network():
        made = sw.Connection(
            sw.Node(np.ones(3)), sw.Node(size_in=2), None, _SPARSE, label="c", delay=[0.1, 0.2, 0.1]
        )
        for refused, why in (
            ([0.1, 0.2], "2 delays for 3 entries of its Sparse transform; give one for each"),
            ([0.1, np.nan, 0.2], "a delay is a number of seconds from 0 on, got .*nan"),
            ([0.1, -0.1, 0.2], "a delay is a number of seconds from 0 on, got .*-0.1"),
            ([[0.1, 0.1, 0.2]], "a delay is a number of seconds from 0 on, got"),
        ):
            with pytest.raises(NetworkError, match=rf"<Connection 'c'>: {why}"):
                made.delay = refused
        with pytest.raises(NetworkError, match="has one for each entry of a Sparse transform"):
            made.transform = np.ones((2, 3))
        with pytest.raises(NetworkError, match="3 delays for 1 entries"):
            made.transform = sw.Sparse((2, 3), indices=[[0, 1]], init=1.0)
    np.testing.assert_array_equal(made.delay, [0.1, 0.2, 0.1])
    assert isinstance(made.delay, np.ndarray) and not made.delay.flags.writeable
    made.delay = 0.3
    made.transform = np.ones((2, 3))


def test_delays_by_synapse_that_no_engine_has_are_refused() -> None:
    """A synapse without delay, and decoded values: the error names the way out."""
    delays = np.array([0.002, 0.0004, 0.001])
    with sw.Network() as short:
        sw.Connection(sw.Node(np.ones(3)), sw.Node(size_in=2), None, _SPARSE, delay=delays)
    with pytest.raises(BuildError, match=r"0\.0004 s is less .*a connection of their own"):
        sw.Simulator(short, 0.001)
    with sw.Network() as decoded:
        sw.Connection(sw.Ensemble(9, 3), sw.Node(size_in=2), None, _SPARSE, delay=delays)
    with pytest.raises(BuildError, match="delays by synapse are those of fixed weights"):
        sw.Simulator(decoded, 0.001)


def test_a_delay_of_less_than_half_a_step_is_refused() -> None:
    """It would be none: the error says so and names the connection; a longer one is rounded."""
    with sw.Network() as net:
        made = sw.Connection(sw.Node([1.0]), sw.Node(size_in=1), None, label="c", delay=0.0004)
    with pytest.raises(BuildError, match=r"a delay of 0\.0004 s is less"):
        sw.Simulator(net, 0.001)
    made.delay = 0.0006
    with sw.Simulator(net, 0.001, progress=False) as sim:
        assert [op.steps for op in sim.program.operators if isinstance(op, Delay)] == [1]


def test_connections_from_one_place_wait_together() -> None:
    """Spikes wait once for all connections of one delay, before their weights."""
    with sw.Network() as net:
        cells, ends = population(5).neurons, [sw.Node(size_in=3) for _ in range(4)]
        for end, delay in zip(ends, (0.002, 0.002, 0.003, 0.0), strict=True):
            sw.Connection(cells, end, transform=np.ones((3, 5)), delay=delay)
    with sw.Simulator(net, 0.001, progress=False) as sim:
        waiting = [op for op in sim.program.operators if isinstance(op, Delay)]
        found = [(op.steps, sim.program.shapes[op.output]) for op in waiting]
    assert found == [(2, (5,)), (3, (5,))]


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


def test_views_of_shaped_objects() -> None:
    """Indices are per axis, and shapes are those of NumPy however a key is written."""
    x = np.arange(24.0).reshape(2, 3, 4)
    with sw.Network():
        node = sw.Node(x, label="n")
    for key in (
        (1, slice(0, 3, 2)),
        (slice(None), -1, slice(1, None)),
        (slice(None), slice(None), 2),
        (Ellipsis, 2),
        (1, 2, 3),
        (Ellipsis, [3, 0]),
        ([0, 1], [2, 0]),
        slice(None, None, -1),
    ):
        view, expected = node[key], np.atleast_1d(x[key])
        np.testing.assert_array_equal(oracle.apply_transform(view.select(x.shape), x), expected)
        shape, place = view.place(x.shape)
        assert shape == expected.shape
        received = oracle.apply_transform(place, expected)
        np.testing.assert_array_equal(received[key].reshape(shape), expected)
        assert received.sum() == expected.sum()
    assert repr(node[1:2, ..., ::3]) == "<Node 'n'>[1:2, ..., ::3]"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda a: sw.Connection(a, a, 0.01, np.square), "a function by its name, function="),
        (lambda a: sw.Connection(a, a, 0.01, None, 2.0), r"text, got 2.0. Did you mean transform="),
        (lambda a: sw.Network(5), "a label is None or text, got 5. Did you mean seed=5"),
        (lambda a: sw.Node([1.0], None, None, 5), "Node: a label is None or text, got 5"),
        (lambda a: sw.Ensemble(5, label=5), "Ensemble: a label is None or text, got 5"),
        (lambda a: sw.Probe(a, label=5), "Probe: a label is None or text, got 5"),
        (lambda a: sw.solvers.LstsqL2(0.05), "Did you mean reg=0.05"),
    ],
)
def test_what_stands_in_another_place_in_nengo_is_refused(make: Any, message: str) -> None:
    """By position too nothing is taken for another argument without a word."""
    with sw.Network():
        ensemble = sw.Ensemble(5, 1)
        with pytest.raises(NetworkError, match=message):
            make(ensemble)
        with pytest.raises(TypeError, match="positional"):
            sw.Node([1.0], None, None, "label", 5)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.zeros((3, 2)), r"has shape \(2,\), got \(3, 2\)"),
        (np.zeros(3), r"has shape \(2,\), got \(3,\)"),
        ([1.0, np.nan], "must be finite numbers, got nan"),
    ],
    ids=["samples", "another size", "NaN"],
)
def test_a_constant_is_replaced_by_one_of_its_shape(value: Any, says: str) -> None:
    """Any other is refused where it is set, and the present one stays; functions are taken."""
    with sw.Network():
        node = sw.Node([1.0, 2.0])
    node.output = [3.0, 4.0]
    with pytest.raises(NetworkError, match=f"constant output {says}"):
        node.output = value
    np.testing.assert_array_equal(node.output, [3.0, 4.0])
    node.output = np.sin
    assert node.output is np.sin


@pytest.mark.parametrize("size_out", [None, ()], ids=["one value", "no axes"])
def test_one_number_is_replaced_by_a_number(size_out: Any) -> None:
    """It has the shape of the first, as where it is given to the node."""
    with sw.Network():
        node = sw.Node(0.5, size_out=size_out)
    node.output = 0.7
    assert isinstance(node.output, np.ndarray)
    assert node.output.shape == node.shape_out and node.output == 0.7
