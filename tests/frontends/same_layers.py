"""Activations and single layers that Keras, PyTorch and ONNX have alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from onnx import ModelProto
from onnx_helpers import single
from same_models import IMAGE, SERIES, WORDS, A, K, L, Same, alone, chain
from torch import nn

import spikewright as sw
from spikewright.graph.layers import ACTIVATIONS

Spelling = Callable[..., Any]


def _curve(
    keras: Spelling, torch: Spelling, operator: str = "", *operands: float, **options: Any
) -> Same:
    """A function; as ONNX an operator with constants and options, or what PyTorch writes."""
    positive = options.pop("positive", False)

    def spelled(module: nn.Module) -> ModelProto:
        constants = [np.float32(value) for value in operands]
        return single(operator, WORDS, constants, opset=22, **options)

    return Same(keras, alone(torch), onnx=spelled if operator else None, positive=positive)


CURVES: Mapping[str, Same] = {
    "linear": _curve(L.Activation("linear"), lambda x: x + 0.0, "Identity"),
    "relu": _curve(A.relu, F.relu, "Relu"),
    "relu6": _curve(A.relu6, F.relu6, "Clip", 0, 6),
    "leaky_relu": _curve(
        lambda x: A.leaky_relu(x, 0.1), lambda x: F.leaky_relu(x, 0.1), "LeakyRelu", alpha=0.1
    ),
    "clip": _curve(
        lambda x: K.clip(x, -0.4, 200.0), lambda x: x.clamp(-0.4, 200.0), "Clip", -0.4, 200.0
    ),
    "hard_sigmoid": _curve(A.hard_sigmoid, F.hardsigmoid, "HardSigmoid", alpha=1 / 6),
    "abs": _curve(K.abs, torch.abs, "Abs"),
    "threshold": _curve(
        lambda x: A.threshold(x, 0.2, 0.0),
        lambda x: F.threshold(x, 0.2, 0.0),
        "ThresholdedRelu",
        alpha=0.2,
    ),
    "hardshrink": _curve(
        lambda x: A.hard_shrink(x, 0.4), lambda x: F.hardshrink(x, 0.4), "Shrink", lambd=0.4
    ),
    "softshrink": _curve(
        lambda x: A.soft_shrink(x, 0.4),
        lambda x: F.softshrink(x, 0.4),
        "Shrink",
        lambd=0.4,
        bias=0.4,
    ),
    "rounded_relu": Same(sw.keras.RoundedReLU(3, 1.5), partial(sw.torch.RoundedReLU, 3)),
    "sigmoid": _curve(A.sigmoid, torch.sigmoid, "Sigmoid"),
    "tanh": _curve(A.tanh, torch.tanh, "Tanh"),
    "softsign": _curve(A.softsign, F.softsign, "Softsign"),
    "softplus": _curve(A.softplus, F.softplus, "Softplus"),
    "log_sigmoid": _curve(A.log_sigmoid, F.logsigmoid),
    "tanhshrink": _curve(A.tanh_shrink, F.tanhshrink),
    "erf": _curve(K.erf, torch.erf, "Erf"),
    "silu": _curve(A.silu, F.silu),
    "gelu": _curve(lambda x: A.gelu(x, approximate=False), F.gelu, "Gelu"),
    "gelu_tanh": _curve(
        lambda x: A.gelu(x, approximate=True),
        lambda x: F.gelu(x, approximate="tanh"),
        "Gelu",
        approximate="tanh",
    ),
    "hard_swish": _curve(L.Activation("hard_swish"), F.hardswish, "HardSwish"),
    "mish": _curve(L.Activation("mish"), F.mish, "Mish"),
    "elu": _curve(lambda x: A.elu(x, 0.7), lambda x: F.elu(x, 0.7), "Elu", alpha=0.7),
    "celu": _curve(lambda x: A.celu(x, 1.3), lambda x: F.celu(x, 1.3), "Celu", alpha=1.3),
    "selu": _curve(A.selu, F.selu, "Selu"),
    "exp": _curve(K.exp, torch.exp, "Exp"),
    "sin": _curve(K.sin, torch.sin, "Sin"),
    "cos": _curve(K.cos, torch.cos, "Cos"),
    "atan": _curve(K.arctan, torch.atan, "Atan"),
    "squareplus": _curve(A.squareplus, lambda x: (x + torch.sqrt(x**2 + 4)) / 2),
    "sparse_plus": _curve(A.sparse_plus, lambda x: (x + 1).clamp(0, 2) ** 2 / 4 + F.relu(x - 1)),
    "square": _curve(K.square, torch.square),
    "sqrt": _curve(K.sqrt, torch.sqrt, "Sqrt", positive=True),
    "log": _curve(K.log, torch.log, "Log", positive=True),
    "power": _curve(lambda x: K.power(x, 1.5), lambda x: x**1.5, "Pow", 1.5, positive=True),
    "reciprocal": _curve(K.reciprocal, torch.reciprocal, "Reciprocal", positive=True),
    "softmax": _curve(A.softmax, lambda x: F.softmax(x, -1), "Softmax"),
    "log_softmax": _curve(A.log_softmax, lambda x: F.log_softmax(x, -1), "LogSoftmax"),
}
"""A model of every activation of the graph, by its name there."""


def image(keras: Any, torch: Callable[[], nn.Module], *shapes: tuple[int, ...]) -> Same:
    """A layer of images, or volumes."""
    return Same(keras, torch, shapes or (IMAGE,), first=True)


def series(keras: Any, torch: Callable[[], nn.Module]) -> Same:
    """Steps and channels; PyTorch has the channels first."""
    return Same(keras, torch, (SERIES,), first=True)


def plain(keras: Any, torch: Spelling, *shapes: tuple[int, ...], **options: Any) -> Same:
    """A function without weights of values that are laid out alike."""
    return Same(keras, alone(torch), shapes or (SERIES,), **options)


def _padded(pads: tuple[int, ...], value: float = 0.0) -> Callable[[], nn.Module]:
    return partial(nn.ConstantPad2d if len(pads) == 4 else nn.ConstantPad1d, pads, value)


conv1, conv2 = partial(partial, nn.Conv1d), partial(partial, nn.Conv2d)

WINDOWS: Mapping[str, Same] = {
    "convolution": image(L.Conv2D(4, (3, 2)), conv2(3, 4, (3, 2))),
    "convolution, same": image(
        L.Conv2D(4, 3, padding="same", activation="relu"),
        chain(conv2(3, 4, 3, padding="same"), nn.ReLU),
    ),
    "convolution, same, strides": image(
        L.Conv2D(4, 3, 2, padding="same"), chain(_padded((0, 1, 0, 1)), conv2(3, 4, 3, 2))
    ),
    "convolution, dilated": image(
        L.Conv2D(4, 3, dilation_rate=2, use_bias=False), conv2(3, 4, 3, dilation=2, bias=False)
    ),
    "convolution, groups": image(L.Conv2D(4, 3, groups=2), conv2(6, 4, 3, groups=2), (5, 5, 6)),
    "convolution, pointwise": image(L.Conv2D(5, 1), conv2(3, 5, 1)),
    "depthwise": image(
        L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        conv2(3, 6, 3, padding=1, groups=3),
    ),
    "separable": image(
        L.SeparableConv2D(5, 3), chain(conv2(3, 3, 3, groups=3, bias=False), conv2(3, 5, 1))
    ),
    "transposed": image(
        L.Conv2DTranspose(4, 3, 2), partial(nn.ConvTranspose2d, 3, 4, 3, 2), (4, 5, 3)
    ),
    "transposed, same": image(
        L.Conv2DTranspose(4, 4, 2, padding="same"),
        partial(nn.ConvTranspose2d, 3, 4, 4, 2, 1),
        (4, 5, 3),
    ),
    "transposed, 1-D": series(L.Conv1DTranspose(3, 3), partial(nn.ConvTranspose1d, 4, 3, 3)),
    "convolution, 1-D": series(L.Conv1D(3, 2, 2), conv1(4, 3, 2, 2)),
    "convolution, causal": series(
        L.Conv1D(3, 3, padding="causal", dilation_rate=2),
        chain(_padded((4, 0)), conv1(4, 3, 3, dilation=2)),
    ),
    "depthwise, 1-D": series(L.DepthwiseConv1D(3), conv1(4, 4, 3, groups=4)),
    "convolution, 3-D": image(L.Conv3D(2, 2), partial(nn.Conv3d, 2, 2, 2), (3, 4, 3, 2)),
    "maxima": image(L.MaxPooling2D(2), partial(nn.MaxPool2d, 2)),
    "maxima, same": image(
        L.MaxPooling2D(3, 2, padding="same"),
        alone(lambda x: F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-100.0), 3, 2)),
    ),
    "maxima, 1-D": series(L.MaxPooling1D(3, 1), partial(nn.MaxPool1d, 3, 1)),
    "means": image(L.AveragePooling2D((2, 3)), partial(nn.AvgPool2d, (2, 3))),
    "means, same": image(
        L.AveragePooling2D(3, 1, padding="same"),
        partial(nn.AvgPool2d, 3, 1, 1, count_include_pad=False),
    ),
    "means, 1-D": series(L.AveragePooling1D(2), partial(nn.AvgPool1d, 2)),
    "global mean": image(L.GlobalAveragePooling2D(), alone(lambda x: x.mean((2, 3)))),
    "global mean, kept": image(
        L.GlobalAveragePooling2D(keepdims=True), partial(nn.AdaptiveAvgPool2d, 1)
    ),
    "global maximum": image(L.GlobalMaxPooling2D(), alone(lambda x: x.amax((2, 3)))),
    "adaptive means": image(L.AdaptiveAveragePooling2D(4), partial(nn.AdaptiveAvgPool2d, 4)),
    "nearest": image(
        L.UpSampling2D((2, 3)), alone(lambda x: F.interpolate(x, scale_factor=(2.0, 3.0)))
    ),
    "bilinear": image(
        L.UpSampling2D(2, interpolation="bilinear"),
        partial(nn.Upsample, scale_factor=2, mode="bilinear"),
    ),
    "resized": image(
        L.Resizing(5, 11), alone(lambda x: F.interpolate(x, (5, 11), mode="bilinear"))
    ),
}

_BOUNDS = torch.tensor([0.5, -0.2, 0.1, -1.0])

OTHERS: Mapping[str, Same] = {
    "dense": Same(
        L.Dense(3),
        partial(nn.Linear, 5, 3),
        onnx=lambda m: single(
            "Gemm", WORDS, [m.weight.detach().numpy(), m.bias.detach().numpy()], transB=1
        ),
    ),
    "dense of a sequence": Same(
        L.Dense(3, use_bias=False), partial(nn.Linear, 4, 3, bias=False), (SERIES,)
    ),
    "batch norm": image(L.BatchNormalization(), partial(nn.BatchNorm2d, 3, eps=1e-3)),
    "batch norm of features": Same(L.BatchNormalization(), partial(nn.BatchNorm1d, 5, eps=1e-3)),
    "layer norm": Same(L.LayerNormalization(epsilon=1e-5), partial(nn.LayerNorm, 4), (SERIES,)),
    "group norm": image(
        L.GroupNormalization(2, epsilon=1e-5), partial(nn.GroupNorm, 2, 6), (5, 4, 6)
    ),
    "instance norm": image(
        L.GroupNormalization(-1, epsilon=1e-5), partial(nn.InstanceNorm2d, 3, affine=True)
    ),
    "rms norm": Same(
        L.RMSNormalization(epsilon=1e-5),
        partial(nn.RMSNorm, 4, eps=1e-5),
        (SERIES,),
        onnx=lambda m: single("RMSNormalization", SERIES, [m.weight.detach().numpy()], opset=23),
    ),
    "unit norm": plain(
        L.UnitNormalization(),
        lambda x: F.normalize(x, dim=-1),
        onnx=lambda module: single("LpNormalization", SERIES, axis=-1, opset=22),
    ),
    "prelu": image(L.PReLU(shared_axes=[1, 2]), partial(nn.PReLU, 3)),
    "embedding": Same(L.Embedding(7, 4), partial(nn.Embedding, 7, 4), tokens=7),
    "add": plain(lambda x, y: L.Add()([x, y]), lambda x, y: x + y, SERIES, SERIES),
    "subtract": plain(lambda x, y: L.Subtract()([x, y]), lambda x, y: x - y, SERIES, SERIES),
    "multiply, spread": plain(
        lambda x, y: L.Multiply()([x, y]), lambda x, y: x * y, SERIES, (1, 4)
    ),
    "divide": plain(K.divide, lambda x, y: x / y, SERIES, SERIES, positive=True),
    "maximum": plain(K.maximum, torch.maximum, SERIES, SERIES),
    "maximum of constants": plain(
        lambda x: K.maximum(x, _BOUNDS.numpy()), lambda x: torch.maximum(x, _BOUNDS)
    ),
    "minimum": plain(K.minimum, torch.minimum, SERIES, SERIES),
    "average": plain(lambda x, y: L.Average()([x, y]), lambda x, y: (x + y) / 2, SERIES, SERIES),
    "concatenate": plain(
        lambda x, y: L.Concatenate()([x, y]), lambda x, y: torch.cat([x, y], -1), SERIES, (6, 2)
    ),
    "matmul": plain(K.matmul, torch.matmul, (2, 3, 4), (2, 4, 5)),
    "dot": plain(
        lambda x, y: L.Dot(axes=2)([x, y]), lambda x, y: x @ y.transpose(1, 2), SERIES, (3, 4)
    ),
    "einsum of two": plain(
        lambda x, y: K.einsum("bij,bkj->bik", x, y),
        lambda x, y: torch.einsum("bij,bkj->bik", x, y),
        SERIES,
        (3, 4),
    ),
    "einsum of three": plain(
        lambda x, y, z: K.einsum("bij,bkj,bkl->bil", x, y, z),
        lambda x, y, z: torch.einsum("bij,bkj,bkl->bil", x, y, z),
        SERIES,
        (3, 4),
        (3, 2),
    ),
    "einsum with weights": Same(
        L.EinsumDense("bij,jk->bik", (6, 3), bias_axes="k"), partial(nn.Linear, 4, 3), (SERIES,)
    ),
    "sum": plain(lambda x: K.sum(x, 1), lambda x: x.sum(1)),
    "mean": plain(lambda x: K.mean(x, -1, keepdims=True), lambda x: x.mean(-1, keepdim=True)),
    "largest": plain(lambda x: K.max(x, 1), lambda x: x.amax(1)),
    "smallest": plain(lambda x: K.min(x, (1, 2)), lambda x: x.amin((1, 2))),
    "product along an axis": plain(lambda x: K.prod(x, 1), lambda x: x.prod(1)),
    "variance": plain(lambda x: K.var(x, 1), lambda x: x.var(1, correction=0)),
    "norm": plain(lambda x: K.norm(x, axis=-1), lambda x: torch.linalg.vector_norm(x, dim=-1)),
    "logsumexp": plain(lambda x: K.logsumexp(x, 1), lambda x: torch.logsumexp(x, 1)),
    "differences": plain(lambda x: K.diff(x, axis=1), lambda x: x[:, 1:] - x[:, :-1]),
    "triangle": plain(lambda x: K.tril(x, 1), lambda x: torch.tril(x, 1)),
    "sinh": plain(K.sinh, torch.sinh, onnx=lambda module: single("Sinh", SERIES)),
    "cosh": plain(K.cosh, torch.cosh, onnx=lambda module: single("Cosh", SERIES)),
    "chosen by constants": plain(
        lambda x, y: K.where(_BOUNDS.numpy() > 0, x, y),
        lambda x, y: torch.where(_BOUNDS > 0, x, y),
        SERIES,
        SERIES,
    ),
    "chosen by values": plain(
        lambda x: K.where(x > 0.1, x, 0.3 * x), lambda x: torch.where(x > 0.1, x, 0.3 * x)
    ),
    "hidden from a softmax": plain(
        lambda x: K.softmax(K.where(_BOUNDS.numpy() > 0, x, -np.inf)),
        lambda x: torch.where(_BOUNDS > 0, x, -torch.inf).softmax(-1),
    ),
    "a mask added to a softmax": plain(
        lambda x: L.Softmax()(x + np.where(_BOUNDS > 0, 0.0, -np.inf).astype(np.float32)),
        lambda x: (x + torch.where(_BOUNDS > 0, 0.0, -torch.inf)).softmax(-1),
    ),
    "chosen by two conditions": plain(
        lambda x, y: K.where(K.logical_and(x <= y, K.logical_not(y < 0.2)), x, 0.5),
        lambda x, y: torch.where((x <= y) & ~(y < 0.2), x, 0.5),
        SERIES,
        SERIES,
    ),
    "compared": plain(
        lambda x, y: K.cast(x >= y, "float32"), lambda x, y: (x >= y).float(), SERIES, SERIES
    ),
    "equal tokens": plain(
        lambda x: K.cast(K.equal(x, 3), "float32"), lambda x: (x == 3).float(), tokens=5
    ),
    "cumulative sum": plain(lambda x: K.cumsum(x, 1), lambda x: torch.cumsum(x, 1)),
    "slice": plain(lambda x: x[:, 1:6:2, :-1], lambda x: x[:, 1:6:2, :-1]),
    "take": plain(lambda x: K.take(x, [3, 0, 0], axis=1), lambda x: x[:, [3, 0, 0]]),
    "flip": plain(lambda x: K.flip(x, 1), lambda x: x.flip(1)),
    "roll": plain(lambda x: K.roll(x, 2, 1), lambda x: x.roll(2, 1)),
    "split": plain(
        lambda x: K.multiply(*K.split(x, 2, axis=-1)), lambda x: torch.mul(*x.split(2, -1))
    ),
    "stack": plain(
        lambda x, y: K.stack([x, y], 1), lambda x, y: torch.stack([x, y], 1), SERIES, SERIES
    ),
    "tile": plain(lambda x: K.tile(x, (1, 2, 3)), lambda x: x.repeat(1, 2, 3)),
    "repeat": plain(lambda x: K.repeat(x, 2, 1), lambda x: x.repeat_interleave(2, 1)),
    "repeat vector": plain(L.RepeatVector(3), lambda x: x.unsqueeze(1).expand(-1, 3, -1), WORDS),
    "reshape": plain(L.Reshape((3, 8)), lambda x: x.reshape(-1, 3, 8)),
    "permute": plain(L.Permute((2, 1)), lambda x: x.transpose(1, 2)),
    "zero padding": image(L.ZeroPadding2D(((1, 0), (2, 1))), partial(nn.ZeroPad2d, (2, 1, 1, 0))),
    "cropping": image(L.Cropping2D(((1, 0), (2, 1))), alone(lambda x: x[:, :, 1:, 2:-1])),
    "reflect": image(
        lambda x: K.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), "reflect"),
        partial(nn.ReflectionPad2d, (0, 1, 1, 2)),
    ),
    "depth to space": image(
        lambda x: K.reshape(
            K.transpose(K.reshape(x, (-1, 4, 5, 2, 2, 2)), (0, 1, 4, 2, 5, 3)), (-1, 8, 10, 2)
        ),
        partial(nn.PixelShuffle, 2),
        (4, 5, 8),
    ),
}

assert set(CURVES) <= set(ACTIVATIONS)
