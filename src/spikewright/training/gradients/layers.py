"""The equation of every layer of a graph over torch, with gradients.

`equation(layer, parameters, *values)` takes the layer's arrays as tensors by field, and values
`(batch, *shape)`. It is what `layer.evaluate` is over NumPy; elementwise functions and
normalisations are the same text as there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce, singledispatch
from typing import Any

import numpy as np
import torch

from spikewright._base import equations
from spikewright.engines.torch.device import Tensor, Tensors
from spikewright.engines.torch.functions import TorchFunctions, max_pool, windowed
from spikewright.errors import TrainingError
from spikewright.graph import layers
from spikewright.graph.layers.arithmetic import aligned
from spikewright.graph.layers.normalization import from_the_end, scaled
from spikewright.graph.layers.pooling import OverAxes
from spikewright.lower.node_functions import ROUND

functional = torch.nn.functional
Parameters = Mapping[str, Tensor]
Equation = Callable[..., Tensor]

_REDUCTIONS: Mapping[type, Any] = {
    layers.GlobalAveragePool: torch.mean,
    layers.GlobalMaxPool: torch.amax,
    layers.Sum: torch.sum,
}
_NORMALISATIONS: Mapping[type, Any] = {
    layers.LayerNormalization: equations.layer_normalization,
    layers.RMSNormalization: equations.rms_normalization,
    layers.UnitNormalization: equations.unit_normalization,
}


@singledispatch
def equation(layer: Any, p: Parameters, *values: Tensor) -> Tensor:
    """The layer's value; raises `TrainingError` for a kind of layer without gradients."""
    raise _without_gradients(f"a layer of kind {layer.kind}")


def value_of(layer: layers.Layer, p: Parameters, *values: Tensor) -> Tensor:
    """The layer's value; 0 without a gradient where its function has none.

    There neurons send nothing, as at a logarithm's pole before a spike has come.
    """
    if not layer.partial:
        return equation(layer, p, *values)
    value = equation(layer, p, *(numbers_alone(x.view_as(x)) for x in values))
    return torch.where(torch.isfinite(value), value, torch.zeros_like(value))


def numbers_alone(value: Tensor) -> Tensor:
    """The value, whose gradient is zero where it is none, as where a function has no slope."""
    if value.requires_grad:
        value.register_hook(lambda gradient: gradient.nan_to_num(0.0, 0.0, 0.0))
    return value


def _without_gradients(what: str) -> TrainingError:
    return TrainingError(
        f"{what} has no gradients here. Cut the model in front of it with outputs=, or train it in "
        "its own framework"
    )


def check_gradients(layer: layers.Layer, name: str) -> None:
    """Raise `TrainingError` naming a layer without gradients."""
    if not (isinstance(layer, layers.Input) or has_gradients(layer)):
        raise _without_gradients(f"layer {name!r} of kind {layer.kind}")


def has_gradients(layer: layers.Layer) -> bool:
    """True where the kind of layer has an equation here."""
    return equation.dispatch(type(layer)) is not equation.dispatch(object)


@equation.register(layers.Add)
@equation.register(layers.Multiply)
@equation.register(layers.Divide)
@equation.register(layers.MatMul)
@equation.register(layers.Identity)
@equation.register(layers.Reshape)
@equation.register(layers.Crop)
def _(layer: layers.Layer, p: Parameters, *values: Tensor) -> Tensor:
    """The text of the interpreter: it takes arrays of any library."""
    return layer.evaluate(*values)


# -- weights --


@equation.register
def _(layer: layers.Affine, p: Parameters, x: Tensor) -> Tensor:
    return functional.linear(x, p["weight"], p.get("bias"))


@equation.register
def _(layer: layers.Convolution, p: Parameters, x: Tensor) -> Tensor:
    padding: Any = 0
    if all(before == after for before, after in layer.padding):  # PyTorch's own, without a copy
        padding = tuple(before for before, _ in layer.padding)
        images = x.movedim(-1, 1) if layer.channels_last else x
    else:
        images = windowed(x[:, None], layer.windows, layer.channels_last, 0.0)
    convolve = _over_space("conv", images)
    weight, bias = p["weight"], p.get("bias")
    y = convolve(
        images,
        weight,
        bias,
        stride=layer.stride,
        padding=padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )
    return _restored(y, layer.channels_last)


@equation.register
def _(layer: layers.ConvolutionTranspose, p: Parameters, x: Tensor) -> Tensor:
    images = x.movedim(-1, 1) if layer.channels_last else x
    convolve = _over_space("conv_transpose", images)
    full = convolve(
        images, p["weight"], None, layer.stride, groups=layer.groups, dilation=layer.dilation
    )
    pads: list[int] = []
    extents = layer.output_extent(tuple(images.shape[2:]))
    for reach, extent, (before, _) in zip(full.shape[2:], extents, layer.padding, strict=True):
        pads = [-before, extent + before - reach, *pads]  # the last axis comes first
    y = functional.pad(full, pads)
    bias = p.get("bias")
    y = y if bias is None else y + _along(bias, y.ndim, 1)
    return _restored(y, layer.channels_last)


@equation.register
def _(layer: layers.ScaleShift, p: Parameters, x: Tensor) -> Tensor:
    return scaled(x, p.get("scale"), p.get("shift"))


@equation.register
def _(layer: layers.BatchNormalization, p: Parameters, x: Tensor) -> Tensor:
    axis = _axis(layer.axis, x)
    scale, shift = normalisation(layer, p)
    none, one = torch.zeros_like(p["mean"]), torch.ones_like(p["variance"])
    # one pass each way, with gradients to the statistics too
    y = functional.batch_norm(x.movedim(axis, 1), none, one, scale, shift, eps=0.0)
    return y.movedim(1, axis)


def normalisation(layer: layers.BatchNormalization, p: Parameters) -> tuple[Tensor, Tensor]:
    """Scale and shift of every channel, `(channels,)` each."""
    scale = p["gamma"] / torch.sqrt(p["variance"] + layer.epsilon)
    return scale, p["beta"] - scale * p["mean"]


@equation.register
def _(layer: layers.Interpolate, p: Parameters, x: Tensor) -> Tensor:
    for i, axis in enumerate(layer.axes):
        x = _mapped(x, _axis(axis, x), p[f"matrices[{i}]"])
    return x


@equation.register
def _(layer: layers.Lookup, p: Parameters, x: Tensor) -> Tensor:
    return _functions(p["table"]).rows(p["table"], x)


# -- nonlinear --


@equation.register
def _(layer: layers.Activation, p: Parameters, x: Tensor) -> Tensor:
    found: Tensor = layer.of(_functions(x), x)
    if layer.function == ROUND:  # straight through (Bengio et al. 2013): its own gradient is 0
        return found.detach() + (x - x.detach())
    return found


@equation.register
def _(layer: layers.ParametricReLU, p: Parameters, x: Tensor) -> Tensor:
    return torch.where(x >= 0, x, p["slope"] * x)


@equation.register(layers.LayerNormalization)
@equation.register(layers.RMSNormalization)
@equation.register(layers.UnitNormalization)
def _(layer: Any, p: Parameters, x: Tensor) -> Tensor:
    axes = from_the_end(layer.axes, x.ndim - 1)
    y = _NORMALISATIONS[type(layer)](_functions(x), x, axes, layer.epsilon)
    return scaled(y, p.get("scale"), p.get("shift"))


@equation.register
def _(layer: layers.GroupNormalization, p: Parameters, x: Tensor) -> Tensor:
    rank = x.ndim - 1
    axis = layer.axis % rank
    y = equations.group_normalization(
        _functions(x), x, layer.groups, axis - rank, rank, layer.epsilon
    )
    scale, shift = (
        None if value is None else _along(value, x.ndim, axis + 1)
        for value in (p.get("scale"), p.get("shift"))
    )
    return scaled(y, scale, shift)


# -- several inputs --


@equation.register
def _(layer: layers.Concatenate, p: Parameters, *values: Tensor) -> Tensor:
    return torch.cat(values, _axis(layer.axis, values[0]))


@equation.register(layers.Maximum)
@equation.register(layers.Minimum)
def _(layer: layers.Maximum | layers.Minimum, p: Parameters, *values: Tensor) -> Tensor:
    function = torch.maximum if isinstance(layer, layers.Maximum) else torch.minimum
    return reduce(function, aligned(values))


# -- pooling and reductions --


@equation.register
def _(layer: layers.AveragePool, p: Parameters, x: Tensor) -> Tensor:
    images = windowed(x[:, None], layer.windows, layer.channels_last, 0.0)
    means = _over_space("avg_pool", images)(images, layer.size, layer.stride)
    total = means * math.prod(layer.size)
    spatial = x.shape[1:-1] if layer.channels_last else x.shape[2:]
    divisors = torch.as_tensor(layer.divisors(tuple(spatial)), dtype=x.dtype, device=x.device)
    return _restored(total / divisors, layer.channels_last)


@equation.register
def _(layer: layers.MaxPool, p: Parameters, x: Tensor) -> Tensor:
    pooled: Tensor = max_pool(x[:, None], layer.windows, layer.channels_last)[:, 0]
    return pooled


@equation.register
def _(layer: layers.AdaptiveAveragePool, p: Parameters, x: Tensor) -> Tensor:
    first = 1 if layer.channels_last else 2
    spatial = tuple(x.shape[first : first + len(layer.output)])
    for axis, matrix in enumerate(layer.matrices(spatial), start=first):
        weights = torch.as_tensor(matrix, dtype=x.dtype, device=x.device)
        x = _mapped(x, axis, weights)
    return x


@equation.register(layers.GlobalAveragePool)
@equation.register(layers.GlobalMaxPool)
@equation.register(layers.Sum)
def _(layer: OverAxes, p: Parameters, x: Tensor) -> Tensor:
    axes = tuple(_axis(axis, x) for axis in layer.axes)
    # over no axes PyTorch would reduce all
    return _REDUCTIONS[type(layer)](x, axes, layer.keepdims) if axes else x


# -- moves and choices --


@equation.register
def _(layer: layers.Constant, p: Parameters) -> Tensor:
    return p["value"][None]


@equation.register
def _(layer: layers.Permute, p: Parameters, x: Tensor) -> Tensor:
    return x.permute(0, *(axis + 1 for axis in layer.axes))


@equation.register
def _(layer: layers.ZeroPad, p: Parameters, x: Tensor) -> Tensor:
    return functional.pad(x, [n for pair in reversed(layer.pads) for n in pair])


@equation.register
def _(layer: layers.UpsampleNearest, p: Parameters, x: Tensor) -> Tensor:
    for axis, factor in enumerate(layer.factors, start=1):
        x = x.repeat_interleave(factor, axis)
    return x


@equation.register
def _(layer: layers.Slice, p: Parameters, x: Tensor) -> Tensor:
    return _chosen(x, layer.indices())


@equation.register
def _(layer: layers.Pad, p: Parameters, x: Tensor) -> Tensor:
    return _chosen(x, layer.indices(tuple(x.shape[1:])))


@equation.register
def _(layer: layers.Take, p: Parameters, x: Tensor) -> Tensor:
    axis = _axis(layer.axis, x)
    indices = torch.as_tensor(layer.indices % x.shape[axis], device=x.device)
    taken = x.index_select(axis, indices.reshape(-1))
    return taken.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@equation.register
def _(layer: layers.Tile, p: Parameters, x: Tensor) -> Tensor:
    return x.tile(1, *layer.repeats)


@equation.register
def _(layer: layers.Broadcast, p: Parameters, x: Tensor) -> Tensor:
    new = (1,) * (len(layer.shape) + 1 - x.ndim)
    return x.reshape(len(x), *new, *x.shape[1:]).expand(len(x), *layer.shape)


# -- shared --


def _functions(like: Tensor) -> Any:
    return TorchFunctions(Tensors(like.device, like.dtype))


def _over_space(name: str, images: Tensor) -> Any:
    """PyTorch's function over as many spatial axes as images `(batch, channels, *spatial)` have."""
    return getattr(functional, f"{name}{images.ndim - 2}d")


def _restored(images: Tensor, last: bool) -> Tensor:
    return images.movedim(1, -1) if last else images


def _mapped(x: Tensor, axis: int, matrix: Tensor) -> Tensor:
    """A matrix `(out, in)` applied along an axis."""
    return functional.linear(x.movedim(axis, -1), matrix).movedim(-1, axis)


def _along(values: Tensor, rank: int, axis: int) -> Tensor:
    """A vector laid out to broadcast along an axis of values of this rank."""
    return values.reshape(-1, *(1,) * (rank - 1 - axis))


def _axis(axis: int, x: Tensor) -> int:
    """An axis of the unbatched shape as one of the batch."""
    return axis % (x.ndim - 1) + 1


def _chosen(x: Tensor, indices: Sequence[Any]) -> Tensor:
    """Values at positions along every axis; where these are evenly spaced they are a view."""
    for axis, chosen in enumerate(indices, start=1):
        step = int(chosen[1] - chosen[0]) if len(chosen) > 1 else 1
        if step > 0 and (np.diff(chosen) == step).all():
            view: list[slice] = [slice(None)] * axis
            x = x[(*view, slice(int(chosen[0]), int(chosen[-1]) + 1, step))]
        else:
            x = x.index_select(axis, torch.as_tensor(chosen, device=x.device))
    return x
