"""Work of operators in a step, estimated from their shapes: weights times the values they meet."""

from __future__ import annotations

import math

from spikewright.engines.program import Learned, Linear, Operator, Program
from spikewright.network.transforms import AxisMap, Convolution, Dense, Sparse


def multiply_adds(op: Operator, program: Program) -> int:
    """Multiply-adds of a step of one sample, zeros too; one a value where there are no weights."""
    made = math.prod(program.shapes[op.output])
    if isinstance(op, Learned):
        return int(op.initial.size)
    if not isinstance(op, Linear):
        return made
    transform = op.transform
    if isinstance(transform, Dense | AxisMap):
        return made * int(transform.matrix.shape[1])
    if isinstance(transform, Convolution):
        return made * int(transform.kernel[0].size)
    return len(transform.values) if isinstance(transform, Sparse) else made
