"""Functions of nodes: on the present values, or on running sums and means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY
from spikewright.engines.base import Array, Call, Kernel, Stepping
from spikewright.engines.calling import Caller
from spikewright.engines.program import Apply
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.sources import applying
from spikewright.network import Node, NodeFunction


def apply_kernel(op: Apply, dt: float, batch: int) -> Kernel:
    """The kernel of a node's function."""
    function = op.node.output
    if not isinstance(function, NodeFunction):
        return _Callable(op.node, dt, batch)
    kind = _Accumulated if function.accumulate else _Present
    return kind(op.node, function, batch)


class _Callable(Kernel):
    def __init__(self, node: Node, dt: float, batch: int) -> None:
        self._caller = Caller(node, dt, batch)

    def python_steps(self) -> Iterable[PythonStep]:
        yield self._caller.python

    def into(self, inputs: Sequence[NDArray], outputs: Sequence[NDArray]) -> Call:
        return self._caller.into(inputs, outputs[0])

    def stepping(self, inputs: Sequence[Array]) -> Stepping:
        return self._caller.stepping(inputs)

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        return [self._caller.run(inputs[0] if inputs else None, step, steps)]


class _Present(Kernel):
    stateless = True

    def __init__(self, node: Node, function: NodeFunction, batch: int) -> None:
        self._node, self._function = node, function

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        with applying(self._node), np.errstate(all="ignore"):
            return [self._function.apply(NUMPY, inputs[0])]


class _Accumulated(Kernel):
    """`t f(X_t / t)` less the earlier outputs, `X` the running sums; `f(X_t)` if homogeneous."""

    changing = ("_sums", "_sent")

    def __init__(self, node: Node, function: NodeFunction, batch: int) -> None:
        self._function = function
        self._sums = np.zeros((batch, *node.shape_in))
        self._sent = np.zeros((batch, *node.shape_out))

    def restart(self) -> None:
        self._sums, self._sent = np.zeros_like(self._sums), np.zeros_like(self._sent)

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        outputs = np.empty((len(self._sums), steps, *self._sent.shape[1:]))
        for i in range(steps):
            self._sums = self._sums + x[:, 0 if x.shape[1] == 1 else i]
            with np.errstate(all="ignore"):
                reached = self._function.reached(NUMPY, self._sums, step + i + 1, self._sent)
            outputs[:, i] = reached - self._sent
            self._sent = reached
        return [outputs]
