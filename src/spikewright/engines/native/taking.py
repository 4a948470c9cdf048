"""State of a region's operators, taken over from another form of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.native._kernels import Running
from spikewright.engines.native.buffers import OperatorState
from spikewright.engines.native.built import Built
from spikewright.engines.native.orders import Order
from spikewright.engines.native.support import followed
from spikewright.engines.operators import Operator
from spikewright.engines.populations import Neurons
from spikewright.engines.totals import Sums


class TakenOver:
    """A state of new kernels, put there by operator and by the reference's names.

    `before` are spikes less those taken back that neurons had sent by then.
    """

    def __init__(self, built: Built, state: Running) -> None:
        self._built, self._state, self._begun = built, state, False
        self.before: dict[Operator, NDArray] = {}

    def start_from(self, op: Operator, state: dict[str, NDArray]) -> None:
        """Take over an operator's state, `(batch, *shape)` each; where there is none, it begins."""
        if state and not self._begun:
            self._state.begin()
            self._begun = True
        if "sent" in state and isinstance(op, Neurons) and followed(op.neuron_type) is None:
            self.before[op] = state["sent"]
        for one, order, numbers in self._built.populations:
            if one is op:
                self._put(op, order, numbers, state)
        if op in self._built.kept:
            self._keep(self._built.kept[op], state)

    def start_total(self, op: Neurons, sums: Sums) -> None:
        """Take over a population's summed outputs, `(batch, *shape)`."""
        self.before.pop(op, None)
        self._keep(self._built.totals[op], {"total": sums.sent, "net": sums.net})

    def _put(
        self, op: Neurons, order: Order, numbers: tuple[int, ...], state: dict[str, NDArray]
    ) -> None:
        """State of a population in the kernels' pieces."""
        follows = followed(op.neuron_type) is not None
        names = {"total_current": "sum", "sent": "target" if follows else "sent"}
        for name, values in state.items():
            pieces = np.split(_stored(values, order), len(numbers), axis=1)
            for number, piece in zip(numbers, pieces, strict=True):
                self._state.take_over(number, names.get(name, name), np.ascontiguousarray(piece))

    def _keep(self, kept: OperatorState, state: dict[str, NDArray]) -> None:
        for name in kept.memories.keys() & state.keys():
            values = _stored(state[name], kept.orders[name])
            self._state.take_over_memory(kept.memories[name], offset=kept.offset, given=values)


def _stored(values: NDArray, order: Order) -> NDArray:
    """`(batch, size)` in this order of `(batch, *shape)`, as doubles."""
    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    return np.ascontiguousarray(flat if order is None else flat[:, order])
