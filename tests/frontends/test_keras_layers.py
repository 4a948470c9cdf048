"""Every layer and option of the Keras front end against Keras itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_helpers import assert_agrees, functional, keras, layers, randomise

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.keras import READERS, pooling, read
from spikewright.frontends.keras.registry import built_in
from spikewright.graph import evaluate
from spikewright.graph.layers import Activation, Convolution

Case = tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]
CASES: dict[str, list[Case]] = {}


def case(kind: str, layer: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
    """A layer or function of tensors to be read, and the unbatched shapes that it is applied to."""
    CASES.setdefault(kind, []).append((layer, shapes))


L, ops = layers, keras.ops
FIRST = "channels_first"
SPATIAL = {1: (9,), 2: (7, 8), 3: (5, 6, 4)}

case("Dense", L.Dense(4), (5,))
case("Dense", L.Dense(4, use_bias=False), (3, 5))
case("Dense", L.Dense(4, activation="relu"), (2, 3, 5))

for n, space in SPATIAL.items():
    last, first = (*space, 4), (4, *space)
    conv, size = getattr(L, f"Conv{n}D"), (3, 2, 2)[:n]
    case(f"Conv{n}D", conv(6, size), last)
    case(f"Conv{n}D", conv(6, size, padding="same", activation="tanh"), last)
    case(f"Conv{n}D", conv(6, size, strides=2, padding="same", use_bias=False), last)
    case(f"Conv{n}D", conv(6, size, dilation_rate=2, padding="same"), last)
    case(f"Conv{n}D", conv(6, 2, groups=2, strides=2), last)
    case(f"Conv{n}D", conv(6, size, padding="same", data_format=FIRST, groups=2), first)
    for kind in ("MaxPooling", "AveragePooling"):
        pool = getattr(L, f"{kind}{n}D")
        case(f"{kind}{n}D", pool(2), last)
        case(f"{kind}{n}D", pool(3, strides=1, padding="same"), last)
        case(f"{kind}{n}D", pool(5, strides=2, padding="same", data_format=FIRST), (4, *(9,) * n))
        if kind == "MaxPooling":
            case(f"{kind}{n}D", pool(3, strides=2, padding="same"), last)
            case(f"{kind}{n}D", pool(2, strides=1, padding="same", data_format=FIRST), first)
    adaptive = getattr(L, f"AdaptiveAveragePooling{n}D", None)  # Keras has it since 3.12
    if adaptive is not None:
        case(f"AdaptiveAveragePooling{n}D", adaptive((3, 2, 3)[:n] if n > 1 else 4), last)
        case(f"AdaptiveAveragePooling{n}D", adaptive(2, data_format=FIRST), first)
    for kind in ("GlobalAveragePooling", "GlobalMaxPooling"):
        pool = getattr(L, f"{kind}{n}D")
        case(f"{kind}{n}D", pool(), last)
        case(f"{kind}{n}D", pool(keepdims=True), last)
        case(f"{kind}{n}D", pool(data_format=FIRST), first)
    case(f"ZeroPadding{n}D", getattr(L, f"ZeroPadding{n}D")(2), last)
    case(f"Cropping{n}D", getattr(L, f"Cropping{n}D")(1), last)
    case(f"UpSampling{n}D", getattr(L, f"UpSampling{n}D")(2), last)
    case(f"SpatialDropout{n}D", getattr(L, f"SpatialDropout{n}D")(0.5), last)

case("Conv1D", L.Conv1D(5, 3, padding="causal", dilation_rate=2), (9, 4))
case("Conv1D", L.Conv1D(5, 3, padding="causal", strides=2, activation="relu"), (9, 4))
case("Conv2D", L.Conv2D(5, (3, 2), strides=(2, 3), padding="same"), (7, 8, 3))
for n in (1, 2):
    space = SPATIAL[n]
    last, first = (*space, 4), (4, *space)
    deep, separable = getattr(L, f"DepthwiseConv{n}D"), getattr(L, f"SeparableConv{n}D")
    case(f"DepthwiseConv{n}D", deep(3), last)
    case(f"DepthwiseConv{n}D", deep(3, depth_multiplier=3, padding="same", activation="relu"), last)
    case(f"DepthwiseConv{n}D", deep(2, strides=2, padding="same", use_bias=False), last)
    case(f"DepthwiseConv{n}D", deep(3, dilation_rate=2, depth_multiplier=2), last)
    case(f"DepthwiseConv{n}D", deep(3, depth_multiplier=2, data_format=FIRST), first)
    case(f"SeparableConv{n}D", separable(5, 3), last)
    case(f"SeparableConv{n}D", separable(5, 3, depth_multiplier=2, activation="relu"), last)
    case(f"SeparableConv{n}D", separable(5, 3, strides=2, padding="same", use_bias=False), last)
    case(f"SeparableConv{n}D", separable(5, 3, data_format=FIRST, dilation_rate=2), first)

case("BatchNormalization", L.BatchNormalization(), (5,))
case("BatchNormalization", L.BatchNormalization(epsilon=0.1), (4, 3, 5))
case("BatchNormalization", L.BatchNormalization(axis=1), (4, 3, 5))
case("BatchNormalization", L.BatchNormalization(center=False), (4, 5))
case("BatchNormalization", L.BatchNormalization(scale=False), (4, 5))
case("BatchNormalization", L.BatchNormalization(scale=False, center=False), (5,))

for name in ("linear", "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "softplus", "softmax"):
    case("Activation", L.Activation(name), (4, 5))
    case("Dense", L.Dense(4, activation=name), (5,))
case("Activation", L.Activation(ops.relu), (5,))
case("Activation", L.Activation(L.LeakyReLU(0.1)), (5,))
case("Dense", L.Dense(4, activation=L.ReLU(max_value=6.0)), (5,))
case("ReLU", L.ReLU(), (4, 5))
case("ReLU", L.ReLU(max_value=6.0), (5,))
case("ReLU", L.ReLU(max_value=0.7), (4, 5))
case("Dense", L.Dense(4, activation=L.ReLU(max_value=0.5)), (5,))
case("Activation", L.Activation(L.ReLU(max_value=0.5)), (5,))
case("ReLU", L.ReLU(negative_slope=0.3), (5,))
case("LeakyReLU", L.LeakyReLU(negative_slope=0.15), (4, 5))
case("Softmax", L.Softmax(), (4, 5))
case("Softmax", L.Softmax(axis=1), (4, 5))
case("Softmax", L.Softmax(axis=[-2]), (4, 5))

case("Add", L.Add(), (4, 5), (4, 5), (4, 5))
case("Subtract", L.Subtract(), (4, 5), (4, 5))
case("Average", L.Average(), (4, 5), (4, 5), (4, 5))
case("Concatenate", L.Concatenate(), (4, 5), (4, 3))
case("Concatenate", L.Concatenate(axis=1), (4, 5), (2, 5))
case("Concatenate", L.Concatenate(axis=-2), (4, 5), (2, 5))

case("Flatten", L.Flatten(), (4, 3, 2))
case("Flatten", L.Flatten(), (4,))
case("Flatten", L.Flatten(data_format=FIRST), (4, 3, 2))
case("Flatten", L.Flatten(data_format=FIRST), (4,))
case("Reshape", L.Reshape((6, 2)), (4, 3))
case("Reshape", L.Reshape((2, -1, 3)), (4, 3))
case("Reshape", L.Reshape((-1,)), (4, 3))
case("Permute", L.Permute((3, 1, 2)), (4, 3, 2))
case("ZeroPadding1D", L.ZeroPadding1D((1, 3)), (4, 3))
case("ZeroPadding2D", L.ZeroPadding2D(((1, 0), (2, 3))), (4, 3, 2))
case("ZeroPadding2D", L.ZeroPadding2D(((1, 0), (2, 3)), data_format=FIRST), (2, 4, 3))
case("ZeroPadding3D", L.ZeroPadding3D(((1, 0), (2, 3), (0, 1))), (4, 3, 2, 2))
case("Cropping1D", L.Cropping1D((0, 2)), (5, 3))
case("Cropping2D", L.Cropping2D(((1, 0), (0, 2))), (4, 5, 2))
case("Cropping2D", L.Cropping2D(((1, 2), (0, 2)), data_format=FIRST), (2, 4, 5))
case("Cropping3D", L.Cropping3D(((1, 0), (0, 2), (1, 1))), (4, 5, 3, 2))
case("UpSampling2D", L.UpSampling2D((2, 3), data_format=FIRST), (2, 4, 3))
case("UpSampling3D", L.UpSampling3D((2, 1, 3)), (2, 3, 2, 2))

case("Rescaling", L.Rescaling(1 / 127.5, offset=-1.0), (4, 4, 3))
case("Rescaling", L.Rescaling([0.5, 2.0, -1.0], offset=[0.1, 0.2, 0.3]), (4, 4, 3))
case("Normalization", L.Normalization(mean=[0.5, -1.0, 2.0], variance=[4.0, 0.3, 0.0]), (4, 3))
case("Normalization", L.Normalization(axis=None, mean=0.5, variance=2.0), (4, 3))
case("Normalization", L.Normalization(axis=1), (4, 3))
case("Normalization", L.Normalization(axis=(1, 2), invert=True), (4, 3))

for identity in (
    L.Identity(),
    L.Dropout(0.5),
    L.AlphaDropout(0.5),
    L.GaussianDropout(0.5),
    L.GaussianNoise(1.0),
    L.ActivityRegularization(l1=0.1),
):
    case(type(identity).__name__, identity, (4, 3))

vector = np.array([1.0, -2.0, 0.5], np.float32)
case("ops.Add", lambda xs: xs[0] + xs[1], (4, 3), (4, 3))
case("ops.Add", lambda x: x + x, (4, 3))
case("ops.Add", lambda x: 1.5 + x, (4, 3))
case("ops.Add", lambda x: x + vector, (4, 3))
case("ops.Add", lambda x: x + vector.reshape(1, 1, 3), (4, 3))
case("ops.Subtract", lambda xs: xs[0] - xs[1], (4, 3), (4, 3))
case("ops.Subtract", lambda x: x - vector, (4, 3))
case("ops.Subtract", lambda x: 2.0 - x, (4, 3))
case("ops.Multiply", lambda x: x * 2.0, (4, 3))
case("ops.Multiply", lambda x: ops.multiply(vector, x), (4, 3))
case("ops.Divide", lambda x: ops.divide(x, vector), (4, 3))
case("ops.TrueDivide", lambda x: ops.true_divide(x, 4), (4, 3))
case("ops.Negative", lambda x: -x, (4, 3))
case("ops.Cast", lambda x: ops.cast(x, "float64") * 2.0, (4, 3))
case("ops.Relu", ops.relu, (4, 3))
case("ops.Relu6", lambda x: ops.relu6(4 * x), (4, 3))
case("ops.Sigmoid", ops.sigmoid, (4, 3))
case("ops.Tanh", ops.tanh, (4, 3))
case("ops.Softplus", ops.softplus, (4, 3))
case("ops.Softmax", ops.softmax, (4, 3))
case("ops.Softmax", lambda x: ops.softmax(x, axis=1), (4, 3))
case("ops.LeakyRelu", lambda x: ops.leaky_relu(x, negative_slope=0.3), (4, 3))
case("ops.ReLU", lambda x: keras.activations.relu(x, negative_slope=0.3), (4, 3))
case("ops.ReLU", lambda x: keras.activations.relu(x, max_value=6), (4, 3))
case("ops.Reshape", lambda x: ops.reshape(x, (-1, 6, 2)), (4, 3))
case("ops.Transpose", lambda x: ops.transpose(x, (0, 3, 1, 2)), (4, 3, 2))
case("ops.Transpose", lambda x: ops.transpose(x, (0, -1, 1, 2)), (4, 3, 2))
case("ops.Concatenate", lambda xs: ops.concatenate(xs, axis=-1), (4, 3), (4, 2))
case("ops.Mean", lambda x: ops.mean(x, axis=(1, 2)), (4, 3, 2))
case("ops.Mean", lambda x: ops.mean(x, axis=-1, keepdims=True), (4, 3, 2))
case("ops.Max", lambda x: ops.max(x, axis=1), (4, 3, 2))
case("ops.Squeeze", lambda x: ops.squeeze(x, axis=-1), (4, 1, 1))
case("ops.ExpandDims", lambda x: ops.expand_dims(x, axis=(1, -1)), (4, 3))

ALL = [(kind, *one) for kind, several in CASES.items() for one in several]


@pytest.mark.parametrize(
    ("kind", "layer", "shapes"),
    ALL,
    ids=[f"{kind}-{i}" for i, (kind, _, _) in enumerate(ALL)],
)
def test_a_layer_computes_what_keras_computes(kind: str, layer: Any, shapes: Any) -> None:
    """Each layer with each option, random weights and input, batch of three: values agree."""
    model = functional(layer, *shapes)
    kinds = {node.source_kind for node in assert_agrees(model).graph}
    assert kind in kinds


KINDS = [
    kind
    for kind, reader in READERS.items()
    if built_in(reader) and (kind.startswith("ops.") or hasattr(layers, kind))
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_reader_has_a_case(kind: str) -> None:
    """No layer can be registered without a comparison with Keras."""
    assert CASES.get(kind), f"add a case for {kind}"


def test_names_separate_the_linear_part_from_the_activation() -> None:
    """The node with the layer's name has its output; the part before is `<layer>/linear`."""
    model = functional(L.Conv2D(4, 3, activation="relu", name="conv1"), (6, 6, 3))
    nodes = {node.name: node for node in read(model).graph}
    linear, whole = nodes["conv1/linear"], nodes["conv1"]
    assert isinstance(linear.layer, Convolution) and isinstance(whole.layer, Activation)
    assert whole.inputs == ("conv1/linear",)
    assert {linear.source, whole.source} == {"conv1"} and whole.source_kind == "Conv2D"
    assert "conv1/linear" not in read(model).activations(_zeros(model))


def _zeros(model: Any) -> dict[str, np.ndarray]:
    return {model.inputs[0]._keras_history.operation.name: np.zeros((1, *model.input_shape[1:]))}


def test_a_layer_without_activation_is_one_node() -> None:
    """`linear` adds no node."""
    graph = read(functional(L.Dense(3, name="dense"), (4,))).graph
    assert [node.name for node in graph][1:] == ["dense"]


def test_a_separable_convolution_is_depthwise_then_pointwise() -> None:
    """Its parts are named, and only the last has the bias."""
    layer = L.SeparableConv2D(4, 3, activation="relu", name="sep")
    graph = read(functional(layer, (6, 6, 3))).graph
    assert [node.name for node in graph][1:] == ["sep/depthwise", "sep/linear", "sep"]
    assert graph["sep/depthwise"].layer.bias is None
    assert graph["sep/linear"].layer.bias is not None


def test_layout_is_explicit() -> None:
    """Channels-last models give channels-last layers, channels-first models the other."""
    last = read(functional(L.Conv2D(4, 3, name="c"), (6, 7, 3))).graph
    first = read(functional(L.Conv2D(4, 3, name="c", data_format=FIRST), (3, 6, 7))).graph
    assert last["c"].layer.channels_last and last.shapes["c"] == (4, 5, 4)
    assert not first["c"].layer.channels_last and first.shapes["c"] == (4, 4, 5)
    assert last["c"].layer.weight.shape == first["c"].layer.weight.shape == (4, 3, 3, 3)


def test_weights_are_copies_in_float32() -> None:
    """Training on after reading does not change what was read."""
    model = functional(L.Dense(3, name="dense"), (4,))
    graph = read(model).graph
    before = np.array(graph["dense"].layer.weight)
    randomise(model, seed=5)
    assert before.dtype == np.float32
    np.testing.assert_array_equal(graph["dense"].layer.weight, before)


def test_low_rank_adaptation_is_part_of_the_kernel() -> None:
    """A Dense layer with LoRA enabled is read with its update applied."""
    model = functional(L.Dense(5, name="dense"), (4,))
    model.get_layer("dense").enable_lora(2)
    assert_agrees(randomise(model))


def test_array_rescaling_follows_the_global_layout() -> None:
    """With channels-first as Keras's default, Rescaling applies an array of scales per channel."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(FIRST)
    try:
        assert_agrees(functional(L.Rescaling([0.5, 2.0, -1.0]), (3, 4, 4)))
    finally:
        keras.config.set_image_data_format(before)


geometry = {
    "extent": st.integers(3, 12),
    "size": st.integers(1, 4),
    "stride": st.integers(1, 4),
}


@given(**geometry, dilation=st.integers(1, 3), kind=st.sampled_from(["conv", "depthwise", "max"]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_same_padding_for_any_geometry(
    extent: int, size: int, stride: int, dilation: int, kind: str
) -> None:
    """`same` becomes the padding that Keras uses, whatever the sizes."""
    dilation = dilation if stride == 1 else 1  # Keras has no strided dilated convolution
    layer = {
        "conv": lambda: L.Conv1D(3, size, stride, "same", dilation_rate=dilation),
        "depthwise": lambda: L.DepthwiseConv1D(size, stride, "same", dilation_rate=dilation),
        "max": lambda: L.MaxPooling1D(size, stride, "same"),
    }[kind]()
    assert_agrees(functional(layer, (extent, 2)))


@given(**geometry)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_same_average_pooling_is_exact_or_refused(extent: int, size: int, stride: int) -> None:
    """Where padding is uneven, a backend that averages other values than the input's is refused."""
    model = functional(L.AveragePooling1D(size, stride, "same", name="pool"), (extent, 2))
    total = max((-(-extent // stride) - 1) * stride + size - extent, 0)
    if total % 2 and not pooling.leaves_padding_out():
        with pytest.raises(UnsupportedLayerError, match=r"'pool'.*uneven"):
            read(model)
    else:
        assert_agrees(model)


def test_uneven_average_pooling_leaves_padding_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a backend that does so, a window's mean is over what it covers of the input."""
    monkeypatch.setattr(pooling, "leaves_padding_out", lambda: True)
    graph = read(functional(L.AveragePooling1D(3, 2, "same"), (4, 1))).graph
    (values,) = evaluate(graph, {graph.inputs[0]: np.arange(1.0, 5.0).reshape(1, 4, 1)}).values()
    np.testing.assert_allclose(values.ravel(), [2.0, 3.5])


def test_uneven_average_pooling_is_refused_where_the_backend_pads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Read otherwise, the graph would differ from its source."""
    monkeypatch.setattr(pooling, "leaves_padding_out", lambda: False)
    model = functional(L.AveragePooling2D(2, 1, "same", name="pool"), (4, 4, 1))
    with pytest.raises(
        UnsupportedLayerError, match=r"'pool' \(AveragePooling2D\): padding .*uneven"
    ):
        read(model)
