"""Weights: linear layers, convolutions, batch normalisation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.pytorch.call import Call, Cannot, Value
from spikewright.frontends.pytorch.reasons import LIVE_NORM, TRANSPOSED
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.layers import Affine, BatchNormalization, Convolution


@reads("aten.linear.default")
def _linear(call: Call) -> Value:
    layer = Affine(call.array("weight"), call.optional_array("bias"))
    return call.add(layer, call.value("input"))


@reads("aten.mm.default", "aten.matmul.default")
def _product(call: Call) -> Value:
    other = "mat2" if "mat2" in call.arguments else "other"
    return call.add(Affine(_transposed(call.array(other))), call.value("self"))


@reads("aten.addmm.default")
def _affine(call: Call) -> Value:
    weight = _transposed(call.array("mat2")) * call["alpha"]
    bias = call.array("self")
    if bias.ndim == 2 and len(bias) > 1:
        raise Cannot(f"its bias of shape {bias.shape} differs from sample to sample")
    bias = np.broadcast_to(bias.reshape(bias.shape[-1:]), len(weight)) * call["beta"]
    return call.add(Affine(weight, bias), call.value("mat1"))


def _transposed(weight: NDArray) -> NDArray:
    if weight.ndim != 2:
        raise Cannot(
            f"it multiplies by an array of shape {weight.shape}", "Use a matrix, as nn.Linear does."
        )
    return np.ascontiguousarray(weight.T)


@reads(
    "aten.conv1d.default", "aten.conv1d.padding", "aten.conv2d.default", "aten.conv2d.padding",
    "aten.conv3d.default", "aten.conv3d.padding", "aten.convolution.default",
    "aten._convolution.default",
)  # fmt: skip
def _convolution(call: Call) -> Value:
    if call.get("transposed"):
        raise Cannot(*TRANSPOSED)
    weight = call.array("weight")
    rank = weight.ndim - 2
    dilation = call.numbers("dilation", rank)
    return call.add(
        Convolution(
            weight,
            call.optional_array("bias"),
            call.numbers("stride", rank),
            _padding(call, weight.shape[2:], dilation),
            dilation,
            call["groups"],
        ),
        call.value("input"),
    )


def _padding(
    call: Call, size: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    if call["padding"] == "valid":
        return ((0, 0),) * len(size)
    if call["padding"] == "same":  # an odd total has its larger half behind
        totals = [d * (n - 1) for n, d in zip(size, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((n, n) for n in call.numbers("padding", len(size)))


@reads(
    "aten.batch_norm.default", "aten.native_batch_norm.default",
    "aten._native_batch_norm_legit_no_training.default",
)  # fmt: skip
def _batch_norm(call: Call) -> Value | tuple[Value | None, ...]:
    if call.get("training") or call["running_mean"] is None or call["running_var"] is None:
        raise Cannot(*LIVE_NORM)
    x = call.value("input")
    axis = call.axis(x, 1)
    mean, variance = call.array("running_mean"), call.array("running_var")
    gamma, beta = call.optional_array("weight"), call.optional_array("bias")
    layer = BatchNormalization(
        np.ones_like(mean) if gamma is None else gamma,
        np.zeros_like(mean) if beta is None else beta,
        mean,
        variance,
        call["eps"],
        axis,
    )
    value = call.add(layer, x)
    several = isinstance(call.results, tuple | list)
    return (value, *[None] * (len(call.results) - 1)) if several else value
