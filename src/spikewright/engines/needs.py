"""Memory that a run of a program needs: state, signals, work, recordings, in bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arrays import repeated
from spikewright.engines.base import Engine, arrays_of
from spikewright.engines.memory import Memory, MemoryPart
from spikewright.engines.program import (
    Apply,
    Average,
    Component,
    Generate,
    Neurons,
    Operator,
    Program,
    Recording,
    Source,
)
from spikewright.engines.totals import total_bytes
from spikewright.network import Ensemble
from spikewright.network.functions import NodeFunction
from spikewright.network.transforms.layout import flatten

_COMPILING = 10  # bytes a number of the largest operator, beside the numbers that are kept


@dataclass(frozen=True)
class Setting:
    """A program as an engine prepared it, and the number of samples, of which `chunk` run at once.

    `given` is the program before preparation.
    """

    given: Program
    program: Program
    engine: Engine
    batch: int
    chunk: int
    tally: frozenset[Ensemble]

    @classmethod
    def of(
        cls,
        program: Program,
        engine: Engine,
        batch: int,
        tally: Collection[Ensemble] = (),
        chunk: int | None = None,
    ) -> Setting:
        """Prepare a program; `chunk` is the engine's choice where it is None."""
        plan = engine.prepare(program)
        size = chunk or engine.chunk_samples(plan, batch)
        if any(_calls_python(op) for op in program.operators):
            size = batch  # a function that keeps something sees all samples step by step
        return cls(program, plan, engine, batch, min(size, batch), frozenset(tally))

    def tallied(self, op: Operator) -> bool:
        """Whether the spikes of an operator's populations are summed."""
        return not self.tally.isdisjoint(op.populations)

    def block_steps(self, constants: Collection[int]) -> int:
        """Steps worked on at once: the engine's choice, for signals that are not constant."""
        changing = tuple(
            component
            for component in self.program.components
            if not all(op.output in constants for op in component.operators)
        )
        return self.engine.block_steps(replace(self.program, components=changing), self.chunk)

    def whole(self, steps: int, block: int | None = None) -> Memory:
        """Memory of a run from the start, its inputs held constant."""
        constants = self._constants()
        block = block or self.block_steps(constants)
        parts = (self.weights(), self.state(), self.running(0, steps, block, constants))
        return Memory(tuple(part for memory in parts for part in memory))

    def weights(self) -> Memory:
        """Weights that the program holds beside the network's, and the engine's own form."""
        own = self._own_arrays()
        numbers, size = [array.size for array in own], sum(array.nbytes for array in own)
        program = MemoryPart("weights", "the program", size, f"{sum(numbers)} numbers of its own")
        return Memory((program, *self._held(self.program.operators, max(numbers, default=0))))

    def _own_arrays(self) -> Sequence[NDArray]:
        """Arrays that operators hold and the network does not, each once."""
        network = {
            id(value)
            for connection in self.given.weights
            for transform in flatten(connection.transform)
            for value in vars(transform).values()
        }
        operators = (*self.given.operators, *self.program.operators)
        arrays = {id(array): array for op in operators for array in arrays_of(op)}
        found = (array for key, array in arrays.items() if key not in network)
        return [array for array in found if repeated(array) is None]

    def missing(self) -> Memory:
        """Weights that the engine does not hold yet."""
        return self._held([op for op in self.program.operators if not self.engine.holds(op)])

    def _held(self, operators: Sequence[Operator], compiled: int = 0) -> Memory:
        """The engine's form of weights; it, and the program's, are made layer by layer."""
        found = [self.engine.held(op, self.program) for op in operators]
        how = f"in the {self.engine.name} engine's form"
        kept = [MemoryPart("weights", n, b, how) for one in found for n, b in one.kept.items()]
        making = max([_COMPILING * compiled, *(one.making for one in found)])
        parts = (*kept, MemoryPart("weights", "making them", making, "of the largest layer"))
        return Memory(tuple(part for part in parts if part.bytes))

    def state(self) -> Memory:
        """State, which lasts from block to block."""
        parts = []
        for op in self.program.operators:
            if isinstance(op, Source):
                continue
            sizes = self.engine.state_bytes(op, self.program, self.tallied(op))
            for label, size in sizes.items():
                how = f"{size} B x {self.batch} samples"
                parts.append(MemoryPart("state", label, size * self.batch, how))
        return Memory(tuple(part for part in parts if part.bytes))

    def kept(self, steps: int) -> Memory:
        """Results that a run from the start keeps: recordings and totals."""
        return Memory((*self._recordings(0, steps), self._totals(steps)))

    def _totals(self, steps: int) -> MemoryPart:
        """Returned totals, and one population's sums in the engine's form."""
        size = sum(total_bytes(ensemble, steps) for ensemble in self.tally)
        largest = max((ensemble.n_neurons for ensemble in self.tally), default=0)
        how = f"{size} B x {self.batch} samples, a layer of {self.chunk} as they are summed"
        return MemoryPart("totals", "spikes", size * self.batch + 16 * largest * self.chunk, how)

    def running(self, first: int, steps: int, block: int, constants: Collection[int]) -> Memory:
        """Memory of `steps` steps after step `first`, beside the state."""
        block = min(block, steps)
        totals = self._totals(first + steps)
        parts = [self._signals(block, constants), *self._recordings(first, steps), totals]
        work = [self._work(component, block, constants) for component in self.program.components]
        parts += [max(work, key=lambda part: part.bytes)] if work else []
        return Memory(tuple(part for part in parts if part.bytes))

    def _work(self, component: Component, block: int, constants: Collection[int]) -> MemoryPart:
        """Inside a component: the largest of its operators, as they run one after the other."""
        most = MemoryPart("work", "", 0, "")
        for op in component.operators:
            if isinstance(op, Source):
                continue
            once = op.output in constants
            batch = self.batch if once else self.chunk
            steps = 1 if once or (component.loops and not _in_windows(component)) else block
            size = self.engine.work_bytes(op, self.program, batch, steps, constants)
            if size > most.bytes:
                how = f"{batch} samples, {steps} steps at once"
                most = MemoryPart("work", op.label, size, how)
        return most

    def _signals(self, block: int, constants: Collection[int]) -> MemoryPart:
        """The largest memory of signals between operators at a time."""
        held = sum(self._bytes(s, self.batch, 1) for s in constants)
        readers = last_readers(self.program)
        alive: dict[int, int] = {}
        most = 0
        for component in self.program.components:
            outputs = [s for op in component.operators for s in op.outputs if s not in constants]
            alive |= {s: self._bytes(s, self.chunk, block) for s in outputs}
            most = max(most, sum(alive.values()))
            for s in [s for s in alive if s not in readers or readers[s] is component]:
                del alive[s]
        how = f"{self.chunk} samples, {block} steps at once"
        return MemoryPart("signals", "all operators", held + most, how)

    def _bytes(self, signal: int, batch: int, steps: int) -> int:
        size = int(np.prod(self.program.shapes[signal]))
        return size * batch * steps * self.engine.signal_bytes(signal, self.program)

    def _recordings(self, first: int, steps: int) -> Sequence[MemoryPart]:
        item = 8 if self.program.precision == "float64" else 4
        parts = []
        for recording in self.program.recordings:
            count = kept_steps(recording, first, steps)
            shape = (self.batch, count, *self.program.shapes[recording.signal])
            size = item * int(np.prod(shape, dtype=object))
            how = f"{item} B x {' x '.join(map(str, shape))}"
            parts.append(MemoryPart("recording", repr(recording.probe), size, how))
        return parts

    def _constants(self) -> frozenset[int]:
        """Signals that no step changes while inputs are held constant."""
        found: set[int] = set()
        for component in self.program.components:
            for op in component.operators:
                if not component.loops and self._follows(op) and found.issuperset(op.inputs):
                    found.update(op.outputs)
        return frozenset(found)

    def _follows(self, op: Operator) -> bool:
        """Whether an operator's output depends on its present input alone."""
        if isinstance(op, Source):
            return not callable(op.node.output)
        if isinstance(op, Neurons):
            kind = op.neuron_type
            return not (kind.spiking or kind.initial_state() or self.tallied(op))
        return op.stateless


def last_readers(program: Program) -> Mapping[int, Component]:
    """The last component that reads each signal."""
    readers: dict[int, Component] = {}
    for component in program.components:
        for op in component.operators:
            for s in op.inputs:
                readers[s] = component
    return readers


def kept_steps(recording: Recording, first: int, steps: int) -> int:
    """The number of `steps` steps after step `first` that a probe keeps: every n-th one."""
    return (first + steps) // recording.every - first // recording.every


def _in_windows(component: Component) -> bool:
    """Whether a loop may run several steps at once."""
    return any(isinstance(op, Average) for op in component.operators)


def _calls_python(op: Operator) -> bool:
    """Whether an operator calls a function that a user wrote."""
    if isinstance(op, Generate):
        return True
    return isinstance(op, Apply) and not isinstance(op.node.output, NodeFunction)
