"""Products and circular convolutions: exact without neurons, close with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from running import directions, rms, run

import spikewright as sw
from spikewright.errors import NetworkError
from spikewright.modelling.networks.arrays import fourier_products


def convolved(x: NDArray, y: NDArray) -> NDArray:
    """Circular convolution as the sum says."""
    n = len(x)
    return np.array([sum(x[m] * y[(k - m) % n] for m in range(n)) for k in range(n)])


def involution(x: NDArray) -> NDArray:
    """`x[-n]`."""
    return np.roll(x[::-1], 1)


def product(x: NDArray, y: NDArray, n: int, seed: int, neuron_type: sw.NeuronType) -> NDArray:
    """What a product settles to."""
    with sw.Network(seed=seed) as net:
        part = sw.networks.Product(n, len(x), neuron_type=neuron_type)
        sw.Connection(sw.Node(x), part.input_a, None)
        sw.Connection(sw.Node(y), part.input_b, None)
        probe = sw.Probe(part.output, synapse=0.03)
    precision = "float64" if neuron_type == sw.Direct() else "float32"
    return run(net, probe, 300, precision=precision)[200:]


@settings(max_examples=10, deadline=None)
@given(d=st.integers(1, 6), seed=st.integers(0, 99))
def test_quarter_squares_are_a_product(d: int, seed: int) -> None:
    """Without neurons to rounding."""
    x, y = np.random.default_rng(seed).normal(size=(2, d))
    got = product(x, y, 2, seed, sw.Direct())[-1]
    np.testing.assert_allclose(got, x * y, atol=0.002)  # of the probe's filter, e^(-300 / 30)


def test_a_product_of_neurons_is_close() -> None:
    """All corners and the middle; 3 seeds of 200 neurons a product: RMS below 0.04."""
    values = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    x, y = (grid.ravel() for grid in np.meshgrid(values, values))
    errors = [rms(product(x, y, 200, seed, sw.LIF()) - x * y) for seed in range(3)]
    assert np.mean(errors) < 0.04, errors


def test_products_add_up_to_a_dot_product() -> None:
    """`dot_product_transform` sums them, times a scale."""
    np.testing.assert_array_equal(sw.networks.dot_product_transform(3, 0.5), [[0.5, 0.5, 0.5]])


@settings(max_examples=20, deadline=None)
@given(d=st.integers(1, 17), a=st.booleans(), b=st.booleans(), seed=st.integers(0, 99))
def test_products_of_frequencies_are_a_convolution(d: int, a: bool, b: bool, seed: int) -> None:
    """Of any length, either input inverted; `2 d - 2` products, one more for an odd length."""
    x, y = np.random.default_rng(seed).normal(size=(2, d))
    maps = fourier_products(d, a, b)
    got = maps.output @ ((maps.a @ x) * (maps.b @ y))
    left, right = involution(x) if a else x, involution(y) if b else y
    np.testing.assert_allclose(got, convolved(left, right), atol=1e-10)
    assert len(maps.a) == (1 if d == 1 else 2 * d - 2 + d % 2)


def bound(x: NDArray, y: NDArray, seed: int, **options: bool) -> NDArray:
    """What a convolution of 64 neurons a product settles to."""
    with sw.Network(seed=seed) as net:
        part = sw.networks.CircularConvolution(64, len(x), **options)
        sw.Connection(sw.Node(x), part.input_a, None)
        sw.Connection(sw.Node(y), part.input_b, None)
        probe = sw.Probe(part.output, synapse=0.03)
    return run(net, probe, 250)[150:]


@pytest.mark.parametrize("options", [{}, {"invert_a": True}, {"invert_b": True}], ids=str)
def test_neurons_convolve_as_the_fourier_transform_does(options: dict[str, bool]) -> None:
    """Random directions of 8 values, 2 seeds: the RMS error is below a quarter of the values'."""
    for seed in range(2):
        x, y = directions(2, 8, seed)
        left = involution(x) if options.get("invert_a") else x
        right = involution(y) if options.get("invert_b") else y
        wanted = np.fft.ifft(np.fft.fft(left) * np.fft.fft(right)).real
        assert rms(bound(x, y, seed, **options) - wanted) < rms(wanted) / 4


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: sw.networks.Product(10, 0, label="p"), "'p'>: dimensions .* got 0"),
        (lambda: sw.networks.Product(10, 2, -1.0, label="p"), "input_magnitude must be above 0"),
        (lambda: sw.networks.Product("x", 2, label="p"), "'p'>: n_neurons .* got 'x'"),  # type: ignore[arg-type]
        (lambda: sw.networks.CircularConvolution(10, 0, label="c"), "'c'>: dimensions"),
        (lambda: sw.networks.CircularConvolution(10, 4, input_magnitude=0), "above 0, got 0"),
    ],
)
def test_what_is_impossible_is_named(ask: object, message: str) -> None:
    """Each refusal names the network, the argument and its value."""
    with sw.Network(), pytest.raises(NetworkError, match=message):
        ask()  # type: ignore[operator]
