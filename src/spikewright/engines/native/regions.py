"""Which parts of a program run natively: regions of operators between which signals stay counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from spikewright._windows import split_shape
from spikewright.engines.program import Component, Linear, Neurons, Operator, Program, Sum
from spikewright.network import Ensemble
from spikewright.network.neurons import IntegrateAndFire, SpikingRectifiedLinear
from spikewright.network.transforms import (
    Convolution,
    Dense,
    Permute,
    Reshape,
    Scale,
    Shape,
    Slice,
    SumPool,
    Transform,
)

Kind = Literal["counts", "values"]

MAX_FAN_IN = 2**22
"""The longest sum of counts up to 127 with 25-bit weights that float64 holds exactly."""


@dataclass(frozen=True, eq=False)
class Region(Operator):
    """Operators that run as one, sample by sample; `exported` are the signals others read.

    `counts` names the signals that are counts of spikes; they are made in this region or an
    earlier one.
    """

    operators: tuple[Operator, ...]
    exported: tuple[int, ...]
    counts: frozenset[int]

    @property
    def outputs(self) -> tuple[int, ...]:
        return self.exported

    @property
    def populations(self) -> tuple[Ensemble, ...]:
        return tuple(op.ensemble for op in self.operators if isinstance(op, Neurons))


def with_regions(program: Program) -> Program:
    """The program with every operator that runs natively in a region.

    An operator's level is that of what it reads, one more where it runs natively and reads what
    does not; the native operators of one level are a region, so that no region reads, by whatever
    way, what follows it.
    """
    if program.precision != "float32":
        return program
    kinds: dict[int, Kind] = {}
    levels: dict[int, int] = {}
    native: dict[int, list[Operator]] = {}
    others: dict[int, list[Component]] = {}
    for component in program.components:
        op = component.operators[0]
        kind = None if component.loops else native_kind(op, kinds, program)
        inputs = {s for member in component.operators for s in member.inputs}
        if kind is None:
            level = max((levels.get(s, 0) for s in inputs), default=0)
            others.setdefault(level, []).append(component)
        else:
            level = max((levels.get(s, 0) + (s not in kinds) for s in inputs), default=0)
            native.setdefault(level, []).append(op)
            kinds[op.output] = kind
        for member in component.operators:
            levels.update(dict.fromkeys(member.outputs, level))
    counts = frozenset(s for s, kind in kinds.items() if kind == "counts")
    components: list[Component] = []
    for level in sorted({*native, *others}):
        if level in native:
            region = _region(native[level], program, counts)
            components.append(Component((region,), False))
        components += others.get(level, [])
    return replace(program, components=tuple(components))


def _region(operators: list[Operator], program: Program, counts: frozenset[int]) -> Region:
    inside = set(operators)
    made = {s for op in operators for s in op.outputs}
    wanted = {s for op in program.operators if op not in inside for s in op.inputs}
    wanted |= {recording.signal for recording in program.recordings}
    inputs = dict.fromkeys(s for op in operators for s in op.inputs if s not in made)
    label = f"{operators[0].label} to {operators[-1].label}"
    exported = tuple(sorted(made & wanted))
    return Region(label, tuple(inputs), operators[-1].output, tuple(operators), exported, counts)


def native_kind(op: Operator, kinds: dict[int, Kind], program: Program) -> Kind | None:
    """What an operator's output is where it has a native kernel, else None."""
    if isinstance(op, Neurons):
        own = type(op.neuron_type) in (IntegrateAndFire, SpikingRectifiedLinear)
        own = own and kinds.get(op.inputs[0]) != "counts"
        return "counts" if own and op.voltage is None else None
    if isinstance(op, Linear):
        if kinds.get(op.inputs[0]) != "counts":
            return None
        find = _LINEAR.get(type(op.transform))
        return None if find is None else find(op.transform, op.factor, program.shapes[op.inputs[0]])
    if isinstance(op, Sum) and any(s in kinds for s in op.inputs):
        plain = op.gain is None and op.bias is None
        all_counts = all(kinds.get(s) == "counts" for s in op.inputs)
        return "counts" if plain and all_counts else "values"
    return None


def _dense(transform: Dense, factor: float, shape: Shape) -> Kind | None:
    return "values" if 0 < transform.matrix.shape[1] <= MAX_FAN_IN else None


def _convolution(transform: Convolution, factor: float, shape: Shape) -> Kind | None:
    spatial, _ = split_shape(shape, transform.channels_last)
    fits = len(spatial) <= 2 and transform.groups == 1
    return "values" if fits and np.prod(transform.kernel.shape[1:]) <= MAX_FAN_IN else None


def _sum_pool(transform: SumPool, factor: float, shape: Shape) -> Kind | None:
    spatial, _ = split_shape(shape, transform.channels_last)
    plain = transform.factor.ndim == 0 and transform.factor == 1.0 and factor == 1.0
    return "counts" if plain and len(spatial) <= 2 else None


def _move(transform: Transform, factor: float, shape: Shape) -> Kind | None:
    return "counts" if factor == 1.0 else None


def _scale(transform: Scale, factor: float, shape: Shape) -> Kind | None:
    single = transform.factor.ndim == 0 and (transform.factor == 1.0 or factor == 1.0)
    return "values" if single else None


_LINEAR: dict[type[Transform], Callable[[Any, float, Shape], Kind | None]] = {
    Dense: _dense,
    Convolution: _convolution,
    SumPool: _sum_pool,
    Reshape: _move,
    Permute: _move,
    Slice: _move,
    Scale: _scale,
}
