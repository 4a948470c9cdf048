"""Statistics: independent of batches, order and parts; what does not fit is refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibrating import MLP, RESIDUAL, population_names, statistics_of
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from spikewright.choosing.statistics.channels import channel_axis
from spikewright.choosing.statistics.collect import collect
from spikewright.choosing.statistics.fingerprint import KEPT
from spikewright.choosing.statistics.histogram import Histogram
from spikewright.choosing.statistics.statistics import Statistics
from spikewright.errors import ConversionError, DamagedFileError
from spikewright.graph import Graph, GraphNode, evaluate_all
from spikewright.graph.layers import Activation, Add, Affine, Convolution, Input, Reshape

X = models.inputs(MLP, batch=40, seed=5)
IMAGES = models.inputs(RESIDUAL, batch=6, seed=6)
EXPECTED = statistics_of(MLP, X)


@settings(max_examples=20)
@given(st.permutations(range(40)), st.integers(1, 40))
def test_batches_and_order_do_not_matter(order, size) -> None:
    """The same samples give the same statistics bit for bit."""
    shuffled = X[list(order)]
    batches = [shuffled[i : i + size] for i in range(0, 40, size)]

    assert statistics_of(MLP, batches) == EXPECTED


@settings(max_examples=20)
@given(st.permutations(range(40)), st.lists(st.integers(1, 39), max_size=4))
def test_parts_join_exactly(order, cuts) -> None:
    """Collected by several workers, joined in any order: what one would have collected."""
    parts = [p for p in np.split(X[list(order)], sorted(cuts)) if len(p)]

    assert Statistics.join([statistics_of(MLP, part) for part in parts]) == EXPECTED


def test_batches_do_not_matter_with_convolutions() -> None:
    """Matrix products of other shapes round differently, so every sample is evaluated alone."""
    assert statistics_of(RESIDUAL, [IMAGES[:5], IMAGES[5:]]) == statistics_of(RESIDUAL, IMAGES)


def test_values_are_those_of_the_layers() -> None:
    """Counts, ends and means, channel by channel, of currents and of what is sent."""
    found = statistics_of(RESIDUAL, IMAGES).layers["relu2"]
    values = evaluate_all(RESIDUAL, {"x": IMAGES})
    current, sent = (values[n].swapaxes(0, 1).reshape(6, -1) for n in ("add", "relu2"))

    assert found.axis == 0
    assert found.values.highest == pytest.approx(current.max(axis=1), rel=1e-6)
    assert found.values.lowest == pytest.approx(current.min(axis=1), rel=1e-6)
    assert found.sent.mean == pytest.approx(sent.mean(axis=1), rel=1e-6)
    assert found.per_sample == pytest.approx(values["relu2"].sum() / 6, rel=1e-6)


def test_other_forms_of_the_same_data() -> None:
    """Arrays of any type, dicts, iterators, pairs with labels, lists as loaders give them."""
    y = np.zeros(40)
    forms = [
        {"x": X},
        [{"x": X[:7]}, {"x": X[7:]}],
        iter([X]),
        [(X[:9], y[:9]), [X[9:], y[9:]]],
        [[X]],
    ]
    assert all(statistics_of(MLP, form) == EXPECTED for form in forms)


def test_tensors_are_arrays() -> None:
    """Also those with gradients."""
    import torch

    assert statistics_of(MLP, torch.tensor(X, requires_grad=True)) == EXPECTED


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (X[:0], "no samples"),
        ([], "no samples"),
        (X[:, :5], r"must be \(batch, 6\), got shape \(40, 5\)"),
        (np.zeros((2, 7, 6)), "without an axis of time"),
        (np.where(X > 2, np.nan, X), "NaN or infinite"),
        ([X, X * np.inf], "batch 1: input 'x'"),
        ({"y": X}, r"inputs are \['x'\], got \['y'\]"),
        ((X, X), "a tuple may mean"),
        ("file.npz", "str is not data"),
        (3, "int is not data"),
        ([3], "which is no array"),
        ([[X, X, X]], "holds 3 things"),
        (X.tolist(), "Give arrays"),
        (np.array([["a"] * 6]), "no real numbers"),
        ([[[1.0, 2.0], [3.0]]], "holds 2 things"),
    ],
)
def test_what_is_no_data_is_refused(data, words) -> None:
    """With the place, what is wrong with it, and what to give."""
    with pytest.raises(ConversionError, match=words):
        statistics_of(MLP, data)


def test_a_layer_that_overflows_is_named() -> None:
    """Values beyond float32 cannot be calibrated."""
    with pytest.raises(ConversionError, match=r"layer 'act1' computes NaN, infinity"):
        statistics_of(MLP, X * 1e300)


def test_inputs_of_different_sizes_are_refused() -> None:
    """Two inputs, one sample short."""
    nodes = (
        GraphNode("a", Input((2,))),
        GraphNode("b", Input((2,))),
        GraphNode("c", Add(), ("a", "b")),
        GraphNode("d", Activation("relu"), ("c",)),
    )
    graph = Graph(nodes, {"out": "d"})

    with pytest.raises(ConversionError, match="different batch sizes"):
        collect(graph, ["d"], {"a": np.ones((2, 2)), "b": np.ones((3, 2))}, progress=False)
    with pytest.raises(ConversionError, match=r"give \{name: array\}"):
        collect(graph, ["d"], np.ones((2, 2)), progress=False)


def test_files_give_back_what_was_saved(tmp_path) -> None:
    """Bit for bit."""
    found = statistics_of(RESIDUAL, IMAGES)
    found.save(tmp_path / "statistics")

    assert Statistics.load(tmp_path / "statistics") == found


def test_damaged_files_are_refused(tmp_path) -> None:
    """Truncated, changed, of another kind: never taken for statistics."""
    path = tmp_path / "statistics"
    EXPECTED.save(path)
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(DamagedFileError):
        Statistics.load(path)
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    with pytest.raises(DamagedFileError, match="checksum"):
        Statistics.load(path)
    with pytest.raises(FileNotFoundError):
        Statistics.load(tmp_path / "nowhere")


def test_examples_are_samples_whatever_their_order() -> None:
    """At most `KEPT` of them, each one of those that were given."""
    examples = EXPECTED.examples.values["x"]

    assert len(examples) == KEPT
    assert all(np.any(np.all(example == X, axis=1)) for example in examples)


def test_statistics_of_another_model_are_told_apart() -> None:
    """Other weights are another model."""
    other = models.mlp(seed=4)

    with pytest.raises(ConversionError, match="another model"):
        Statistics.join([EXPECTED, statistics_of(other, X)])


def test_more_values_than_can_be_counted_are_refused() -> None:
    """Of a bin whose sums would not fit: the layer is named, and the parts stay as they are."""
    layer = next(iter(EXPECTED.layers.values()))
    bins = [np.array([n], np.int64) for n in (1 << 16, 3 << 30, 1, 1)]
    ends = np.zeros(layer.values.channels, np.float32)
    values = Histogram(*bins, ends, ends)
    many = replace(EXPECTED, layers={"busy": replace(layer, values=values)})

    assert Statistics.join([many]).layers["busy"].values.counts.sum() == 3 << 30
    with pytest.raises(ConversionError, match="layer 'busy' has more than 4294967296 values"):
        Statistics.join([many, many])


@pytest.mark.parametrize(("last", "axis"), [(False, 0), (True, 2)])
def test_channels_lie_where_the_convolution_says(last, axis) -> None:
    """Behind activations and sums too; a dense layer's are on the last axis."""
    weight = np.ones((4, 2, 1, 1))
    shape = (5, 6, 2) if last else (2, 5, 6)
    conv = Convolution(weight, None, (1, 1), ((0, 0), (0, 0)), (1, 1), 1, last)
    nodes = (
        GraphNode("x", Input(shape)),
        GraphNode("relu0", Activation("relu"), ("x",)),
        GraphNode("conv", conv, ("relu0",)),
        GraphNode("relu", Activation("relu"), ("conv",)),
        GraphNode("add", Add(), ("relu", "relu")),
        GraphNode("tanh", Activation("tanh"), ("add",)),
        GraphNode("flat", Reshape((120,)), ("tanh",)),
        GraphNode("fc", Affine(np.ones((3, 120)), None), ("flat",)),
        GraphNode("out", Activation("relu"), ("fc",)),
    )
    graph = Graph(nodes, {"out": "out"})

    assert [channel_axis(graph, n) for n in ("relu0", "relu", "tanh")] == [axis] * 3
    assert channel_axis(graph, "out") == 0


def test_names_of_populations_exist() -> None:
    """The helper of these tests finds what it should."""
    assert population_names(MLP) == ["act1", "act2"]
