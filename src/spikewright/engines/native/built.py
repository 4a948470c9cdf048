"""A region's kernels, and the memory that they take."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from spikewright.engines.native.buffers import OperatorState
from spikewright.engines.native.filling import Filling, Listed, Packing
from spikewright.engines.native.orders import Order
from spikewright.engines.native.senders import ArrivalFilling, SenderFilling
from spikewright.engines.operators import Operator
from spikewright.engines.populations import Neurons
from spikewright.network.transforms import Shape

_PARAMETERS = 16  # bytes a neuron, in use while a population is described


@dataclass(frozen=True, eq=False)
class Built:
    """A region's kernels. `exports` are (signal, counts or not, shape); populations in order, each
    in pieces that lie one after the other.

    `kept` is state by operator, `totals` are sums of outputs of populations that are not among
    `populations`. `step_bytes` is the memory of one step of one sample in the buffers that are in
    use together, `buffer_bytes` in all of them; what is `listed` comes to it. `state_bytes` is the
    state of one sample, by operator; `population_bytes` are those of populations among it, of which
    `voltage_bytes` are not kept behind a last step. `calls` are the calls of foreign operators in
    their order: in the operator's turn (True), or at a step's end. `fillings` are the weights of
    layers, which are made before the first run; their sizes are known earlier. `places` are the
    buffers of counts in bytes, by signal.
    """

    label: str
    region: Any
    inputs: tuple[tuple[int, bool], ...]
    exports: tuple[tuple[int, bool, Shape], ...]
    populations: tuple[tuple[Neurons, Order, tuple[int, ...]], ...]
    kept: dict[Operator, OperatorState]
    totals: dict[Neurons, OperatorState]
    step_bytes: int
    buffer_bytes: int
    listed: Listed
    state_bytes: dict[str, int]
    population_bytes: dict[str, int]
    voltage_bytes: dict[str, int]
    calls: tuple[tuple[Operator, bool], ...]
    fillings: tuple[Filling | SenderFilling | ArrivalFilling, ...]
    places: dict[int, tuple[int, ...]]

    def weight_bytes(self, tiles: bool) -> dict[str, int]:
        """Bytes of weights and neurons' parameters in the kernels' own forms, by operator."""
        orders = {id(order): order for _, order, _ in self.populations if order is not None}
        size = self.region.bytes() + sum(order.nbytes for order in orders.values())
        found = Counter({f"parameters of {self.label}": size})
        for one in self.fillings:
            found[one.label] += one.bytes + tiles * self.region.tiled_bytes(one.number)
        return dict(found)

    @property
    def making_bytes(self) -> int:
        """The largest temporary memory while they are made, in bytes.

        Populations are described before there are any weights of layers.
        """
        neurons = max((op.ensemble.n_neurons for op, _, _ in self.populations), default=0)
        described = _PARAMETERS * neurons - sum(one.bytes for one in self.fillings)
        return max([described, 0, *(one.making for one in self.fillings)])

    def fill(self, threads: int) -> list[Packing | None]:
        """Make all weights; layers' are shared while what is returned is held."""
        return [one.fill(self.region, threads) for one in self.fillings]
