"""Estimates of the memory in bytes that a run needs: state, signals, workspace, recordings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import gcd, prod

from numpy.typing import NDArray

from spikewright._base.arguments import repeated
from spikewright.engines.base import Engine, RunSpan, arrays_of
from spikewright.engines.memory import MemoryNeed, MemoryPart
from spikewright.engines.operators import NodeSource, Operator
from spikewright.engines.program import Block, Component, Program, Recording
from spikewright.engines.program_check import planned
from spikewright.engines.totals import total_bytes
from spikewright.network import Ensemble, Node
from spikewright.network.transforms.layout import flatten

_COMPILING = 10  # temporary bytes for each number of the largest operator

_OBJECTS = MemoryPart("work", "Python", 2**21, "objects, and pages that arrays fill in part")


class PreparedRun:
    """A program as an engine runs it, with its batch, and estimates of the memory of a run.

    Of the `batch` samples, `chunk` are computed at once. `given` is the program before the engine
    prepared it. Nodes in `fed` have a value for every sample (None: all nodes do). Where a run is
    `resumable`, the state before each block of steps is kept too.
    """

    def __init__(
        self,
        program: Program,
        engine: Engine,
        batch: int,
        tally: Collection[Ensemble] = (),
        chunk: int | None = None,
        fed: Collection[Node] | None = None,
        resumable: bool = False,
    ) -> None:
        self.given, self.program, self.engine = program, planned(program, engine), engine
        self.batch, self.tally, self.resumable = batch, frozenset(tally), resumable
        self._fed = fed
        size = chunk or engine.chunk_samples(self.program, batch)
        if any(op.by_sample for op in program.operators):
            size = batch  # a function with a state is called for all samples, step by step
        self.chunk = min(size, batch)

    def tallied(self, op: Operator) -> bool:
        """Whether the spikes of an operator's populations are summed."""
        return not self.tally.isdisjoint(op.populations)

    def block_steps(self, constants: Collection[int]) -> int:
        """The steps of a block: the engine's choice for the signals that are not constant.

        Where layers look ahead, it is all steps of the run.
        """
        if self.program.whole_steps is not None:
            return self.program.whole_steps
        changing = tuple(
            component
            for component in self.program.components
            if not all(op.output in constants for op in component.operators)
        )
        return self.engine.block_steps(replace(self.program, components=changing), self.chunk)

    def whole(self, steps: int, block: int | None = None, last: bool = False) -> MemoryNeed:
        """The peak memory of a run from the start, with constant inputs; no run follows a `last`
        one.
        """
        constants = self._constants()
        block = block or self.block_steps(constants)
        kept, making = self._held(self.program.operators)
        own = self._own_arrays()
        numbers, size = [array.size for array in own], sum(array.nbytes for array in own)
        how = f"{sum(numbers)} numbers of its own"
        program = MemoryPart("weights", "the program", size, how)
        compiling = _temporary(_COMPILING * max(numbers, default=0), "array")
        state = self.state(RunSpan(steps, block, last))
        running = self.running(0, steps, block, constants)
        return _most(
            _some(program, compiling),
            _some(program, *kept, making, _OBJECTS),
            _some(program, *kept, *state, *running, _OBJECTS),
        )

    def _own_arrays(self) -> Sequence[NDArray]:
        """The arrays of operators that are not the network's own, without duplicates."""
        network = {
            id(value)
            for connection in self.given.weights
            for transform in flatten(connection.transform)
            for value in vars(transform).values()
        }
        operators = (*self.given.operators, *self.program.operators)
        arrays = {id(array): array for op in operators for array in arrays_of(op)}
        for parameters in self.given.parameters.values():
            arrays |= {id(array): array for array in vars(parameters).values()}
        found = (array for key, array in arrays.items() if key not in network)
        return [array for array in found if repeated(array) is None]

    def missing(self) -> MemoryNeed:
        """The memory of weights that the engine has still to convert."""
        known = self.engine.has_weights
        kept, making = self._held([op for op in self.program.operators if not known(op)])
        return _some(*kept, making)

    def _held(self, operators: Sequence[Operator]) -> tuple[Sequence[MemoryPart], MemoryPart]:
        """The weights in the engine's format, and the temporary memory of converting them."""
        found = [self.engine.weight_memory(op, self.program) for op in operators]
        how = f"in the {self.engine.name} engine's form"
        kept = [MemoryPart("weights", n, b, how) for one in found for n, b in one.kept.items()]
        return kept, _temporary(max((one.temporary for one in found), default=0), "layer")

    def state(self, span: RunSpan | None = None) -> MemoryNeed:
        """The state that lasts from block to block; None: for a run of any number of blocks."""
        parts, before, how = [], 0, f"of {self.batch} samples"
        for op in self.program.operators:
            of_op = op, self.program, self.tallied(op), self.batch
            sizes = self.engine.state_bytes(*of_op, span)
            parts += [MemoryPart("state", label, size, how) for label, size in sizes.items()]
            if self.resumable:
                before += sum(self.engine.state_bytes(*of_op, None).values())
        how = "to go on from, where a run is interrupted"
        return _some(*parts, MemoryPart("state", "before a block of steps", before, how))

    def kept(self, steps: int) -> MemoryNeed:
        """The results of a run from the start: recordings and totals."""
        return _some(*self._recordings(0, steps), self._totals(steps))

    def _totals(self, steps: int) -> MemoryPart:
        """The totals that a run returns."""
        size = sum(total_bytes(ensemble, steps) for ensemble in self.tally)
        return MemoryPart("totals", "spikes", size * self.batch, f"{size} B x {self.batch} samples")

    def running(
        self, first: int, steps: int, block: int, constants: Mapping[int, int]
    ) -> MemoryNeed:
        """The memory of `steps` steps after step `first`, without the state.

        `constants` are signals that no step changes, each with its number of samples.
        """
        busy, totals = self._busy(min(block, steps), constants), self._totals(first + steps)
        return _some(*self._recordings(first, steps), *busy, totals)

    def _busy(self, block: int, constants: Mapping[int, int]) -> MemoryNeed:
        """The peak of the signals between operators and the workspace of one operator."""
        held = sum(self._bytes(s, samples, 1) for s, samples in constants.items())
        alive: dict[int, int] = {}
        most = MemoryNeed(())
        how = f"{self.chunk} samples, {block} steps at once"
        for stage in self.program.stages:
            for op in stage.component.operators:
                made = (s for s in op.outputs if s not in constants)
                alive |= {s: self._bytes(s, self.chunk, block) for s in made}
            signals = MemoryPart("signals", "all operators", held + sum(alive.values()), how)
            work = [
                self._work(op, stage.component, block, constants)
                for op in stage.component.operators
            ]
            most = _most(most, *(MemoryNeed((signals, part)) for part in work))
            for s in stage.dropped:
                alive.pop(s, None)
        return most

    def _work(
        self, op: Operator, component: Component, block: int, constants: Mapping[int, int]
    ) -> MemoryPart:
        """The workspace of one operator; those of a component run one after the other."""
        samples = constants.get(op.output, self.chunk)
        steps = 1 if op.output in constants or component.by_step else block
        of_op = Block(self.program, samples, steps, constants, self.tallied(op))
        size = self.engine.workspace_bytes(op, of_op)
        return MemoryPart("work", op.label, size, f"{samples} samples, {steps} steps at once")

    def _bytes(self, signal: int, samples: int, steps: int) -> int:
        values = Block(self.program, samples, steps).values((signal,))
        return values * self.engine.signal_bytes(signal, self.program)

    def _recordings(self, first: int, steps: int) -> Sequence[MemoryPart]:
        item = 8 if self.program.precision == "float64" else 4
        parts = []
        for recording in self.program.recordings:
            count = kept_steps(recording, first, steps)
            shape = (self.batch, count, *self.program.shapes[recording.signal])
            size = item * prod(shape)
            how = f"{item} B x {' x '.join(map(str, shape))}"
            parts.append(MemoryPart("recording", repr(recording.probe), size, how))
        return parts

    def _constants(self) -> dict[int, int]:
        """The signals that are constant where inputs are, each with its number of samples.

        A signal that is the same for all samples has one.
        """
        found: dict[int, int] = {}
        for op in (op for one in self.program.components if not one.loops for op in one.operators):
            if op.stateless and not self.tallied(op) and found.keys() >= set(op.inputs):
                alike = all(found[s] == 1 for s in op.inputs)
                if isinstance(op, NodeSource):
                    alike = self._fed is not None and op.node not in self._fed
                found.update(dict.fromkeys(op.outputs, 1 if alike else self.batch))
        return found


def _temporary(size: int, of: str) -> MemoryPart:
    """The temporary memory of converting weights."""
    return MemoryPart("weights", "making them", size, f"of the largest {of}")


def _some(*parts: MemoryPart) -> MemoryNeed:
    """The parts that are not empty."""
    return MemoryNeed(part for part in parts if part.bytes)


def _most(*memories: MemoryNeed) -> MemoryNeed:
    """The largest of several needs that do not occur at the same time."""
    return max(memories, key=lambda memory: memory.bytes)


def kept_steps(recording: Recording, first: int, steps: int) -> int:
    """How many of the `steps` steps after step `first` a probe records: every n-th one."""
    return (first + steps) // recording.every - first // recording.every


def sampled(program: Program, others: Sequence[Operator] = ()) -> dict[int, int]:
    """The signals that only probes read, each with the sampling period in steps.

    `others` are operators outside the program that read signals too.
    """
    read = {s for op in (*program.operators, *others) for s in op.inputs}
    periods: dict[int, int] = {}
    for recording in program.recordings:
        if recording.signal not in read:
            periods[recording.signal] = gcd(periods.get(recording.signal, 0), recording.every)
    return periods
