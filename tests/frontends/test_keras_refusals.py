"""What the Keras front end refuses, and that it says where, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from keras_helpers import assert_agrees, functional, keras, layers, randomise

from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.keras import read

L, ops = layers, keras.ops


def refusals_of(model: Any) -> dict[str, Any]:
    """Refusals by layer."""
    with pytest.raises(UnsupportedLayerError) as info:
        read(model)
    return {refusal.layer: refusal for refusal in info.value.refusals}


def masked(x: Any) -> Any:
    """Attention over two axes with a mask that depends on the data."""
    layer = L.MultiHeadAttention(2, 2, attention_axes=(1, 2), name="odd")
    mask = ops.expand_dims(x > 0, axis=(1, 2))
    return layer(x, x, attention_mask=mask[..., 0])


ONES = np.ones((2, 3), np.float32)
HIDES = np.array([True, False, True])

REFUSED: list[tuple[Callable[..., Any], str, tuple[int, ...], str]] = [
    (L.LSTM(2, name="odd"), "LSTM", (513, 2), "has 513 steps"),
    (L.LSTM(2, activation="sparsemax", name="odd"), "LSTM", (3, 2), "'sparsemax' is unknown"),
    (L.GRU(2, recurrent_activation="softmax", name="odd"), "GRU", (3, 2), "not elementwise"),
    (
        L.CategoryEncoding(5, name="odd"),
        "CategoryEncoding",
        (3, 2),
        "categories of shape (3, 2)",
    ),
    (
        lambda x: L.LSTM(2)(L.Masking()(ops.tanh(x))),
        "ops.NotEqual",
        (3, 2),
        "computes truth values from the data",
    ),
    (L.CenterCrop(5, 2, name="odd"), "CenterCrop", (4, 4, 1), "smaller than what is cut out"),
    (L.RandomCrop(2, 2, name="odd"), "RandomCrop", (4, 4, 1), "crops or resizes"),
    (L.Resizing(2, 2, crop_to_aspect_ratio=True, name="odd"), "Resizing", (4, 3, 1), "aspect"),
    (L.TimeDistributed(L.RandomCrop(2, 2), name="odd"), "TimeDistributed", (2, 4, 4, 1), "crops"),
    (L.Activation("sparsemax", name="odd"), "Activation", (3,), "activation 'sparsemax' is unk"),
    (L.Activation(keras.activations.threshold, name="odd"), "Activation", (3,), "needs a value"),
    (
        lambda x: keras.activations.relu(x, max_value=3.0, threshold=-1.0),
        "ops.ReLU",
        (3,),
        "max_value=3.0 and threshold=-1.0",
    ),
    (masked, "MultiHeadAttention", (3, 2, 2), "works over several axes"),
    (
        lambda x: L.MultiHeadAttention(2, 2)(x, x, attention_mask=np.eye(3)[None] * 0),
        "MultiHeadAttention",
        (3, 2),
        "leaves nothing of some rows",
    ),
    (
        lambda x: L.MultiHeadAttention(2, 2)(x, x, attention_mask=np.eye(3)[None].repeat(2, 0)),
        "MultiHeadAttention",
        (3, 2),
        "sample to sample",
    ),
    (lambda x: ops.cast(x, "int32"), "ops.Cast", (3,), "rounds to int32"),
    (lambda x: ops.median(x, axis=-1), "ops.Median", (3,), "sorts"),
    (lambda x: ops.equal(ops.tanh(x), 0.5), "ops.Equal", (3,), "truth values"),
    (lambda x: ops.where(x > 0, x, -np.inf), "output", (3,), "minus infinity in places"),
    (lambda x: ops.relu(ops.where(HIDES, x, -np.inf)), "ops.Relu", (3,), "only a softmax can take"),
    (
        lambda x: ops.softmax(ops.where([False] * 3, x, -np.inf)),
        "ops.Softmax",
        (3,),
        "leaves nothing of some rows",
    ),
    (lambda x: ops.add(x > 0, x < 1), "ops.Add", (3,), "a sum of truth values is another"),
    (lambda x: L.Add()([x > 0, x < 1]), "Add", (3,), "a sum of truth values is another"),
    (lambda x: ops.cumprod(x, axis=-1), "ops.Cumprod", (3,), "all values along an axis"),
    (lambda x: ops.arcsinh(x), "ops.Arcsinh", (3,), "no reader"),
    (lambda x: x / np.array([1.0, 0.0, 2.0], np.float32), "ops.TrueDivide", (3,), "by zero"),
    (lambda x: x**x, "ops.Power", (3,), "neither its base nor its exponent"),
    (lambda x: (-2.0) ** x, "ops.Power", (3,), "base is -2"),
    (lambda x: ops.clip(x, 1.0, -1.0), "ops.Clip", (3,), "nothing lies between"),
    (lambda x: x[:2, :], "ops.GetItem", (3,), "samples of the batch"),
    (lambda x: ops.max(x, axis=1, initial=0.0), "ops.Max", (3,), "initial value"),
    (lambda x: ops.norm(x, ord=3, axis=-1), "ops.Norm", (3,), "order 3"),
    (lambda x: ops.normalize(x, axis=-1, order=1), "ops.Normalize", (3,), "order 1"),
    (lambda x: ops.transpose(x, (1, 0, 2)), "ops.Transpose", (3, 2), "batch axis"),
    (lambda x: ops.reshape(x, (4, 3)), "ops.Reshape", (3,), "fixes the batch size"),
    (lambda x: ops.split(x, [0, 2], axis=1), "ops.Split", (4,), "empty"),
    (lambda x: ops.repeat(x, 2), "ops.Repeat", (4,), "over all axes, the batch among them"),
    (lambda x: ops.einsum("bi,ci->bc", x, x), "ops.Einsum", (4,), "joins different"),
    (lambda x: ops.tensordot(ONES, x, axes=([1], [1])), "ops.Tensordot", (3,), "batch first"),
    (lambda x: ops.matmul(ONES[0], x), "ops.Matmul", (3,), "sums over the samples"),
    (lambda x: x + ONES, "ops.Add", (3,), "differs from sample to sample"),
    (lambda x: x + ops.mean(x, 1), "ops.Add", (2, 3), "different ranks"),
    (
        lambda x: ops.concatenate([x, ONES], axis=-1),
        "ops.Concatenate",
        (3,),
        "no batch axis of extent 1",
    ),
    (lambda x: L.Dropout(0.5)(x, training=True), "Dropout", (3,), "training=True"),
    (
        lambda x: L.TimeDistributed(L.Softmax())(x, mask=x[..., 0] > 0),
        "TimeDistributed",
        (3, 2),
        "takes account of masks",
    ),
]


@pytest.mark.parametrize(
    ("layer", "kind", "shape", "reason"),
    REFUSED,
    ids=[f"{r[1]}-{i}" for i, r in enumerate(REFUSED)],
)
def test_a_refusal_names_layer_kind_and_reason(
    layer: Callable[..., Any], kind: str, shape: tuple[int, ...], reason: str
) -> None:
    """What has no exact form in the graph is refused, by name, with why and what would do."""
    (refusal,) = (r for r in refusals_of(functional(layer, shape)).values() if r.kind == kind)
    assert getattr(layer, "name", "") in refusal.layer
    assert reason in refusal.reason
    assert refusal.advice


def test_all_refusals_are_listed_together() -> None:
    """One error names every layer that cannot be read, nested and behind others too."""
    inner = keras.Sequential(
        [keras.Input((3,)), L.Dense(3, activation="sparsemax", name="d")], name="in"
    )
    x = keras.Input((5, 3), name="x")
    y = L.SimpleRNN(3, activation="sparsemax", name="recurrent")(x)
    y = L.Dense(3, activation=np.tanh, name="dense")(inner(y))
    y = L.TimeDistributed(L.Activation("sparsemax"), name="capped")(L.RepeatVector(2)(y))
    found = refusals_of(keras.Model(x, L.Lambda(partial(ops.median, axis=-1), name="code")(y)))
    assert list(found) == ["recurrent", "in/d", "dense", "capped", "code/median"]
    with pytest.raises(UnsupportedLayerError, match="5 layers cannot be read"):
        read(keras.Model(x, L.Lambda(partial(ops.median, axis=-1), name="code")(y)))


def test_a_layer_of_ones_own_with_the_name_of_keras_is_not_taken_for_keras() -> None:
    """The readers know Keras's classes, not their names alone: this one is read as code."""

    class Dense(keras.layers.Dense):
        """Not what its name says."""

        def call(self, inputs: Any, training: Any = None) -> Any:
            return super().call(inputs) ** 2

    x = keras.Input((3,), name="x")
    graph = assert_agrees(randomise(keras.Model(x, Dense(2, name="d")(x)))).graph
    assert any("square" in str(node.layer) for node in graph)


def test_a_functional_model_with_only_a_training_step_of_its_own_is_read() -> None:
    """Subclassing that leaves `call` alone changes nothing at inference."""

    class Trained(keras.Model):
        def train_step(self, *data: Any) -> Any:
            raise NotImplementedError

    x = keras.Input((3,), name="x")
    graph = read(randomise(Trained(x, L.Dense(2, name="d")(x)))).graph
    assert [node.name for node in graph] == ["x", "d"]


def test_a_model_without_weights_is_refused() -> None:
    """A Sequential model that was never built has nothing to read."""
    found = refusals_of(keras.Sequential([L.Dense(2)], name="new"))
    assert "has not been built" in found["new"].reason


def test_a_layer_is_not_a_model() -> None:
    """The message says how to make it one."""
    assert "Sequential" in refusals_of(L.Dense(2, name="d"))["d"].options


@pytest.mark.parametrize("other", [None, 3, np.zeros(3), "no_such_file.keras"])
def test_what_is_no_model_is_refused(other: Any) -> None:
    """Neither arrays nor nothing."""
    with pytest.raises((ReadError, FileNotFoundError)):
        read(other)


def test_a_nested_model_called_as_in_training_is_refused() -> None:
    """Its dropout would act at inference."""
    inner = keras.Sequential([keras.Input((3,)), L.Dropout(0.5)], name="inner")
    x = keras.Input((3,))
    found = refusals_of(keras.Model(x, inner(x, training=True)))
    assert "training=True" in found["inner"].reason


def test_unknown_forms_of_quantised_weights_are_refused() -> None:
    """Integers in the place of weights are not read as weights, in another form or mode."""
    model = randomise(keras.Sequential([keras.Input((8,)), L.Dense(4, name="dense")]))
    model.quantize("int4")
    dense = model.layers[0]
    del dense.kernel_scale
    assert "quantized weights (int4) raises AttributeError" in refusals_of(model)["dense"].reason
    dense.dtype_policy._quantization_mode = "int2"
    assert "quantized (int2)" in refusals_of(model)["dense"].reason


def test_normalisation_along_the_batch_is_refused() -> None:
    """Its constants differ from sample to sample."""
    x = keras.Input(batch_shape=(4, 3))
    found = refusals_of(keras.Model(x, L.Normalization(axis=0, name="n")(x)))
    assert "sample to sample" in found["n"].reason


def test_a_state_that_outlives_a_sequence_is_refused() -> None:
    """A sample may not depend on those that came before it."""
    x = keras.Input(batch_shape=(2, 3, 4))
    found = refusals_of(keras.Model(x, L.LSTM(2, stateful=True, name="odd")(x)))
    assert "stateful" in found["odd"].reason
