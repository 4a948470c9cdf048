"""Groups of independent operators of one kind, which run as one batched operation.

So hundreds of small ensembles cost as much as one large one. Operators are sorted by their depth in
the graph, the filters of a loop first.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from spikewright.engines.native._kernels import Rate
from spikewright.engines.native.batched_buffers import (
    add_gathers,
    add_scatter,
    add_sums,
    placed_terms,
)
from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.layout_ops import gather_index
from spikewright.engines.native.neuron_kernels import in_blocks, kernel_model
from spikewright.engines.native.populations import (
    DrivingOperators,
    add_population,
    add_population_pieces,
    add_readouts,
    driving,
    reads_out,
)
from spikewright.engines.native.region_operators import add_filters
from spikewright.engines.operators import Filter, Linear, Operator, ScaledSum, Smooth
from spikewright.engines.populations import Neurons
from spikewright.network.transforms import Slice, Take


@dataclass(frozen=True, eq=False)
class FusedOperator:
    """An operator with those that are fused into it: a population's encoders, a sum's parts."""

    operator: Operator
    inputs: tuple[int, ...]
    driving: DrivingOperators | None = None
    places: tuple[Linear, ...] = ()

    @property
    def is_fused(self) -> bool:
        """Whether other operators are fused into it."""
        return self.driving is not None or bool(self.places)


def groups(b: Buffers) -> list[list[FusedOperator]]:
    """A region's operators in groups that run as one, in the order in which they run."""
    units = _units(b)
    makers = {unit.operator.output: unit for unit in units}
    for unit in units:
        makers.update(dict.fromkeys(unit.operator.outputs, unit))
    depths: dict[FusedOperator, int] = {}
    called = -1  # functions are called in the operators' order
    found: dict[tuple[int, Hashable], list[FusedOperator]] = {}
    for unit in units:
        needed = unit.operator.immediate_inputs if b.op.loops and not unit.is_fused else unit.inputs
        before = [depths[makers[s]] for s in needed if s in makers]
        depths[unit] = max(before, default=-1) + 1
        if unit.operator in b.op.host_operators:
            depths[unit] = called = max(depths[unit], called)
        kind = _kind(b, unit)
        found.setdefault((depths[unit], unit if kind is None else kind), []).append(unit)
    if all(len(group) == 1 for group in found.values()):
        return [[unit] for unit in units]
    return [found[key] for key in sorted(found, key=lambda key: key[0])]


def _units(b: Buffers) -> list[FusedOperator]:
    """The operators in order, with some fused into others."""
    driven: dict[Operator, DrivingOperators] = {}
    places: dict[Operator, tuple[Linear, ...]] = {}
    fused: set[Operator] = set()
    for op in b.op.operators:
        if isinstance(op, Linear) and (how := driving(b, op)) is not None:
            driven[how[0]] = how[1]
            fused |= {op, how[1].sum}
        elif isinstance(op, ScaledSum) and (parts := placed_terms(b, op)):
            places[op] = tuple(parts)
            fused.update(parts)
    units = []
    for op in b.op.operators:
        if op in driven:
            units.append(FusedOperator(op, driven[op].encoders.inputs, driven[op]))
        elif op in places:
            moved = {part.output: part.inputs[0] for part in places[op]}
            inputs = tuple(moved.get(s, s) for s in op.inputs)
            units.append(FusedOperator(op, inputs, None, places[op]))
        elif op not in fused:
            units.append(FusedOperator(op, op.inputs))
    return units


def _kind(b: Buffers, unit: FusedOperator) -> Hashable:
    """A key that is equal for units that can run as one; None: this one runs by itself."""
    op = unit.operator
    if any(len(b.program.shapes[s]) != 1 for s in (*op.inputs, *op.outputs)) or unit.places:
        return None
    if op in b.op.host_operators:
        return None
    if isinstance(op, Neurons):
        return _kind_of_neurons(op, unit.driving, b.program.dt)
    if isinstance(op, Filter | Smooth):
        f = op.filter
        numbers = tuple(np.asarray(x, np.float64).tobytes() for x in (f.A, f.B, f.C))
        return (type(op), numbers, f.feedthrough, op.inputs[0] in b.op.counts)
    if isinstance(op, ScaledSum):
        plain = op.gain is None and op.bias is None
        if not op.inputs or (plain and len(op.inputs) == 1) or op.output in b.op.counts:
            return None
        counts = tuple(s in b.op.counts for s in op.inputs)
        return ("sum", op.gain is None, op.bias is None, counts)
    if isinstance(op, Linear) and isinstance(op.transform, Slice | Take) and op.factor == 1.0:
        return ("choice", op.inputs[0])
    if isinstance(op, Linear) and reads_out(b, op):
        return "readout"
    return None


def _kind_of_neurons(op: Neurons, how: DrivingOperators | None, dt: float) -> Hashable:
    model = kernel_model(op.neuron_type, dt)
    if in_blocks(op, dt) or model is None or model.rate is Rate.parametric or op.states:
        return None
    driven = None if how is None else (how.weights.shape[1], how.sum.gain is None)
    return ("neurons", op.neuron_type, driven, op.restart)


def add_together(b: Buffers, group: Sequence[FusedOperator]) -> bool:
    """Add units that run as one, or a single one of such a kind; returns False for other kinds."""
    ops = [unit.operator for unit in group]
    filters = [op for op in ops if isinstance(op, Filter | Smooth)]
    populations = [op for op in ops if isinstance(op, Neurons)]
    sums = [op for op in ops if isinstance(op, ScaledSum)]
    maps = [op for op in ops if isinstance(op, Linear)]
    if filters:
        add_filters(b, filters)
    elif len(populations) > 1:
        add_population_pieces(b, populations, [unit.driving for unit in group])
    elif populations:
        add_population(b, populations[0], group[0].driving)
    elif sums and group[0].places:
        add_scatter(b, sums[0], group[0].places)
    elif len(sums) > 1:
        add_sums(b, sums)
    elif maps and reads_out(b, maps[0]):
        add_readouts(b, maps)
    elif len(maps) > 1:
        shape = b.program.shapes[maps[0].inputs[0]]
        add_gathers(b, maps, [gather_index(op.transform, shape) for op in maps])
    else:
        return False
    return True
