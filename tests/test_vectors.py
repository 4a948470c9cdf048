"""Populations that represent vectors: encoders, decoders, functions, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from populations import simulator
from spikewright import distributions, solvers
from spikewright.errors import BuildError, NetworkError

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


def test_the_error_falls_with_the_number_of_neurons() -> None:
    """Decoding without spikes: the rms error is below 1.5 / n at every size."""
    for n in (20, 80, 320):
        with sw.Network(seed=1) as net:
            ensemble = sw.Ensemble(n, 1, neuron_type=sw.LIFRate())
            link = sw.Connection(ensemble, sw.Node(size_in=1), None)
        with simulator(net) as sim:
            (rmse,) = sim.data[link].solver_info["rmses"]
        assert rmse < 1.5 / n


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
            full = sw.full_weights(sim, link)
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


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": 0.0}, r"'e'>: radius must be above 0, got 0.0"),
        ({"encoders": np.zeros((3, 2))}, r"'e'>: 3 of 3 encoders are zero"),
        ({"encoders": [[1.0, 0], [0, 0], [0, 1]]}, r"'e'>: 1 of 3 .*the first is number 1\)"),
        ({"encoders": np.ones((4, 2))}, r"'e'>: encoders must be \(3, 2\), got shape \(4, 2\)"),
        ({"encoders": "up"}, r"'e'>: encoders must be numbers, got 'up'"),
        ({"encoders": np.full((3, 2), np.nan)}, r"'e'>: encoders hold NaN"),
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
