"""Kernels of a region beside layers and populations: filters, delays, scales, pools, functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikewright.engines.compensation import Compensation, grid_of
from spikewright.engines.native._kernels import Action, Limbs, Term
from spikewright.engines.native.batched_buffers import concatenated
from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.function_kernels import function_kernel
from spikewright.engines.native.kernel_selection import is_shift_register
from spikewright.engines.native.orders import Order, channels_last_order, geometry_of
from spikewright.engines.operators import Advance, Apply, Delay, Filter, Linear, Smooth
from spikewright.network import MaxPool, NodeFunction
from spikewright.network.transforms import Scale, SumPool


def add_filters(b: Buffers, ops: Sequence[Filter | Smooth]) -> None:
    """Add filters with the same coefficients.

    In a loop, a filter with a delay gives its output first and reads its input at a step's end.
    """
    filter = ops[0].filter
    smooth = isinstance(ops[0], Smooth)
    waits = b.op.loops and not smooth
    signals, outputs = [op.inputs[0] for op in ops], [op.output for op in ops]
    order: Order = None
    source = -1
    if len(ops) == 1 and waits:
        order = b.preferred.get(outputs[0])
    elif len(ops) == 1:
        stored = b.locate(signals[0])
        order, source = stored.order, stored.buffer
    elif not waits:
        source = concatenated(b, signals)
    target = b.batched(False, outputs, order)
    if waits:
        source = target
    size = sum(map(b.size, outputs))
    states = [b.memory(ops, np.zeros(size)) for _ in range(filter.order)]
    output = b.memory(ops, np.zeros(size))
    numbers = {
        "output": target,
        "A": filter.A,
        "B": filter.B,
        "C": filter.C,
        "D": filter.feedthrough,
        "line": is_shift_register(filter),
        "states": states,
        "kept": output,
    }
    action = Action.emit if waits else Action.smooth if smooth else Action.filter
    b.kernels.filter(action=action, input=source, **numbers)
    if waits:
        b.step_end.append(
            lambda: b.kernels.filter(
                action=Action.absorb, input=concatenated(b, signals, order), **numbers
            )
        )


def add_delay(b: Buffers, op: Delay) -> None:
    """Add a delay; in a loop it gives its output first and reads its input at a step's end."""
    (signal,) = op.inputs
    rows = b.memory([op], np.zeros((op.steps, b.size(signal))))
    waits = {"steps": op.steps, "rows": rows}
    source = -1 if b.op.loops else b.buffer_in(signal)
    target = b.buffer(op.output in b.op.counts, op.output)
    if not b.op.loops:
        b.kernels.delay(action=Action.delay, input=source, output=target, **waits)
        return
    b.kernels.delay(action=Action.release, input=target, output=target, **waits)

    def keep() -> None:
        b.kernels.delay(action=Action.keep, input=b.buffer_in(signal), output=target, **waits)

    b.step_end.append(keep)


def add_advance(b: Buffers, op: Advance) -> None:
    """Add an advance: each value is passed on some steps before its own."""
    (signal,) = op.inputs
    stored = b.locate(signal)
    target = b.buffer(op.output in b.op.counts, op.output, stored.order)
    b.kernels.advance(input=stored.buffer, output=target, steps=op.steps)


def add_scale(b: Buffers, op: Linear, transform: Scale) -> None:
    """Add the product `x * factor * op.factor`, rounded twice where neither factor is 1."""
    (signal,) = op.inputs
    factor = np.asarray(transform.factor, np.float64)
    twice = op.factor != 1.0 and bool(np.any(factor != 1.0))
    if factor.ndim == 0 and signal in b.op.counts:  # beside the term
        single = float(factor) if twice else float(factor) * op.factor
        b.combine(op, {signal: single}, np.asarray(op.factor) if twice else None)
        return
    b.combine(op, {}, factor if twice else factor * op.factor)
    if twice:
        first = b.stored[op.output]
        gain = np.full(b.size(op.output), op.factor)
        target = b.buffer(False, op.output, first.order)
        b.kernels.combine(output=target, terms=[Term(source=first.buffer)], gain=gain)


def limbs_of(b: Buffers, fan_in: int, compensation: Compensation | None = None) -> Limbs:
    """The limbs of values that `engines.grid.split_inputs` makes for sums of `fan_in` terms."""
    grid = grid_of(b.program.precision, compensation)
    bits, most = grid.input_limbs(fan_in)
    limits = (0.0, 0.0) if compensation is None else compensation.limits
    return Limbs(bits=bits, most=most, weights=grid.weight_limbs, wide=limits[0], reach=limits[1])


def add_sum_pool(b: Buffers, op: Linear, pool: SumPool) -> None:
    """Add sums over windows of counts or values."""
    _add_pool(b, op, pool, Action.pool if op.output in b.op.counts else Action.pool_values)


def _add_max_pool(b: Buffers, op: Apply, pool: MaxPool) -> None:
    """Add maxima over windows of counts or values, or of their running sums."""
    if not pool.accumulate:
        _add_pool(b, op, pool, Action.max_pool)
        return
    memories = [b.memory([op], np.zeros(b.size(s))) for s in (op.inputs[0], op.output)]
    _add_pool(b, op, pool, Action.running_max_pool, memories)


def add_function(b: Buffers, op: Apply) -> None:
    """Add a node function of the present values, or of the running means of its inputs."""
    function = op.node.output
    if isinstance(function, MaxPool):
        return _add_max_pool(b, op, function)
    (signal,) = op.inputs
    made = None
    if isinstance(function, NodeFunction):
        made = function_kernel(function, b.program.shapes[signal])
    if made is None:
        raise TypeError(f"{op.label}: a region holds no {type(function).__name__}")
    memories = []
    if op.has_state:
        made.once = float(op.node.at_once) if op.node.once else 0.0
        sizes = (b.size(signal), b.size(op.output), 1)
        memories = [b.memory([op], np.zeros(size)) for size in sizes]
    source = b.buffer_in(signal)
    target = b.buffer(False, op.output)
    b.kernels.compute(input=source, output=target, function=made, memories=memories)


def _add_pool(
    b: Buffers,
    op: Linear | Apply,
    pool: SumPool | MaxPool,
    action: Action,
    memories: Sequence[int] = (),
) -> None:
    shapes = (b.program.shapes[op.inputs[0]], b.program.shapes[op.output])
    order, out_order = (channels_last_order(shape, pool.channels_last) for shape in shapes)
    source = b.buffer_in(op.inputs[0], order)
    b.kernels.pool(
        action=action,
        input=source,
        output=b.buffer(op.output in b.op.counts, op.output, out_order),
        geometry=geometry_of(pool.windows, pool.channels_last, shapes),
        memories=memories,
    )
