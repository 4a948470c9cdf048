"""A region of one execution: its state, and what happens where counts outgrow a byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.base import Array, Kernel
from spikewright.engines.native import _kernels
from spikewright.engines.native.building import Built, Order
from spikewright.engines.native.regions import Region
from spikewright.engines.program import Neurons, Program
from spikewright.engines.reference import ReferenceEngine
from spikewright.errors import SimulationError

# Bytes that buffers of a group of samples and a block of steps may take up: half of a second-level
# cache. Below the least steps too much of the time goes into voltages that come and go.
_CACHE_BYTES = 512 * 1024
_LEAST_STEPS, _MOST_STEPS, _MOST_SAMPLES = 8, 128, 16


class RegionKernel(Kernel):
    """Runs a region natively; from the first block with a count above 127 on the reference."""

    def __init__(
        self,
        op: Region,
        built: Built,
        program: Program,
        batch: int,
        tally: bool,
        reference: ReferenceEngine,
        isa: str,
        threads: int,
    ) -> None:
        self._op, self._built, self._program = op, built, program
        self._batch, self._tally, self._reference = batch, tally, reference
        self._isa, self._threads = isa, threads
        self._state = _kernels.Running(built.region, batch)
        self._slow: _Slow | None = None

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        given = dict(zip(self._op.inputs, inputs, strict=True))
        if self._slow is None:
            outputs = self._run_natively(given, steps)
            if outputs is not None:
                return outputs
            self._slow = _Slow(self._op, self._program, self._batch, self._tally, self._reference)
            for op, order, number in self._built.populations:
                voltage = self._state.voltage(number)
                if voltage is not None:
                    self._slow.start_from(op, self._unpacked(voltage, op, order))
        return self._slow.run(given, step, steps)

    def _run_natively(self, given: dict[int, Array], steps: int) -> list[Array] | None:
        """One block, or None where some count does not fit a byte."""
        arrays = []
        for signal, counts in self._built.inputs:
            value = given[signal]
            if counts and value.dtype != np.int8:
                return None  # an earlier region is on the reference
            value = np.ascontiguousarray(value, np.int8 if counts else np.float64)
            arrays.append(value.reshape(*value.shape[:2], -1))
        outputs = [
            np.empty((self._batch, steps, size), np.int8 if counts else np.float64)
            for _, counts, size in self._built.exports
        ]
        block, group = cut(self._built.step_bytes, self._batch, steps, self._threads)
        outcome = self._state.run(arrays, outputs, steps, block, group, self._threads, self._isa)
        if outcome == 1:
            return None
        if outcome != 0:
            raise SimulationError(f"{self._op.label}: the run was interrupted")
        shapes = [self._program.shapes[signal] for signal, _, _ in self._built.exports]
        return [
            y.reshape(self._batch, steps, *shape) for y, shape in zip(outputs, shapes, strict=True)
        ]

    def _unpacked(self, state: NDArray, op: Neurons, order: Order) -> NDArray:
        """`(batch, *shape)` of padded state in its own order."""
        size = int(np.prod(op.ensemble.shape))
        channels = size // max(1, state.shape[1])
        stored = state[:, :, :channels].reshape(self._batch, size)
        flat = stored
        if order is not None:
            flat = np.empty_like(stored)
            flat[:, order] = stored
        return flat.reshape(self._batch, *op.ensemble.shape)

    def totals(self) -> Sequence[Array]:
        if not self._tally:
            return ()
        sums = [self._total(*population) for population in self._built.populations]
        if self._slow is not None:
            sums = [a + b for a, b in zip(sums, self._slow.totals(), strict=True)]
        return sums

    def _total(self, op: Neurons, order: Order, number: int) -> NDArray:
        total = self._state.total(number)
        if total is None:
            return np.zeros((self._batch, *op.ensemble.shape))
        return self._unpacked(total, op, order).astype(np.float64)


class _Slow:
    """The region's operators on the reference engine, in blocks that it chooses."""

    def __init__(
        self, op: Region, program: Program, batch: int, tally: bool, reference: ReferenceEngine
    ) -> None:
        self._op = op
        self._block = reference.block_steps(program, batch)
        self._kernels: dict[Any, Kernel] = {
            o: reference.kernel(o, program, batch, tally) for o in op.operators
        }

    def start_from(self, op: Neurons, voltage: NDArray) -> None:
        kernel: Any = self._kernels[op]
        kernel.start_from(voltage)

    def run(self, given: dict[int, Array], step: int, steps: int) -> list[Array]:
        parts: list[list[Array]] = []
        for start in range(0, steps, self._block):
            count = min(self._block, steps - start)
            values: dict[int, Array] = {}
            for signal, value in given.items():
                part = value if value.shape[1] == 1 else value[:, start : start + count]
                values[signal] = np.asarray(part, np.float64)
            for op, kernel in self._kernels.items():
                made = kernel.run([values[s] for s in op.inputs], step + start, count)
                values.update(zip(op.outputs, made, strict=True))
            parts.append([values[s] for s in self._op.exported])
        return [np.concatenate(pieces, axis=1) for pieces in zip(*parts, strict=True)]

    def totals(self) -> list[Array]:
        return [
            self._kernels[op].totals()[0] for op in self._op.operators if isinstance(op, Neurons)
        ]


def cut(step_bytes: int, batch: int, steps: int, threads: int) -> tuple[int, int]:
    """Steps and samples that are worked on at once, so that their buffers stay in cache."""
    fitting = max(1, _CACHE_BYTES // max(1, step_bytes))
    block = min(steps, max(_LEAST_STEPS, min(fitting, _MOST_STEPS)))
    group = int(np.clip(fitting // block, 1, _MOST_SAMPLES))
    shared = max(1, batch // max(1, threads))  # every thread has work
    return block, min(group, shared)
