"""The engine: regions run natively, everything else on the reference's kernels."""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from spikewright._base.process import MOST_THREADS, check_threads, processors
from spikewright.engines.base import Engine, EngineWeights, Plan, RunSpan
from spikewright.engines.kernel import Array, Call, EngineArrays, Kernel, PreparedStep
from spikewright.engines.native import _kernels
from spikewright.engines.native.building import Built, build
from spikewright.engines.native.filling import SLAB, Often, Packing
from spikewright.engines.native.regions import Region, plan_rows, with_regions
from spikewright.engines.native.running import LinearKernel, RegionKernel
from spikewright.engines.native.runs import state_bytes, workspace_bytes
from spikewright.engines.operators import Generate, Linear, NodeSource, Operator
from spikewright.engines.populations import Learned
from spikewright.engines.program import Block, Program
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.reference import ReferenceEngine
from spikewright.engines.sources import Given, SourceKernel
from spikewright.engines.totals import Sums
from spikewright.errors import BuildError

ISA_VARIABLE = "SPIKEWRIGHT_ISA"
THREADS_VARIABLE = "SPIKEWRIGHT_THREADS"

INSTRUCTION_SETS = ("baseline", "avx2", "avx512", "vnni", "amx", "neon", "dotprod")
"""All that kernels are made for; a processor has some of them."""

_building = threading.RLock()  # regions are built and filled once, however many threads run them

_EARLY = 4  # times as many events as pay for tiles, on average, an input may have that is listed
_BLOCK_VALUES = 16_000_000  # values of the widest signal in a block of all samples: 128 MB
# The same of processes and of what learns, whose arrays the allocator gives again: 32 MB.
_DOUBLES = 4_000_000


def _learns(op: Operator) -> bool:
    return isinstance(op, Region) and any(isinstance(one, Learned) for one in op.operators)


def instruction_sets() -> tuple[str, ...]:
    """Instruction sets that this processor can run, the most capable last."""
    return tuple(_kernels.instruction_sets())


class NativeEngine(Engine):
    """C++ kernels whose cost follows the spikes.

    `threads` is the number of threads, 1 to 256 (default: the environment's SPIKEWRIGHT_THREADS,
    else one a processor). The environment's SPIKEWRIGHT_ISA names the instruction set, else it is
    the most capable that the processor has. Neither changes a result. Raises `BuildError` for an
    instruction set that the processor lacks, or another number of threads.

    Where many inputs spike, a layer of counts is a dense product by tiles: where its events would
    cost more than `dense` times as much. That is 1 where the instruction set has tiles, else never.
    """

    name = "native"
    exact = True
    batch_values = 16_000_000  # signals stay in caches, and each part has a cost of its own
    bound = (
        "bit-identical whatever the batch, its order, the time block, the threads and the "
        "instruction set; the reference engine's spikes and learned weights (with exp or log in "
        "neurons or nodes, as far as two libraries' functions agree)"
    )

    def __init__(self, threads: int | None = None) -> None:
        check_threads(threads, BuildError)
        self.threads = _threads() if threads is None else threads
        self.isa = os.environ.get(ISA_VARIABLE, "") or instruction_sets()[-1]
        if self.isa not in instruction_sets():
            raise BuildError(
                f"{ISA_VARIABLE}={self.isa!r}: this processor can run "
                f"{', '.join(instruction_sets())}"
            )
        self.dense = 1.0 if _kernels.has_tiles(self.isa) else math.inf
        listed = _kernels.masked_cost(self.isa)  # events in a slab, beyond which it is listed once
        tiled = _EARLY * math.ceil(SLAB * _kernels.tile_share(self.isa))
        self._often = Often(listed, min(tiled, listed), self.dense < math.inf)
        self._reference = ReferenceEngine()
        self._prepared: WeakKeyDictionary[Program, Program] = WeakKeyDictionary()
        self._built: WeakKeyDictionary[Operator, Built] = WeakKeyDictionary()
        # Weights in the kernels' form.
        self._holding: WeakKeyDictionary[Operator, list[Packing | None]] = WeakKeyDictionary()
        self._shared: WeakKeyDictionary[Operator, Kernel] = WeakKeyDictionary()
        self._tiled: WeakKeyDictionary[Program, bool] = WeakKeyDictionary()
        self._counts: WeakKeyDictionary[Program, frozenset[int]] = WeakKeyDictionary()

    def prepare(self, program: Program) -> Program:
        if program not in self._prepared:
            self._prepared[program] = with_regions(program)
        return self._prepared[program]

    def explain(self, program: Program) -> Plan:
        return Plan(
            self.name, tuple(plan_rows(program, self.isa if self._has_tiles(program) else None))
        )

    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        if op in self._shared:
            return self._shared[op]
        if isinstance(op, Region):
            built = self._filled(op, program)
            if op.stateless:
                self._shared[op] = LinearKernel(
                    op, built, program, self.isa, self.threads, self.dense
                )
                return self._shared[op]
            return RegionKernel(
                op=op,
                built=built,
                program=program,
                batch=batch,
                tally=tally,
                reference=self._reference,
                isa=self.isa,
                threads=self.threads,
                dense=self.dense,
            )
        fallback = _Fallback(self._reference.kernel(op, program, batch, tally))
        if fallback.stateless:
            self._shared[op] = fallback
        return fallback

    def _has_tiles(self, program: Program) -> bool:
        """Whether the program has a layer for which products may pay on this instruction set."""
        if self.dense == math.inf or program.precision != "float32":
            return False
        if program not in self._tiled:
            each = (op.operators if isinstance(op, Region) else (op,) for op in program.operators)
            self._tiled[program] = _kernels.tile_share(self.isa) <= 1.0 or any(
                isinstance(op, Linear) and op.steps is not None for ops in each for op in ops
            )
        return self._tiled[program]

    def _build(self, op: Region, program: Program) -> Built:
        with _building:
            if op not in self._built:
                self._built[op] = build(op, program)
            return self._built[op]

    def _filled(self, op: Region, program: Program) -> Built:
        """A region that is to run: with its weights."""
        with _building:
            built = self._build(op, program)
            if op not in self._holding:
                self._holding[op] = built.fill(self.threads)
            return built

    def source(self, op: NodeSource, program: Program, given: Given, first: int) -> Kernel:
        return SourceKernel(op, program.dt, given, first, _AS_GIVEN)

    def block_steps(self, program: Program, batch: int) -> int:
        sizes = (int(np.prod(program.shapes[s])) for op in program.operators for s in op.outputs)
        widest = max(sizes, default=1)
        doubles = any(isinstance(op, Generate) or _learns(op) for op in program.operators)
        most = _DOUBLES if doubles else _BLOCK_VALUES
        return int(np.clip(most // max(1, widest * batch), 1, 1000))

    def signal_bytes(self, signal: int, program: Program) -> int:
        if program not in self._counts:
            blocks = [
                one for one in program.components if not one.loops
            ]  # in loops, all are float64
            regions = [op for one in blocks for op in one.operators if isinstance(op, Region)]
            made = (region.counts & {*region.exported} for region in regions)
            self._counts[program] = frozenset().union(*made)
        return 1 if signal in self._counts[program] else 8

    def state_bytes(
        self, op: Operator, program: Program, tally: bool, batch: int, span: RunSpan | None
    ) -> Mapping[str, int]:
        if not isinstance(op, Region):
            return super().state_bytes(op, program, tally, batch, span)
        found = state_bytes(op, self._build(op, program), batch, span, self.threads, tally)
        for foreign in op.foreign:
            found.update(self._reference.state_bytes(foreign, program, tally, batch, None))
        return found

    def weight_memory(self, op: Operator, program: Program) -> EngineWeights:
        if not isinstance(op, Region):
            return super().weight_memory(op, program)
        built = self._build(op, program)
        others = [self._reference.weight_memory(foreign, program) for foreign in op.foreign]
        kept = Counter(built.weight_bytes(self._has_tiles(program)))
        for other in others:
            kept.update(other.kept)
        return EngineWeights(
            kept, max((one.temporary for one in (*built.fillings, *others)), default=0)
        )

    def has_weights(self, op: Operator) -> bool:
        return op in self._holding or op in self._shared

    def workspace_bytes(self, op: Operator, block: Block) -> int:
        program = block.program
        if not isinstance(op, Region):
            changing = (s for s in op.inputs if s not in block.held)
            counts = [s for s in changing if self.signal_bytes(s, program) == 1]
            copied = 8 * block.values(counts)  # `_Fallback` reads doubles
            return copied + self._reference.workspace_bytes(op, block)
        built = self._build(op, program)
        values = [s for s, counts in built.inputs if not counts and s not in program.computed]
        for called in op.foreign:  # it is given inputs of a step, and what it makes is kept
            values += called.outputs
        given = sum(block.step.values(called.inputs) for called in op.foreign)
        work = (self._reference.workspace_bytes(called, block.step) for called in op.foreign)
        region = workspace_bytes(op, built, block.samples, block.steps, self.threads, self._often)
        return 8 * (block.values(values) + given) + region + max(work, default=0)


def _threads() -> int:
    given = os.environ.get(THREADS_VARIABLE, "")
    if not given:
        return min(processors(), MOST_THREADS)
    threads = int(given) if given.isdecimal() and len(given) < 10 else given
    check_threads(threads, BuildError, THREADS_VARIABLE)
    return int(threads)


def _values(inputs: Sequence[Array]) -> list[Array]:
    """Counts as float64."""
    return [np.asarray(x, np.float64) for x in inputs]


class _AsGiven(EngineArrays):
    """Arrays of fed values stay as they are: kernels read several types of numbers."""

    def holding(self, values: NDArray) -> Array:
        return values


_AS_GIVEN = _AsGiven()


class _Fallback(Kernel):
    """A kernel of the reference engine."""

    changing = ("_kernel",)

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.stateless = kernel.stateless

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        return self._kernel.run(_values(inputs), step, steps)

    @property
    def ahead(self) -> int:
        return self._kernel.ahead

    def begin(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        return self._kernel.begin(_values(inputs), step, steps)

    def end(self, inputs: Sequence[Array]) -> Sequence[Array]:
        return self._kernel.end(_values(inputs))

    def restart(self) -> None:
        self._kernel.restart()

    def totals(self) -> Iterable[Sums]:
        return self._kernel.totals()

    def learned(self) -> Mapping[Learned, Array]:
        return self._kernel.learned()

    def python_steps(self) -> Iterable[PythonStep]:
        return self._kernel.python_steps()

    def into(self, inputs: Sequence[NDArray], outputs: Sequence[NDArray]) -> Call | None:
        counts = any(x.dtype == np.int8 for x in inputs)
        return None if counts else self._kernel.into(inputs, outputs)

    def prepare_step(self, inputs: Sequence[Array]) -> PreparedStep | None:
        return self._kernel.prepare_step(inputs)
