"""A region of one execution: its state, and its move to the reference engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.kernel import Array, Kernel, Stepping, copied
from spikewright.engines.kernels import diverged, restarting
from spikewright.engines.native import _kernels
from spikewright.engines.native._kernels import MOST_COUNTS
from spikewright.engines.native.buffers import OperatorState
from spikewright.engines.native.built import Built
from spikewright.engines.native.foreign import Calling, Foreign
from spikewright.engines.native.learning import as_on_reference
from spikewright.engines.native.linear import as_read
from spikewright.engines.native.orders import Order, unpacked
from spikewright.engines.native.regions import Region
from spikewright.engines.native.runs import Runs
from spikewright.engines.native.single_steps import RegionSteps
from spikewright.engines.native.slow import Slow, SlowRegion, WideRegion, in_doubles, joined
from spikewright.engines.native.support import followed
from spikewright.engines.native.taking import TakenOver
from spikewright.engines.native.wide import Form, as_bytes
from spikewright.engines.operators import Operator
from spikewright.engines.populations import Learned, Neurons
from spikewright.engines.program import Program
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.reference import ReferenceEngine
from spikewright.engines.totals import Sums, total_type

Wider = Callable[[Region, Program, frozenset[int]], Form | None]
"""Gives a region with some counts in doubles; None where it has no such form."""


class RegionKernel(Kernel):
    """Runs a region natively; from the first block with a count above 127 with such counts in
    doubles, in loops on the reference.
    """

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
        dense: float,
        wider: Wider,
        first: Region | None = None,
    ) -> None:
        self._how = (isa, threads, dense, wider)
        self._first = first or op  # in which all counts were bytes
        self._op, self._built, self._program = op, built, program
        self._batch, self._tally, self._reference = batch, tally, reference
        self._runs = Runs(op, built, isa, threads, dense)
        self._state = _kernels.Running(built.region, batch)
        self._foreign = {
            o: Foreign(o, self._reference_kernel(o), program, batch)
            for o in op.operators
            if o in op.foreign
        }
        self._slow: list[Slow] = []
        self._outgrown: frozenset[int] = frozenset()  # signals that did not fit bytes in a block
        self._last, self._steps = False, 0
        self._told: dict[Neurons, Sums] = {}  # totals of samples that a last run has finished
        self._earlier: list[Sums] = []  # totals from before the last restart

        self._learned = [o for o in built.kept if isinstance(o, Learned)]
        self._mark: tuple[Any, ...] = ()

    def _reference_kernel(self, op: Operator) -> Kernel:
        kernel = self._reference.kernel(op, self._program, self._batch, self._tally)
        return restarting(kernel, op, self._program, self._reference, self._batch)

    def restart(self) -> None:
        self._earlier = list(self.totals())
        self._state = _kernels.Running(self._built.region, self._batch)
        self._slow = []

    def conclude(self) -> None:
        self._last = True

    def mark(self) -> None:
        self._state.save()
        for kernel in (*self._foreign.values(), *(slow.region for slow in self._slow)):
            kernel.mark()
        self._mark = self._state, self._slow, self._outgrown, self._steps, self._earlier

    def rewind(self) -> None:
        self._state, self._slow, self._outgrown, self._steps, self._earlier = self._mark
        self._state.undo()
        for kernel in (*self._foreign.values(), *(slow.region for slow in self._slow)):
            kernel.rewind()

    def state(self) -> dict[str, Any]:
        return {
            "arrays": self._state.arrays(),
            "foreign": [foreign.state() for foreign in self._foreign.values()],
            "slow": [(s.samples, s.region.outgrown, s.region.state()) for s in self._slow],
            "counters": (self._outgrown, self._steps, copied(self._earlier)),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._state = _kernels.Running(self._built.region, self._batch)
        if state["arrays"] is not None:
            self._state.restore(state["arrays"])
        for foreign, one in zip(self._foreign.values(), state["foreign"], strict=True):
            foreign.restore(one)
        self._slow = []
        for samples, outgrown, one in state["slow"]:
            self._outgrown = outgrown
            region = self._holding(len(samples))
            region.restore(one)
            self._slow.append(Slow(samples, region))
        self._outgrown, self._steps, self._earlier = state["counters"]

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        given = dict(zip(self._op.inputs, inputs, strict=True))
        if self._slow:
            return joined(self._batch, [(s.samples, s.run(given, step, steps)) for s in self._slow])
        outputs, finished = self._run_natively(given, step, steps)
        if finished is None:
            self._check_weights()
            return outputs
        return self._finish_slowly(given, step, steps, outputs, finished)

    def stepping(self, inputs: Sequence[Array]) -> Stepping | None:
        given = dict(zip(self._op.inputs, inputs, strict=True))
        kinds = {s: np.int8 if counts else np.float64 for s, counts in self._built.inputs}
        if self._slow or any(given[s].dtype != kind for s, kind in kinds.items()):
            return None
        return RegionSteps(self, given)

    def _finish_slowly(
        self,
        given: dict[int, Array],
        step: int,
        steps: int,
        outputs: Sequence[Array],
        finished: NDArray,
    ) -> Sequence[Array]:
        """A block that some samples have been through natively: the others on the reference."""
        self._slow = self._start_slowly(finished)
        now = self._slow[0]
        made = [(now.samples, now.run(given, step, steps))]
        if finished.any():
            made.append((np.flatnonzero(finished), [y[finished] for y in outputs]))
        return joined(self._batch, made)

    def _start_slowly(self, finished: NDArray) -> list[Slow]:
        """All samples on the reference: first those that this block is still to do, then those that
        came through it natively, if any and if there is more to do.
        """
        sets = [np.flatnonzero(~finished)]
        sets += [] if self._last else [np.flatnonzero(finished)]
        return [self._slowly(samples) for samples in sets if len(samples)]

    def _slowly(self, samples: NDArray) -> Slow:
        """These samples in a form that holds any count, from the state that they are in."""
        slow = self._holding(len(samples))
        for neurons, order, numbers in self._built.populations:
            state = self._state_of(neurons, order, numbers)
            slow.start_from(neurons, {name: values[samples] for name, values in state.items()})
        for op, kept in self._built.kept.items():
            held = self._kept(kept)
            if held is not None and isinstance(op, Learned):
                held = as_on_reference(op, held)
            if held is not None:
                slow.start_from(op, {name: values[samples] for name, values in held.items()})
        for neurons in self._built.totals:
            sums = self._native_total(neurons)
            slow.start_total(neurons, Sums(sums.sent[samples], sums.net[samples]))
        return Slow(samples, slow)

    def _holding(self, size: int) -> WideRegion | SlowRegion:
        """The region for some samples (all, where operators are foreign), with what outgrew bytes
        in doubles, or on the reference.
        """
        wider = self._how[-1]
        form = wider(self._first, self._program, self._outgrown) if self._outgrown else None
        if form is None:
            return SlowRegion(
                self._op, self._program, size, self._tally, self._reference, self._foreign
            )
        isa, threads, dense, _ = self._how
        region, built = form
        kernel = RegionKernel(
            op=region,
            built=built,
            program=self._program,
            batch=size,
            tally=self._tally,
            reference=self._reference,
            isa=isa,
            threads=threads,
            dense=dense,
            wider=wider,
            first=self._first,
        )
        outgrown = self._first.counts - region.counts
        return WideRegion(kernel, TakenOver(built, kernel._state), outgrown)

    def _state_of(self, op: Neurons, order: Order, numbers: tuple[int, ...]) -> dict[str, NDArray]:
        """State of a population by name, `(batch, *shape)`; none before the first block."""
        read = {"voltage": self._state.voltage}
        if followed(op.neuron_type) is not None:
            read |= {"total_current": self._state.sum, "sent": self._state.target}
        elif "sent" in op.neuron_type.initial_values():
            read["sent"] = self._state.sent
        state = {}
        for name, of in read.items():
            pieces = [piece for number in numbers if (piece := of(number)) is not None]
            if pieces:
                state[name] = self._unpacked(pieces, op, order).astype(np.float64)
        return state

    def _kept(self, kept: OperatorState, *names: str) -> dict[str, NDArray] | None:
        """State by name (default: all), `(batch, *shape)`; None before the first block."""
        state = {}
        for name in names or kept.memories:
            number = kept.memories[name]
            size = int(np.prod(kept.shapes[name]))
            values = self._state.memory(number, offset=kept.offset, size=size)
            if values is None:
                return None
            state[name] = unpacked(values, kept.orders[name], kept.shapes[name])
        return state

    def _run_natively(
        self, given: dict[int, Array], step: int, steps: int
    ) -> tuple[list[Array], NDArray | None]:
        """One block, and the samples whose counts fit a byte in it; None: all."""
        arrays = []
        for signal, counts in self._built.inputs:
            value = given[signal]
            if counts:
                fitting = as_bytes(value)
                if fitting is None:  # an earlier region holds them in doubles
                    self._outgrown = frozenset({signal})
                    return [], np.zeros(self._batch, bool)
                value = fitting
            arrays.append(as_read(value, np.int8 if counts else np.float64))
        outputs = self._empty(steps)
        self._steps = step + steps
        if self._last and self._tally:
            self._told = {op: self._room(op) for op, _, _ in self._built.populations}
        overflown = self._runs.run(
            self._state,
            self._batch,
            steps,
            inputs=arrays,
            outputs=outputs,
            first=step,
            last=self._last,
            calls=self._calls(step, steps),
            totals=self._told_in_order(),
        )
        if overflown:
            self._outgrown = self._overflown()
        return outputs, self._finished() if overflown else None

    def _overflown(self) -> frozenset[int]:
        """The signals that did not fit bytes in the last run."""
        buffers = set(np.flatnonzero(self._state.overflown()).tolist())
        return frozenset(s for s, held in self._built.places.items() if buffers & {*held})

    def _empty(self, steps: int) -> list[NDArray]:
        """Arrays for the outputs of some steps."""
        return [
            np.empty((self._batch, steps, *shape), np.int8 if counts else np.float64)
            for _, counts, shape in self._built.exports
        ]

    def _finished(self) -> NDArray:
        return self._state.finished().astype(bool)

    def _calls(self, step: int, steps: int) -> list[Calling]:
        """The calls of foreign operators in a run that begins."""
        for foreign in self._foreign.values():
            foreign.expect(step, steps)
        return [self._foreign[op].call(first) for op, first in self._built.calls]

    def _unpacked(self, pieces: list[NDArray], op: Neurons, order: Order) -> NDArray:
        """`(batch, *shape)` of padded state in its own order."""
        size = int(np.prod(op.ensemble.shape)) // len(pieces)
        channels = size // max(1, pieces[0].shape[1])
        stored = [state[:, :, :channels].reshape(self._batch, size) for state in pieces]
        return unpacked(np.concatenate(stored, axis=1), order, op.ensemble.shape)

    def totals(self) -> Iterable[Sums]:
        if not self._tally:
            return
        populations = (op for op in self._op.operators if isinstance(op, Neurons))
        for number, op in enumerate(populations):
            now = self._total(op)
            yield now.plus(self._earlier[number]) if self._earlier else now

    def learned(self) -> Mapping[Learned, NDArray]:
        found = {op: self._weights(op) for op in self._op.operators if isinstance(op, Learned)}
        for slow in self._slow:
            for op, weights in slow.region.learned().items():
                found[op][slow.samples] = weights
        return found

    def python_steps(self) -> Iterable[PythonStep]:
        return (step for foreign in self._foreign.values() for step in foreign.python_steps())

    def _weights(self, op: Learned) -> NDArray:
        """Weights of every sample."""
        if op in self._foreign:
            return np.asarray(self._foreign[op].learned()[op])
        held = self._kept(self._built.kept[op], "weights")
        if held is None:
            return np.array(np.broadcast_to(op.initial, (self._batch, *op.initial.shape)))
        return held["weights"]

    def _check_weights(self) -> None:
        for op in self._learned:
            if not self._state.finite(self._built.kept[op].memories["weights"]):
                raise diverged(op)

    def _total(self, op: Neurons) -> Sums:
        if op in self._foreign:
            (total,) = self._foreign[op].totals()
            return total
        sums = self._told.get(op) or self._native_total(op)
        if not self._slow:
            return sums
        if op in self._told:  # of the samples that were finished
            self._take_over(sums, self._native_total(op))
        sums = in_doubles(sums)
        arrays = {id(array): array for array in sums}.values()  # one where they are the same
        for slow in self._slow:
            for array, more in zip(arrays, slow.region.total(op), strict=False):
                if op in self._built.totals:  # taken over: sums of rates depend on their order
                    array[slow.samples] = more
                else:
                    array[slow.samples] += more
        return sums

    def _take_over(self, sums: Sums, before: Sums) -> None:
        """Put in what was sent before by the samples that are on the reference."""
        for slow in self._slow:
            for array, known in zip(sums, before, strict=True):
                array[slow.samples] = known[slow.samples]

    def _native_total(self, op: Neurons) -> Sums:
        if op in self._built.totals:
            kept = self._kept(self._built.totals[op])
            if kept is None:
                zeros = np.zeros((self._batch, *op.ensemble.shape))
                return Sums(zeros, zeros.copy() if op.neuron_type.negative else zeros)
            return Sums(kept["total"], kept.get("net", kept["total"]))
        sums = self._room(op)
        (numbers,) = (numbers for one, _, numbers in self._built.populations if one is op)
        for number in numbers:
            self._state.totals(number, sent=sums.sent, net=_other(sums))
        return sums

    def _room(self, op: Neurons) -> Sums:
        """Arrays for a population's totals up to now, in the type in which they are told."""
        kind = total_type(op.ensemble, self._steps)
        if kind.itemsize > 4 or self._steps * MOST_COUNTS >= 2**31:
            kind = np.dtype(np.float64)
        sent = np.empty((self._batch, *op.ensemble.shape), kind)
        return Sums(sent, np.empty_like(sent) if op.neuron_type.negative else sent)

    def _told_in_order(self) -> list[tuple[NDArray, NDArray | None]]:
        """Where the kernels tell the totals of each population, by its number."""
        arrays = {
            number: (sums.sent, _other(sums))
            for op, _, numbers in self._built.populations
            if (sums := self._told.get(op)) is not None
            for number in numbers
        }
        return [arrays[number] for number in sorted(arrays)]


def _other(sums: Sums) -> NDArray | None:
    """The second array, where there are two."""
    return None if sums.net is sums.sent else sums.net
