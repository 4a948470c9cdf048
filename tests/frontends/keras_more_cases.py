"""Layers that multiply, normalise and attend, activations by name, and layers of other layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from keras_cases import FIRST, SPATIAL, case
from keras_helpers import keras, layers

L, ops, act = layers, keras.ops, keras.activations

for n, space in SPATIAL.items():
    last, first = (*space, 4), (4, *space)
    up, size = getattr(L, f"Conv{n}DTranspose"), (3, 2, 2)[:n]
    case(f"Conv{n}DTranspose", up(3, size), last)
    case(f"Conv{n}DTranspose", up(3, size, strides=2, padding="same", activation="silu"), last)
    case(f"Conv{n}DTranspose", up(3, 2, strides=3, use_bias=False), last)
    case(f"Conv{n}DTranspose", up(3, size, dilation_rate=2), last)
    case(f"Conv{n}DTranspose", up(3, 3, strides=2, padding="same", data_format=FIRST), first)
    case(f"Conv{n}DTranspose", up(3, 3, strides=2, output_padding=1, padding="same"), last)
    adaptive = getattr(L, f"AdaptiveMaxPooling{n}D", None)  # Keras has it since 3.12
    if adaptive is not None:
        case(f"AdaptiveMaxPooling{n}D", adaptive(2), (*(6, 4, 4)[:n], 3))
        case(f"AdaptiveMaxPooling{n}D", adaptive(2, data_format=FIRST), (3, *(6, 4, 4)[:n]))
        case(f"AdaptiveMaxPooling{n}D", adaptive(3), (*(7, 4, 5)[:n], 2))

case("EinsumDense", L.EinsumDense("ab,bc->ac", 6, bias_axes="c"), (5,))
case("EinsumDense", L.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d"), (4, 5))
case("EinsumDense", L.EinsumDense("...x,xy->...y", 6, activation="gelu"), (4, 5))
case("EinsumDense", L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"), (4, 5))
case("EinsumDense", L.EinsumDense("abcd,cde->abe", (None, 3), bias_axes="e"), (4, 2, 5))
case("EinsumDense", L.EinsumDense("abc,bd->adc", (6, 5), bias_axes="d"), (4, 5))
case("EinsumDense", L.EinsumDense("abc,bd->adc", (6, 5), bias_axes="dc"), (4, 5))
case("EinsumDense", L.EinsumDense("abc,bcd->abd", (4, 6)), (4, 5))
case("EinsumDense", L.EinsumDense("abc,bc->abc", (4, 5), activation="relu"), (4, 5))

NAMES = (
    "relu",
    "relu6",
    "leaky_relu",
    "sigmoid",
    "sparse_sigmoid",
    "hard_sigmoid",
    "tanh",
    "hard_tanh",
    "tanh_shrink",
    "softplus",
    "softsign",
    "soft_shrink",
    "hard_shrink",
    "sparse_plus",
    "squareplus",
    "log_sigmoid",
    "silu",
    "swish",
    "hard_silu",
    "hard_swish",
    "mish",
    "gelu",
    "elu",
    "celu",
    "selu",
    "exponential",
    "softmax",
    "log_softmax",
)
for name in NAMES:
    case("Activation", L.Activation(name), (4, 5))
    case("Activation", L.Activation(act.get(name)), (4, 5))
    case("Dense", L.Dense(4, activation=name), (5,))
    function = getattr(ops, name, None)
    if function is not None:
        case("Activation", L.Activation(function), (4, 5))
    if name in ("hard_silu", "hard_swish", "mish"):
        continue  # Keras cannot call these on the tensors of a model
    activation = act.get(name)
    case("Dense", lambda x, f=activation: f(L.Dense(4)(x)), (3, 5))
case("Activation", L.Activation(partial(act.gelu, approximate=True)), (4, 5))
case("Activation", L.Activation(partial(act.threshold, threshold=0.2, default_value=-1.0)), (5,))
case("Activation", L.Activation(L.Activation("mish")), (4, 5))
case("Activation", L.Activation(L.ELU(alpha=0.3)), (4, 5))
case("ELU", L.ELU(alpha=0.7), (4, 5))
case("PReLU", L.PReLU(), (4, 5))
case("PReLU", L.PReLU(shared_axes=[1, 2]), (4, 3, 5))
case("PReLU", L.PReLU(shared_axes=[1]), (4, 3, 5))
case("Softmax", L.Softmax(axis=(1, 2)), (4, 3, 5))
case("Softmax", L.Softmax(axis=(1, 3)), (4, 3, 5))
case("Activation", L.Activation(partial(act.softmax, axis=(1, 2))), (4, 5))
for options in (
    {"threshold": 0.3},
    {"threshold": -0.5},
    {"max_value": 1.5, "threshold": 0.3},
    {"max_value": 6.0, "negative_slope": 0.1},
    {"max_value": 0.8, "negative_slope": 0.2, "threshold": 0.4},
    {"negative_slope": 0.2, "threshold": -0.4},
    {"max_value": 0.0},
):
    if options.get("threshold", 0) >= 0:
        case("ReLU", L.ReLU(**options), (4, 5))
    case("ops.ReLU", lambda x, options=options: act.relu(x, **options), (4, 5))

case("LayerNormalization", L.LayerNormalization(), (4, 5))
case("LayerNormalization", L.LayerNormalization(axis=(1, 2)), (4, 5))
case("LayerNormalization", L.LayerNormalization(axis=2, epsilon=0.1), (4, 5))
case("LayerNormalization", L.LayerNormalization(center=False, scale=False), (4, 5))
case("LayerNormalization", L.LayerNormalization(axis=[-1, -2], center=False), (3, 4, 5))
case("LayerNormalization", L.LayerNormalization(rms_scaling=True), (4, 5))
case("LayerNormalization", L.LayerNormalization(rms_scaling=True, axis=(1, 2)), (4, 5))
case("GroupNormalization", L.GroupNormalization(groups=2), (4, 3, 6))
case("GroupNormalization", L.GroupNormalization(groups=-1, epsilon=0.1), (4, 3, 6))
case("GroupNormalization", L.GroupNormalization(groups=3, axis=1), (6, 4, 3))
case("GroupNormalization", L.GroupNormalization(groups=3, scale=False, center=False), (4, 6))
case("RMSNormalization", L.RMSNormalization(), (4, 5))
case("RMSNormalization", L.RMSNormalization(axis=(1, 2), epsilon=0.1), (4, 5))
case("UnitNormalization", L.UnitNormalization(), (4, 5))
case("UnitNormalization", L.UnitNormalization(axis=(1, 2)), (4, 5))
case("SpectralNormalization", L.SpectralNormalization(L.Conv2D(3, 2, activation="relu")), (4, 4, 2))

for kind in ("Add", "Average", "Multiply", "Maximum", "Minimum"):
    merge = getattr(L, kind)
    case(kind, merge(), (4, 5), (4, 5), (4, 5))
    case(kind, merge(), (4, 5), (1, 5))
    case(kind, merge(), (4, 3, 5), (3, 5))
    case(kind, merge(), (4, 3, 5), (4, 1, 1), (5,))
case("Subtract", L.Subtract(), (4, 5), (5,))
case("Multiply", lambda x: L.Multiply()([x, x]), (4, 5))
case("Dot", L.Dot(axes=1), (5,), (5,))
case("Dot", L.Dot(axes=1, normalize=True), (5,), (5,))
case("Dot", L.Dot(axes=-1), (4, 5), (3, 5))
case("Dot", L.Dot(axes=(2, 1)), (4, 5), (5, 3))
case("Dot", L.Dot(axes=(1, 2), normalize=True), (5, 4), (3, 5))
case("Dot", L.Dot(axes=(1, 1)), (5, 2, 3), (5, 4))
case("Dot", L.Dot(axes=(2, 1)), (4, 5), (5,))
case("RepeatVector", L.RepeatVector(3), (5,))

for interpolation in ("bilinear", "bicubic"):
    case("UpSampling2D", L.UpSampling2D(2, interpolation=interpolation), (3, 4, 2))
    case("UpSampling2D", L.UpSampling2D((2, 3), FIRST, interpolation), (2, 4, 3))
    case("Resizing", L.Resizing(5, 2, interpolation=interpolation), (3, 4, 2))
    case("Resizing", L.Resizing(2, 3, interpolation, antialias=True), (7, 8, 2))
case("Resizing", L.Resizing(5, 3, "nearest"), (3, 4, 2))
case("Resizing", L.Resizing(4, 6, data_format=FIRST), (2, 3, 4))

AUGMENTATION = (
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)
for kind in AUGMENTATION:
    needs: dict[str, tuple[Any, ...]] = {
        "RandomColorJitter": (),
        "RandomErasing": (),
        "RandomFlip": (),
        "RandomGaussianBlur": (),
        "RandomGrayscale": (),
        "RandomInvert": (),
        "RandomPerspective": (),
        "RandomPosterization": (4,),
        "RandomShear": (0.1,),
        "RandomTranslation": (0.1, 0.1),
    }
    layer = getattr(L, kind, None)
    if layer is not None:
        augmenter = layer(*needs.get(kind, (0.1,)))
        case(kind, augmenter, (4, 4, 3))

case("MultiHeadAttention", lambda x: L.MultiHeadAttention(2, 3)(x, x), (4, 5))
case("MultiHeadAttention", lambda x: L.MultiHeadAttention(2, 3, dropout=0.1)(x, x), (4, 5))
case("MultiHeadAttention", lambda x: L.MultiHeadAttention(2, 3, use_bias=False)(x, x), (4, 5))
case("MultiHeadAttention", lambda x: L.MultiHeadAttention(2, 3, 4, output_shape=7)(x, x), (4, 5))
case("MultiHeadAttention", lambda q: L.MultiHeadAttention(2, 3)(*q), (4, 5), (6, 2))
case("MultiHeadAttention", lambda q: L.MultiHeadAttention(2, 3)(*q), (4, 5), (6, 2), (6, 3))
case("MultiHeadAttention", lambda q: L.MultiHeadAttention(2, 3, 4)(q[0], key=q[1], value=q[1]),
     (4, 5), (6, 2))  # fmt: skip
for options in ({}, {"dropout": 0.1}):
    case(
        "MultiHeadAttention",
        lambda x, options=options: L.MultiHeadAttention(2, 3, **options)(
            x, x, use_causal_mask=True
        ),
        (4, 5),
    )
case(
    "MultiHeadAttention",
    lambda x: L.MultiHeadAttention(2, 3)(x, x, attention_mask=np.eye(4)[None] + np.eye(4, k=1)),
    (4, 5),
)
case("MultiHeadAttention", lambda x: L.MultiHeadAttention(2, 3, attention_axes=2)(x, x), (2, 4, 5))
case("MultiHeadAttention", lambda x: L.MultiHeadAttention(2, 3)(x, x), (2, 3, 5))
case("MultiHeadAttention",
     lambda x: L.MultiHeadAttention(2, 3)(x, x, return_attention_scores=True), (4, 5))  # fmt: skip
grouped = partial(L.GroupQueryAttention, head_dim=3, num_query_heads=4, num_key_value_heads=2)
case("GroupedQueryAttention", lambda x: grouped()(x, x), (4, 5))
case("GroupedQueryAttention", lambda x: grouped(use_bias=False)(x, x, use_causal_mask=True), (4, 5))
case("GroupedQueryAttention", lambda q: grouped()(*q), (4, 5), (6, 5))
case("Attention", L.Attention(), (4, 5), (6, 5))
case("Attention", L.Attention(use_scale=True), (4, 5), (6, 3), (6, 5))
case("Attention", L.Attention(score_mode="concat", use_scale=True), (4, 5), (6, 5))
case("Attention", L.Attention(score_mode="concat"), (4, 5), (6, 5))
case("Attention", lambda q: L.Attention()(q, use_causal_mask=True), (4, 5), (4, 5))
case("Attention", lambda q: L.Attention()(q, return_attention_scores=True), (4, 5), (6, 5))
case("AdditiveAttention", L.AdditiveAttention(), (4, 5), (6, 5))
case("AdditiveAttention", L.AdditiveAttention(use_scale=False), (4, 5), (6, 5), (6, 5))

T = L.TimeDistributed
inner = keras.Sequential(
    [keras.Input((4, 4, 2)), L.Conv2D(3, 3, activation="relu"), L.Flatten(), L.Dense(2)]
)
branch = keras.Input((4, 5))
attending = keras.Model(branch, branch + L.MultiHeadAttention(2, 3)(branch, branch))
case("TimeDistributed", T(L.Dense(3, activation="relu")), (4, 5))
case("TimeDistributed", T(L.Dense(3)), (2, 4, 5))
case("TimeDistributed", T(L.Conv1D(3, 3, padding="same")), (2, 6, 4))
case("TimeDistributed", T(L.Conv2D(3, (3, 2), strides=2, activation="gelu")), (2, 6, 5, 4))
case("TimeDistributed", T(L.Conv2D(3, 3, data_format=FIRST)), (2, 4, 6, 5))
case("TimeDistributed", T(L.Conv3D(2, 2)), (2, 3, 3, 3, 2))
case("TimeDistributed", T(L.DepthwiseConv2D(3)), (2, 6, 5, 4))
case("TimeDistributed", T(L.Conv2DTranspose(3, 3, strides=2)), (2, 3, 3, 2))
case("TimeDistributed", T(L.MaxPooling2D(2)), (2, 6, 5, 4))
case("TimeDistributed", T(L.AveragePooling1D(3, 1, "same")), (2, 6, 4))
case("TimeDistributed", T(L.GlobalAveragePooling2D()), (2, 6, 5, 4))
case("TimeDistributed", T(L.GlobalMaxPooling1D()), (2, 6, 4))
case("TimeDistributed", T(L.Flatten()), (2, 6, 4))
case("TimeDistributed", T(L.Reshape((3, 8))), (2, 6, 4))
case("TimeDistributed", T(L.Permute((2, 1))), (2, 6, 4))
case("TimeDistributed", T(L.BatchNormalization()), (2, 6, 4))
case("TimeDistributed", T(L.LayerNormalization(axis=(1, 2))), (2, 6, 4))
case("TimeDistributed", T(L.GroupNormalization(2)), (2, 6, 4))
case("TimeDistributed", T(L.Softmax(axis=1)), (2, 6, 4))
case("TimeDistributed", T(L.PReLU()), (2, 6, 4))
case("TimeDistributed", T(L.ZeroPadding1D(1)), (2, 6, 4))
case("TimeDistributed", T(L.Cropping1D(1)), (2, 6, 4))
case("TimeDistributed", T(L.UpSampling2D(2, interpolation="bilinear")), (2, 3, 4, 2))
case("TimeDistributed", T(L.UpSampling1D(2)), (2, 3, 4))
case("TimeDistributed", T(L.RepeatVector(3)), (2, 4))
case("TimeDistributed", T(L.Dropout(0.5)), (2, 4))
case("TimeDistributed", T(T(L.Dense(3))), (2, 3, 4))
case("TimeDistributed", T(inner), (3, 4, 4, 2))
case("TimeDistributed", T(attending), (3, 4, 5))

case("Embedding", L.Embedding(7, 3), (4,))
case("Embedding", L.Embedding(5, 2), (2, 3))
if hasattr(L, "ReversibleEmbedding"):  # Keras has it since 3.12
    case("ReversibleEmbedding", L.ReversibleEmbedding(7, 3), (4,))
    tied = L.ReversibleEmbedding(7, 3)
    case("ReversibleEmbedding", lambda x: tied(tied(x), reverse=True), (4,))
    apart = L.ReversibleEmbedding(7, 3, tie_weights=False, logit_soft_cap=2.0)
    case("ReversibleEmbedding", lambda x: apart(apart(x), reverse=True), (4,))
case("Masking", L.Masking(), (4, 3))
case("Masking", L.Masking(-1.0), (4, 3))
case("CenterCrop", L.CenterCrop(3, 4), (6, 7, 2))
case("CenterCrop", L.CenterCrop(3, 4, data_format="channels_first"), (2, 6, 7))
case("Pipeline", L.Pipeline([L.Rescaling(0.5, 1.0), L.RandomFlip(), L.CenterCrop(2, 2)]), (4, 4, 3))
BINS = [-1.0, -0.2, 0.4]
case("Discretization", lambda x: ops.cast(L.Discretization(BINS)(x), "float32"), (4, 3))
case("Discretization", L.Discretization(BINS, output_mode="one_hot"), (1,))
case("Discretization", L.Discretization(BINS, output_mode="one_hot"), (4,))
case("Discretization", L.Discretization(BINS, output_mode="multi_hot"), (4,))
case("Discretization", L.Discretization(BINS, output_mode="count"), (4,))
for mode, shape in (("one_hot", (1,)), ("one_hot", (4,)), ("multi_hot", (4,)), ("count", (4,))):
    case("CategoryEncoding", L.CategoryEncoding(5, output_mode=mode), shape)
