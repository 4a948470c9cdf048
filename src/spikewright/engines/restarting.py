"""Kernels that start again after a number of steps: the same for every engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from spikewright.engines.base import Array, Engine, Kernel
from spikewright.engines.operators import Operator
from spikewright.engines.program import Program
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.totals import Sums


def restarting(
    kernel: Kernel, op: Operator, program: Program, engine: Engine, batch: int
) -> Kernel:
    """An operator's kernel, as one that starts again where the operator does."""
    every = op.restart
    return kernel if every is None else RestartingKernel(kernel, every, op, program, engine, batch)


class RestartingKernel(Kernel):
    """Runs a kernel window by window, each from the start and with its steps counted from there."""

    changing = ("_kernel",)

    def __init__(
        self, kernel: Kernel, every: int, op: Operator, program: Program, engine: Engine, batch: int
    ) -> None:
        self._kernel, self._every, self._engine, self._batch = kernel, every, engine, batch
        self._program, self._signals = program, op.outputs

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        pieces: list[tuple[int, int, Sequence[Array]]] = []
        done = 0
        while done < steps:
            within = (step + done) % self._every
            count = min(self._every - within, steps - done)
            if within == 0 and step + done > 0:
                self._kernel.restart()
            now = [x if x.shape[1] == 1 else x[:, done : done + count] for x in inputs]
            pieces.append((done, count, self._kernel.run(now, within, count)))
            done += count
        if len(pieces) == 1:
            return pieces[0][2]
        return self._joined(pieces, steps)

    def _joined(
        self, pieces: Sequence[tuple[int, int, Sequence[Array]]], steps: int
    ) -> Sequence[Array]:
        if all(isinstance(y, np.ndarray) for y in pieces[0][2]):  # counts stay counts
            return [np.concatenate(y, axis=1) for y in zip(*(p for *_, p in pieces), strict=True)]
        shapes = self._program.shapes
        whole = [
            self._engine.empty(self._program, self._batch, steps, shapes[s]) for s in self._signals
        ]
        for start, count, outputs in pieces:
            for y, output in zip(whole, outputs, strict=True):
                y[:, start : start + count] = output
        return whole

    def conclude(self) -> None:
        self._kernel.conclude()

    def totals(self) -> Iterable[Sums]:
        return self._kernel.totals()

    def python_steps(self) -> Iterable[PythonStep]:
        return self._kernel.python_steps()
