"""Every layer of Keras with each option that changes what it computes, and its input shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_helpers import keras, layers

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
