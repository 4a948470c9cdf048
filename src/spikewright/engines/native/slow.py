"""A region on the reference engine, from the first block with a count that exceeds a byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.kernel import Array, Kernel
from spikewright.engines.native.regions import Region
from spikewright.engines.native.taking import TakenOver
from spikewright.engines.operators import Operator
from spikewright.engines.populations import Learned, Neurons
from spikewright.engines.program import Program
from spikewright.engines.reference import ReferenceEngine
from spikewright.engines.totals import Sums


class SlowRegion:
    """The region's operators on the reference engine, in blocks that it chooses.

    The kernels of `foreign` operators, which ran there before, are taken over.
    """

    def __init__(
        self,
        op: Region,
        program: Program,
        batch: int,
        tally: bool,
        reference: ReferenceEngine,
        foreign: Mapping[Operator, Kernel],
    ) -> None:
        self._op = op
        self._block = 1 if op.loops else reference.block_steps(program, batch)
        self._kernels: dict[Operator, Kernel] = {
            o: foreign[o] if o in foreign else reference.kernel(o, program, batch, tally)
            for o in op.operators
        }

    def start_from(self, op: Operator, state: dict[str, NDArray]) -> None:
        """Take over an operator's state, `(batch, *shape)` each."""
        kernel: Any = self._kernels[op]
        kernel.start_from(**state)

    def start_total(self, op: Operator, sums: Sums) -> None:
        """Take over a population's summed outputs, `(batch, *shape)`."""
        kernel: Any = self._kernels[op]
        if kernel.total is not None:
            kernel.total = np.array(sums.sent)
        if kernel.net is not None:
            kernel.net = np.array(sums.net)

    def run(self, given: dict[int, Array], step: int, steps: int) -> list[Array]:
        """Advance; inputs `given` and outputs are as of `Kernel.run`, by signal."""
        parts: list[list[Array]] = []
        for start in range(0, steps, self._block):
            count = min(self._block, steps - start)
            values: dict[int, Array] = {}
            for signal, value in given.items():
                part = value if value.shape[1] == 1 else value[:, start : start + count]
                values[signal] = np.asarray(part, np.float64)
            self._advance(values, step + start, count)
            parts.append([values[s] for s in self._op.exported])
        return [np.concatenate(pieces, axis=1) for pieces in zip(*parts, strict=True)]

    def _advance(self, values: dict[int, Array], step: int, count: int) -> None:
        for op, kernel in self._kernels.items():
            if self._op.loops:
                made = kernel.begin([values[s] for s in op.prompt], step, count)
            else:
                made = kernel.run([values[s] for s in op.inputs], step, count)
            values.update(zip(op.outputs, made, strict=False))
        if not self._op.loops:
            return
        for op, kernel in self._kernels.items():
            if op.prompt != op.inputs:
                late = kernel.end([values[s] for s in op.inputs])
                values.update(zip(op.outputs[len(op.outputs) - len(late) :], late, strict=True))

    def learned(self) -> dict[Learned, NDArray]:
        """The present weights of operators that learn."""
        found: dict[Learned, NDArray] = {}
        for kernel in self._kernels.values():
            found.update(kernel.learned())
        return found

    def total(self, op: Neurons) -> Sums:
        """A population's summed outputs."""
        (sums,) = self._kernels[op].totals()
        return sums

    outgrown: frozenset[int] | None = None
    """The counts in doubles; None: all are on the reference."""

    def mark(self) -> None:
        """Keep the present state, to which `rewind` returns."""
        for kernel in self._kernels.values():
            kernel.mark()

    def rewind(self) -> None:
        """Return to the state of the last `mark`."""
        for kernel in self._kernels.values():
            kernel.rewind()

    def state(self) -> list[Any]:
        """All that later steps depend on."""
        return [kernel.state() for kernel in self._kernels.values()]

    def restore(self, state: Sequence[Any]) -> None:
        """Return to a state."""
        for kernel, one in zip(self._kernels.values(), state, strict=True):
            kernel.restore(one)


class WideRegion:
    """Some samples of a region in a form that holds their counts: `outgrown` ones in doubles."""

    def __init__(self, kernel: Any, state: TakenOver, outgrown: frozenset[int]) -> None:
        self._kernel, self._before, self.outgrown = kernel, state.before, outgrown
        self.mark, self.rewind = kernel.mark, kernel.rewind
        self.start_from, self.start_total = state.start_from, state.start_total
        self.learned = kernel.learned

    def total(self, op: Neurons) -> Sums:
        """A population's summed outputs since then."""
        sums = in_doubles(self._kernel._total(op))
        return sums if op not in self._before else Sums(sums.sent, sums.net - self._before[op])

    def run(self, given: dict[int, Array], step: int, steps: int) -> list[Array]:
        """Advance; inputs `given` and outputs are as of `Kernel.run`, by signal."""
        return [*self._kernel.run([given[s] for s in self._kernel._op.inputs], step, steps)]

    def state(self) -> dict[str, Any]:
        """All that later steps depend on."""
        before = [self._before.get(op) for op in self._kernel._op.operators]
        return {"kernel": self._kernel.state(), "before": before}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state."""
        self._kernel.restore(state["kernel"])
        pairs = zip(self._kernel._op.operators, state["before"], strict=True)
        self._before.update({op: value for op, value in pairs if value is not None})


def in_doubles(sums: Sums) -> Sums:
    """Arrays that hold any sum."""
    sent = np.array(sums.sent, np.float64)
    return Sums(sent, sent if sums.net is sums.sent else np.array(sums.net, np.float64))


class Slow(NamedTuple):
    """Some samples of a batch, by number, where any count is held."""

    samples: NDArray
    region: Any

    def run(self, given: dict[int, Array], step: int, steps: int) -> list[Array]:
        """Advance; `given` has the whole batch, the outputs these samples."""
        chosen = {s: v if v.shape[0] == 1 else v[self.samples] for s, v in given.items()}
        return self.region.run(chosen, step, steps)


def joined(batch: int, made: Sequence[tuple[NDArray, list[Array]]]) -> list[Array]:
    """Signals of the whole batch, float64, from those of some samples each."""
    (_, first), *_ = made
    whole = [np.empty((batch, *y.shape[1:])) for y in first]
    for samples, outputs in made:
        for y, part in zip(whole, outputs, strict=True):
            y[samples] = part
    return whole
