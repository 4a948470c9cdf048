"""Tuning curves, response curves and decoded functions: what neurons answer to constant values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spikewright as sw
from populations import simulator
from spikewright.errors import BuildError
from spikewright.network.solvers import Lstsq


def built(**options: Any) -> tuple[sw.Simulator, sw.Ensemble]:
    """A population of its own, simulated."""
    with sw.Network(seed=2) as net:
        ensemble = sw.Ensemble(**{"n_neurons": 30, "dimensions": 2, "radius": 1.5, **options})
        sw.Connection(ensemble, sw.Node(size_in=ensemble.dimensions))
    return simulator(net), ensemble


@pytest.mark.parametrize(
    "kind", [sw.LIF(), sw.RectifiedLinear(), sw.Sigmoid(), sw.RegularSpiking(sw.Tanh())]
)
def test_tuning_curves_are_the_formula(kind: Any) -> None:
    """Rates of `gain (e . x / radius) + bias`, neuron by neuron."""
    sim, ensemble = built(neuron_type=kind, max_rates=(210.0, 300.0))
    points = np.random.default_rng(0).normal(size=(7, 2))
    given, rates = sw.curves.tuning_curves(sim, ensemble, points)
    seen = sim.data[ensemble]
    current = (points @ seen.encoders.T / 1.5) * seen.gain + seen.bias
    np.testing.assert_allclose(rates, kind.rates(np_neurons(), current))
    np.testing.assert_array_equal(given, points)


def np_neurons() -> Any:
    """The array functions that neuron types compute with."""
    from spikewright.network.neurons import NUMPY_NEURONS

    return NUMPY_NEURONS


def test_response_curves_have_the_rates_and_intercepts_asked_for() -> None:
    """At 1 the maximum rate, at the intercept and below it nothing."""
    rates = np.linspace(100.0, 200.0, 30)
    intercepts = np.linspace(-0.8, 0.8, 30)
    sim, ensemble = built(max_rates=rates, intercepts=intercepts)
    x, y = sw.curves.response_curves(sim, ensemble)
    np.testing.assert_allclose(y[-1], rates)
    assert (x[0], x[-1]) == (-1, 1)
    below = x[:, None] < intercepts - 1e-9
    assert not np.any(y[below])
    assert np.all(y[x[:, None] > intercepts + 1e-9] > 0)


@pytest.mark.parametrize("dimensions, count", [(1, 101), (2, 31 * 31)])
def test_without_points_they_lie_evenly_within_the_radius(dimensions: int, count: int) -> None:
    """On a line or a grid; above two dimensions points have to be given."""
    sim, ensemble = built(dimensions=dimensions)
    points, rates = sw.curves.tuning_curves(sim, ensemble)
    assert points.shape == (count, dimensions)
    assert (points.min(), points.max()) == (-1.5, 1.5)
    assert rates.shape == (count, 30)


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_a_firing_rate_scale_changes_no_curve(scale: float) -> None:
    """Outputs are what decoders weigh: at every scale the same."""
    sim, ensemble = built(neuron_type=sw.SpikingRectifiedLinear(), rate_scale=scale)
    plain, same = built(neuron_type=sw.SpikingRectifiedLinear())
    np.testing.assert_array_equal(
        sw.curves.tuning_curves(sim, ensemble)[1], sw.curves.tuning_curves(plain, same)[1]
    )


def test_decoded_functions_are_decoders_times_curves() -> None:
    """At the points of its own: the errors are those that the solver tells."""
    with sw.Network(seed=2) as net:
        a = sw.Ensemble(60, 2)
        end = sw.Node(size_in=1)
        product = sw.Connection(
            a, end, function=lambda x: x[0] * x[1], transform=3.0, solver=Lstsq()
        )
    sim = simulator(net)
    points, wanted, decoded = sw.curves.decoded_function(sim, product)
    np.testing.assert_allclose(wanted[:, 0], 3 * points[:, 0] * points[:, 1])
    error = np.sqrt(np.mean((wanted - decoded) ** 2))
    assert error == pytest.approx(3 * sim.data[product].solver_info["rmses"][0])
    corner = np.array([[0.5, -0.5]])
    _, wanted, decoded = sw.curves.decoded_function(sim, product, corner)
    curves = sw.curves.tuning_curves(sim, a, corner)[1]
    np.testing.assert_allclose(decoded, curves @ sim.data[product].weights.T)
    assert wanted == pytest.approx(np.array([[-0.75]]))


def test_what_has_no_curves_says_so() -> None:
    """Without neurons, without a vector, in many dimensions, of another network."""
    sim, ensemble = built(dimensions=3)
    with pytest.raises(BuildError, match="represents 3 dimensions: give points="):
        sw.curves.tuning_curves(sim, ensemble)
    with pytest.raises(
        BuildError, match=r"points must be \(m, 3\) numbers, got an array of shape \(4, 2\)"
    ):
        sw.curves.tuning_curves(sim, ensemble, np.zeros((4, 2)))
    with pytest.raises(BuildError, match=r"points must be \(m, 3\) numbers, got \[\['a'"):
        sw.curves.tuning_curves(sim, ensemble, [["a", "b", "c"]])
    with pytest.raises(BuildError, match="is not in"):
        sw.curves.response_curves(sim, built()[1])
    direct, without = built(neuron_type=sw.Direct())
    with pytest.raises(BuildError, match="has no neurons"):
        sw.curves.response_curves(direct, without)
    with sw.Network() as net:
        neurons = sw.Ensemble(3, None, label="bare")
        plain = sw.Connection(neurons, sw.Node(size_in=3))
    with pytest.raises(BuildError, match="<Ensemble 'bare'> represents no vector"):
        sw.curves.response_curves(simulator(net), neurons)
    with pytest.raises(BuildError, match="nothing is decoded"):
        sw.curves.decoded_function(simulator(net), plain)


def test_wanted_values_in_an_array_are_at_its_points_alone() -> None:
    """Elsewhere nobody knows them."""
    x = np.linspace(-1, 1, 40)[:, None]
    with sw.Network(seed=1) as net:
        a = sw.Ensemble(30, 1)
        made = sw.Connection(a, sw.Node(size_in=1), eval_points=x, function=x**2)
    sim = simulator(net)
    np.testing.assert_array_equal(sw.curves.decoded_function(sim, made)[1], x**2)
    with pytest.raises(BuildError, match="at its own points alone"):
        sw.curves.decoded_function(sim, made, x)
