"""Transforms as nodes of an ONNX graph: sums are exact, as every engine's are.

Sums over numbers of spikes that a cap bounds are sums of bytes times bytes: a weight on the grid is
a whole number, and that is four limbs of seven bits. With eight, processors without VNNI would add
two products in sixteen bits, where 2 x 255 x 128 saturates; 2 x 255 x 64 does not. Other sums are
products of matrices in float64, of limbs that are narrow enough (`spikewright.engines.grid`). What
limbs and the grid leave out of sums over analog values is added as well; this alone is rounded in
the order of the runtime (`spikewright.engines.compensation`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from spikewright._base.windows import channels_last
from spikewright.engines.compensation import Compensation, grid_of
from spikewright.engines.grid import (
    GRIDS,
    MAX_FAN_IN,
    Grid,
    Precision,
    integer_weights,
    weight_limbs,
)
from spikewright.engines.operators import Linear
from spikewright.engines.reference.linear import LinearKernel
from spikewright.exchange.onnx.functions import OnnxArray, OnnxFunctions, numbered, taps
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

LIMB = 7
"""Bits of a limb, sign included: two products with a byte add up in sixteen bits."""
_LOG2 = float(np.log(2.0))


@dataclass(frozen=True)
class Bounds:
    """Whole numbers from `low` to `high`: what a signal is known to hold."""

    low: int
    high: int

    @property
    def zero_point(self) -> int | None:
        """A number that makes bytes of them when it is added; None where no byte holds them."""
        if self.low >= 0 and self.high <= 255:
            return 0
        return 128 if self.low >= -128 and self.high <= 127 else None


@dataclass(frozen=True, eq=False)
class OnnxSignal:
    """A signal of the program: its values, and their bounds where they are known whole numbers."""

    values: OnnxArray
    bounds: Bounds | None = None

    @property
    def small(self) -> bool:
        """True where bytes hold them."""
        return self.bounds is not None and self.bounds.zero_point is not None


@dataclass(frozen=True)
class OnnxSums:
    """Sums over weights of a precision, `compensated` where they are over analog values."""

    xp: OnnxFunctions
    precision: Precision
    compensated: Compensation | None = None

    @property
    def grid(self) -> Grid:
        """The grid of the weights."""
        return grid_of(self.precision, self.compensated)

    def in_bytes(self, x: OnnxSignal) -> bool:
        """Whether sums over a signal are those of bytes times bytes."""
        return x.small and self.compensated is None


Map = Callable[[OnnxSignal, Any, OnnxSums], OnnxArray]


def applied(op: Linear, x: OnnxSignal, xp: OnnxFunctions, precision: Precision) -> OnnxSignal:
    """`factor * transform(x)`."""
    transform = op.transform
    if isinstance(transform, MOVES):
        return OnnxSignal(_moved(op, x.values), _with_zero(x.bounds) if op.factor == 1.0 else None)
    y = MAPS[type(transform)](x, op.scaled_transform(), OnnxSums(xp, precision, op.compensation))
    plain = op.steps is None and op.factor == 1.0
    return OnnxSignal(y if plain else y * op.unit)


def _with_zero(bounds: Bounds | None) -> Bounds | None:
    return bounds and Bounds(min(bounds.low, 0), max(bounds.high, 0))


def _moved(op: Linear, x: OnnxArray) -> OnnxArray:
    """Values at other places: the transform of their numbers says which."""
    if isinstance(op.transform, Reshape):
        moved = x.reshape(1, *op.transform.shape)
    else:
        kernel = LinearKernel(Linear(op.label, (0,), 1, op.transform), "float32")
        (places,) = kernel.run([numbered(x.shape[1:])[None].astype(np.float64)], 0, 1)
        moved = x.gather_padded(np.asarray(places[0, 0], np.int64), 0.0)
    found: OnnxArray = moved if op.factor == 1.0 else moved * op.factor
    return found


def _scale(x: OnnxSignal, transform: Scale, sums: OnnxSums) -> OnnxArray:
    factor = np.asarray(transform.factor, np.float64)
    if factor.ndim == 0 and factor == 1.0:
        return x.values
    found: OnnxArray = x.values * factor
    return found


def _sum_pool(x: OnnxSignal, transform: SumPool, sums: OnnxSums) -> OnnxArray:
    views = taps(x.values, transform.windows, transform.channels_last, 0.0)
    factor = np.asarray(transform.factor, np.float64)[..., None]
    if factor.ndim > 1 and not transform.channels_last:
        factor = np.moveaxis(factor, -1, 0)
    found: OnnxArray = reduce(lambda a, b: a + b, views) * (
        factor if factor.ndim > 1 else factor[0]
    )
    return found


def _dense(x: OnnxSignal, transform: Dense, sums: OnnxSums) -> OnnxArray:
    return _product(x, transform.matrix, sums)


def _sparse(x: OnnxSignal, transform: Sparse, sums: OnnxSums) -> OnnxArray:
    matrix = np.zeros((int(np.prod(transform.shape_out)), transform.size_in))
    np.add.at(matrix, (transform.rows, transform.columns), transform.values)
    flat = OnnxSignal(x.values.reshape(1, -1), x.bounds)
    found: OnnxArray = _product(flat, matrix, sums).reshape(1, *transform.shape_out)
    return found


def _axis_map(x: OnnxSignal, transform: AxisMap, sums: OnnxSums) -> OnnxArray:
    axes = list(range(x.values.ndim))
    axes.append(axes.pop(transform.axis + 1))
    moved = OnnxSignal(x.values.transpose(axes), x.bounds)
    y = _product(moved, transform.matrix, sums)
    found: OnnxArray = y.transpose([axes.index(i) for i in range(len(axes))])
    return found


def _product(x: OnnxSignal, matrix: NDArray, sums: OnnxSums) -> OnnxArray:
    """`x @ matrix.T` over the last axis."""
    shape = (*x.values.shape[:-1], len(matrix))
    if sums.in_bytes(x):
        return _in_bytes(x, matrix, sums.precision, _MatMul(shape))
    starts = range(0, matrix.shape[1], MAX_FAN_IN)

    def apply(limb: OnnxArray, weight: NDArray) -> OnnxArray:
        parts = [
            (limb if len(starts) == 1 else limb[..., i : i + MAX_FAN_IN]).make(
                "MatMul", weight[:, i : i + MAX_FAN_IN].T, shape=shape
            )
            for i in starts
        ]
        return reduce(lambda a, b: a + b, parts)

    return _in_limbs(x, matrix, sums, apply)


def _convolution(x: OnnxSignal, transform: Convolution, sums: OnnxSums) -> OnnxArray:
    rank, last = transform.kernel.ndim - 2, transform.channels_last
    first = [0, rank + 1, *range(1, rank + 1)]
    if sums.in_bytes(x):
        images = x.values.transpose(first) if last else x.values
        images = OnnxSignal(images, x.bounds)
        y = _in_bytes(images, transform.kernel, sums.precision, _Convolve(transform))
    else:
        y = _by_patches(x, transform, sums)
    if not last:
        return y
    back: OnnxArray = y.transpose([0, *range(2, rank + 2), 1])
    return back


def _by_patches(x: OnnxSignal, transform: Convolution, sums: OnnxSums) -> OnnxArray:
    """`(1, out, *extent)`: windows laid out as rows, times the kernel, group by group."""
    kernel, groups, windows = transform.kernel, transform.groups, transform.windows
    out, inner = kernel.shape[:2]
    places = windows.patches(channels_last(numbered(x.values.shape[1:]), transform.channels_last))
    extent, count = places.shape[1:-2], places.shape[-2]
    rows = places[0].reshape(-1, count, groups, inner).transpose(2, 0, 1, 3)
    rows = rows.reshape(groups, -1, count * inner)
    shape = (1, groups, rows.shape[1], out // groups)

    def apply(limb: OnnxArray, weight: NDArray) -> OnnxArray:
        taps_last = weight.reshape(groups, out // groups, inner, count).transpose(0, 3, 2, 1)
        matrix = taps_last.reshape(groups, count * inner, out // groups)
        found: OnnxArray = limb.gather_padded(rows, 0.0).make("MatMul", matrix, shape=shape)
        return found

    y = _in_limbs(x, kernel, sums, apply)
    found: OnnxArray = y.transpose([0, 1, 3, 2]).reshape(1, out, *extent)
    return found


def _in_limbs(
    x: OnnxSignal, weight: NDArray, sums: OnnxSums, apply: Callable[[OnnxArray, NDArray], OnnxArray]
) -> OnnxArray:
    """The sum of `apply(limb, weight)` over limbs of inputs and weights, in the engines' order.

    The remainders of inputs and the residuals of weights follow where they are added.
    """
    weights = weight_limbs(weight, sums.grid)
    limbs, rest = _limbs(x, int(np.prod(weight.shape[1:])), sums)
    parts = [apply(limb, w) for limb in limbs for w in weights]
    if rest is not None:
        parts.append(apply(rest, sum(weights[1:], start=weights[0])))
    if sums.compensated is not None:
        residuals = sums.compensated.residual_weights()
        parts += [apply(x.values, residuals)] if residuals.any() else []
    return reduce(lambda a, b: a + b, parts)


def _limbs(x: OnnxSignal, fan_in: int, sums: OnnxSums) -> tuple[list[Any], Any]:
    """A sample's limbs and remainders, or None (`spikewright.engines.grid.split_inputs`).

    Whole numbers that are known to fit one limb are one.
    """
    xp = sums.xp
    bits, count = sums.grid.input_limbs(min(fan_in, MAX_FAN_IN))
    rest: Any = x.values
    if x.bounds is not None and max(-x.bounds.low, x.bounds.high) <= 2 ** (bits - 1):
        return [rest], None
    axes = tuple(range(1, rest.ndim))
    largest = xp.maximum(xp.amax(xp.abs(rest), axes, keepdims=True), 1e-290)
    step = _power_of_two(largest, xp) * 2.0 ** (1 - bits)
    unit = step
    parts = []
    for _ in range(count):
        part = (rest / step).make("Round") * step
        parts.append(part)
        rest, step = rest - part, step * 2.0**-bits
    if sums.compensated is None:
        return parts, None
    sizes, (wide, reach) = xp.abs(x.values), sums.compensated.limits
    small = xp.where(sizes > 0.0, xp.where(sizes < unit * wide, 1.0, 0.0), 0.0)
    added = xp.where(sizes < unit * reach, rest, 0.0)
    return parts, added * xp.amax(small, axes, keepdims=True)


def _power_of_two(x: OnnxArray, xp: OnnxFunctions) -> Any:
    """The smallest power of two that is not below `x`, whatever the logarithm rounds."""
    exponent = -xp.floor(-(xp.log(x) / _LOG2))
    power = 2.0**exponent
    power = xp.where(power < x, 2.0 * power, power)
    half = 0.5 * power
    return xp.where(half >= x, half, power)


class _MatMul:
    """Products of matrices of bytes."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __call__(self, x: OnnxArray, zero: str, limb: NDArray[np.int8]) -> str:
        writer = x.writer
        return writer.node("MatMulInteger", [x.name, writer.constant(limb.T, np.int8), zero])

    def scaled(self, steps: NDArray) -> NDArray:
        """Steps of the channels, as they meet a result."""
        return steps


class _Convolve:
    """Convolutions of bytes, channels first."""

    def __init__(self, transform: Convolution) -> None:
        self._transform = transform
        self.shape: tuple[int, ...] = ()

    def __call__(self, x: OnnxArray, zero: str, limb: NDArray[np.int8]) -> str:
        windows, transform, writer = self._transform.windows, self._transform, x.writer
        before, after = zip(*windows.reach(x.shape[2:]), strict=True)
        self.shape = (1, len(limb), *windows.output_extent(x.shape[2:]))
        return writer.node(
            "ConvInteger", [x.name, writer.constant(limb, np.int8), zero],
            strides=list(windows.stride), dilations=list(windows.dilation),
            pads=[*before, *after], group=transform.groups, kernel_shape=list(windows.size),
        )  # fmt: skip

    def scaled(self, steps: NDArray) -> NDArray:
        """Steps of the channels, as they meet a result."""
        return steps.reshape(-1, *(1 for _ in self._transform.windows.size))


def _in_bytes(x: OnnxSignal, weight: NDArray, precision: Precision, apply: Any) -> OnnxArray:
    """Exact sums of bytes times limbs, put together in float64."""
    assert x.bounds is not None and x.bounds.zero_point is not None
    writer, zero = x.values.writer, x.bounds.zero_point
    given = (x.values + float(zero) if zero else x.values).cast(TensorProto.UINT8)
    zero_point = writer.constant(zero, np.uint8)
    integers, steps = integer_weights(weight, precision)
    total: Any = None
    for place, whole in enumerate(integers):
        later = len(integers) - 1 - place
        unit = steps * 2.0 ** (GRIDS[precision].weight_bits * later)
        part: Any = None
        for power, limb in _limbs_of(whole):
            sums = OnnxArray(writer, apply(given, zero_point, limb), apply.shape)
            digit = sums.cast(TensorProto.DOUBLE)
            digit = digit * 2.0 ** (LIMB * power) if power else digit
            part = digit if part is None else part + digit
        part = part * apply.scaled(unit)
        total = part if total is None else total + part
    found: OnnxArray = total
    return found


def _limbs_of(whole: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.int8]]]:
    """Limbs, sign included, with their place; those of zeros alone are left out."""
    rest, power, half = whole.astype(np.int64), 0, 1 << (LIMB - 1)
    while power == 0 or rest.any():
        digit = (rest + half) % (2 * half) - half
        if digit.any() or (power == 0 and not (rest - digit).any()):
            yield power, digit.astype(np.int8)
        rest, power = (rest - digit) >> LIMB, power + 1


MAPS: dict[type[Transform], Any] = {
    AxisMap: _axis_map,
    Convolution: _convolution,
    Dense: _dense,
    Scale: _scale,
    Sparse: _sparse,
    SumPool: _sum_pool,
}
MOVES = (Permute, Place, Reshape, Slice, Take)
