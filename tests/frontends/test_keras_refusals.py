"""What the Keras front end refuses, and that it says where, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_helpers import functional, keras, layers, randomise

from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.keras import read

L, ops = layers, keras.ops


def refusals_of(model: Any) -> dict[str, Any]:
    """Refusals by layer."""
    with pytest.raises(UnsupportedLayerError) as info:
        read(model)
    return {refusal.layer: refusal for refusal in info.value.refusals}


REFUSED: list[tuple[Callable[..., Any], str, tuple[int, ...], str]] = [
    (L.LSTM(2, name="odd"), "LSTM", (3, 2), "state"),
    (L.GRU(2, name="odd"), "GRU", (3, 2), "state"),
    (L.Bidirectional(L.LSTM(2), name="odd"), "Bidirectional", (3, 2), "state"),
    (L.Lambda(lambda x: x * 2, name="odd"), "Lambda", (3,), "Python code"),
    (L.LayerNormalization(name="odd"), "LayerNormalization", (3,), "statistics of its input"),
    (L.Conv2DTranspose(2, 3, name="odd"), "Conv2DTranspose", (4, 4, 1), "transposed"),
    (L.PReLU(name="odd"), "PReLU", (3,), "no reader"),
    (L.Embedding(5, 2, name="odd"), "Embedding", (3,), "no reader"),
    (L.Masking(name="odd"), "Masking", (3, 2), "no reader"),
    (L.TimeDistributed(L.Dense(2), name="odd"), "TimeDistributed", (3, 2), "no reader"),
    (L.Activation("gelu", name="odd"), "Activation", (3,), "activation 'gelu' is unknown"),
    (L.Dense(2, activation="elu", name="odd"), "Dense", (3,), "activation 'elu' is unknown"),
    (L.Dense(2, activation=np.tanh, name="odd"), "Dense", (3,), "activation 'tanh' is unknown"),
    (L.Conv1D(2, 2, activation=lambda x: x, name="odd"), "Conv1D", (3, 1), "'<lambda>' is unknown"),
    (L.ReLU(max_value=3.0, threshold=1.0, name="odd"), "ReLU", (3,), "max_value=3.0"),
    (L.ReLU(threshold=1.0, name="odd"), "ReLU", (3,), "threshold=1.0"),
    (L.ReLU(max_value=6.0, negative_slope=0.1, name="odd"), "ReLU", (3,), "negative_slope=0.1"),
    (L.Softmax(axis=(1, 2), name="odd"), "Softmax", (3, 2), "axes"),
    (L.UpSampling2D(interpolation="bilinear", name="odd"), "UpSampling2D", (3, 3, 1), "bilinear"),
    (lambda x: ops.cast(x, "int32"), "ops.Cast", (3,), "rounds to int32"),
    (lambda x: ops.square(x), "ops.Square", (3,), "no reader"),
    (lambda x: x * x, "ops.Multiply", (3,), "multiplies computed values"),
    (lambda x: 1.0 / (x + 5), "ops.TrueDivide", (3,), "divides by a computed value"),
    (lambda x: x / np.array([1.0, 0.0, 2.0], np.float32), "ops.TrueDivide", (3,), "by zero"),
    (lambda x: x[:, :2], "ops.GetItem", (3,), "no reader"),
    (lambda x: ops.mean(x), "ops.Mean", (3,), "over the batch"),
    (lambda x: ops.softmax(x, axis=0), "ops.Softmax", (3,), "batch axis"),
    (lambda x: ops.transpose(x, (1, 0, 2)), "ops.Transpose", (3, 2), "batch axis"),
    (lambda x: ops.transpose(x), "ops.Transpose", (3, 2), "batch axis"),
    (lambda x: ops.expand_dims(x, 0), "ops.ExpandDims", (3,), "batch axis"),
    (lambda x: ops.reshape(x, (4, 3)), "ops.Reshape", (3,), "fixes the batch size"),
    (lambda x: ops.split(x, 2, axis=-1)[0], "ops.Split", (4,), "no reader"),
    (lambda x: x + np.ones((2, 3), np.float32), "ops.Add", (3,), "differs from sample to sample"),
    (lambda x: L.Add()([x, ops.mean(x, -1, keepdims=True)]), "Add", (3,), "do not match"),
    (lambda x: L.Dropout(0.5)(x, training=True), "Dropout", (3,), "training=True"),
    (lambda x: L.BatchNormalization()(x, training=True), "BatchNormalization", (3,), "training"),
    (lambda x: L.Softmax()(x, mask=x > 0), "Softmax", (3,), "argument 'mask'"),
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
    assert refusal.layer == getattr(layer, "name", refusal.layer)
    assert reason in refusal.reason
    assert refusal.options or "do not match" in reason


def test_all_refusals_are_listed_together() -> None:
    """One error names every layer that cannot be read, nested and behind others too."""
    inner = keras.Sequential(
        [keras.Input((3,)), L.Dense(3, activation="swish", name="d")], name="in"
    )
    x = keras.Input((5, 3), name="x")
    y = L.LSTM(3, name="recurrent")(x)
    y = L.Dense(3, activation="selu", name="dense")(inner(y))
    y = L.ReLU(max_value=2.0, threshold=0.5, name="capped")(y)
    found = refusals_of(keras.Model(x, L.Lambda(lambda v: v, name="code")(y)))
    assert list(found) == ["recurrent", "in/d", "dense", "capped", "code"]
    with pytest.raises(UnsupportedLayerError, match="5 layers cannot be read"):
        read(keras.Model(x, L.Lambda(lambda v: v, name="code")(y)))


def test_a_layer_of_ones_own_with_the_name_of_keras_is_not_taken_for_keras() -> None:
    """The readers know Keras's classes, not their names alone."""

    class Dense(keras.layers.Dense):
        """Not what its name says."""

        def call(self, inputs: Any, training: Any = None) -> Any:
            return super().call(inputs) ** 2

    x = keras.Input((3,))
    found = refusals_of(keras.Model(x, Dense(2, name="d")(x)))
    assert "has the name of a Keras class" in found["d"].reason


class Subclassed(keras.Model):
    """A model whose computation is code."""

    def __init__(self, **names: Any) -> None:
        super().__init__(**names)
        self.dense = L.Dense(2)

    def call(self, inputs: Any) -> Any:
        """Twice what its layer makes."""
        return self.dense(inputs) * 2


def test_subclassed_models_are_refused() -> None:
    """Alone and nested: their `call` is code."""
    model = Subclassed(name="mine")
    model(np.zeros((1, 3), np.float32))
    assert "subclassed" in refusals_of(model)["mine"].reason
    x = keras.Input((3,))
    found = refusals_of(keras.Model(x, model(x)))
    assert found["mine"].kind == "Subclassed"


def test_a_functional_model_with_a_call_of_its_own_is_refused() -> None:
    """Its graph of layers is not what it computes."""

    class Doubled(keras.Model):
        def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
            return 2 * super().call(inputs)

    x = keras.Input((3,))
    assert "subclassed" in refusals_of(Doubled(x, L.Dense(2)(x), name="twice"))["twice"].reason


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


def test_quantized_layers_are_refused() -> None:
    """Integers in the place of weights are not read as weights."""
    model = randomise(keras.Sequential([keras.Input((8,)), L.Dense(4, name="dense")]))
    model.quantize("int8")
    assert "quantized (int8)" in refusals_of(model)["dense"].reason


def test_normalisation_along_the_batch_is_refused() -> None:
    """Its constants differ from sample to sample."""
    x = keras.Input(batch_shape=(4, 3))
    found = refusals_of(keras.Model(x, L.Normalization(axis=0, name="n")(x)))
    assert "sample to sample" in found["n"].reason
