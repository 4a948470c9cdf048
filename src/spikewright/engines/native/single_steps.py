"""Single steps of a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewright.engines.kernel import Array, Stepping
from spikewright.engines.native.linear import as_read


class RegionSteps(Stepping):
    """Steps of a region, each one call of its kernels: arrays and buffers stay."""

    def __init__(self, kernel: Any, given: dict[int, Array]) -> None:
        self._kernel, self._given, self.outputs = kernel, given, kernel._empty(1)
        kinds = (
            (given[s], np.int8 if counts else np.float64) for s, counts in kernel._built.inputs
        )
        self._arrays = {
            "inputs": [as_read(value, kind) for value, kind in kinds],
            "outputs": self.outputs,
        }
        self._native = kernel._runs.stepping(kernel._state, kernel._batch, **self._arrays)

    def step(self, number: int) -> Sequence[Array]:
        kernel = self._kernel
        kernel._steps = number + 1
        calls = kernel._calls(number, 1) if kernel._foreign else []
        if kernel._runs.alone(kernel._batch):
            overflown = kernel._runs.step(self._native, kernel._batch, number, calls)
        else:
            given = {**self._arrays, "first": number, "last": False, "calls": calls, "totals": []}
            overflown = kernel._runs.run(kernel._state, kernel._batch, 1, **given)
        if overflown:
            finished, kernel._outgrown = kernel._finished(), kernel._overflown()
            return kernel._finish_slowly(self._given, number, 1, self.outputs, finished)
        if kernel._learned:
            kernel._check_weights()
        return self.outputs
