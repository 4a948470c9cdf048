"""Kernels that run a compiled region with the state of one execution, in blocks or single steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import NARROW
from spikewright.engines.kernel import Array, Kernel, PreparedStep, copy_state
from spikewright.engines.kernels import divergence_error, with_periodic_reset
from spikewright.engines.native import _kernels
from spikewright.engines.native._kernels import MOST_COUNTS
from spikewright.engines.native.buffers import SummedOutputs
from spikewright.engines.native.host_callbacks import HostCall, HostCallback
from spikewright.engines.native.orders import unpacked
from spikewright.engines.native.region_builder import CompiledRegion
from spikewright.engines.native.regions import Region
from spikewright.engines.native.scheduling import RegionRunner
from spikewright.engines.operators import Operator
from spikewright.engines.populations import Learned, Neurons
from spikewright.engines.program import Program
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.reference import ReferenceEngine
from spikewright.engines.totals import Sums, total_type


class RegionKernel(Kernel):
    """Runs a region natively; counts are bytes, and larger counts are stored apart."""

    def __init__(
        self,
        op: Region,
        built: CompiledRegion,
        program: Program,
        batch: int,
        tally: bool,
        reference: ReferenceEngine,
        isa: str,
        threads: int,
        dense: float,
    ) -> None:
        self._op, self._built, self._program = op, built, program
        self._batch, self._tally, self._reference = batch, tally, reference
        self._runner = RegionRunner(op, built, isa, threads, dense)
        self._state = _kernels.RegionState(built.region, batch)
        self._callbacks = {
            o: HostCallback(o, self._reference_kernel(o), program, batch)
            for o in op.operators
            if o in op.host_operators
        }
        self._last, self._steps = False, 0
        self._last_totals: dict[Neurons, Sums] = {}  # totals of a last run
        self._earlier: list[Sums] = []  # totals from before the last restart
        self._mark: tuple[Any, ...] = ()

    def _reference_kernel(self, op: Operator) -> Kernel:
        kernel = self._reference.kernel(op, self._program, self._batch, self._tally)
        return with_periodic_reset(kernel, op, self._program, self._reference, self._batch)

    def restart(self) -> None:
        self._earlier = list(self.totals())
        self._state = _kernels.RegionState(self._built.region, self._batch)

    def conclude(self) -> None:
        self._last = True

    def mark(self) -> None:
        self._state.save()
        for kernel in self._callbacks.values():
            kernel.mark()
        self._mark = self._state, self._steps, self._earlier

    def rewind(self) -> None:
        self._state, self._steps, self._earlier = self._mark
        self._state.undo()
        for kernel in self._callbacks.values():
            kernel.rewind()

    def state(self) -> dict[str, Any]:
        return {
            "arrays": self._state.arrays(),
            "callbacks": [callback.state() for callback in self._callbacks.values()],
            "counters": (self._steps, copy_state(self._earlier)),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._state = _kernels.RegionState(self._built.region, self._batch)
        if state["arrays"] is not None:
            self._state.restore(state["arrays"])
        for callback, one in zip(self._callbacks.values(), state["callbacks"], strict=True):
            callback.restore(one)
        self._steps, self._earlier = state["counters"]

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        outputs = self._empty(steps)
        self._steps = step + steps
        if self._last and self._tally:
            self._last_totals = {op: self._empty_totals(op) for op, _, _ in self._built.populations}
        exceeded = self._runner.run(
            self._state,
            self._batch,
            steps,
            inputs=self._read(dict(zip(self._op.inputs, inputs, strict=True))),
            outputs=outputs,
            first=step,
            last=self._last,
            calls=self._calls(step, steps),
            totals=self._total_arrays(),
        )
        self._check_weights()
        return self._whole(outputs) if exceeded else outputs

    def prepare_step(self, inputs: Sequence[Array]) -> PreparedStep | None:
        given = dict(zip(self._op.inputs, inputs, strict=True))
        read = [
            (given[s], np.int8 if counts else self._type(number, given[s]))
            for number, (s, counts) in enumerate(self._built.inputs)
        ]
        if any(value.dtype != kind for value, kind in read):
            return None
        return RegionSteps(self, [kernel_input(value, kind) for value, kind in read])

    def _read(self, given: Mapping[int, Array]) -> list[NDArray]:
        """The inputs in types that the kernels read; counts that exceed bytes are float64."""
        kinds = {s: counts and given[s].dtype == np.int8 for s, counts in self._built.inputs}
        return [
            kernel_input(given[s], np.int8 if kinds[s] else self._type(number, given[s]))
            for number, (s, _) in enumerate(self._built.inputs)
        ]

    def _type(self, number: int, values: Array) -> type:
        """The number type in which kernels read values from outside."""
        narrow = values.dtype in NARROW and self._built.region.only_loads(number)
        return values.dtype.type if narrow else np.float64

    def _whole(self, outputs: Sequence[NDArray]) -> list[Array]:
        """The outputs of the last run, as float64 where counts exceed bytes."""
        found: list[Array] = []
        for number, y in enumerate(outputs):
            large = self._state.large(number)
            if len(large):
                y = y.astype(np.float64)
                samples, steps, places = large[:, :3].T.astype(np.intp)
                y.reshape(*y.shape[:2], -1)[samples, steps, places] = large[:, 3]
            found.append(y)
        return found

    def _empty(self, steps: int) -> list[NDArray]:
        """Uninitialised arrays for the outputs of some steps."""
        return [
            np.empty((self._batch, steps, *shape), np.int8 if counts else np.float64)
            for _, counts, shape in self._built.exports
        ]

    def _calls(self, step: int, steps: int) -> list[HostCall]:
        """The calls of host operators in a run that begins."""
        for callback in self._callbacks.values():
            callback.begin_run(step, steps)
        return [self._callbacks[op].call(first) for op, first in self._built.calls]

    def totals(self) -> Iterable[Sums]:
        if not self._tally:
            return
        populations = (op for op in self._op.operators if isinstance(op, Neurons))
        for number, op in enumerate(populations):
            now = self._total(op)
            yield now.plus(self._earlier[number]) if self._earlier else now

    def learned(self) -> Mapping[Learned, NDArray]:
        return {op: self._weights(op) for op in self._op.operators if isinstance(op, Learned)}

    def python_steps(self) -> Iterable[PythonStep]:
        return (step for callback in self._callbacks.values() for step in callback.python_steps())

    def _weights(self, op: Learned) -> NDArray:
        """The present weights of every sample."""
        if op in self._callbacks:
            return np.asarray(self._callbacks[op].learned()[op])
        held = self._state.memory(self._built.learned[op], offset=0, size=op.initial.size)
        shape = (self._batch, *op.initial.shape)
        return np.array(np.broadcast_to(op.initial, shape)) if held is None else held.reshape(shape)

    def _check_weights(self) -> None:
        for op, weights in self._built.learned.items():
            if not self._state.finite(weights):
                raise divergence_error(op)

    def _total(self, op: Neurons) -> Sums:
        if op in self._callbacks:
            (total,) = self._callbacks[op].totals()
            return total
        if op in self._built.totals:
            kept = self._built.totals[op]
            sent = self._summed(op, kept.total, kept)
            return Sums(sent, sent if kept.net == kept.total else self._summed(op, kept.net, kept))
        (numbers,) = (numbers for one, _, numbers in self._built.populations if one is op)
        sums = self._last_totals.get(op) or self._native_total(op, numbers)
        return self._add_large_counts(sums, numbers)

    def _summed(self, op: Neurons, memory: int, kept: SummedOutputs) -> NDArray:
        """One of the sums of a population's outputs, `(batch, *shape)`."""
        size = op.ensemble.n_neurons
        values = self._state.memory(memory, offset=kept.offset, size=size)
        if values is None:
            return np.zeros((self._batch, *op.ensemble.shape))
        return unpacked(values, kept.order, op.ensemble.shape)

    def _native_total(self, op: Neurons, numbers: Sequence[int]) -> Sums:
        sums = self._empty_totals(op)
        for number in numbers:
            self._state.totals(number, sent=sums.sent, net=_other(sums))
        return sums

    def _add_large_counts(self, sums: Sums, numbers: Sequence[int]) -> Sums:
        """The sums, with the spikes that exceeded the bytes of their steps."""
        rests = np.concatenate([self._state.beyond(number) for number in numbers])
        if not len(rests):
            return sums
        sent = sums.sent.astype(np.float64)
        samples, places = rests[:, :2].T.astype(np.intp)
        sent.reshape(len(sent), -1)[samples, places] += rests[:, 2]
        other = _other(sums)
        return Sums(sent, sent if other is None else other.astype(np.float64))

    def _empty_totals(self, op: Neurons) -> Sums:
        """Uninitialised arrays for a population's totals up to now, in the type of the result."""
        kind = total_type(op.ensemble, self._steps)
        if kind.itemsize > 4 or self._steps * MOST_COUNTS >= 2**31:
            kind = np.dtype(np.float64)
        sent = np.empty((self._batch, *op.ensemble.shape), kind)
        return Sums(sent, np.empty_like(sent) if op.neuron_type.negative else sent)

    def _total_arrays(self) -> list[tuple[NDArray, NDArray | None]]:
        """The arrays that the kernels write the totals of each population to, by its number."""
        arrays = {
            number: (sums.sent, _other(sums))
            for op, _, numbers in self._built.populations
            if (sums := self._last_totals.get(op)) is not None
            for number in numbers
        }
        return [arrays[number] for number in sorted(arrays)]


def _other(sums: Sums) -> NDArray | None:
    """The array of net sums, if it is another one than that of magnitudes."""
    return None if sums.net is sums.sent else sums.net


class RegionSteps(PreparedStep):
    """Prepared steps of a region: each is one call of its kernels, with the same arrays."""

    def __init__(self, kernel: RegionKernel, inputs: list[NDArray]) -> None:
        self._kernel, self.outputs = kernel, kernel._empty(1)
        self._arrays = {"inputs": inputs, "outputs": self.outputs}
        self._native = kernel._runner.prepare_step(kernel._state, kernel._batch, **self._arrays)

    def step(self, number: int) -> Sequence[Array]:
        kernel = self._kernel
        kernel._steps = number + 1
        calls = kernel._calls(number, 1) if kernel._callbacks else []
        if kernel._runner.uses_one_thread(kernel._batch):
            exceeded = kernel._runner.step(self._native, kernel._batch, number, calls)
        else:
            given = {**self._arrays, "first": number, "last": False, "calls": calls, "totals": []}
            exceeded = kernel._runner.run(kernel._state, kernel._batch, 1, **given)
        kernel._check_weights()
        return kernel._whole(self.outputs) if exceeded else self.outputs


class LinearKernel(Kernel):
    """A matrix product or convolution of values from outside, such as a run's constants."""

    stateless = True

    def __init__(
        self,
        op: Region,
        built: CompiledRegion,
        program: Program,
        isa: str,
        threads: int,
        dense: float,
    ) -> None:
        self._built, self._shape = built, program.shapes[op.output]
        self._runner = RegionRunner(op, built, isa, threads, dense)

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        batch, count = x.shape[:2]
        x = kernel_input(x, x.dtype.type if x.dtype in NARROW else np.float64)
        y = np.empty((batch, count, *self._shape))
        self._runner.run(
            _kernels.RegionState(self._built.region, batch),
            batch,
            count,
            inputs=[x],
            outputs=[y.reshape(batch, count, -1)],
            first=0,
            last=True,
            calls=[],
            totals=[],
        )
        return [y]


def kernel_input(value: Array, kind: type) -> NDArray:
    """A value as a contiguous array `(batch, steps, size)` of a type that kernels read."""
    flags = value.flags
    if value.dtype != kind or not flags.c_contiguous or not flags.writeable:
        value = np.require(value, kind, ["C", "W"])
    return value if value.ndim == 3 else value.reshape(*value.shape[:2], -1)
