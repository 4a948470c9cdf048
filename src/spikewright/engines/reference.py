"""The reference engine: NumPy, float64, as the equations read. The oracle of every test.

Sums are exact (`engines.grid`) or elementwise in a fixed order, so results are bit-identical
whatever the batch, its order and the time block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._windows import Windows, channels_last, restore_channels
from spikewright.engines.base import Array, DelayedKernel, Engine, Kernel, NeuronKernel
from spikewright.engines.grid import GRIDS, Grid, input_limbs, weight_limbs
from spikewright.engines.program import (
    Apply,
    Filter,
    Linear,
    Neurons,
    Operator,
    Program,
    Source,
    Sum,
    uniform_draws,
)
from spikewright.engines.sources import apply_callable, constant_value, source_block
from spikewright.network import MaxPool
from spikewright.network.neurons import TOLERANCE, Clock
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
    Transform,
)

_BLOCK_VALUES = 2_000_000  # values of the widest signal in a block: some tens of MB altogether
_PATCH_VALUES = 4_000_000  # values of a convolution's patches made at once


class ReferenceEngine(Engine):
    """NumPy in float64."""

    name = "reference"
    exact = True
    bound = "bit-identical whatever the batch, its order and the time block"

    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        if isinstance(op, Linear):
            return _Linear(op, GRIDS[program.precision])
        if isinstance(op, Sum):
            return _Sum(op, program.shapes[op.output])
        if isinstance(op, Filter):
            return _Filter(op, batch, program.shapes[op.output])
        if isinstance(op, Apply):
            return _Apply(op, program.dt)
        if isinstance(op, Neurons):
            return _Neurons(op, program.dt, batch, tally)
        raise TypeError(f"the reference engine has no kernel for {type(op).__name__}")

    def source(self, op: Source, program: Program, fed: NDArray | None, first: int) -> Kernel:
        return _Source(op, program.dt, fed, first)

    def empty(self, program: Program, batch: int, steps: int, shape: tuple[int, ...]) -> Array:
        return np.empty((batch, steps, *shape))

    def to_numpy(self, array: Array) -> NDArray:
        return np.asarray(array)

    def block_steps(self, program: Program, batch: int) -> int:
        widest = max((int(np.prod(shape)) for shape in program.shapes), default=1)
        return int(np.clip(_BLOCK_VALUES // max(1, widest * batch), 1, 1000))


class _Source(Kernel):
    """Run with the number of steps done in this *run*; `first` is where the run began."""

    def __init__(self, op: Source, dt: float, fed: NDArray | None, first: int) -> None:
        self._node, self._dt, self._fed, self._first = op.node, dt, fed, first
        self._constant = constant_value(op.node, fed)
        self.stateless = self._constant is not None

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        if self._constant is not None:
            return [self._constant]
        return [source_block(self._node, self._fed, step, self._first + step, steps, self._dt)]


class _Sum(Kernel):
    stateless = True

    def __init__(self, op: Sum, shape: tuple[int, ...]) -> None:
        self._gain, self._bias, self._shape = op.gain, op.bias, shape

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        if not inputs:
            total = np.zeros((1, 1, *self._shape))
        else:
            total = inputs[0]
        for value in inputs[1:]:
            total = total + value
        if self._gain is not None:
            total = total * self._gain
        if self._bias is not None:
            total = total + self._bias
        return [total]


class _Filter(DelayedKernel):
    """`x_t = A x_(t-1) + B u_t`, elementwise over the signal, order by order."""

    def __init__(self, op: Filter, batch: int, shape: tuple[int, ...]) -> None:
        self._filter = op.filter
        self._state = [np.zeros((batch, *shape)) for _ in range(op.filter.order)]
        self._output = np.zeros((batch, *shape))

    def emit(self) -> Array:
        return self._output[:, None]

    def absorb(self, value: Array) -> None:
        u = value[:, 0]
        f = self._filter
        if f.feedthrough is None:
            self._advance(u)
            self._output = self._observe()
        else:
            self._output = self._observe() + f.feedthrough * u
            self._advance(u)

    def _advance(self, u: NDArray) -> None:
        A, B, x = self._filter.A, self._filter.B, self._state
        # Each line of A x + B u, zero entries skipped, in a fixed order.
        self._state = [
            sum((A[i, j] * x[j] for j in range(len(x)) if A[i, j] != 0.0), start=B[i] * u)
            for i in range(len(x))
        ]

    def _observe(self) -> NDArray:
        C, x = self._filter.C, self._state
        return sum((C[i] * x[i] for i in range(len(x))), start=np.zeros_like(self._output))

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        outputs = np.empty((len(self._output), steps, *self._output.shape[1:]))
        for t in range(steps):
            outputs[:, t] = self._output
            self.absorb(x if x.shape[1] == 1 else x[:, t : t + 1])
        return [outputs]


class _Apply(Kernel):
    def __init__(self, op: Apply, dt: float) -> None:
        self._node, self._dt = op.node, dt
        self._sums: NDArray | None = None
        self._sent: NDArray | None = None

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        function = self._node.output
        if not isinstance(function, MaxPool):
            x = np.broadcast_to(x, (x.shape[0], steps, *x.shape[2:]))
            return [apply_callable(self._node, x, step, self._dt)]
        if not function.accumulate:
            return [_max_pool(function, x)]
        return [self._accumulated(function, x, steps)]

    def _accumulated(self, pool: MaxPool, x: NDArray, steps: int) -> NDArray:
        outputs = np.empty((x.shape[0], steps, *self._node.shape_out))
        for t in range(steps):
            now = x[:, 0 if x.shape[1] == 1 else t]
            self._sums = now if self._sums is None else self._sums + now
            reached = _max_pool(pool, self._sums[:, None])[:, 0]
            outputs[:, t] = reached if self._sent is None else reached - self._sent
            self._sent = reached
        return outputs


def _max_pool(pool: MaxPool, x: NDArray) -> NDArray:
    flat = channels_last(x.reshape(-1, *x.shape[2:]), pool.channels_last)
    y = np.maximum.reduce([view for _, view in pool.windows.taps(flat, value=-np.inf)])
    y = restore_channels(y, pool.channels_last)
    return y.reshape(*x.shape[:2], *y.shape[1:])


class _Namespace:
    """NumPy and the integrator: the array functions of neuron equations."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(np, name)
        return function

    @staticmethod
    def integrate(
        voltage: NDArray,
        charge: NDArray,
        threshold: NDArray,
        *,
        negative: bool = False,
        rounding: Literal["down", "truncate"] = "down",
        floor: float | None = None,
        cap: int | None = None,
    ) -> tuple[NDArray, NDArray]:
        voltage = voltage + charge
        spikes = voltage / threshold
        if rounding == "down":
            counts = np.floor(spikes + TOLERANCE)
        else:
            counts = np.sign(spikes) * np.floor(np.abs(spikes) + TOLERANCE)
        if not negative:
            counts = np.maximum(counts, 0.0)
        if cap is not None:
            counts = np.minimum(counts, float(cap))
        voltage = voltage - counts * threshold
        if floor is not None:
            voltage = np.maximum(voltage, -floor * threshold)
        return counts, voltage


_NAMESPACE: Any = _Namespace()


class _Neurons(NeuronKernel):
    def __init__(self, op: Neurons, dt: float, batch: int, tally: bool) -> None:
        self._op, self._dt, self._batch = op, dt, batch
        shape = (batch, *op.ensemble.shape)
        self._state = {
            name: np.full(shape, value) for name, value in op.neuron_type.initial_state().items()
        }
        if op.neuron_type.has_voltage:
            self._state["voltage"] = np.array(np.broadcast_to(op.initial_voltage, shape))
        self.total = np.zeros(shape) if tally else None
        self.stateless = not op.neuron_type.spiking and not tally

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (current,) = inputs
        if self.stateless:
            return [self._op.neuron_type.step(_NAMESPACE, current, {}, self._clock(0))]
        shape = (self._batch, steps, *self._op.ensemble.shape)
        outputs = [np.empty(shape) for _ in range(1 if self._op.voltage is None else 2)]
        for t in range(steps):
            now = current[:, 0 if current.shape[1] == 1 else t]
            output = self._op.neuron_type.step(
                _NAMESPACE, now, self._state, self._clock(step + t + 1)
            )
            outputs[0][:, t] = output
            if self._op.voltage is not None:
                outputs[1][:, t] = self._state["voltage"]
        if self.total is not None:
            self.total += np.abs(outputs[0]).sum(axis=1)
        return outputs

    def _clock(self, step: int) -> Clock:
        op = self._op

        def uniform(index: int) -> NDArray:
            return uniform_draws(op.key, step, index, op.ensemble.shape)

        return Clock(step, self._dt, op.threshold, uniform)


class _Linear(Kernel):
    """`factor * transform(x)`, sums exact or in a fixed order."""

    stateless = True

    def __init__(self, op: Linear, grid: Grid) -> None:
        self._factor = op.factor
        self._map = _MAPS[type(op.transform)](op.transform, grid)

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        y = self._map(x)
        return [y if self._factor == 1.0 else y * self._factor]


Map = Callable[[NDArray], NDArray]  # (batch, steps, *shape_in) -> (batch, steps, *shape_out)


def _exact(
    x: NDArray, weights: list[NDArray], fan_in: int, grid: Grid, apply: Callable[..., NDArray]
) -> NDArray:
    """Sum of `apply(limb, weight)` over limbs of inputs and weights, in a fixed order."""
    total: NDArray | None = None
    for limb in input_limbs(x, fan_in, grid):
        for weight in weights:
            part = apply(limb, weight)
            total = part if total is None else total + part
    if total is None:
        raise ValueError("an input has at least one limb")
    return total


def _dense(transform: Dense, grid: Grid) -> Map:
    weights = [w.T.copy() for w in weight_limbs(transform.matrix, grid)]
    fan_in = transform.matrix.shape[1]
    pieces = [slice(i, i + 2**16) for i in range(0, max(fan_in, 1), 2**16)]

    def product(x: NDArray, weight: NDArray) -> NDArray:
        parts = [x[..., piece] @ weight[piece] for piece in pieces]
        return sum(parts[1:], start=parts[0])

    return lambda x: _exact(x, weights, fan_in, grid, product)


def _axis_map(transform: AxisMap, grid: Grid) -> Map:
    dense = _dense(Dense(transform.matrix), grid)
    axis = transform.axis + 2
    return lambda x: np.moveaxis(dense(np.moveaxis(x, axis, -1)), -1, axis)


def _convolution(transform: Convolution, grid: Grid) -> Map:
    windows, groups = transform.windows, transform.groups
    out, inner = transform.kernel.shape[:2]
    taps = int(np.prod(transform.kernel.shape[2:]))
    weights = [
        w.reshape(groups, out // groups, inner, taps).transpose(0, 3, 2, 1).copy()
        for w in weight_limbs(transform.kernel, grid)
    ]  # (groups, taps, inner, out / groups)

    def product(x: NDArray, weight: NDArray) -> NDArray:
        flat = channels_last(x.reshape(-1, *x.shape[2:]), transform.channels_last)
        y = restore_channels(_grouped(flat, weight, windows), transform.channels_last)
        return y.reshape(*x.shape[:2], *y.shape[1:])

    return lambda x: _exact(x, weights, taps * inner, grid, product)


def _grouped(x: NDArray, weight: NDArray, windows: Windows) -> NDArray:
    """Cross-correlation of `(n, *spatial, channels)` with `(groups, taps, inner, outer)`."""
    groups, taps, inner, outer = weight.shape
    extent = windows.output_extent(x.shape[1:-1])
    y = np.empty((len(x), *extent, groups * outer))
    rows = max(1, _PATCH_VALUES // max(1, int(np.prod(extent)) * taps * x.shape[-1]))
    for start in range(0, len(x), rows):
        patches = windows.patches(x[start : start + rows])
        shape = patches.shape[:-2]
        patches = patches.reshape(-1, taps, groups, inner)
        if inner == outer == 1:  # depthwise: elementwise sums over the taps, in order
            part = sum(patches[:, k, :, 0] * weight[:, k, 0, 0] for k in range(taps))
            y[start : start + rows] = part.reshape(*shape, groups)
            continue
        for g in range(groups):
            matrix = weight[g].reshape(taps * inner, outer)
            columns = patches[:, :, g].reshape(-1, taps * inner)
            y[start : start + rows, ..., g * outer : (g + 1) * outer] = (columns @ matrix).reshape(
                *shape, outer
            )
    return y


def _sparse(transform: Sparse, grid: Grid) -> Map:
    """Entry by entry: the k-th entries of all rows together, so each row sums in its own order."""
    order = np.argsort(transform.rows, kind="stable")
    rows, columns = transform.rows[order], transform.columns[order]
    values = np.asarray(transform.values, np.float64)[order]
    starts = np.searchsorted(rows, rows, side="left")
    rank = np.arange(len(rows)) - starts
    rounds = [np.flatnonzero(rank == k) for k in range(rank.max(initial=-1) + 1)]
    size = int(np.prod(transform.shape_out))

    def apply(x: NDArray) -> NDArray:
        flat = x.reshape(*x.shape[:2], -1)
        y = np.zeros((*x.shape[:2], size))
        for chosen in rounds:
            y[..., rows[chosen]] += values[chosen] * flat[..., columns[chosen]]
        return y.reshape(*x.shape[:2], *transform.shape_out)

    return apply


def _sum_pool(transform: SumPool, grid: Grid) -> Map:
    factor = np.asarray(transform.factor, np.float64)[..., None]

    def apply(x: NDArray) -> NDArray:
        flat = channels_last(x.reshape(-1, *x.shape[2:]), transform.channels_last)
        views = [view for _, view in transform.windows.taps(flat)]
        total = sum(views[1:], start=views[0]) * factor
        y = restore_channels(total, transform.channels_last)
        return y.reshape(*x.shape[:2], *y.shape[1:])

    return apply


def _scale(transform: Scale, grid: Grid) -> Map:
    factor = np.asarray(transform.factor, np.float64)
    return (lambda x: x) if np.all(factor == 1.0) and factor.ndim == 0 else (lambda x: x * factor)


def _reshape(transform: Reshape, grid: Grid) -> Map:
    return lambda x: x.reshape(*x.shape[:2], *transform.shape)


def _permute(transform: Permute, grid: Grid) -> Map:
    axes = (0, 1, *(axis + 2 for axis in transform.axes))
    return lambda x: x.transpose(axes)


def _index(ranges: tuple[tuple[int, int, int], ...]) -> tuple[slice, ...]:
    return (slice(None), slice(None), *(slice(*r) for r in ranges))


def _slice(transform: Slice, grid: Grid) -> Map:
    index = _index(transform.ranges)
    return lambda x: x[index]


def _place(transform: Place, grid: Grid) -> Map:
    index = _index(transform.ranges)

    def apply(x: NDArray) -> NDArray:
        y = np.zeros((*x.shape[:2], *transform.shape))
        y[index] = x
        return y

    return apply


_MAPS: dict[type[Transform], Callable[[Any, Grid], Map]] = {
    Dense: _dense,
    AxisMap: _axis_map,
    Convolution: _convolution,
    Sparse: _sparse,
    SumPool: _sum_pool,
    Scale: _scale,
    Reshape: _reshape,
    Permute: _permute,
    Slice: _slice,
    Place: _place,
}
