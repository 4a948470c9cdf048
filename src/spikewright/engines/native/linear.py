"""Linear maps of values from outside, natively."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.kernel import Array, Kernel
from spikewright.engines.native import _kernels
from spikewright.engines.native.built import Built
from spikewright.engines.native.regions import Region
from spikewright.engines.native.runs import Runs
from spikewright.engines.program import Program


class LinearKernel(Kernel):
    """A matrix product or convolution of values from outside: mostly constants of a run."""

    stateless = True

    def __init__(self, op: Region, built: Built, program: Program, isa: str, threads: int) -> None:
        self._built, self._shape = built, program.shapes[op.output]
        self._runs = Runs(op, built, isa, threads)

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        batch, count = x.shape[:2]
        x = as_read(x, np.float64)
        y = np.empty((batch, count, *self._shape))
        overflown = self._runs.run(
            _kernels.Running(self._built.region, batch),
            batch,
            count,
            inputs=[x],
            outputs=[y.reshape(batch, count, -1)],
            first=0,
            last=True,
            calls=[],
            totals=[],
        )
        assert not overflown  # there are no counts
        return [y]


def as_read(value: Array, kind: type) -> NDArray:
    """An array `(batch, steps, size)` as kernels read it."""
    flags = value.flags
    if value.dtype != kind or not flags.c_contiguous or not flags.writeable:
        value = np.require(value, kind, ["C", "W"])
    return value if value.ndim == 3 else value.reshape(*value.shape[:2], -1)
