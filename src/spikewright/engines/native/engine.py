"""The native engine: C++ kernels run regions, the reference engine's kernels all else."""

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
from spikewright.engines.native.region_builder import CompiledRegion, build_region
from spikewright.engines.native.region_kernel import LinearKernel, RegionKernel
from spikewright.engines.native.regions import Region, plan_rows, with_regions
from spikewright.engines.native.scheduling import state_bytes, workspace_bytes
from spikewright.engines.native.weight_packing import SLAB, ListingThresholds, PackedMatrix
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
"""The instruction sets that kernels are compiled for; a processor has some of them."""

_building = threading.RLock()  # regions are built and filled once, however many threads run them

_EARLY = 4  # an input is listed up to so many times the average events at which tiles are faster
_BLOCK_VALUES = 16_000_000  # values of the widest signal in a block of all samples: 128 MB
# The same for processes and learned weights, whose arrays the allocator reuses: 32 MB.
_DOUBLES = 4_000_000


def _learns(op: Operator) -> bool:
    return isinstance(op, Region) and any(isinstance(one, Learned) for one in op.operators)


def instruction_sets() -> tuple[str, ...]:
    """Instruction sets that this processor can run, the most capable last."""
    return tuple(_kernels.instruction_sets())


class NativeEngine(Engine):
    """C++ kernels whose cost is proportional to the number of spikes.

    `threads` is the number of threads, 1 to 256 (default: the environment's SPIKEWRIGHT_THREADS,
    else one a processor). The environment's SPIKEWRIGHT_ISA names the instruction set, else it is
    the most capable that the processor has. Neither changes a result. Raises `BuildError` for an
    instruction set that the processor lacks, or another number of threads.

    Where so many inputs spike that events would cost more than `dense` times as much, a layer is
    computed as a dense matrix product by tiles. `dense` is 1 where the instruction set has tiles,
    else infinite.
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
        listed = _kernels.masked_cost(self.isa)  # events of a slab beyond which it is listed once
        tiled = _EARLY * math.ceil(SLAB * _kernels.tile_share(self.isa))
        self._thresholds = ListingThresholds(listed, min(tiled, listed), self.dense < math.inf)
        self._reference = ReferenceEngine()
        self._prepared: WeakKeyDictionary[Program, Program] = WeakKeyDictionary()
        self._built: WeakKeyDictionary[Operator, CompiledRegion] = WeakKeyDictionary()
        # Weights in the kernels' form.
        self._packed_weights: WeakKeyDictionary[Operator, list[PackedMatrix | None]] = (
            WeakKeyDictionary()
        )
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
            built = self._with_weights(op, program)
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
        """Whether dense products may be faster for a layer of the program, on this processor."""
        if self.dense == math.inf or program.precision != "float32":
            return False
        if program not in self._tiled:
            each = (op.operators if isinstance(op, Region) else (op,) for op in program.operators)
            self._tiled[program] = _kernels.tile_share(self.isa) <= 1.0 or any(
                isinstance(op, Linear) and op.steps is not None for ops in each for op in ops
            )
        return self._tiled[program]

    def _build(self, op: Region, program: Program) -> CompiledRegion:
        with _building:
            if op not in self._built:
                self._built[op] = build_region(op, program)
            return self._built[op]

    def _with_weights(self, op: Region, program: Program) -> CompiledRegion:
        """A compiled region whose weights are packed, ready to run."""
        with _building:
            built = self._build(op, program)
            if op not in self._packed_weights:
                self._packed_weights[op] = built.pack(self.threads)
            return built

    def source(self, op: NodeSource, program: Program, given: Given, first: int) -> Kernel:
        return SourceKernel(op, program.dt, given, first, _UNCHANGED)

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
        for called in op.host_operators:
            found.update(self._reference.state_bytes(called, program, tally, batch, None))
        return found

    def weight_memory(self, op: Operator, program: Program) -> EngineWeights:
        if not isinstance(op, Region):
            return super().weight_memory(op, program)
        built = self._build(op, program)
        others = [self._reference.weight_memory(called, program) for called in op.host_operators]
        kept = Counter(built.weight_bytes(self._has_tiles(program)))
        for other in others:
            kept.update(other.kept)
        return EngineWeights(
            kept, max((one.temporary for one in (*built.packings, *others)), default=0)
        )

    def has_weights(self, op: Operator) -> bool:
        return op in self._packed_weights or op in self._shared

    def workspace_bytes(self, op: Operator, block: Block) -> int:
        program = block.program
        if not isinstance(op, Region):
            changing = (s for s in op.inputs if s not in block.held)
            counts = [s for s in changing if self.signal_bytes(s, program) == 1]
            copied = 8 * block.values(counts)  # `_Fallback` reads doubles
            return copied + self._reference.workspace_bytes(op, block)
        built = self._build(op, program)
        values = [s for s, counts in built.inputs if not counts and s not in program.computed]
        for called in op.host_operators:  # it is given inputs of a step, and what it makes is kept
            values += called.outputs
        given = sum(block.step.values(called.inputs) for called in op.host_operators)
        work = (self._reference.workspace_bytes(called, block.step) for called in op.host_operators)
        region = workspace_bytes(
            op, built, block.samples, block.steps, self.threads, self._thresholds
        )
        return 8 * (block.values(values) + given) + region + max(work, default=0)


def _threads() -> int:
    given = os.environ.get(THREADS_VARIABLE, "")
    if not given:
        return min(processors(), MOST_THREADS)
    threads = int(given) if given.isdecimal() and len(given) < 10 else given
    check_threads(threads, BuildError, THREADS_VARIABLE)
    return int(threads)


def _values(inputs: Sequence[Array]) -> list[Array]:
    """Inputs as float64, to which counts in bytes are converted."""
    return [np.asarray(x, np.float64) for x in inputs]


class _UnchangedArrays(EngineArrays):
    """Leaves fed arrays as they are, since kernels read several types of numbers."""

    def as_array(self, values: NDArray) -> Array:
        return values


_UNCHANGED = _UnchangedArrays()


class _Fallback(Kernel):
    """A reference engine's kernel in a native program, to whose inputs counts are converted."""

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

    def output_writer(self, inputs: Sequence[NDArray], outputs: Sequence[NDArray]) -> Call | None:
        counts = any(x.dtype == np.int8 for x in inputs)
        return None if counts else self._kernel.output_writer(inputs, outputs)

    def prepare_step(self, inputs: Sequence[Array]) -> PreparedStep | None:
        return self._kernel.prepare_step(inputs)
