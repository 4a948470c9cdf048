"""Temporary memory of kernels on whole arrays of float64, operator by operator, in bytes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from spikewright.engines.grid import GRIDS, MAX_FAN_IN
from spikewright.engines.operators import (
    Advance,
    Apply,
    Average,
    Delay,
    DelayedLinear,
    Filter,
    Generate,
    Linear,
    NodeSource,
    Operator,
    ScaledSum,
    Smooth,
)
from spikewright.engines.populations import Learned
from spikewright.engines.program import Program, counted
from spikewright.network.functions import NodeFunction
from spikewright.network.transforms import AxisMap, Convolution, Dense, Sparse, SumPool

PATCH_VALUES = 4_000_000  # of a convolution's patches that are made at once
SPARSE_TERMS = 2**16  # of sparse maps that are made together

_OF_FILTERS = 4  # arrays of one step that a filter's equation makes
_ITEM = 8


@dataclass(frozen=True)
class Work:
    """Numbers of an operator: all its inputs and outputs, and outputs of one step."""

    op: Operator
    program: Program
    batch: int
    steps: int
    inputs: int
    outputs: int
    counts: bool

    @classmethod
    def of(
        cls, op: Operator, program: Program, batch: int, steps: int, held: Collection[int]
    ) -> Work:
        """Of `steps` steps of `batch` samples; signals in `held` have one step."""
        changing = size_of(program, [s for s in op.inputs if s not in held])
        once = size_of(program, [s for s in op.inputs if s in held])
        outputs = size_of(program, op.outputs)
        counts = set(op.inputs) <= _counted_of(program)
        return cls(
            op,
            program,
            batch,
            steps,
            inputs=batch * (steps * changing + once),
            outputs=batch * steps * outputs,
            counts=counts,
        )

    @property
    def now(self) -> int:
        """Outputs of one step."""
        return self.outputs // max(1, self.steps)

    @property
    def bytes(self) -> int:
        """Beside inputs and outputs."""
        found = (of for kind, of in _WORK.items() if isinstance(self.op, kind))
        return _ITEM * next(found, lambda work: work.outputs)(self)


def peak_bytes(call: Callable[[], object]) -> int:
    """Bytes that a call takes at most, beside what is there, its result included."""
    traced = tracemalloc.is_tracing()
    if not traced:
        tracemalloc.start(1)
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not traced:
            tracemalloc.stop()


def size_of(program: Program, signals: Sequence[int]) -> int:
    """Values of signals in one step of a sample."""
    return sum(int(np.prod(program.shapes[s])) for s in signals)


def _counted_of(program: Program) -> frozenset[int]:
    """Signals that are counts of spikes, so that one limb holds them; found once a program."""
    if program not in _counted:
        _counted[program] = counted(program.operators)
    return _counted[program]


_counted: WeakKeyDictionary[Program, frozenset[int]] = WeakKeyDictionary()


def _sum(work: Work) -> int:
    """Two sums at a time, of which one is the output."""
    op = work.op
    assert isinstance(op, ScaledSum)
    passes = len(op.inputs) - 1 + (op.gain is not None) + (op.bias is not None)
    return work.outputs if passes > 1 else 0


def _linear(work: Work) -> int:
    op = work.op
    assert isinstance(op, Linear)
    made = next((of for kind, of in _MAPS.items() if isinstance(op.transform, kind)), _moved)
    return max(made(work, op), 0 if op.factor == 1.0 else work.outputs)


def _moved(work: Work, op: Linear) -> int:
    return 0


def _product(work: Work, op: Linear) -> int:
    assert isinstance(op.transform, AxisMap | Dense)
    return _in_limbs(work, op.transform.matrix.shape[1], 0)


def _in_limbs(work: Work, fan_in: int, inside: int) -> int:
    """An exact sum: inputs are looked at, and split where they are no counts.

    Of several limbs a sum, a part and their sum are there; `inside` is work of one part.
    """
    _, limbs = GRIDS[work.program.precision].input_limbs(min(fan_in, MAX_FAN_IN))
    parts = GRIDS[work.program.precision].weight_limbs * (1 if work.counts else limbs)
    split = 0 if work.counts else limbs * work.inputs
    sums = 2 * work.outputs if parts > 1 else 0
    looked = work.inputs + work.inputs // _ITEM if work.counts else split + 3 * work.inputs
    return max(looked, split + max(sums, inside + (work.outputs if parts > 1 else 0)))


def _convolution(work: Work, op: Linear) -> int:
    """Patches of some frames, their frames with a border, and the products."""
    transform = op.transform
    assert isinstance(transform, Convolution)
    out, inner = transform.kernel.shape[:2]
    taps = int(np.prod(transform.kernel.shape[2:]))
    frames = work.batch * (1 if work.inputs < work.batch * work.steps else work.steps)
    windows = work.now // max(1, work.batch) // out  # of a frame
    patches = windows * taps * inner * transform.groups
    some = min(frames, max(1, PATCH_VALUES // max(1, patches)))
    copied = patches // transform.groups if transform.groups > 1 else 0
    if inner == 1 and out == transform.groups:
        copied = 2 * windows * out
    bordered = work.inputs // max(1, frames)
    made = windows * out // transform.groups
    inside = work.inputs + some * (patches + copied + 2 * bordered + made)  # channels last
    return _in_limbs(work, taps * inner, inside)


def _sum_pool(work: Work, op: Linear) -> int:
    """A sum beside the output, and frames with a border."""
    transform = op.transform
    assert isinstance(transform, SumPool)
    padded = any(map(any, transform.windows.padding))
    return work.outputs + (work.inputs if padded else 0)


def _arriving(work: Work) -> int:
    """Places, senders and products of all entries, where all senders spike, and their masks."""
    op = work.op
    assert isinstance(op, DelayedLinear)
    return 6 * len(op.transform.values) + work.outputs


def _sparse(work: Work, op: Linear) -> int:
    """Entries times inputs, for some frames at once, and their sums."""
    transform = op.transform
    assert isinstance(transform, Sparse)
    entries = len(transform.values)
    some = max(1, SPARSE_TERMS // max(1, entries))
    return 3 * some * entries + some * int(np.prod(transform.shape_out))


def _apply(work: Work) -> int:
    op = work.op
    assert isinstance(op, Apply)
    if not isinstance(op.node.output, NodeFunction):
        return work.outputs
    if op.node.output.accumulate:
        return 4 * (work.now + work.inputs // max(1, work.steps))
    return work.inputs + 2 * work.outputs


def _learned(work: Work) -> int:
    op = work.op
    assert isinstance(op, Learned)
    return work.inputs + work.outputs + 4 * work.batch * op.initial.size


_MAPS: dict[type, Callable[[Work, Linear], int]] = {
    AxisMap: _product,
    Dense: _product,
    Convolution: _convolution,
    SumPool: _sum_pool,
    Sparse: _sparse,
}

_WORK: dict[type, Callable[[Work], int]] = {
    NodeSource: lambda work: 0,
    ScaledSum: _sum,
    Linear: _linear,
    Filter: lambda work: _OF_FILTERS * work.now,
    Smooth: lambda work: _OF_FILTERS * work.now,
    Average: lambda work: _OF_FILTERS * work.now,
    Advance: lambda work: 2 * work.now,
    Delay: lambda work: 2 * work.now,
    DelayedLinear: _arriving,
    Apply: _apply,
    Generate: lambda work: work.outputs,
    Learned: _learned,
}
