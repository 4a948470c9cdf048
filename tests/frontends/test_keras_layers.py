"""Every layer and option of the Keras front end against Keras itself."""

from __future__ import annotations

from typing import Any

import keras_more_cases  # noqa: F401
import keras_operation_cases  # noqa: F401  (these register their cases)
import keras_recurrent_cases  # noqa: F401
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_cases import CASES
from keras_helpers import assert_agrees, functional, keras, layers, randomise

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.keras import READERS, convolutions, read
from spikewright.frontends.keras.registry import built_in
from spikewright.graph import evaluate
from spikewright.graph.layers import Activation, Convolution

L, ops = layers, keras.ops
FIRST = "channels_first"

MAKE_CONSTANTS = {"ops.OnesLike", "ops.ZerosLike", "ops.FullLike"}
"""They leave no layer: the layers behind them hold their numbers."""

TRACED = {"ops.ConvTranspose"}
"""Keras 3.15 cannot run them in a graph: code with them is read from PyTorch's operators."""


@pytest.mark.parametrize("kind", CASES)
def test_a_layer_computes_what_keras_computes(kind: str) -> None:
    """Each layer with each option, random weights and input, batch of three: values agree.

    The cases of a kind stand side by side in one model.
    """
    inputs, outputs = [], []
    for layer, shapes in CASES[kind]:
        several = [keras.Input(shape) for shape in shapes]
        made = layer(several if len(several) > 1 else several[0])
        inputs += several
        outputs += made if isinstance(made, list | tuple) else [made]
    source = assert_agrees(randomise(keras.Model(inputs, outputs)))
    kinds = {node.source_kind for node in source.graph}
    assert kind in kinds or kind in MAKE_CONSTANTS or kind in TRACED


KINDS = [
    kind
    for kind, reader in READERS.items()
    if built_in(reader) and (kind.startswith("ops.") or hasattr(layers, kind))
]


def test_every_reader_has_a_case() -> None:
    """No layer can be registered without a comparison with Keras."""
    assert [kind for kind in KINDS if not CASES.get(kind)] == []


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
@settings(max_examples=16, deadline=None, derandomize=True)
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


@given(**geometry, last=st.booleans())
@settings(max_examples=12, deadline=None, derandomize=True)
@pytest.mark.filterwarnings("ignore:layer 'pool':UserWarning")
def test_same_average_pooling_is_what_the_backend_makes_of_it(
    extent: int, size: int, stride: int, last: bool
) -> None:
    """Also where padding is uneven and Keras's backends differ."""
    layout = "channels_last" if last else "channels_first"
    pool = L.AveragePooling1D(size, stride, "same", data_format=layout, name="pool")
    assert_agrees(functional(pool, (extent, 2) if last else (2, extent)))


@pytest.mark.parametrize(
    ("means", "values"),
    [(convolutions.LEFT_OUT, [2.0, 3.5]), (convolutions.REPEATED, [2.0, 11 / 3])],
)
@pytest.mark.filterwarnings("ignore:layer 'pool':UserWarning")
def test_uneven_average_pooling(
    means: str, values: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window's mean is over what it covers of the input, or over repeated border values too."""
    monkeypatch.setattr(convolutions, "uneven_means", lambda: means)
    graph = read(functional(L.AveragePooling1D(3, 2, "same", name="pool"), (4, 1))).graph
    (found,) = evaluate(graph, {graph.inputs[0]: np.arange(1.0, 5.0).reshape(1, 4, 1)}).values()
    np.testing.assert_allclose(found.ravel(), values)


def test_uneven_average_pooling_on_pytorch_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other backends give other values, which a user who trained on them must know."""
    model = functional(L.AveragePooling2D(2, 1, "same", name="pool"), (4, 4, 1))
    monkeypatch.setattr(convolutions, "uneven_means", lambda: convolutions.REPEATED)
    with pytest.warns(UserWarning, match=r"'pool' \(AveragePooling2D\): padding .* uneven"):
        read(model)


def test_unknown_uneven_average_pooling_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by a guess, the graph would differ from its source."""
    monkeypatch.setattr(convolutions, "uneven_means", lambda: None)
    model = functional(L.AveragePooling2D(2, 1, "same", name="pool"), (4, 4, 1))
    with pytest.raises(
        UnsupportedLayerError, match=r"'pool' \(AveragePooling2D\): padding .*uneven"
    ):
        read(model)


@given(
    extent=st.integers(1, 5),
    size=st.integers(1, 4),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    padding=st.sampled_from(["same", "valid"]),
    extra=st.integers(0, 2) | st.none(),
)
@settings(max_examples=16, deadline=None, derandomize=True)
def test_transposed_convolutions_of_any_geometry(
    extent: int, size: int, stride: int, dilation: int, padding: str, extra: int | None
) -> None:
    """What is dropped and what is added is what Keras drops and adds."""
    dilation = dilation if stride == 1 else 1  # Keras has no strided dilated convolution
    if extra is not None and extra >= stride:
        extra = None  # Keras refuses it
    layer = L.Conv1DTranspose(
        2, size, stride, padding, output_padding=extra, dilation_rate=dilation
    )
    assert_agrees(functional(layer, (extent, 2)))
