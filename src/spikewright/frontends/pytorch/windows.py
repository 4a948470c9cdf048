"""Convolution, pooling and resizing over windows, and complex spectra of windows.

A complex value is its parts side by side; a spectrum is a product with constants.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree as pytree

from spikewright._base.windows import Pairs, Windows
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import TorchCall, reads
from spikewright.frontends.reading.arithmetic import combined, product
from spikewright.frontends.reading.call import BATCH_FIRST, UnsupportedInput, UnsupportedOp, Value
from spikewright.frontends.reading.reductions import (
    adaptive_average,
    adaptive_maximum,
    folded,
    halves,
    resampled,
    windowed,
)
from spikewright.frontends.reading.selection import stacked
from spikewright.graph.layers import (
    Activation,
    AveragePool,
    Convolution,
    ConvolutionTranspose,
    Identity,
    MaxPool,
    Reshape,
    ScaleShift,
)

BY_PARTS = frozenset((
    "aten.view.default", "aten.reshape.default", "aten.permute.default", "aten.transpose.int",
    "aten.squeeze.dim", "aten.squeeze.default", "aten.unsqueeze.default", "aten.slice.Tensor",
    "aten.select.int", "aten.clone.default", "aten.contiguous.default", "aten.flatten.using_ints",
    "aten.mT.default",
))  # fmt: skip
"""Operators that move values, which do to a complex one what they do to its parts."""

NOT_READ = (
    "it computes with complex numbers, of which only the parts and the size are read",
    "Use torch.view_as_real, .real, .imag or .abs() before it.",
)


@dataclass(frozen=True)
class Complex(Value):
    """The real part, and the imaginary part of the same shape beside it."""

    imaginary: Value | None = None

    @classmethod
    def of(cls, real: Value, imaginary: Value) -> Complex:
        """The complex value of these parts."""
        return cls(real.name, real.shape, real.layout, imaginary=imaginary)

    @property
    def parts(self) -> tuple[Value, Value]:
        """The real part and the imaginary part."""
        if self.imaginary is None:
            raise UnsupportedInput
        return Value(self.name, self.shape, self.layout), self.imaginary


def part_of(arguments: Any, index: int) -> Any:
    """Arguments with the real (0) or imaginary (1) parts of their complex values."""
    return pytree.tree_map_only(Complex, lambda value: value.parts[index], arguments)


def with_kind(value: Value, kind: Any) -> Value:
    """A value that knows whether the program holds whole numbers or truth values, by its type."""
    truth = str(kind) == "torch.bool"
    whole = not (truth or kind.is_floating_point or kind.is_complex)
    return replace(value, whole=int(whole), truth=truth)


@reads("aten.stft.default")
def _spectra(call: TorchCall) -> Value:
    """A convolution over each signal, whose channels are the frequencies `(frequencies, frames)`.

    Frames hold `n_fft` values from each `hop_length` on; what surrounds the signal, if `center`
    asks for that, was added before.
    """
    x = call.value("self")
    if x.layout != BATCH_FIRST or len(x.shape) != 1:
        raise UnsupportedOp(
            f"it is applied to {len(x.shape)} axes of a sample", "Give it one signal (batch, time)."
        )
    size = call["n_fft"]
    hop = call["hop_length"] or size // 4
    signal = call.add(Reshape((1, *x.shape)), x, part="signal")
    made = [
        windowed(call.inside(part), Convolution(kernel, None, (hop,), ((0, 0),), (1,)), signal)
        for part, kernel in zip(("real", "imaginary"), _kernels(call, size), strict=True)
    ]
    return Complex.of(*made) if call["return_complex"] else stacked(call, made, 2)


def _kernels(call: TorchCall, size: int) -> tuple[NDArray, NDArray]:
    """The kernels `(frequencies, 1, n_fft)` of real and imaginary parts."""
    length = call["win_length"] or size
    window = np.ones(length) if call["window"] is None else call.array("window")
    before = (size - length) // 2
    window = np.pad(np.asarray(window, np.float64), (before, size - length - before))
    if call["normalized"]:
        window = window / np.sqrt(size)
    every = size if call["onesided"] is False else size // 2 + 1
    angles = 2 * np.pi * (np.outer(np.arange(every), np.arange(size)) % size) / size
    return (np.cos(angles) * window)[:, None], (-np.sin(angles) * window)[:, None]


def _complex(call: TorchCall, name: str = "self") -> Complex:
    value = call[name]
    if isinstance(value, Value) and value.name is None:
        raise UnsupportedInput
    if not isinstance(value, Complex):
        raise UnsupportedOp(*NOT_READ)
    return value


@reads("aten.view_as_real.default")
def _view_as_real(call: TorchCall) -> Value:
    parts = _complex(call).parts
    return stacked(call, parts, len(parts[0].shape))


@reads("aten.real.default", "aten.imag.default")
def _part(call: TorchCall) -> Value:
    value: Any = call["self"]
    if not isinstance(value, Complex):
        return call.add(Identity(), value)
    return call.add(Identity(), value.parts["imag" in call.target])


def size_of(call: TorchCall, value: Complex) -> Value:
    """`sqrt(re^2 + im^2)`."""
    squares = [
        product(call.inside(f"{name}/square"), x, x)
        for name, x in zip(("real", "imaginary"), value.parts, strict=True)
    ]
    power = combined(call.inside("power"), (1.0, squares[0]), (1.0, squares[1]))
    return call.add(Activation("sqrt"), power)


@reads(
    "aten.conv1d.default", "aten.conv1d.padding", "aten.conv2d.default", "aten.conv2d.padding",
    "aten.conv3d.default", "aten.conv3d.padding", "aten.convolution.default",
    "aten._convolution.default",
)  # fmt: skip
def _convolution(call: TorchCall) -> Value:
    if call.get("transposed"):
        return _transposed(call)
    weight = call.array("weight")
    rank = weight.ndim - 2
    dilation = call.numbers("dilation", rank)
    layer = Convolution(
        weight,
        call.optional_array("bias"),
        call.numbers("stride", rank),
        _padding(call, weight.shape[2:], dilation),
        dilation,
        call["groups"],
    )
    return windowed(call, layer, call.windows("input", rank))


@reads("aten.conv_transpose1d.default", "aten.conv_transpose2d.input",
       "aten.conv_transpose3d.input")  # fmt: skip
def _transposed(call: TorchCall) -> Value:
    weight = call.array("weight")
    rank = weight.ndim - 2
    if not 1 <= rank <= 3:
        raise UnsupportedOp(
            f"its weights have shape {weight.shape}, which is no kernel of 1 to 3 axes"
        )
    layer = ConvolutionTranspose(
        weight,
        call.optional_array("bias"),
        call.numbers("stride", rank),
        padding=tuple((n, n) for n in call.numbers("padding", rank)),
        output_padding=call.numbers("output_padding", rank),
        dilation=call.numbers("dilation", rank),
        groups=call["groups"],
    )
    return windowed(call, layer, call.windows("input", rank))


def _padding(call: TorchCall, size: tuple[int, ...], dilation: tuple[int, ...]) -> Pairs:
    if call["padding"] == "valid":
        return ((0, 0),) * len(size)
    if call["padding"] == "same":  # an odd total has its larger half behind
        return tuple(halves(d * (n - 1)) for n, d in zip(size, dilation, strict=True))
    return tuple((n, n) for n in call.numbers("padding", len(size)))


@reads("aten.im2col.default")
def _patches(call: TorchCall) -> Value:
    """Patches as channels: a convolution with kernels that pick one value each."""
    x = call.sample("self")
    size = call.numbers("kernel_size", 2)
    channels, taps = x.shape[0], size[0] * size[1]
    kernel = np.tile(np.eye(taps).reshape(taps, 1, *size), (channels, 1, 1, 1))
    made = call.add(_windowed(call, kernel, channels), x, part="windows")
    return call.view(made, sizes_of(call.results))


def _windowed(call: TorchCall, kernel: NDArray, groups: int) -> Convolution:
    pads = tuple((n, n) for n in call.numbers("padding", 2))
    return Convolution(
        kernel, None, call.numbers("stride", 2), pads, call.numbers("dilation", 2), groups
    )


@reads("aten.col2im.default")
def _folded(call: TorchCall) -> Value:
    """Patches added up where they overlap."""
    size, stride, dilation = (
        call.numbers(name, 2) for name in ("kernel_size", "stride", "dilation")
    )
    pads = tuple((n, n) for n in call.numbers("padding", 2))
    windows = Windows(size, stride, pads, dilation)
    return folded(call, call.sample("self"), call.numbers("output_size", 2), windows)


def _rank(call: TorchCall) -> int:
    """The number of spatial axes, from the operator's name."""
    return int(re.findall(r"([123])d", call.target)[0])


def _windows(call: TorchCall) -> tuple[tuple[int, ...], tuple[int, ...], Pairs]:
    """Size, stride and padding."""
    rank = _rank(call)
    size = call.numbers("kernel_size", rank)
    stride = call.numbers("stride", rank) if call["stride"] else size
    return size, stride, tuple((n, n) for n in call.numbers("padding", rank))


@reads(
    "aten.max_pool1d.default", "aten.max_pool2d.default", "aten.max_pool3d.default",
    "aten.max_pool1d_with_indices.default", "aten.max_pool2d_with_indices.default",
    "aten.max_pool3d_with_indices.default",
)  # fmt: skip
def _max_pool(call: TorchCall) -> Value:
    rank = _rank(call)
    layer = MaxPool(*_windows(call), call.numbers("dilation", rank), bool(call["ceil_mode"]))
    x, pads = call.notes.get(("surrounded", getattr(call["self"], "name", None)), (None, ()))
    if x is None or layer.ceil_mode or any(map(any, pads[:-rank])):
        value = windowed(call, layer, call.windows("self", rank))
    else:  # the values around are padding of the windows
        both = zip(layer.padding, pads[-rank:], strict=True)
        padding = tuple((a + c, b + d) for (a, b), (c, d) in both)
        value = windowed(call, replace(layer, padding=padding), x)
    return value


@reads("aten.avg_pool1d.default", "aten.avg_pool2d.default", "aten.avg_pool3d.default")
def _average_pool(call: TorchCall) -> Value:
    divisor, rank = call.get("divisor_override"), _rank(call)
    include = bool(call["count_include_pad"]) or divisor is not None
    pool = AveragePool(*_windows(call), bool(call["ceil_mode"]), include)
    if divisor is None:
        return windowed(call, pool, call.windows("self", rank))
    x = call.windows("self", rank)
    counts = pool.divisors(x.shape[-rank:]) / divisor  # means back to sums, then the divisor
    scale = np.asarray(counts.flat[0]) if np.ptp(counts) == 0 else counts[None]
    return call.add(ScaleShift(scale), windowed(call.inside("average"), pool, x))


@reads(
    "aten.adaptive_avg_pool1d.default", "aten.adaptive_avg_pool2d.default",
    "aten.adaptive_avg_pool3d.default", "aten._adaptive_avg_pool2d.default",
    "aten._adaptive_avg_pool3d.default",
)  # fmt: skip
def _adaptive_average_pool(call: TorchCall) -> Value:
    return adaptive_average(call, *_adaptive(call, call.results))


def _adaptive(call: TorchCall, result: Any) -> tuple[Value, tuple[int, ...], tuple[int, ...]]:
    """The value, its spatial axes, and their extents in the result."""
    rank, x = _rank(call), call.value("self")
    axes = tuple(call.axis(x, dim) for dim in range(-rank, 0))
    return x, axes, tuple(sizes_of(result)[-rank:])


@reads(
    "aten.adaptive_max_pool1d.default", "aten.adaptive_max_pool2d.default",
    "aten.adaptive_max_pool3d.default",
)  # fmt: skip
def _adaptive_max_pool(call: TorchCall) -> Value:
    return adaptive_maximum(call, *_adaptive(call, call.results[0]))


_OPERATORS = (
    *(f"upsample_{name}" for name in (
        "nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "trilinear3d", "bicubic2d",
    )),
    *(f"_upsample_{name}" for name in (
        "nearest_exact1d", "nearest_exact2d", "nearest_exact3d", "bilinear2d_aa", "bicubic2d_aa",
    )),
)  # fmt: skip


@reads(*(f"aten.{name}.{kind}" for name in _OPERATORS for kind in ("default", "vec")))
def _resize(call: TorchCall) -> Value:
    x = call.value("input" if "input" in call.arguments else "self")
    name = call.target.split(".")[1]
    rank = int(re.findall(r"([123])d", name)[0])
    axes = [call.axis(x, dim) for dim in range(-rank, 0)]
    sizes = sizes_of(call.results)[-rank:]
    scales = _scales(call, rank)
    align = bool(call.get("align_corners", False))
    matrices = {
        axis: _matrix(name, x.shape[axis], int(size), scale, align, call.dtype)
        for axis, size, scale in zip(axes, sizes, scales, strict=True)
    }
    return resampled(call, x, matrices)


def _scales(call: TorchCall, rank: int) -> list[float | None]:
    given = call.get("scale_factors")
    if given:
        return list(given)
    named = [value for name, value in call.arguments.items() if name.startswith("scales")]
    return named if len(named) == rank else [None] * rank


def _matrix(
    name: str, before: int, after: int, scale: float | None, align: bool, dtype: Any
) -> NDArray:
    """The matrix `(after, before)` of an operator along one axis: its values on unit vectors."""
    operators = torch.ops.aten
    nearest = "nearest" in name
    # Which value is nearest depends on the rounding of the precision that the model has.
    units = torch.eye(before, dtype=dtype if nearest and dtype else torch.float64)[None]
    if nearest:
        packet = "_upsample_nearest_exact1d" if "exact" in name else "upsample_nearest1d"
        result = getattr(operators, packet).default(units, [after], scale)
    elif "linear" in name and "aa" not in name:
        result = operators.upsample_linear1d.default(units, [after], align, scale)
    else:
        operator = getattr(operators, name).default
        result = operator(units[:, :, None], [1, after], align, None, scale)[:, :, 0]
    return np.ascontiguousarray(result[0].T.double().numpy())
