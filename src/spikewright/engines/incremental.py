"""Running one step at a time, with constants, buffers and recordings kept from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.base import Feeds
from spikewright.engines.kernel import Array, Kernel
from spikewright.engines.operators import NodeSource, Operator
from spikewright.engines.program import Program
from spikewright.engines.python_steps import Functions
from spikewright.engines.recording import Tape
from spikewright.engines.sources import constant_value, write_value
from spikewright.network import Node

Kernels = Mapping[Operator, Kernel]


def compute_constants(
    plan: Program, kernels: Kernels, values: dict[int, Array]
) -> dict[int, Array]:
    """All signals that are constant during a run, computed once from its constant sources."""
    for component in plan.components:
        for op in component.operators:
            kernel = kernels.get(op)
            if component.loops or kernel is None or not kernel.stateless:
                continue
            if all(signal in values for signal in op.inputs):
                (values[op.output],) = kernel.run([values[s] for s in op.inputs], 0, 1)
    return values


def can_run_incrementally(plan: Program) -> bool:
    """Whether a plan has no loop of several kernels and no source that sends all at once."""
    loops = any(component.loops for component in plan.components)
    sources = (op.node for op in plan.operators if isinstance(op, NodeSource))
    return not loops and not any(node.at_once > 1 or node.once for node in sources)


class IncrementalRunner:
    """Runs single steps of an execution, with prepared steps of kernels that have them.

    `kernels` hold the state of all `batch` samples; `plan` is the `program` as the engine prepared
    it. `functions` are those of nodes, `feeds` the fed values of the first step: later ones must
    have the same types and shapes. `constant` are the signals that no step changes, each with its
    number of samples.
    """

    def __init__(
        self,
        program: Program,
        plan: Program,
        kernels: Kernels,
        batch: int,
        functions: Functions,
        *,
        feeds: Feeds,
    ) -> None:
        self._recordings, self._dt = program.recordings, program.dt
        self._plan, self._kernels = plan, kernels
        sources = [(op.output, op.node) for op in plan.operators if isinstance(op, NodeSource)]
        self._fed = [_FedSource(s, node, feeds[node]) for s, node in sources if node in feeds]
        nodes = [(s, node) for s, node in sources if node not in feeds]
        self._functions = [
            _FunctionSource(s, node, functions.of_source(node))
            for s, node in nodes
            if callable(node.output)
        ]
        self._fixed = [_ConstantSource(s, node) for s, node in nodes if not callable(node.output)]
        self._values: dict[int, Array] = self._constants()
        self.constant = {s: len(value) for s, value in self._values.items()}
        lasting = {one.signal: one.value for one in self._functions}
        lasting |= {one.signal: one.value for one in self._fed}
        self._values.update(lasting)
        self._units: list[_OperatorStep] = []
        for component in plan.components:
            (op,) = component.operators
            if op.output not in self._values:
                inner = (s for s in op.inputs if s not in self._values)
                empty = {s: np.empty((batch, 1, *plan.shapes[s])) for s in inner}
                unit = _OperatorStep(op, kernels[op], lasting, self._values, empty)
                lasting.update(unit.lasting)
                self._values.update(unit.lasting)
                self._units.append(unit)

    @property
    def is_faster(self) -> bool:
        """Whether some kernel has a prepared step."""
        return any(unit.prepared is not None for unit in self._units)

    def step(self, number: int, tapes: Sequence[Tape], feeds: Feeds) -> bool | None:
        """Run the step after step `number`; returns whether the next one may be run here too.

        None: nothing was done, since the output of a node is of another kind than before.
        """
        if len(feeds) != len(self._fed) or not self._same_sources():
            return None
        for fed in self._fed:
            if not fed.take(feeds):
                return None
        time = (number + 1) * self._dt
        for source in self._functions:
            write_value(source.node, source.recorded, source.value[0, 0], time)
        going = True
        for unit in self._units:
            going = unit.step(number, self._values, going) and going
        self._record(number + 1, tapes)
        return going

    def _record(self, number: int, tapes: Sequence[Tape]) -> None:
        """Record step `number` (from 1) on all tapes that sample it, or on none if one fails."""
        kept = []
        for recording, tape in zip(self._recordings, tapes, strict=True):
            if number % recording.every == 0:
                tape.write(self._values[recording.signal][:, 0])
                kept.append(tape)
        for tape in kept:
            tape.commit()

    def _same_sources(self) -> bool:
        """Whether all sources are of the same kind; changed constants of the same shape are read
        again.
        """
        for source in self._functions:
            if source.node.output is not source.function:
                return False
        for fixed in self._fixed:  # a plain loop: in every step a generator would take longer
            if not fixed.is_unchanged():
                break
        else:
            return True
        if any(callable(fixed.node.output) for fixed in self._fixed):
            return False
        found = self._constants()
        if any(value.shape != self._values[s].shape for s, value in found.items()):
            return False
        self._values.update(found)
        for unit in self._units:
            unit.update(found)
        return True

    def _constants(self) -> dict[int, Array]:
        read = {fixed.signal: fixed.read() for fixed in self._fixed}
        return compute_constants(self._plan, self._kernels, read)


class _FunctionSource:
    """A source that is a function of time, and the array that its values are written into."""

    def __init__(self, signal: int, node: Node, recorded: Any) -> None:
        self.signal, self.node, self.function = signal, node, node.output
        self.recorded = recorded
        self.value = np.empty((1, 1, *node.shape_out))


class _FedSource:
    """A source that is fed a value at every step, and the array that values are copied into."""

    def __init__(self, signal: int, node: Node, value: NDArray) -> None:
        self.signal, self.node = signal, node
        self.value = np.array(value)

    def take(self, feeds: Feeds) -> bool:
        """Copy the value of a step; returns False unless its type and shape are the same."""
        found = feeds.get(self.node)
        if found is None or (found.dtype, found.shape) != (self.value.dtype, self.value.shape):
            return False
        np.copyto(self.value, found)
        return True


class _ConstantSource:
    """A constant source; users may replace its array or write into it."""

    def __init__(self, signal: int, node: Node) -> None:
        self.signal, self.node = signal, node
        self._seen: tuple[object, bytes] = (None, b"")

    def read(self) -> NDArray:
        """Its present value, `(1, 1, *shape)`."""
        value = constant_value(self.node, None)
        if value is None:
            raise TypeError(f"{self.node!r} is no constant")
        self._seen = self.node.output, value.tobytes()
        return value.copy()

    def is_unchanged(self) -> bool:
        """Whether it still has the value that was read last."""
        output, seen = self._seen
        now = self.node.output
        return now is output and isinstance(now, np.ndarray) and now.tobytes() == seen


class _OperatorStep:
    """A step of one operator's kernel, with its input arrays.

    Signals in `lasting` are arrays that stay from step to step, which it reads in place. The others
    are copied for it: constants when they change, outputs of other kernels at every step.
    """

    def __init__(
        self,
        op: Operator,
        kernel: Kernel,
        lasting: Mapping[int, NDArray],
        constants: Mapping[int, Array],
        empty: Mapping[int, NDArray],
    ) -> None:
        self._op, self._kernel = op, kernel
        self._shared = [s in lasting for s in op.inputs]
        fixed = (s for s in op.inputs if s in constants and s not in lasting)
        self._constant = {s: np.array(constants[s]) for s in fixed}
        self._made = empty
        arrays = {**lasting, **self._constant, **empty}
        self.prepared = kernel.prepare_step([arrays[s] for s in op.inputs])
        outputs = () if self.prepared is None else self.prepared.outputs
        self.lasting: dict[int, NDArray] = dict(zip(op.outputs, outputs, strict=False))

    def update(self, constants: Mapping[int, Array]) -> None:
        """Copy constants that have changed."""
        for s, copy in self._constant.items():
            np.copyto(copy, constants[s])

    def step(self, number: int, values: dict[int, Array], going: bool) -> bool:
        """Run one step; returns False where the prepared step no longer serves.

        Unless `going`, the kernel runs without its prepared step.
        """
        if self.prepared is None or not going:
            return self._run(number, values)
        for s, copy in self._made.items():
            np.copyto(copy, values[s])
        outputs = self.prepared.step(number)
        if outputs is self.prepared.outputs:
            return True
        values.update(zip(self._op.outputs, outputs, strict=True))
        return False

    def _run(self, number: int, values: dict[int, Array]) -> bool:
        """Run the kernel itself; it may keep its inputs, so it gets copies of lasting arrays."""
        given = [
            values[s].copy() if shared else values[s]
            for s, shared in zip(self._op.inputs, self._shared, strict=True)
        ]
        outputs = self._kernel.run(given, number, 1)
        values.update(zip(self._op.outputs, outputs, strict=True))
        return True
