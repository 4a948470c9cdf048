"""Operations against brute force: the matrices of transforms, and spikes one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from counting import chain_pattern, counter_of, pattern
from hypothesis import given, settings
from hypothesis import strategies as st

import spikewright as sw
from conformance import oracle, transform_examples
from slowly import one_of_each
from spikewright._base.windows import Windows
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input, MaxPool, Reshape
from spikewright.measure.operations import Counter, patterns
from spikewright.measure.operations.patterns import pull_back
from spikewright.network.transforms import Chain, Transform, flatten


@pytest.mark.parametrize(
    "example",
    one_of_each(transform_examples(), lambda e: type(e.transform)),
    ids=lambda e: e.id,
)
def test_paths_back_through_a_transform_are_its_matrix_transposed(example: Any) -> None:
    """Paths from an input: the column of the matrix's pattern times the paths from each output."""
    rng = np.random.default_rng(0)
    shape = example.shape
    for part in flatten(example.transform):
        reached = rng.integers(0, 5, part.output_shape(shape)).astype(float)
        expected = pattern(part, shape).T @ reached.ravel()
        found = pull_back(part, shape, reached, every=False)
        np.testing.assert_array_equal(found, expected.reshape(shape))
        by_units = patterns._by_units(part, shape, reached, False)  # as of a kind without a rule
        np.testing.assert_array_equal(by_units, found)
        assert np.all(pull_back(part, shape, reached, every=True) >= found)
        shape = part.output_shape(shape)


def with_zeros(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights, a third of which are zero."""
    return rng.normal(size=shape) * (rng.random(shape) > 1 / 3)


def route(rng: np.random.Generator, shape: tuple[int, ...]) -> Transform:
    """A random transform of `(channels, height, width)` that passes spikes on."""
    channels, height, width = shape
    pick = rng.integers(6)
    if pick == 0:
        size = int(rng.integers(1, 1 + min(3, height, width)))
        return sw.transforms.SumPool(
            sw.transforms.Windows((size, size), (int(rng.integers(1, 3)),) * 2), np.array(0.25)
        )
    if pick == 1:
        return sw.transforms.Permute((0, 2, 1))
    if pick == 2:
        return sw.transforms.Slice(((0, channels, 1), (0, height, 2), (0, width, 1)))
    if pick == 3:
        wide = (channels, height + 1, width)
        return sw.transforms.Place(((0, channels, 1), (1, height + 1, 1), (0, width, 1)), wide)
    if pick == 4:
        return sw.transforms.Take(rng.integers(0, height, 3), 1)
    return sw.transforms.Scale(with_zeros(rng, channels, 1, 1))


def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> Transform:
    """A random transform of `(channels, height, width)` that weighs, and shapes its output."""
    channels, height, width = shape
    size = int(np.prod(shape))
    pick = rng.integers(3)
    if pick == 0:
        kernel = with_zeros(rng, 2, channels, min(2, height), min(3, width))
        return sw.Convolution(kernel, (1, int(rng.integers(1, 3))), ((0, 1), (1, 0)))
    if pick == 1:
        return sw.Dense(with_zeros(rng, 3, width))
    rows, columns = rng.integers(0, 4, 9), rng.integers(0, size, 9)
    pairs = np.unique(np.stack([rows, columns]), axis=1)
    return sw.Sparse(pairs[0], pairs[1], with_zeros(rng, pairs.shape[1]), (4,), size)


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_fan_out_is_the_column_sum_of_the_matrices(seed: int) -> None:
    """Two populations, junctions between that move and pool, weights, and a way around them."""
    rng = np.random.default_rng(seed)
    kind = sw.IntegrateAndFire()
    shape: tuple[int, ...] = (int(rng.integers(1, 3)), int(rng.integers(2, 5)), 3)
    chain: list[Transform] = []
    with sw.Network() as network:
        pre = sw.Ensemble(shape, gain=1.0, bias=0.0, neuron_type=kind)
        end: Any = pre.neurons
        at = shape
        for _ in range(rng.integers(0, 3)):
            step = route(rng, at)
            at = step.output_shape(at)
            junction = sw.Node(size_in=at)
            sw.Connection(end, junction, transform=step, synapse=None)
            end = junction
            chain.append(step)
        last = weights(rng, at)
        chain.append(last)
        post = sw.Ensemble(last.output_shape(at), gain=1.0, bias=0.0, neuron_type=kind)
        sw.Connection(end, post.neurons, transform=last, synapse=None)
        around = sw.Dense(with_zeros(rng, post.n_neurons, pre.n_neurons))
        ways = Chain(
            (sw.transforms.Reshape((pre.n_neurons,)), around, sw.transforms.Reshape(post.shape))
        )
        sw.Connection(pre.neurons, post.neurons, transform=ways, synapse=None)

    paths = chain_pattern(tuple(chain), shape) + (around.matrix != 0).reshape(
        post.n_neurons, pre.n_neurons
    )
    counter = Counter(network, {"pre": pre, "post": post}, {})
    np.testing.assert_array_equal(counter.fan_out()["pre"].ravel(), paths.sum(axis=0))

    spikes = rng.integers(0, 4, (2, *shape))
    totals = {"pre": spikes, "post": np.zeros((2, *post.shape))}
    expected = (paths @ spikes.reshape(2, -1).T).sum(axis=0)
    np.testing.assert_array_equal(counter.count(totals, 3).total().accumulates, expected)


def test_a_maximum_of_spikes_of_different_heights_is_no_spike() -> None:
    """Where the heights in one window differ, what a maximum sends is a value at every step."""
    layer = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    nodes = (
        GraphNode("x", Input((2, 4, 4))),
        GraphNode("a", Activation("relu"), ("x",)),
        GraphNode("pool", layer, ("a",)),
        GraphNode("flat", Reshape((8,)), ("pool",)),
        GraphNode("fc", Affine(np.ones((3, 8)), None), ("flat",)),
    )
    graph = Graph(nodes, {"y": "fc"})
    totals = {"a": np.ones((1, 2, 4, 4))}
    scales = {
        "one a channel": (np.array([1.0, 2.0]).reshape(2, 1, 1), 0, 8 * 3),
        "one a column": (np.arange(1.0, 5.0).reshape(1, 1, 4), 5 * 8 * 3, 0),
    }
    for name, (scale, products, sums) in scales.items():
        conversion = sw.convert(graph, spiking=True, scale_firing_rates={"a": scale})
        found = counter_of(conversion).count(totals, 5).layers["fc"]
        assert (found.multiply_accumulates, found.accumulates) == ([products], [sums]), name
    leaky = sw.convert(graph, spiking={"relu": sw.SignedIntegrateAndFire()})
    found = counter_of(leaky).count(totals, 5).layers["fc"]
    assert found.multiply_accumulates == [5 * 8 * 3]  # spikes of either sign: unknown from totals


def test_what_weights_sum_up_is_held() -> None:
    """Between two matrices without neurons lie values: the second one multiplies, at every step."""
    first, second = np.ones((2, 4)), np.ones((5, 2))
    kind = sw.IntegrateAndFire()
    for junction in (True, False):
        with sw.Network() as network:
            a = sw.Ensemble(4, gain=1.0, bias=0.0, neuron_type=kind)
            b = sw.Ensemble(5, gain=1.0, bias=0.0, neuron_type=kind)
            if junction:
                node = sw.Node(size_in=2)
                sw.Connection(a.neurons, node, transform=first, synapse=None)
                sw.Connection(node, b.neurons, transform=second, synapse=None)
            else:
                both = Chain((sw.Dense(first), sw.Dense(second)))
                sw.Connection(a.neurons, b.neurons, transform=both, synapse=None)
        counter = Counter(network, {"a": a, "b": b}, {})
        found = counter.count({"a": np.ones((1, 4)), "b": np.zeros((1, 5))}, 3)
        assert found.total().accumulates == [4 * 2]
        assert found.layers["b"].multiply_accumulates == [3 * 10]
        assert counter.state_bytes == 4 * (9 + 2)


def test_paths_of_windows_match_the_equation_of_windows() -> None:
    """A dilated, padded, strided convolution in groups: the pattern by its own equation."""
    rng = np.random.default_rng(4)
    kernel = with_zeros(rng, 4, 2, 3, 2)
    layer = sw.Convolution(kernel, (2, 1), ((1, 2), (0, 1)), (2, 1), 2, channels_last=True)
    assert layer.windows == Windows((3, 2), (2, 1), ((1, 2), (0, 1)), (2, 1))
    shape = (6, 5, 4)
    made = oracle.apply_transform(layer, np.ones(shape))
    reached = rng.integers(0, 3, made.shape).astype(float)
    expected = pattern(layer, shape).T @ reached.ravel()
    np.testing.assert_array_equal(pull_back(layer, shape, reached, False).ravel(), expected)
