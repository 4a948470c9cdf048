"""Work of operators in a step, estimated from their shapes: weights times the values they meet."""

from __future__ import annotations

import math

from spikewright.engines.operators import DelayedLinear, Linear, Operator
from spikewright.engines.populations import Learned
from spikewright.engines.program import Program
from spikewright.network.transforms import AxisMap, Convolution, Dense, Sparse, Transform


def multiply_adds(op: Operator, program: Program) -> int:
    """Multiply-adds of a step of one sample, zeros too; one a value where there are no weights."""
    made = math.prod(program.shapes[op.output])
    if isinstance(op, Learned):
        return int(op.initial.size)
    if not isinstance(op, Linear | DelayedLinear):
        return made
    if isinstance(op.transform, Sparse):
        return len(op.transform.values)
    weighted = isinstance(op.transform, Dense | AxisMap | Convolution)
    return made * fan_in(op.transform) if weighted else made


def fan_in(transform: Transform) -> int:
    """The number of products that each output sums; of maps without weights 0."""
    if isinstance(transform, Dense | AxisMap):
        return transform.matrix.shape[1]
    return transform.kernel[0].size if isinstance(transform, Convolution) else 0
