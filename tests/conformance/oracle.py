"""Slow and plain versions of the engines' computations, for tests to compare them with.

Written as the equations read, entry by entry and step by step, without any of the engines' code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright.network import transforms as maps
from spikewright.network.neurons import TOLERANCE, Clock, NeuronType
from spikewright.network.synapses import DiscreteFilter, Synapse, WindowMean
from spikewright.network.transforms import Transform


def apply_transform(transform: Transform, x: NDArray) -> NDArray:
    """The image of one unbatched float64 array, entry by entry."""
    if isinstance(transform, maps.Chain):
        for part in transform.parts:
            x = apply_transform(part, x)
        return x
    y = np.zeros(transform.output_shape(x.shape))
    _APPLY[type(transform)](transform, x, y)
    return y


def _dense(t: maps.Dense, x: NDArray, y: NDArray) -> None:
    for index in np.ndindex(y.shape):
        y[index] = sum(
            float(w) * v for w, v in zip(t.matrix[index[-1]], x[index[:-1]], strict=True)
        )


def _sparse(t: maps.Sparse, x: NDArray, y: NDArray) -> None:
    for row, column, value in zip(t.rows, t.columns, t.values, strict=True):
        y.reshape(-1)[row] += value * x.reshape(-1)[column]


def _scale(t: maps.Scale, x: NDArray, y: NDArray) -> None:
    factor = np.broadcast_to(t.factor, x.shape)
    for index in np.ndindex(x.shape):
        y[index] = factor[index] * x[index]


def _axis_map(t: maps.AxisMap, x: NDArray, y: NDArray) -> None:
    for index in np.ndindex(y.shape):
        before, out, after = index[: t.axis], index[t.axis], index[t.axis + 1 :]
        for i in range(x.shape[t.axis]):
            y[index] += t.matrix[out, i] * x[(*before, i, *after)]


def _taps(
    windows: Any, position: tuple[int, ...], spatial: tuple[int, ...]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every tap of a window that lies inside the input, and where."""
    found = []
    for tap in np.ndindex(windows.size):
        at = tuple(
            p * stride - before + k * dilation
            for p, stride, (before, _), k, dilation in zip(
                position, windows.stride, windows.padding, tap, windows.dilation, strict=True
            )
        )
        if all(0 <= a < n for a, n in zip(at, spatial, strict=True)):
            found.append((tap, at))
    return found


def _convolution(t: maps.Convolution, x: NDArray, y: NDArray) -> None:
    x, y = (np.moveaxis(a, -1, 0) if t.channels_last else a for a in (x, y))
    per_group = y.shape[0] // t.groups
    inner = t.kernel.shape[1]
    for out, *position in np.ndindex(y.shape):
        group = out // per_group
        for tap, at in _taps(t.windows, tuple(position), x.shape[1:]):
            for i in range(inner):
                weight = float(t.kernel[(out, i, *tap)])
                y[(out, *position)] += weight * x[(group * inner + i, *at)]


def _sum_pool(t: maps.SumPool, x: NDArray, y: NDArray) -> None:
    x, y = (np.moveaxis(a, -1, 0) if t.channels_last else a for a in (x, y))
    factor = np.broadcast_to(t.factor, y.shape[1:])
    for channel, *position in np.ndindex(y.shape):
        taps = _taps(t.windows, tuple(position), x.shape[1:])
        total = sum(x[(channel, *at)] for _, at in taps)
        y[(channel, *position)] = total * factor[tuple(position)]


def _reshape(t: maps.Reshape, x: NDArray, y: NDArray) -> None:
    y[...] = x.reshape(y.shape)


def _permute(t: maps.Permute, x: NDArray, y: NDArray) -> None:
    for index in np.ndindex(y.shape):
        source = [0] * x.ndim
        for axis, i in zip(t.axes, index, strict=True):
            source[axis] = i
        y[index] = x[tuple(source)]


def _slice(t: maps.Slice, x: NDArray, y: NDArray) -> None:
    for index in np.ndindex(y.shape):
        y[index] = x[tuple(range(*r)[i] for r, i in zip(t.ranges, index, strict=True))]


def _take(t: maps.Take, x: NDArray, y: NDArray) -> None:
    for index in np.ndindex(y.shape):
        before, at, after = index[: t.axis], index[t.axis], index[t.axis + 1 :]
        y[index] = x[(*before, int(t.indices[at]), *after)]


def _place(t: maps.Place, x: NDArray, y: NDArray) -> None:
    for index in np.ndindex(x.shape):
        y[tuple(range(*r)[i] for r, i in zip(t.ranges, index, strict=True))] = x[index]


_APPLY: dict[type[Transform], Callable[[Any, NDArray, NDArray], None]] = {
    maps.Dense: _dense,
    maps.Sparse: _sparse,
    maps.Scale: _scale,
    maps.AxisMap: _axis_map,
    maps.Convolution: _convolution,
    maps.SumPool: _sum_pool,
    maps.Reshape: _reshape,
    maps.Permute: _permute,
    maps.Slice: _slice,
    maps.Take: _take,
    maps.Place: _place,
}


def behind_synapse(synapse: Synapse, u: NDArray, dt: float) -> NDArray:
    """The output of a synapse for `u`, `(steps, n)`."""
    if synapse.stepped:
        return _behind_step(synapse, u, dt)
    if not synapse.commutes:
        taus = np.broadcast_to(synapse.tau, u.shape[1:])  # type: ignore[attr-defined]
        kind: Any = type(synapse)
        each = [filtered(kind(float(tau)).discretise(dt), u[:, [i]]) for i, tau in enumerate(taus)]
        return np.concatenate(each, axis=1)
    if not isinstance(synapse, WindowMean):
        return filtered(synapse.discretise(dt), u)
    y = np.empty_like(u)
    y[: synapse.steps] = synapse.initial or 0.0
    for start in range(synapse.steps, len(u), synapse.steps):
        y[start : start + synapse.steps] = u[start - synapse.steps : start].mean(axis=0)
    return y


def _behind_step(synapse: Synapse, u: NDArray, dt: float) -> NDArray:
    """The same of a synapse with a step of its own, one step late; it draws from its seed."""
    shape = u.shape[1:]
    state, rng = synapse.make_state(shape, shape, dt), np.random.default_rng(synapse.seed)
    step = synapse.make_step(shape, shape, dt, rng, state)
    y = np.zeros_like(u)
    for t in range(len(u) - 1):
        y[t + 1] = step((t + 1) * dt, np.array(u[t]))
    return y


def in_step(synapse: Synapse, u: NDArray, dt: float) -> NDArray:
    """The same without the step of delay, `(steps, ...)`."""
    return behind_synapse(synapse, np.concatenate([u, np.zeros_like(u[:1])]), dt)[1:]


def filtered(discrete: DiscreteFilter, u: NDArray) -> NDArray:
    """The output of a filter for `u`, `(steps, n)`, one step late: the first row is 0."""
    y = np.zeros_like(u)
    x = np.zeros((discrete.order, u.shape[1]))
    A, B, C = discrete.A, discrete.B[:, None], discrete.C
    for t in range(len(u) - 1):
        if discrete.feedthrough is None:
            x = A @ x + B * u[t]
            y[t + 1] = C @ x
        else:
            y[t + 1] = C @ x + discrete.feedthrough * u[t]
            x = A @ x + B * u[t]
    return y


def _integrate(
    voltage: NDArray,
    charge: NDArray,
    threshold: NDArray,
    *,
    least: NDArray | float | None = 0.0,
    rounding: Literal["down", "truncate"] = "down",
    floor: float | None = None,
    cap: int | None = None,
) -> tuple[NDArray, NDArray]:
    """The soft-reset integrator, neuron by neuron."""
    units = np.broadcast_to(threshold, voltage.shape)
    charges = np.broadcast_to(charge, voltage.shape)
    bounds = np.broadcast_to(-np.inf if least is None else least, voltage.shape)
    counts, left = np.zeros(voltage.shape), np.array(voltage)
    for index in np.ndindex(voltage.shape):
        unit = float(units[index])
        left[index] += charges[index]
        spikes = float(left[index]) / unit
        if rounding == "down" or spikes > 0:
            count = float(np.floor(spikes + TOLERANCE))
        else:
            count = -float(np.floor(-spikes + TOLERANCE))
        count = max(count, float(bounds[index]))
        count = count if cap is None else min(count, float(cap))
        counts[index] = count
        left[index] -= count * unit
        if floor is not None:
            left[index] = max(left[index], -floor * unit)
    return counts, left


_NAMESPACE: Any = SimpleNamespace(
    integrate=_integrate,
    constant=np.asarray,
    erf=np.vectorize(math.erf, otypes=[float]),
    **{
        name: getattr(np, name)
        for name in (
            "exp", "expm1", "log", "log1p", "power", "sin", "cos", "arctan", "tanh", "sqrt",
            "floor", "sign", "abs", "isfinite", "where", "maximum", "minimum", "greater",
            "greater_equal", "zeros_like",
        )
    },
)  # fmt: skip


def neuron_outputs(
    neuron_type: NeuronType,
    currents: NDArray,
    start: NDArray,
    dt: float,
    scale: float,
    uniform: Callable[[int, int], NDArray],
) -> tuple[NDArray, dict[str, NDArray]]:
    """Counts (of rate types: rates) and state by name, `(steps, n)` as the currents are.

    Voltages are in spikes, and so is `start`, the initial one; `uniform(step, index)` are the draws
    of a step.
    """
    threshold = np.array(1.0 / (scale * dt))
    unit = np.asarray(neuron_type.voltage_unit(threshold))
    n = currents.shape[1]
    state = {name: np.full(n, value) for name, value in neuron_type.initial_values().items()}
    state["voltage"] = start * unit
    outputs, states = [], []
    for step, current in enumerate(currents, start=1):
        clock = Clock(step, dt, threshold, lambda index, step=step: uniform(step, index))  # type: ignore[misc]
        outputs.append(np.array(neuron_type.step(_NAMESPACE, current, state, clock)))
        states.append({**state, "voltage": state["voltage"] / unit})
    return np.stack(outputs), {name: np.stack([s[name] for s in states]) for name in state}
