"""Networks of many kinds of layers: read, verified, converted, and convergent."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras_helpers import assert_agrees, keras, layers

import spikewright as sw

L, ops = layers, keras.ops


def moderate(model: Any, seed: int = 0) -> Any:
    """Random weights of a size that keeps values about as large as they come in."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape = variable.shape
        if "variance" in variable.path or "gamma" in variable.path:
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            value = rng.normal(0.0, 1.0 / np.sqrt(np.prod(shape[:-1])), shape)
        else:
            value = rng.normal(0.0, 0.2, shape)
        variable.assign(value)
    return model


def transformer(causal: bool = False) -> Any:
    """A block of a transformer."""
    x = keras.Input((6, 8), name="x")
    y = L.LayerNormalization()(x)
    y = x + L.MultiHeadAttention(2, 4, name="attention")(y, y, use_causal_mask=causal)
    z = L.Dense(16, activation="gelu")(L.LayerNormalization()(y))
    y = L.Add()([y, L.Dense(8)(z)])
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(y)))


def squeezed() -> Any:
    """Squeeze and excitation between convolutions of every kind."""
    x = keras.Input((8, 8, 3), name="x")
    y = L.Activation("silu")(L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(x)))
    s = L.Dense(4, activation="relu")(L.GlobalAveragePooling2D(keepdims=True)(y))
    y = L.Multiply()([y, L.Dense(8, activation="sigmoid")(s)])
    y = L.ReLU(6.0)(L.DepthwiseConv2D(3, strides=2)(y))
    y = L.Conv2DTranspose(4, 3, strides=2, activation="relu")(y)
    y = L.UpSampling2D(2, interpolation="bilinear")(y)
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


def sequence() -> Any:
    """A convolutional network at every step, and attention over the steps."""
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            L.Conv2D(3, 3, activation="relu"),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dense(4, activation="relu"),
        ]
    )
    x = keras.Input((4, 6, 6, 2), name="x")
    y = L.TimeDistributed(inner)(x)
    return keras.Model(x, L.Dense(2)(L.Flatten()(L.Attention()([y, y]))))


def heads() -> Any:
    """Two inputs, raw operations on tensors, two outputs."""
    x, y = keras.Input((5, 4), name="x"), keras.Input((4,), name="y")
    z = L.PReLU(shared_axes=[1])(x * L.Reshape((1, 4))(L.Dense(4, activation="tanh")(y)))
    pooled = ops.concatenate([ops.mean(z, axis=1), ops.max(z, axis=1), y], axis=-1)
    first, second = ops.split(L.Dense(6, activation="elu")(pooled), 2, axis=-1)
    return keras.Model([x, y], {"a": L.Dense(2)(first), "b": ops.maximum(first, second) - 0.1})


BUILDS: dict[str, Callable[[], Any]] = {
    "transformer": transformer,
    "causal": lambda: transformer(causal=True),
    "squeezed": squeezed,
    "sequence": sequence,
    "heads": heads,
}


def arrays_for(model: Any, batch: int = 3, seed: int = 1) -> dict[str, np.ndarray]:
    """Random input by name."""
    rng = np.random.default_rng(seed)
    return {
        tensor.name: rng.normal(size=(batch, *tensor.shape[1:])).astype(np.float32)
        for tensor in model.inputs
    }


def as_dict(values: Any) -> dict[str, np.ndarray]:
    """One output or several, by name."""
    found = values if isinstance(values, dict) else {"": values}
    return {name: np.asarray(ops.convert_to_numpy(value)) for name, value in found.items()}


@pytest.mark.parametrize("name", BUILDS)
def test_a_network_is_read_and_verified(name: str) -> None:
    """The graph agrees with Keras at every layer, and the rate network with both."""
    model = moderate(BUILDS[name]())
    assert_agrees(model)
    conversion = sw.convert(model)
    assert max(conversion.verify(arrays_for(model)).values()) < 1e-4


@pytest.mark.parametrize("name", BUILDS)
def test_the_spiking_network_converges(name: str) -> None:
    """With eight times the steps the error of every output is well below half."""
    model = moderate(BUILDS[name]())
    inputs = arrays_for(model)
    wanted = as_dict(model(list(inputs.values()) if len(inputs) > 1 else inputs["x"]))
    conversion = sw.convert(model, spiking=True, scale_firing_rates=200.0)
    errors = []
    for steps in (64, 512):
        run = conversion.run(inputs, steps=steps, engine="reference")
        found = as_dict(run.predict("mean"))
        errors.append(
            max(
                float(np.linalg.norm(found[key] - value) / np.linalg.norm(value))
                for key, value in wanted.items()
            )
        )
    assert errors[1] < 0.5 * errors[0] and errors[1] < 0.03, errors


ACTIVATIONS = st.sampled_from(["relu", "gelu", "silu", "tanh", "elu", "hard_silu", "leaky_relu"])
PADDING = st.sampled_from(["same", "valid"])


@st.composite
def networks(draw: st.DrawFn) -> Any:
    """A small image network: branches, merges, pools, normalisations, odd sizes."""
    x = keras.Input((draw(st.integers(5, 9)), draw(st.integers(5, 9)), draw(st.integers(1, 3))))
    y = x
    for _ in range(draw(st.integers(1, 4))):
        y = draw(st.sampled_from(BLOCKS))(draw, y)
    if draw(st.booleans()):
        y = L.GlobalAveragePooling2D()(y)
    return keras.Model(x, L.Dense(2)(L.Flatten()(y)))


def _convolution(draw: st.DrawFn, y: Any) -> Any:
    size = draw(st.integers(1, min(3, *y.shape[1:3])))
    stride = draw(st.integers(1, 2))
    layer = L.Conv2D(3, size, stride, draw(PADDING), activation=draw(ACTIVATIONS))
    return layer(y)


def _transposed(draw: st.DrawFn, y: Any) -> Any:
    if y.shape[1] > 6:
        return y
    return L.Conv2DTranspose(2, draw(st.integers(1, 3)), 2, draw(PADDING))(y)


def _residual(draw: st.DrawFn, y: Any) -> Any:
    merge = draw(st.sampled_from([L.Add, L.Subtract, L.Average, L.Multiply, L.Maximum, L.Minimum]))
    branch = L.DepthwiseConv2D(3, padding="same", activation=draw(ACTIVATIONS))(y)
    return merge()([y, branch])


def _normalised(draw: st.DrawFn, y: Any) -> Any:
    channels = y.shape[-1]
    if channels == 1:
        return L.BatchNormalization()(y)
    layer = draw(
        st.sampled_from([L.BatchNormalization(), L.LayerNormalization(), L.GroupNormalization(-1)])
    )
    return layer(y)


def _pooled(draw: st.DrawFn, y: Any) -> Any:
    if min(y.shape[1:3]) < 2:
        return y
    pool = draw(st.sampled_from([L.MaxPooling2D, L.AveragePooling2D]))
    return pool(2, draw(st.integers(1, 2)), draw(PADDING))(y)


def _gated(draw: st.DrawFn, y: Any) -> Any:
    gate = L.Dense(y.shape[-1], activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(y))
    return y * gate


BLOCKS = [_convolution, _transposed, _residual, _normalised, _pooled, _gated]


@given(networks(), st.integers(0, 9))
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_random_networks(model: Any, seed: int) -> None:
    """Read, agree at every layer, verify as rate networks, and have a spiking form."""
    moderate(model, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of uneven average pooling on PyTorch
        assert_agrees(model)
        assert max(sw.convert(model).verify().values()) < 1e-4
        sw.convert(model, spiking=True)


@pytest.mark.slow
@given(networks(), st.integers(0, 9))
@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
def test_random_networks_converge(model: Any, seed: int) -> None:
    """Their spiking forms come closer with more steps, or are close already."""
    moderate(model, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        conversion = sw.convert(model, spiking=True, scale_firing_rates=200.0)
        images = np.random.default_rng(seed).normal(size=(2, *model.inputs[0].shape[1:]))
        wanted = ops.convert_to_numpy(model(images.astype(np.float32)))
        errors = []
        for steps in (64, 512):
            found = conversion.run(images, steps=steps, engine="reference").predict("mean")
            errors.append(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    assert errors[1] < max(0.5 * errors[0], 0.05), errors
