"""Compilation of a region: its operators are added to the kernels one by one, or in groups.

In this network of three neurons that drive two others, which a probe reads, the weights, the sum of
currents and the second population are one layer of events:

>>> with sw.Network() as net:
...     a = sw.Ensemble(3, None, neuron_type=sw.IntegrateAndFire(), label="a")
...     b = sw.Ensemble(2, None, neuron_type=sw.IntegrateAndFire(), label="b")
...     into_b = sw.Connection(a.neurons, b.neurons, transform=np.ones((2, 3)), synapse=None)
...     probe = sw.Probe(b.neurons)
>>> program = with_regions(compile_network(net, 0.001, 0, "float32"))
>>> built = build_region(program.operators[-1], program)
>>> [(op.label, kernels) for op, order, kernels in built.populations]
[("<Ensemble 'a'>", (0,)), ("<Ensemble 'b'>", (1,))]
>>> [(one.action.name, one.geometry.channels, one.geometry.out_channels) for one in built.packings]
[('layer', 3, 2)]
>>> [(counts, shape) for signal, counts, shape in built.exports]
[(True, (2,))]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.engines.native.buffers import Buffers, SummedOutputs
from spikewright.engines.native.csc import CscPacking, DelayedCscPacking
from spikewright.engines.native.groups import FusedOperator, add_together, groups
from spikewright.engines.native.host_callbacks import add_host_callback
from spikewright.engines.native.layers import add_layer, add_sum
from spikewright.engines.native.layout_ops import add_axis_map, add_gather, add_place, add_view
from spikewright.engines.native.learning import add_learned
from spikewright.engines.native.lookahead import orders_of, read_ahead
from spikewright.engines.native.orders import Order, positions
from spikewright.engines.native.region_operators import (
    add_advance,
    add_delay,
    add_function,
    add_scale,
    add_sum_pool,
)
from spikewright.engines.native.regions import Region
from spikewright.engines.native.residual_fusion import shortcuts
from spikewright.engines.native.sparse import add_delayed_sparse, add_sparse
from spikewright.engines.native.weight_packing import EventListBytes, LayerPacking, PackedMatrix
from spikewright.engines.operators import (
    Advance,
    Apply,
    Delay,
    DelayedLinear,
    Linear,
    Operator,
    ScaledSum,
)
from spikewright.engines.populations import Learned, Neurons
from spikewright.engines.program import Program
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Permute,
    Place,
    Reshape,
    Scale,
    Shape,
    Slice,
    Sparse,
    SumPool,
    Take,
    Transform,
)


@dataclass(frozen=True, eq=False)
class CompiledRegion:
    """The kernels of a region, and what is needed to run them and to estimate their memory.

    `exports` are (signal, whether it is counts, shape). `populations` are those that run in blocks,
    each with its order and the numbers of its pieces; `totals` are the summed outputs of the
    others. `learned` are the memories of weights. `calls` are the calls of host operators in their
    order: in the operator's turn (True), or at a step's end. `packings` are the weights, which are
    packed before the first run.

    `step_bytes` is the memory of one step of one sample in the buffers that are in use together,
    `buffer_bytes` in all of them; lists of events come on top. `state_bytes` is the state of one
    sample, by operator; `population_bytes` is the part of it that populations have, of which
    `voltage_bytes` are not stored after a last step.
    """

    label: str
    region: Any
    inputs: tuple[tuple[int, bool], ...]
    exports: tuple[tuple[int, bool, Shape], ...]
    populations: tuple[tuple[Neurons, Order, tuple[int, ...]], ...]
    learned: dict[Learned, int]
    totals: dict[Neurons, SummedOutputs]
    step_bytes: int
    buffer_bytes: int
    event_list_bytes: EventListBytes
    state_bytes: dict[str, int]
    population_bytes: dict[str, int]
    voltage_bytes: dict[str, int]
    calls: tuple[tuple[Operator, bool], ...]
    packings: tuple[LayerPacking | CscPacking | DelayedCscPacking, ...]

    def weight_bytes(self, tiles: bool) -> dict[str, int]:
        """Bytes of weights and of neurons' parameters in the kernels' formats, by operator."""
        orders = {id(order): order for _, order, _ in self.populations if order is not None}
        size = self.region.bytes() + sum(order.nbytes for order in orders.values())
        found = Counter({f"parameters of {self.label}": size})
        for one in self.packings:
            found[one.label] += one.bytes + tiles * self.region.tiled_bytes(one.number)
        return dict(found)

    def pack(self, threads: int) -> list[PackedMatrix | None]:
        """Pack all weights; while the result is referenced, other regions may share them."""
        return [one.pack(self.region, threads) for one in self.packings]


_MAPS: dict[type[Transform], Callable[[Buffers, Linear, Any], None]] = {
    Dense: add_layer,
    Convolution: add_layer,
    SumPool: add_sum_pool,
    Scale: add_scale,
    Sparse: add_sparse,
    AxisMap: add_axis_map,
    Reshape: add_view,
    Permute: add_view,
    Slice: add_gather,
    Take: add_gather,
    Place: add_place,
}


def _add_linear(b: Buffers, op: Linear) -> None:
    kind = type(op.transform)
    if kind not in _MAPS:
        raise TypeError(f"{op.label}: a region holds no {kind.__name__}")
    _MAPS[kind](b, op, op.transform)


_KERNELS: dict[type[Operator], Callable[[Buffers, Any], None]] = {
    ScaledSum: add_sum,
    Advance: add_advance,
    Delay: add_delay,
    DelayedLinear: add_delayed_sparse,
    Learned: add_learned,
    Apply: add_function,
    Linear: _add_linear,
}


def build_region(region: Region, program: Program) -> CompiledRegion:
    """Compile a region into kernels."""
    b = Buffers(region, program)
    b.fused.update(op for one in shortcuts(b).values() for op in one.fused_operators)
    for op, one in read_ahead(b).items():
        b.ahead.update(dict.fromkeys(orders_of(b, op.output), one))
        b.fused.add(op)
    for group in groups(b):
        # A layer includes the sum behind it, but not the sums that this one is grouped with.
        left = [unit for unit in group if unit.operator not in b.fused]
        if left:
            _add(b, left)
    for finish in b.step_end:
        finish()
    return _finished(b)


def _add(b: Buffers, group: Sequence[FusedOperator]) -> None:
    """Add the kernels of operators that run as one."""
    op = group[0].operator
    if op in b.op.host_operators:
        add_host_callback(b, op)
    elif not add_together(b, group):
        if type(op) not in _KERNELS:
            raise TypeError(f"{op.label}: a region holds no {type(op).__name__}")
        _KERNELS[type(op)](b, op)


def _finished(b: Buffers) -> CompiledRegion:
    """The compiled region, once all its kernels are added."""
    exports = []
    for number, signal in enumerate(b.op.exported):
        stored = b.stored[signal]
        index = None if stored.order is None else positions(stored.order, b.size(signal))
        every = b.every.get(signal, 1)
        b.kernels.store(input=stored.buffer, output=number, index=index, every=every)
        exports.append((signal, signal in b.op.counts, b.program.shapes[signal]))
    return CompiledRegion(
        label=b.op.label,
        region=b.kernels,
        inputs=tuple(b.inputs),
        exports=tuple(exports),
        populations=tuple(b.populations[op] for op in b.op.operators if op in b.populations),
        learned=b.learned,
        totals=b.totals,
        step_bytes=b.widest,
        buffer_bytes=b.kernels.arrange(not b.op.loops),
        event_list_bytes=b.event_list_bytes,
        state_bytes=dict(b.state_bytes + b.population_bytes),
        population_bytes=dict(b.population_bytes),
        voltage_bytes=dict(b.voltage_bytes),
        calls=tuple(b.calls),
        packings=tuple(b.packings),
    )
