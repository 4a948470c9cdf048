"""The array functions of equations over torch, and linear maps as functions of tensors
`(batch, steps, *shape)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright._base.windows import Windows
from spikewright.engines.torch.device import Tensor, Tensors, full_products, numpy_of
from spikewright.errors import BuildError
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Permute,
    Place,
    Reshape,
    Scale,
    Slice,
    Sparse,
    SumPool,
    Take,
    Transform,
)


class TorchFunctions:
    """The array functions of neuron equations and node functions, over torch."""

    exp, expm1, log, log1p = torch.exp, torch.expm1, torch.log, torch.log1p
    tanh, erf, sin, cos, arctan = torch.tanh, torch.erf, torch.sin, torch.cos, torch.arctan
    sqrt, floor, sign, abs, power = torch.sqrt, torch.floor, torch.sign, torch.abs, torch.pow
    isfinite, zeros_like, swapaxes = torch.isfinite, torch.zeros_like, torch.swapaxes
    greater, greater_equal = torch.greater, torch.greater_equal

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._constants: dict[int, tuple[NDArray, Tensor]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(
            f"the torch engine has no function {name!r} for neuron equations; ArrayNamespace in "
            "spikewright.network.neurons lists what they may use"
        )

    def constant(self, array: NDArray) -> Tensor:
        """The values of an array that does not change, as a tensor that is made once."""
        if id(array) not in self._constants:
            self._constants[id(array)] = (array, self._tensors.copy_of(array))
        return self._constants[id(array)][1]

    def where(self, condition: Tensor, first: Any, second: Any) -> Tensor:
        """Elementwise choice; numbers take the population's type."""
        if not isinstance(first, torch.Tensor) and not isinstance(second, torch.Tensor):
            first = torch.full((), first, dtype=self._tensors.dtype, device=self._tensors.device)
        return torch.where(condition, first, second)

    def maximum(self, first: Tensor, second: Any) -> Tensor:
        """Elementwise maximum of an array and an array or number."""
        if isinstance(second, torch.Tensor):
            return torch.maximum(first, second)
        return first.relu() if second == 0.0 else first.clamp(min=second)

    def minimum(self, first: Tensor, second: Any) -> Tensor:
        """Elementwise minimum of an array and an array or number."""
        if isinstance(second, torch.Tensor):
            return torch.minimum(first, second)
        return first.clamp(max=second)

    def sum(self, x: Tensor, axis: Any, keepdims: bool = False) -> Tensor:
        """Sum over axes."""
        return torch.sum(x, dim=axis, keepdim=keepdims)

    def mean(self, x: Tensor, axis: Any, keepdims: bool = False) -> Tensor:
        """Mean over axes."""
        return torch.mean(x, dim=axis, keepdim=keepdims)

    def amax(self, x: Tensor, axis: Any, keepdims: bool = False) -> Tensor:
        """Maximum over axes."""
        return torch.amax(x, dim=axis, keepdim=keepdims)

    def matmul(self, first: Tensor, second: Tensor) -> Tensor:
        """Matrix products over the last two axes."""
        with full_products(self._tensors.device):
            return torch.matmul(first, second)

    def rows(self, table: Tensor, numbers: Tensor) -> Tensor:
        """Rows of a table by numbers, each rounded to the nearest row."""
        return table[numbers.round().clamp(0, len(table) - 1).long()]

    def called(self, function: Callable[..., NDArray], *arrays: Tensor) -> Tensor:
        """A function of NumPy's arrays applied to tensors, on the processor."""
        return self._tensors.copy_of(function(*(numpy_of(a).astype(np.float64) for a in arrays)))

    def max_pool(self, x: Tensor, windows: Windows, last: bool) -> Tensor:
        """Maximum over sliding windows of `(batch, steps, *shape)`."""
        return max_pool(x, windows, last)


functional = torch.nn.functional
Map = Callable[[Tensor], Tensor]
_CONVOLUTIONS = (functional.conv1d, functional.conv2d, functional.conv3d)
_MAX_POOLS = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)


def linear_map(
    label: str, transform: Transform, factor: float, bias: NDArray | None, tensors: Tensors
) -> Map:
    """`factor * transform(x) + bias`; `bias` is `(out,)` and for products and convolutions only.

    The factor goes into the weights where there are any. Raises `BuildError` naming `label` for a
    transform that this engine does not know.
    """
    if isinstance(transform, Dense):
        return _dense(transform.matrix * factor, bias, tensors)
    if isinstance(transform, Convolution):
        return _convolution(transform, factor, bias, tensors)
    make = _MAPS.get(type(transform))
    if make is None:
        known = sorted({"Dense", "Convolution"} | {kind.__name__ for kind in _MAPS})
        raise BuildError(
            f"{label}: the torch engine cannot apply a {type(transform).__name__}; it knows "
            f"{', '.join(known)}"
        )
    return make(transform, factor, tensors)


def windowed(x: Tensor, windows: Windows, channels_last: bool, value: float) -> Tensor:
    """`(n, channels, *spatial)` of `(batch, steps, *shape)`, padded so that windows just fit."""
    images = channels_first(x, channels_last)
    spatial = images.shape[2:]
    pads: list[int] = []
    for extent, count, size, stride, (before, _), dilation in zip(
        spatial, windows.output_extent(spatial), windows.size, windows.stride, windows.padding,
        windows.dilation, strict=True,
    ):  # fmt: skip
        needed = (count - 1) * stride + dilation * (size - 1) + 1
        pads = [before, needed - extent - before, *pads]  # the last axis comes first
    return functional.pad(images, pads, value=value) if any(pads) else images


def channels_first(x: Tensor, channels_last: bool) -> Tensor:
    """View `(batch, steps, *shape)` as images `(n, channels, *spatial)`."""
    images = x.reshape(-1, *x.shape[2:])
    return images.movedim(-1, 1) if channels_last else images


def as_blocks(images: Tensor, like: Tensor, channels_last: bool) -> Tensor:
    """Undo `channels_first`, for as many samples and steps as `like` has."""
    y = images.movedim(1, -1) if channels_last else images
    return y.reshape(*like.shape[:2], *y.shape[1:])


def max_pool(x: Tensor, windows: Windows, channels_last: bool) -> Tensor:
    """Maximum over sliding windows of `(batch, steps, *shape)`."""
    images = windowed(x, windows, channels_last, -float("inf"))
    pool: Any = _MAX_POOLS[len(windows.size) - 1]
    y = pool(images, windows.size, windows.stride, dilation=windows.dilation)
    return as_blocks(y, x, channels_last)


def _dense(matrix: NDArray, bias: NDArray | None, tensors: Tensors) -> Map:
    weight = tensors.copy_of(matrix)
    offset = None if bias is None else tensors.copy_of(bias)

    def apply(x: Tensor) -> Tensor:
        with full_products(tensors.device):
            return functional.linear(x, weight, offset)

    return apply


def _axis_map(transform: AxisMap, factor: float, tensors: Tensors) -> Map:
    dense = _dense(transform.matrix * factor, None, tensors)
    axis = transform.axis + 2
    return lambda x: dense(x.movedim(axis, -1)).movedim(-1, axis)


def _convolution(
    transform: Convolution, factor: float, bias: NDArray | None, tensors: Tensors
) -> Map:
    windows, last = transform.windows, transform.channels_last
    rank = transform.kernel.ndim - 2
    weight = tensors.copy_of(transform.kernel * factor)
    if last and rank > 1:
        layout = torch.channels_last if rank == 2 else torch.channels_last_3d
        weight = weight.contiguous(memory_format=layout)
    offset = None if bias is None else tensors.copy_of(bias)
    convolve: Any = _CONVOLUTIONS[rank - 1]
    symmetric = all(before == after for before, after in transform.padding)
    padding = tuple(before for before, _ in transform.padding) if symmetric else 0

    def apply(x: Tensor) -> Tensor:
        images = channels_first(x, last) if symmetric else windowed(x, windows, last, 0.0)
        with full_products(tensors.device):
            y = convolve(
                images,
                weight,
                offset,
                stride=transform.stride,
                padding=padding,
                dilation=transform.dilation,
                groups=transform.groups,
            )
        return as_blocks(y, x, last)

    return apply


def _sparse(transform: Sparse, factor: float, tensors: Tensors) -> Map:
    size = int(np.prod(transform.shape_out))
    places = np.stack([transform.rows, transform.columns]).astype(np.int64)
    entries = torch.from_numpy(places)
    matrix = torch.sparse_coo_tensor(
        entries.to(tensors.device),
        tensors.copy_of(transform.values * factor),
        (size, transform.size_in),
        device=tensors.device,
        check_invariants=False,
    ).coalesce()

    def apply(x: Tensor) -> Tensor:
        flat = x.reshape(-1, transform.size_in)
        with full_products(tensors.device):
            y = torch.sparse.mm(matrix, flat.T.contiguous())
        return y.T.reshape(*x.shape[:2], *transform.shape_out)

    return apply


def _sum_pool(transform: SumPool, factor: float, tensors: Tensors) -> Map:
    windows, last = transform.windows, transform.channels_last
    height = transform.factor * factor
    scale: Any = float(height) if height.ndim == 0 else tensors.copy_of(height)

    def apply(x: Tensor) -> Tensor:
        images = channels_first(x, last)
        axes = tuple(range(2, images.ndim))
        if windows.size == tuple(images.shape[2:]) and not any(map(any, windows.padding)):
            total = images.sum(axes, keepdim=True)
        else:
            total = _sum_of_taps(windowed(x, windows, last, 0.0), windows)
        return as_blocks(total.mul_(scale), x, last)

    return apply


def _sum_of_taps(images: Tensor, windows: Windows) -> Tensor:
    """Sum over each window of `(n, channels, *spatial)`, padded so that windows just fit."""
    total: Tensor = None
    for tap in np.ndindex(*windows.size):
        index = [slice(None)] * 2
        for t, extent, size, stride, dilation in zip(
            tap, images.shape[2:], windows.size, windows.stride, windows.dilation, strict=True
        ):
            start = t * dilation
            index.append(slice(start, start + extent - dilation * (size - 1), stride))
        view = images[tuple(index)]
        total = view.clone() if total is None else total.add_(view)
    return total


def _scale(transform: Scale, factor: float, tensors: Tensors) -> Map:
    values = transform.factor * factor
    if values.ndim:
        scale = tensors.copy_of(values)
        return lambda x: x * scale
    number = float(values)
    return (lambda x: x) if number == 1.0 else (lambda x: x * number)


def _times(factor: float, view: Map) -> Map:
    return view if factor == 1.0 else (lambda x: view(x) * factor)


def _reshape(transform: Reshape, factor: float, tensors: Tensors) -> Map:
    return _times(factor, lambda x: x.reshape(*x.shape[:2], *transform.shape))


def _permute(transform: Permute, factor: float, tensors: Tensors) -> Map:
    axes = (0, 1, *(axis + 2 for axis in transform.axes))
    return _times(factor, lambda x: x.permute(axes))


def _slice(transform: Slice, factor: float, tensors: Tensors) -> Map:
    index = (..., *transform.index)
    return _times(factor, lambda x: x[index])


def _take(transform: Take, factor: float, tensors: Tensors) -> Map:
    indices = torch.from_numpy(np.array(transform.indices)).to(tensors.device)
    return _times(factor, lambda x: x.index_select(transform.axis + 2, indices))


def _place(transform: Place, factor: float, tensors: Tensors) -> Map:
    index = (..., *transform.index)

    def apply(x: Tensor) -> Tensor:
        y = tensors.zeros((*x.shape[:2], *transform.shape))
        y[index] = x
        return y

    return _times(factor, apply)


_MAPS: dict[type[Transform], Callable[[Any, float, Tensors], Map]] = {
    AxisMap: _axis_map,
    Sparse: _sparse,
    SumPool: _sum_pool,
    Scale: _scale,
    Reshape: _reshape,
    Permute: _permute,
    Slice: _slice,
    Take: _take,
    Place: _place,
}
