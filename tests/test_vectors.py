"""Populations that represent vectors: encoders, decoders, functions, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from populations import simulator
from spikewright import distributions, processes, solvers
from spikewright.engines.operators import Linear
from spikewright.errors import BuildError, NetworkError, SimulationError

ENGINES = [name for name in sw.engines.available() if name != "torch"]


def rates_of(data: Any, points: NDArray, kind: sw.NeuronType) -> NDArray:
    """Activities as semantics 4.3 writes them."""
    current = points @ data.scaled_encoders.T + data.bias
    return np.asarray(kind.rates(np, current)) * kind.amplitude  # type: ignore[arg-type]


def channel(n: int = 60, **options: Any) -> tuple[sw.Network, Any]:
    """A value through two populations; the network and the probe of the second."""
    with sw.Network(seed=4) as net:
        stimulus = sw.Node(lambda t: np.sin(8 * t), label="stimulus")
        one, two = (sw.Ensemble(n, 1, label=name, **options) for name in ("one", "two"))
        sw.Connection(stimulus, one, None)
        sw.Connection(one, two, label="link")
        probe = sw.Probe(two, synapse=0.02)
    return net, probe


# What is represented


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_communication_channel_passes_a_value_on(engine: str, precision: Any) -> None:
    """Within a tenth of the filtered signal, the same in every engine."""
    net, probe = channel()
    found = []
    for name in ("reference", engine):
        with simulator(net, engine=name, precision=precision, progress=False) as sim:
            sim.run(0.5)
            found.append(sim.data[probe][:, 0])
    t = sim.trange()
    wanted = np.sin(8 * (t - 0.027))  # its filters and delays of a step
    assert np.sqrt(np.mean((found[0] - wanted)[100:] ** 2)) < 0.1
    assert np.array_equal(found[0], found[1])


def test_a_channel_runs_natively() -> None:
    """Everything from the first population's spikes on has a native kernel."""
    net, _ = channel()
    with simulator(net, engine="native", precision="float32") as sim:
        others = [row.operator for row in sim.plan.rows if not row.kernel.startswith("native")]
    assert not [label for label in others if "'link'" in label or "'two'" in label]


def test_the_error_falls_with_the_number_of_neurons() -> None:
    """Decoding without spikes: the rms error is below 1.5 / n at every size."""
    for n in (20, 80, 320):
        with sw.Network(seed=1) as net:
            ensemble = sw.Ensemble(n, 1, neuron_type=sw.LIFRate())
            link = sw.Connection(ensemble, sw.Node(size_in=1), None)
        with simulator(net) as sim:
            (rmse,) = sim.data[link].solver_info["rmses"]
        assert rmse < 1.5 / n


def test_parameters_as_built() -> None:
    """Encoders of length 1, gain over radius in the scaled ones, rates and intercepts in range."""
    with sw.Network(seed=2) as net:
        ensemble = sw.Ensemble(200, 3, radius=2.0)
    with simulator(net) as sim:
        built = sim.data[ensemble]
    assert built.encoders.shape == built.scaled_encoders.shape == (200, 3)
    assert np.allclose(np.linalg.norm(built.encoders, axis=1), 1.0)
    assert np.allclose(built.scaled_encoders, built.encoders * built.gain[:, None] / 2.0)
    assert built.max_rates.min() >= 200 and built.max_rates.max() <= 400
    assert built.intercepts.min() >= -1 and built.intercepts.max() <= 0.9
    assert built.eval_points.shape == (1500, 3)
    assert 1.9 < np.linalg.norm(built.eval_points, axis=1).max() <= 2.0


@pytest.mark.parametrize(
    ("n", "dimensions", "count"), [(50, 1, 750), (50, 3, 1500), (50, 9, 2500), (2000, 1, 4000)]
)
def test_how_many_points_are_drawn(n: int, dimensions: int, count: int) -> None:
    """500 a dimension, between 750 and 2500, at least two a neuron."""
    with sw.Network():
        assert sw.Ensemble(n, dimensions).default_eval_points == count


def test_what_is_given_is_taken() -> None:
    """Encoders (normalised or not), evaluation points, rates, intercepts, gain and bias."""
    rng = np.random.default_rng(0)
    encoders, points = rng.normal(size=(5, 2)), rng.normal(size=(30, 2))
    with sw.Network(seed=0) as net:
        normal = sw.Ensemble(5, 2, encoders=encoders, eval_points=points, radius=3.0)
        plain = sw.Ensemble(5, 2, encoders=encoders, normalize_encoders=False)
        drawn = sw.Ensemble(
            400,
            encoders=distributions.Choice([1.0]),
            max_rates=distributions.Uniform(50.0, 60.0),
            intercepts=distributions.Choice([0.25]),
            n_eval_points=31,
        )
    with simulator(net) as sim:
        a, b, c = (sim.data[e] for e in (normal, plain, drawn))
    assert np.allclose(a.encoders, encoders / np.linalg.norm(encoders, axis=1, keepdims=True))
    assert np.array_equal(b.encoders, encoders) and np.array_equal(a.eval_points, 3.0 * points)
    assert np.all(c.encoders == 1) and len(c.eval_points) == 31
    assert 50 <= c.max_rates.min() < 51 and 59 < c.max_rates.max() <= 60
    assert np.allclose(c.intercepts, 0.25)


def test_the_default_decoders_are_their_closed_form() -> None:
    """D = (A'A + m sigma^2 I)^-1 A'Y to 1e-10, for x^2 on 50 LIF neurons; 750 points."""
    with sw.Network(seed=1) as net:
        ensemble = sw.Ensemble(50, 1, radius=1.5)
        link = sw.Connection(ensemble, sw.Node(size_in=1), None, 3.0, function=np.square)
    with simulator(net) as sim:
        data, built = sim.data[link], sim.data[ensemble]
    x = built.eval_points
    a = rates_of(built, x, sw.LIF())
    sigma = 0.1 * a.max()
    wanted = np.linalg.inv(a.T @ a + len(x) * sigma**2 * np.eye(50)) @ a.T @ x**2
    assert len(x) == 750 and data.decoders.shape == (1, 50)
    assert np.abs(data.decoders.T - wanted).max() < 1e-10 * np.abs(wanted).max()
    assert np.allclose(data.weights, 3.0 * data.decoders, rtol=1e-15)
    assert np.array_equal(data.eval_points, x)


# Connections


@pytest.mark.parametrize("engine", ENGINES)
def test_decoded_values_are_weights_times_activities(engine: str) -> None:
    """Rates at a point: transform . decoders . a arrives, without delay where no synapse is."""
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(4, 2))
    with sw.Network(seed=3) as net:
        ensemble = sw.Ensemble(80, 3, neuron_type=sw.LIFRate(amplitude=0.5), radius=2.0)
        sw.Connection(sw.Node([0.6, -0.9, 0.3]), ensemble, None)
        end = sw.Node(size_in=6)
        link = sw.Connection(
            ensemble[[2, 0]], end[1:5], None, matrix, function=lambda x: [x[0] * x[1], x[1]]
        )
        sent, value = sw.Probe(ensemble.neurons), sw.Probe(end)
    with simulator(net, engine=engine) as sim:
        sim.run_steps(2)
    a, data = sim.data[sent][0], sim.data[link]
    assert data.weights.shape == (4, 80)
    assert np.allclose(sim.data[value][0, 1:5], data.weights @ a, rtol=1e-9, atol=1e-9)
    assert np.allclose(sim.data[value][0, [0, 5]], 0.0)
    ideal = matrix @ np.array([0.3 * 0.6, 0.6])
    assert np.allclose(sim.data[value][0, 1:5], ideal, atol=0.4)


def test_targets_may_be_an_array() -> None:
    """One row for each of the points, the function that the array is of."""
    points = np.linspace(-1, 1, 200)[:, None]
    with sw.Network(seed=0) as net:
        ensemble, end = sw.Ensemble(40), sw.Node(size_in=1)
        given = sw.Connection(ensemble, end, eval_points=points, function=points[:, 0] ** 2)
        called = sw.Connection(ensemble, end, eval_points=points, function=np.square)
        unscaled = sw.Connection(
            ensemble, end, eval_points=2 * points, scale_eval_points=False, function=np.square
        )
    with simulator(net) as sim:
        assert np.array_equal(sim.data[given].decoders, sim.data[called].decoders)
        assert np.array_equal(sim.data[unscaled].eval_points, 2 * points)


def test_factors_are_multiplied_out_only_where_that_is_no_larger() -> None:
    """A wide transform stays behind the decoders; a narrow one goes into them."""
    rng = np.random.default_rng(0)
    with sw.Network(seed=0) as net:
        one, two = sw.Ensemble(300, 4, label="one"), sw.Ensemble(200, 64, label="two")
        sw.Connection(one, two, transform=rng.normal(size=(64, 4)))
        sw.Connection(one, sw.Node(size_in=1), transform=np.ones((1, 4)))
    program = simulator(net).program
    shapes = [
        op.transform.weights.shape
        for op in program.operators
        if isinstance(op, Linear) and op.transform.weights.ndim == 2
    ]
    assert sorted(shapes) == [(1, 300), (4, 300), (64, 4), (200, 64)]


# Connections


@pytest.mark.parametrize("solver", [solvers.LstsqL2(weights=True), solvers.LstsqDrop(weights=True)])
def test_weights_between_neurons_do_what_factors_do(solver: solvers.Solver) -> None:
    """The full matrix is stored instead, gain x encoders / radius x transform x decoders."""

    def made(solver: solvers.Solver | None) -> tuple[sw.Network, Any, Any, Any]:
        with sw.Network(seed=5) as net:
            one = sw.Ensemble(50, 2, neuron_type=sw.LIFRate())
            two = sw.Ensemble(40, 3, radius=2.0, neuron_type=sw.LIFRate())
            sw.Connection(sw.Node([0.5, -0.3]), one, None)
            link = sw.Connection(one, two[[0, 2]], None, 1.5, solver=solver)
            probe = sw.Probe(two.neurons, "input")
        return net, link, two, probe

    currents = []
    for each in (None, solver):
        net, link, two, probe = made(each)
        with simulator(net) as sim:
            sim.run_steps(1)
            full = sim.full_weights(link)
            currents.append(sim.data[probe][0])
        assert full.shape == (40, 50)
        if each is not None:
            assert sim.data[link].weights.shape == (40, 50)
            assert np.allclose(sim.data[link].weights, full)
        else:
            into = sim.data[two].scaled_encoders[:, [0, 2]]
            assert np.allclose(full, into @ sim.data[link].weights)
    tolerance = 1e-6 if solver.compositional else 2.0  # other weights are dropped
    assert np.allclose(currents[0], currents[1], atol=tolerance)


def test_the_whole_matrix_and_what_a_scale_touches() -> None:
    """Rows follow the gain, which is scaled; encoders, decoders and weights are not."""
    found = []
    for scale in (1.0, 4.0):
        with sw.Network(seed=6) as net:
            one, two = (
                sw.Ensemble(30, 2, neuron_type=sw.SpikingRectifiedLinear(), rate_scale=scale)
                for _ in range(2)
            )
            link = sw.Connection(one, two)
            into = sw.Connection(sw.Node([1.0, 2.0]), two.neurons[:2])
        with simulator(net) as sim:
            found.append(
                (
                    sim.full_weights(link), sim.data[link].weights, sim.data[two].encoders,
                    sim.data[two].scaled_encoders, sim.full_weights(into),
                    sim.data[one].amplitude,
                )
            )  # fmt: skip
    plain, scaled = found
    for index, factor in enumerate((4.0, 1.0, 1.0, 4.0, 4.0, 0.25)):
        assert np.allclose(scaled[index], factor * plain[index]), index
    assert plain[4].shape == (30, 2) and np.count_nonzero(plain[4]) == 2


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_a_scale_leaves_what_is_decoded(scale: float) -> None:
    """More and lower spikes: the same value, with less noise."""
    with sw.Network(seed=7) as net:
        ensemble = sw.Ensemble(80, neuron_type=sw.SpikingRectifiedLinear(), rate_scale=scale)
        sw.Connection(sw.Node([0.4]), ensemble, None)
        value = sw.Probe(ensemble, synapse=0.05)
        counts = sw.Probe(ensemble.neurons, "spike_count")
    with simulator(net) as sim:
        sim.run_steps(400)
    assert sim.data[value][-100:, 0].mean() == pytest.approx(0.4, abs=0.02)
    assert sim.data[counts].sum() == pytest.approx(scale * 2950, rel=0.5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_recurrent_population_keeps_a_value(engine: str) -> None:
    """An integrator: 0.5 s of input 1, then held; the loop runs in every engine."""
    tau = 0.1
    with sw.Network(seed=8) as net:
        stimulus = sw.Node(processes.Piecewise({0.0: 1.0, 0.5: 0.0}))
        memory = sw.Ensemble(150, label="memory")
        sw.Connection(stimulus, memory, tau, transform=tau)
        sw.Connection(memory, memory, tau)
        probe = sw.Probe(memory, synapse=0.05)
    with simulator(net, engine=engine, progress=False) as sim:
        sim.run(1.0)
    assert sim.data[probe][-1, 0] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("engine", ENGINES)
def test_without_neurons_functions_are_exact(engine: str) -> None:
    """Direct(): the input is the output, a function of it is computed, a synapse delays by one."""
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(lambda t: [t, -t])
        ensemble = sw.Ensemble(1, 2, neuron_type=sw.Direct(), label="d")
        sw.Connection(stimulus, ensemble, None)
        end = sw.Node(size_in=2)
        sw.Connection(ensemble[1], end[0], None, 2.0, function=lambda x: x**2)
        sw.Connection(ensemble, end[1], 0, [[1.0, 3.0]])
        value, decoded = sw.Probe(end), sw.Probe(ensemble)
    with simulator(net, engine=engine, progress=False) as sim:
        sim.run_steps(5)
    t = sim.trange()
    assert np.allclose(sim.data[value][:, 0], 2 * t**2)
    assert np.allclose(sim.data[value][:, 1], -2 * np.concatenate([[0], t[:-1]]))
    assert np.allclose(sim.data[decoded], np.stack([t, -t], axis=1))
    assert np.array_equal(sim.data[ensemble].encoders, np.eye(2))
    with pytest.raises(BuildError, match=r"'d'> has no neurons \(Direct\), and so no gain"):
        _ = sim.data[ensemble].gain


def test_functions_on_connections_from_nodes_are_exact() -> None:
    """Of the part that is sent, at every step."""
    with sw.Network() as net:
        end = sw.Node(size_in=1)
        sw.Connection(sw.Node(lambda t: [t, 2 * t])[1], end, None, function=lambda x: x + 1)
        probe = sw.Probe(end)
    with simulator(net, progress=False) as sim:
        sim.run_steps(3)
    assert np.allclose(sim.data[probe][:, 0], 2 * sim.trange() + 1)


def test_probes_of_what_arrives_and_of_what_is_decoded() -> None:
    """The input is what connections deliver, however far it is from what is decoded."""
    with sw.Network(seed=0) as net:
        ensemble = sw.Ensemble(100, 2)
        sw.Connection(sw.Node([0.5, -0.25]), ensemble, None)
        sw.Connection(sw.Node([0.25]), ensemble[1], None)
        arriving, decoded = sw.Probe(ensemble, "input"), sw.Probe(ensemble, synapse=0.05)
    with simulator(net) as sim:
        sim.run_steps(300)
    assert np.allclose(sim.data[arriving], [0.5, 0.0])
    assert np.allclose(sim.data[decoded][-1], [0.5, 0.0], atol=0.1)


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": 0.0}, r"'e'>: radius must be above 0, got 0.0"),
        ({"encoders": np.zeros((3, 2))}, r"'e'>: 3 of 3 encoders are zero"),
        ({"encoders": [[1.0, 0], [0, 0], [0, 1]]}, r"'e'>: 1 of 3 .*the first is number 1\)"),
        ({"encoders": np.ones((4, 2))}, r"'e'>: encoders must be \(3, 2\), got shape \(4, 2\)"),
        ({"encoders": "up"}, r"'e'>: encoders must be finite numbers, got 'up'"),
        (
            {"encoders": np.full((3, 2), np.nan)},
            r"'e'>: encoders must be finite numbers, got nan at \(0, 0\)",
        ),
        ({"eval_points": np.ones((5, 3))}, r"'e'>: eval_points must be \(points, 2\)"),
        ({"eval_points": np.ones((0, 2))}, r"'e'>: eval_points must be \(points, 2\)"),
        ({"n_eval_points": 0}, r"'e'>: n_eval_points must be a whole number from 1, got 0"),
        ({"noise": 0.1}, r"'e'>: noise must be a process, got 0.1"),
    ],
)
def test_impossible_populations_are_refused(options: Any, message: str) -> None:
    """The error names the ensemble by its label, the parameter and the value."""
    with sw.Network() as net, pytest.raises(NetworkError, match=message):
        sw.Ensemble(3, 2, label="e", **options)
    assert net.ensembles == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_rates": np.full(3, 600.0)}, r"'e'>: LIF: 3 of 3 .* below 500 Hz"),
        ({"encoders": distributions.Choice([0.0])}, r"'e'>: 3 of 3 encoders are zero"),
        ({"encoders": distributions.Samples([[1.0, 1.0]])}, r"'e'>: encoders: Samples: \(3, 2\)"),
        ({"eval_points": np.full((9, 2), 1e-9), "intercepts": np.full(3, 0.5)}, r"no neuron of"),
        ({"intercepts": distributions.Choice([1.5])}, r"'e'>: LIF: 3 of 3 neurons have no gain"),
    ],
)
def test_populations_that_cannot_be_built_are_named(options: Any, message: str) -> None:
    """What is drawn or solved is checked when a simulator is built."""
    with sw.Network(seed=0) as net:
        ensemble = sw.Ensemble(3, 2, label="e", **options)
        sw.Connection(sw.Node([0.1, 0.1]), ensemble)
        sw.Connection(ensemble, sw.Node(size_in=2))
    with pytest.raises((BuildError, NetworkError), match=message):
        simulator(net)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n, e: sw.Connection(e, n, function=lambda x: [1.0, 2.0, 3.0], label="c"),
         r"'c'>: its function makes values of shape \(3,\), <Node 'n'> takes \(2,\)"),
        (lambda n, e: sw.Connection(e, n, transform=np.ones((2, 3)), label="c"),
         r"Dense: a matrix of shape \(2, 3\) does not fit an input of shape \(2,\)"),
        (lambda n, e: sw.Connection(e, n, function=lambda x: 1 / 0, label="c"),
         r"'c'>: its function failed at x = \[0. 0.\] \(ZeroDivisionError"),
        (lambda n, e: sw.Connection(e, n, function="square", label="c"),
         r"'c'>: function must be a callable or an array, got 'square'"),
        (lambda n, e: sw.Connection(e, n, function=np.ones((4, 2)), label="c"),
         r"'c'>: an array of wanted values, \(4, 2\), needs eval_points= .* got no array"),
        (lambda n, e: sw.Connection(e, n, function=np.ones((4, 2)), eval_points=np.ones((5, 2))),
         r"one point for each row, got 5 points"),
        (lambda n, e: sw.Connection(e, n, solver=0.1, label="c"),
         r"'c'>: solver must be a Solver, got 0.1"),
        (lambda n, e: sw.Connection(n, e, function=np.square, label="c"),
         r"'c'>: function= is for connections from an Ensemble or from a Node with an output"),
        (lambda n, e: sw.Connection(n, e, solver=solvers.LstsqL2(), label="c"),
         r"'c'>: solver are for connections from an Ensemble, not <Node 'n'>"),
        (lambda n, e: sw.Connection(e[2], n[0], label="c"), r"'e'>\[2\]: 2 is out of range"),
    ],
)  # fmt: skip
def test_impossible_decoded_connections_are_refused(make: Any, message: str) -> None:
    """The error names the connection and what was wrong; the network stays without it."""
    with sw.Network() as net:
        node, ensemble = sw.Node(size_in=2, label="n"), sw.Ensemble(9, 2, label="e")
        with pytest.raises(NetworkError, match=message):
            make(node, ensemble)
    assert net.connections == []


def test_functions_that_misbehave_at_a_point_are_named() -> None:
    """Another size, or NaN, at some evaluation point."""
    for function, what in (
        (lambda x: [1.0] if x[0] <= 0 else [1.0, 2.0], r"shape \(2,\)"),
        (lambda x: x[0] if x[0] <= 0 else np.nan, "NaN or infinity"),
    ):
        with sw.Network(seed=0) as net:
            ensemble = sw.Ensemble(9, label="e")
            sw.Connection(ensemble, sw.Node(size_in=1), function=function, label="c")
        with pytest.raises(BuildError, match=rf"'c'>: its function gave {what} at x = "):
            simulator(net)


def test_a_cycle_without_a_synapse_names_its_objects() -> None:
    """Two populations that wait for each other within one step."""
    with sw.Network() as net:
        one, two = sw.Ensemble(9, label="one"), sw.Ensemble(9, label="two")
        sw.Connection(one, two, None)
        sw.Connection(two, one, None)
    with pytest.raises(BuildError, match=r"cycle without a synapse.*'one'.*'two'"):
        simulator(net)


def test_nan_from_a_node_names_it() -> None:
    """At the step at which it came."""
    with sw.Network() as net:
        node = sw.Node(lambda t: np.nan if t > 0.0025 else 0.0, label="broken")
        sw.Connection(node, sw.Ensemble(9))
    with simulator(net, progress=False) as sim, pytest.raises(SimulationError, match="'broken'>"):
        sim.run_steps(5)


def test_direct_ensembles_have_no_neurons_to_connect_or_probe() -> None:
    """The error says what to do instead."""
    with sw.Network():
        direct, node = sw.Ensemble(1, neuron_type=sw.Direct(), label="d"), sw.Node([1.0])
        with pytest.raises(NetworkError, match=r"'d'>.*there are no neurons; connect to the ens"):
            sw.Connection(node, direct.neurons)
        with pytest.raises(NetworkError, match=r"'d'>: with Direct\(\) there are no neurons"):
            sw.Probe(direct.neurons)


def test_the_whole_matrix_of_a_foreign_connection_is_a_key_error() -> None:
    """Simulators know their own connections."""
    one, _ = channel()
    other, _ = channel()
    with pytest.raises(KeyError, match="is no connection of"):
        simulator(one).full_weights(other.connections[0])
