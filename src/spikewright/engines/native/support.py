"""Operators that run natively, and the reasons why others do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from spikewright._base.windows import split_shape
from spikewright.engines.grid import GRIDS, Precision
from spikewright.engines.grid import MAX_FAN_IN as MAX_ANALOG_FAN_IN
from spikewright.engines.native._kernels import (
    MOST_COUNTS,
    MOST_ORDER,
    MOST_WAITING_STEPS,
    Cell,
    NeuronModel,
)
from spikewright.engines.native.cells import described, in_blocks, rate_of
from spikewright.engines.native.computing import described_function
from spikewright.engines.native.rules import why_not
from spikewright.engines.native.senders import SenderLists
from spikewright.engines.operators import (
    Advance,
    Apply,
    Delay,
    DelayedLinear,
    Filter,
    Generate,
    Linear,
    NodeSource,
    Operator,
    ScaledSum,
    Smooth,
    fan_in,
)
from spikewright.engines.populations import Learned, Neurons
from spikewright.engines.program import Program
from spikewright.engines.windows import Average, Carry
from spikewright.network import MaxPool, NodeFunction
from spikewright.network.neurons import NeuronType
from spikewright.network.synapses import DiscreteFilter
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

Kind = Literal["counts", "signed", "whole", "values"]
"""Counts of spikes in bytes, counts of either sign in bytes; whole numbers of either sign (mostly
small), or any, in doubles.
"""

BYTES: frozenset[Kind | None] = frozenset({"counts", "signed"})
_NAMES = {
    "counts": "events",
    "signed": "signed events",
    "whole": "signed events in doubles",
    "values": "values",
}

MAX_FAN_IN: dict[Precision, int] = {
    precision: 2 ** (53 - MOST_COUNTS.bit_length() - (grid.weight_bits - 1))
    for precision, grid in GRIDS.items()
}
"""The longest sum of counts up to 127 with a limb of weights that float64 holds exactly."""

MOST_WAITING = 2**26
"""Values of a delay that kernels hold from the start; more are held where memory was asked for."""

MOST_POOLED = 25
"""The largest window whose sums of counts are taken to fit a byte; larger ones give values."""


class Verdict(NamedTuple):
    """The `kind` of a native operator's output, else None; `text` is kernel or reason."""

    kind: Kind | None
    text: str


def verdict(op: Operator, kinds: dict[int, Kind], program: Program) -> Verdict:
    """Whether an operator has a native kernel; `kinds` are those of native signals."""
    judge = _VERDICTS.get(type(op))
    if judge is None:
        return Verdict(None, f"{type(op).__name__} has no native kernel")
    return judge(op, kinds, program)


def is_line(filter: DiscreteFilter) -> bool:
    """Whether a filter's states are its last inputs, so that it weighs these and nothing else."""
    shift = np.eye(filter.order, k=-1)
    return filter.order > 1 and np.array_equal(filter.A, shift) and not filter.B[1:].any()


def verdict_alone(op: Operator, program: Program) -> Verdict:
    """The verdict on an operator without native inputs: sums over weights pay by themselves."""
    if isinstance(op, Linear) and isinstance(op.transform, Dense | Convolution):
        return _linear(op, {op.inputs[0]: "values"}, program)
    return Verdict(None, "cheap by itself")


_RESTARTS = "starts again and again, and other parts of the network do not"
_NOTHING_NATIVE = "reads nothing that is made natively; constants are computed once"


def _filter(op: Filter | Smooth, kinds: dict[int, Kind], program: Program) -> Verdict:
    if op.filter.varies:
        return Verdict(None, "a filter with a time constant for each value")
    if op.filter.order == 0 and op.filter.feedthrough is None:
        return Verdict(None, "a filter without order or feedthrough")
    if op.filter.order > MOST_ORDER and not is_line(op.filter):
        return Verdict(None, f"a filter of order {op.filter.order}, above {MOST_ORDER}")
    return Verdict("values", "filter without delay" if op.prompt else "filter")


def _sum(op: ScaledSum, kinds: dict[int, Kind], program: Program) -> Verdict:
    if not any(s in kinds for s in op.inputs):
        return Verdict(None, _NOTHING_NATIVE)
    terms = {kinds.get(s) for s in op.inputs} if op.passes_counts else {None}
    if terms <= BYTES:
        return Verdict("counts" if terms == {"counts"} else "signed", "sum of counts")
    return Verdict("whole" if terms <= {*BYTES, "whole"} else "values", "sum")


def _learned(op: Learned, kinds: dict[int, Kind], program: Program) -> Verdict:
    reason = why_not(op)
    return Verdict("values", "learned weights") if reason is None else Verdict(None, reason)


def _refused(reason: str) -> Callable[[Any, dict[int, Kind], Program], Verdict]:
    return lambda op, kinds, program: Verdict(None, reason)


def _neurons(op: Neurons, kinds: dict[int, Kind], program: Program) -> Verdict:
    kind, model = op.neuron_type, described(op.neuron_type, program.dt)
    if op.restart != program.period and op.restart is not None:
        return Verdict(None, _RESTARTS)
    if model is None:
        base = rate_of(kind)
        each = ", ".join({**base.arrays, **kind.arrays})
        whose = f" with {each} for each neuron" if each else ""
        return Verdict(None, f"{_named(kind)}{whose} has no native kernel")
    if in_blocks(op, program.dt):
        return Verdict(_spikes(kind, model), "integrate and fire")
    made = next((name for name in op.states if name in kind.made_names), None)
    if made is not None:
        return Verdict(
            None, f"{made} of {type(kind).__name__} is recorded, which kernels do not give"
        )
    if not kind.spiking and op.inputs[0] not in kinds:
        return Verdict(None, _NOTHING_NATIVE)
    return Verdict(_spikes(kind, model), "population")


def _advance(op: Advance, kinds: dict[int, Kind], program: Program) -> Verdict:
    words = f"advance of {op.steps} step{'s' * (op.steps > 1)}"
    return Verdict(kinds.get(op.inputs[0], "values"), words)


def _delay(op: Delay, kinds: dict[int, Kind], program: Program) -> Verdict:
    words = f"delay of {op.steps} step{'s' * (op.steps > 1)}"
    if op.steps * np.prod(program.shapes[op.output]) > MOST_WAITING:
        return Verdict(None, f"a {words}, in which more than {MOST_WAITING} values wait")
    return Verdict(kinds.get(op.inputs[0], "values"), words)


def _delayed_linear(op: DelayedLinear, kinds: dict[int, Kind], program: Program) -> Verdict:
    words = f"Sparse with delays of up to {op.rows} step{'s' * (op.rows > 1)}"
    if op.rows > MOST_WAITING_STEPS or op.rows * np.prod(program.shapes[op.output]) > MOST_WAITING:
        return Verdict(None, f"a {words}, in which more than {MOST_WAITING} values wait")
    kind = kinds.get(op.inputs[0])
    if kind is None:
        return Verdict(None, _NOTHING_NATIVE)
    return Verdict("values", f"{words} of {_NAMES[kind]}, lists by sender")


def _named(kind: NeuronType) -> str:
    """A type's name, with that of the function or rate type that it is made of."""
    base = getattr(kind, "base_type", None)
    made = getattr(base, "function", type(base).__name__)
    return type(kind).__name__ + ("" if base is None else f" of {made}")


def _spikes(kind: NeuronType, model: NeuronModel) -> Kind:
    """The kind of a population's output."""
    if not kind.spiking:
        return "values"
    if not kind.negative:
        return "counts"
    most = kind.most_in(1)
    fits = most is not None and most <= MOST_COUNTS
    mostly = model.blocks or model.cell in (Cell.bipolar, Cell.digits)
    return "signed" if fits or mostly else "whole"


def _linear(op: Linear, kinds: dict[int, Kind], program: Program) -> Verdict:
    kind = kinds.get(op.inputs[0])
    name = type(op.transform).__name__
    if kind is None:
        return Verdict(None, _NOTHING_NATIVE)
    find = _LINEAR.get(type(op.transform))
    if find is None:
        return Verdict(None, f"{name} has no native kernel")
    most = MAX_FAN_IN[program.precision] if kind in BYTES else MAX_ANALOG_FAN_IN
    fits = fan_in(op.transform) <= most
    found = find(op.transform, op.factor, program.shapes[op.inputs[0]], kind) if fits else None
    if found is None:
        return Verdict(None, f"this {name} of {_NAMES[kind]} has no native kernel")
    how = ""
    if isinstance(op.transform, Sparse) and by_sender(op.transform, kind in BYTES):
        how = f", {SenderLists.of(op.transform).words}"
    return Verdict(found, f"{name} of {_NAMES[kind]}{how}")


def takes_tiles(op: Operator, found: Verdict) -> bool:
    """Whether a native operator may be a dense product of counts and weights."""
    if not isinstance(op, Linear) or not isinstance(op.transform, Dense | Convolution):
        return False
    transform = op.transform
    if isinstance(transform, Convolution) and transform.groups > 1 == transform.kernel.shape[1]:
        return False
    of_bytes = ("counts", "signed")
    return found.text in {f"{type(transform).__name__} of {_NAMES[kind]}" for kind in of_bytes}


def _dense(transform: Dense, factor: float, shape: Shape, kind: Kind) -> Kind | None:
    return "values" if transform.matrix.shape[1] else None


def _convolution(transform: Convolution, factor: float, shape: Shape, kind: Kind) -> Kind | None:
    spatial, _ = split_shape(shape, transform.channels_last)
    return "values" if len(spatial) <= 2 else None


def _sum_pool(transform: SumPool, factor: float, shape: Shape, kind: Kind) -> Kind | None:
    spatial, _ = split_shape(shape, transform.channels_last)
    plain = transform.factor.ndim == 0 and transform.factor == 1.0 and factor == 1.0
    if not plain or len(spatial) > 2:
        return None
    wide = kind in BYTES and np.prod(transform.windows.size) > MOST_POOLED
    return "whole" if wide else kind


def _move(transform: Transform, factor: float, shape: Shape, kind: Kind) -> Kind | None:
    return kind if factor == 1.0 else None


def by_sender(transform: Sparse, counts: bool) -> bool:
    """Whether a sparse map is held by sender, which counts in bytes pay for.

    Sums are exact in any order or, of weights in doubles, taken in the order of the senders.
    """
    return counts and SenderLists.of(transform).longest_sum <= MAX_FAN_IN["float32"]


def _weighed(transform: Transform, factor: float, shape: Shape, kind: Kind) -> Kind | None:
    return "values"


_LINEAR: dict[type[Transform], Callable[[Any, float, Shape, Kind], Kind | None]] = {
    Dense: _dense,
    Convolution: _convolution,
    Sparse: _weighed,
    SumPool: _sum_pool,
    Reshape: _move,
    Permute: _move,
    Slice: _move,
    Take: _move,
    Place: _move,
    AxisMap: _weighed,
    Scale: _weighed,
}


def _apply(op: Apply, kinds: dict[int, Kind], program: Program) -> Verdict:
    pool = op.node.output
    if op.restart != program.period and op.restart is not None:
        return Verdict(None, _RESTARTS)
    if isinstance(pool, NodeFunction) and not isinstance(pool, MaxPool):
        return _computed(op, pool, kinds, program)
    if not isinstance(pool, MaxPool):
        return Verdict(None, "a Python function")
    if op.inputs[0] not in kinds:
        return Verdict(None, _NOTHING_NATIVE)
    spatial, _ = split_shape(program.shapes[op.inputs[0]], pool.channels_last)
    if len(spatial) > 2:
        return Verdict(None, f"maxima over {len(spatial)} axes have no native kernel")
    # Sums grow by no more than what arrives, so that bytes stay bytes.
    name = _NAMES[kinds[op.inputs[0]]]
    how = "maxima of running sums" if pool.accumulate else "maxima"
    return Verdict(kinds[op.inputs[0]], f"{how} of {name}")


def _computed(
    op: Apply, function: NodeFunction, kinds: dict[int, Kind], program: Program
) -> Verdict:
    name, signal = type(function).__name__, op.inputs[0]
    if described_function(function, program.shapes[signal]) is None:
        return Verdict(None, f"{name} has no native kernel")
    if signal not in kinds:
        return Verdict(None, _NOTHING_NATIVE)
    return Verdict("values", f"{name} of running means" if op.keeps else name)


_VERDICTS: dict[type[Operator], Callable[[Any, dict[int, Kind], Program], Verdict]] = {
    Neurons: _neurons,
    Filter: _filter,
    Smooth: _filter,
    Advance: _advance,
    Delay: _delay,
    DelayedLinear: _delayed_linear,
    ScaledSum: _sum,
    Linear: _linear,
    Learned: _learned,
    Apply: _apply,
    Average: _refused("a mean over windows has no native kernel"),
    Carry: _refused("what a row leaves to the next one has no native kernel"),
    Generate: _refused("a process"),
    NodeSource: _refused("a source: constants are given once"),
}
