"""Networks made by hand, described once for every library that speaks Nengo's words.

`words` is a module with `Network`, `Node`, `Ensemble`, `Connection`, `Probe`, learning rules and
`Sparse`: Spikewright or Nengo itself. What is common to both is all that is used, so both build
from the same lines. Nothing here needs more than NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Words = Any
DT = 0.001
TAU, PROBED = 0.1, 0.03  # seconds: of the integrator, of what probes look through

WEIGHT = (
    0.05  # standard deviation of the weights that a neuron reads, times the root of their number
)


def wave(t: float) -> float:
    """Half a turn a second."""
    return float(np.sin(np.pi * t))


def integrator(words: Words) -> tuple[Any, Any]:
    """1000 LIF neurons that hold a value and add up what comes in."""
    with words.Network(seed=1) as network:
        stimulus = words.Node(wave)
        held = words.Ensemble(1000, 1)
        words.Connection(stimulus, held, transform=TAU, synapse=TAU)
        words.Connection(held, held, synapse=TAU)
        return network, words.Probe(held, synapse=PROBED)


def chain(words: Words) -> tuple[Any, Any]:
    """Ten ensembles of 500 neurons that pass a value on."""
    with words.Network(seed=2) as network:
        last: Any = words.Node(wave)
        for _ in range(10):
            following = words.Ensemble(500, 1)
            words.Connection(last, following)
            last = following
        return network, words.Probe(last, synapse=PROBED)


def array(words: Words, ensembles: int = 128, neurons: int = 100) -> tuple[Any, Any]:
    """128 ensembles of 100 neurons, one for each of 128 values."""
    values = np.random.default_rng(3).uniform(-1, 1, ensembles)
    with words.Network(seed=3) as network:
        stimulus = words.Node(values)
        out = words.Node(size_in=ensembles)
        for i in range(ensembles):
            ensemble = words.Ensemble(neurons, 1)
            words.Connection(stimulus[i], ensemble, synapse=None)
            words.Connection(ensemble, out[i], synapse=None)
        return network, words.Probe(out, synapse=PROBED)


def convolution(words: Words, dimensions: int = 128, neurons: int = 64) -> tuple[Any, Any]:
    """Circular convolution of two vectors: products of their Fourier coefficients.

    Each product is the difference of two squares, `x y = ((x + y)^2 - (x - y)^2) / 4`, each decoded
    from an ensemble of 64 neurons (Plate 2003; Eliasmith 2013).
    """
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((2, dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    left, right, back = products_of(dimensions)
    with words.Network(seed=4) as network:
        a, b = words.Node(vectors[0]), words.Node(vectors[1])
        products = words.Node(size_in=len(left))
        result = words.Node(size_in=dimensions)
        for sign in (1.0, -1.0):
            into = words.Node(size_in=len(left))
            words.Connection(a, into, transform=left, synapse=0.005)
            words.Connection(b, into, transform=sign * right, synapse=0.005)
            for i in range(len(left)):
                ensemble = words.Ensemble(neurons, 1, radius=2.0)
                words.Connection(into[i], ensemble, synapse=None)
                words.Connection(
                    ensemble, products[i], function=np.square, transform=sign / 4, synapse=0.005
                )
        words.Connection(products, result, transform=back, synapse=None)
        return network, words.Probe(result, synapse=PROBED)


def products_of(dimensions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps `(products, d)` of both vectors, and back from their products, `(d, products)`.

    Of each coefficient of one half of the spectrum the real and the imaginary part of both factors
    are multiplied with each other.
    """
    half = dimensions // 2 + 1
    angles = -2j * np.pi * np.outer(np.arange(half), np.arange(dimensions)) / dimensions
    turned = np.exp(angles)
    parts = np.stack([turned.real, turned.imag], axis=1)  # (half, 2, d)
    left = np.repeat(parts, 2, axis=1).reshape(-1, dimensions)  # re re im im
    right = np.tile(parts, (1, 2, 1)).reshape(-1, dimensions)  # re im re im
    twice = np.where(np.isin(np.arange(half), (0, dimensions / 2)), 1.0, 2.0) / dimensions
    real, imaginary = twice * turned.real.T, twice * turned.imag.T  # of the conjugates, transposed
    back = np.stack([real, imaginary, imaginary, -real], axis=2).reshape(dimensions, -1)
    useful = np.any(np.abs(left) > 1e-9, axis=1) & np.any(np.abs(right) > 1e-9, axis=1)
    return left[useful], right[useful], back[:, useful]


def learning(words: Words) -> tuple[Any, Any]:
    """500 neurons whose decoders learn to send a value on to 500 others, by its error (PES)."""
    with words.Network(seed=5) as network:
        stimulus = words.Node(wave)
        pre, post = words.Ensemble(500, 1), words.Ensemble(500, 1)
        error = words.Node(size_in=1)
        words.Connection(stimulus, pre)
        learned = words.Connection(
            pre, post, function=lambda x: 0 * x, learning_rule_type=words.PES(learning_rate=1e-4)
        )
        words.Connection(post, error)
        words.Connection(stimulus, error, transform=-1)
        words.Connection(error, learned.learning_rule)
        return network, words.Probe(post, synapse=PROBED)


def oja(words: Words, neurons: int = 500, kind: str = "LIF", rate: float = 1e-6) -> tuple[Any, Any]:
    """Neurons that drive as many others by weights which all change in every step (Oja's rule)."""
    weights = np.random.default_rng(9).normal(0, 1e-3, (neurons, neurons))
    with words.Network(seed=9) as network:
        stimulus = words.Node(wave)
        pre, post = (
            words.Ensemble(neurons, 1, neuron_type=getattr(words, kind)()) for _ in range(2)
        )
        words.Connection(stimulus, pre)
        rule = words.Oja(learning_rate=rate)
        words.Connection(pre.neurons, post.neurons, transform=weights, learning_rule_type=rule)
        return network, words.Probe(post, synapse=PROBED)


def oja_of_rates(words: Words, neurons: int = 500) -> tuple[Any, Any]:
    """The same of neurons that send rates: every weight is read in every step, too."""
    return oja(words, neurons, "LIFRate", 1e-9)


def rls(words: Words, neurons: int = 80) -> tuple[Any, Any]:
    """80 neurons that learn to send a value on by recursive least squares, its matrix recorded."""
    with words.Network(seed=10) as network:
        stimulus = words.Node(wave)
        pre, post = words.Ensemble(neurons, 1), words.Ensemble(neurons, 1)
        error = words.Node(size_in=1)
        words.Connection(stimulus, pre)
        learned = words.Connection(
            pre, post, function=lambda x: 0 * x, learning_rule_type=words.RLS()
        )
        words.Connection(post, error)
        words.Connection(stimulus, error, transform=-1)
        words.Connection(error, learned.learning_rule)
        words.Probe(learned.learning_rule, "inv_gamma")
        return network, words.Probe(post, synapse=PROBED)


def dense(words: Words, neurons: int = 2000) -> tuple[Any, Any]:
    """2000 LIF neurons that drive each other by a matrix of weights of either sign."""
    weights = np.random.default_rng(6).standard_normal((neurons, neurons))
    return recurrent(words, neurons, weights * WEIGHT / neurons**0.5)


def sparse(words: Words, neurons: int = 2000, senders: int = 200) -> tuple[Any, Any]:
    """2000 LIF neurons, each of which is driven by 200 others."""
    rng = np.random.default_rng(7)
    columns = np.concatenate([rng.permutation(neurons)[:senders] for _ in range(neurons)])
    indices = np.stack([np.repeat(np.arange(neurons), senders), columns], axis=1)
    weights = rng.standard_normal(len(indices)) * WEIGHT / senders**0.5
    shape = (neurons, neurons)
    return recurrent(words, neurons, words.Sparse(shape, indices=indices, init=weights))


def recurrent(words: Words, neurons: int, weights: Any) -> tuple[Any, Any]:
    """LIF neurons with biases around their threshold, the weights between them, and some rates."""
    biases = np.random.default_rng(8).uniform(1.0, 1.5, neurons)
    with words.Network(seed=6) as network:
        ensemble = words.Ensemble(
            neurons, 1, gain=np.ones(neurons), bias=biases, encoders=np.ones((neurons, 1))
        )
        words.Connection(ensemble.neurons, ensemble.neurons, transform=weights, synapse=0.005)
        return network, words.Probe(ensemble.neurons[:50], synapse=PROBED)


MODELS: dict[str, Callable[[Words], tuple[Any, Any]]] = {
    "integrator": integrator,
    "chain": chain,
    "convolution": convolution,
    "array": array,
    "learning": learning,
    "oja": oja,
    "oja of rates": oja_of_rates,
    "rls": rls,
    "dense": dense,
    "sparse": sparse,
}
