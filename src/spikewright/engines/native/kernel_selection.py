"""Selection of native kernels: which operators have one, and why others do not."""

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
    NeuronKind,
    NeuronModel,
)
from spikewright.engines.native.csc import CscWeights
from spikewright.engines.native.function_kernels import function_kernel
from spikewright.engines.native.learning_kernels import unsupported_reason
from spikewright.engines.native.neuron_kernels import in_blocks, kernel_model, rate_of
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
"""What a native signal holds: counts of spikes in bytes, signed counts in bytes, signed whole
numbers in doubles (most of them small), or any values in doubles.
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
"""The most values that a native delay stores; a larger delay runs on the reference engine, whose
memory is checked.
"""

MOST_POOLED = 25
"""The largest window whose sums of counts are assumed to fit a byte; larger ones give values."""


class KernelChoice(NamedTuple):
    """The kernel of an operator: `kind` is that of a native output, None if there is no kernel.

    `text` names the kernel, or gives the reason why there is none.
    """

    kind: Kind | None
    text: str


def choose_kernel(op: Operator, kinds: dict[int, Kind], program: Program) -> KernelChoice:
    """The kernel of an operator, given the `kinds` of native signals."""
    choose = _CHOICES.get(type(op))
    if choose is None:
        return KernelChoice(None, f"{type(op).__name__} has no native kernel")
    return choose(op, kinds, program)


def is_shift_register(filter: DiscreteFilter) -> bool:
    """Whether a filter is a weighted sum of its last inputs (FIR): these are its states."""
    shift = np.eye(filter.order, k=-1)
    return filter.order > 1 and np.array_equal(filter.A, shift) and not filter.B[1:].any()


def choose_standalone_kernel(op: Operator, program: Program) -> KernelChoice:
    """The kernel of an operator without native inputs: only large sums over weights have one."""
    if isinstance(op, Linear) and isinstance(op.transform, Dense | Convolution):
        return _linear(op, {op.inputs[0]: "values"}, program)
    return KernelChoice(None, "cheap by itself")


_RESTARTS = "starts again and again, and other parts of the network do not"
_NOTHING_NATIVE = "reads nothing that is made natively; constants are computed once"


def _filter(op: Filter | Smooth, kinds: dict[int, Kind], program: Program) -> KernelChoice:
    if op.filter.varies:
        return KernelChoice(None, "a filter with a time constant for each value")
    if op.filter.order == 0 and op.filter.feedthrough is None:
        return KernelChoice(None, "a filter without order or feedthrough")
    if op.filter.order > MOST_ORDER and not is_shift_register(op.filter):
        return KernelChoice(None, f"a filter of order {op.filter.order}, above {MOST_ORDER}")
    return KernelChoice("values", "filter without delay" if op.immediate_inputs else "filter")


def _sum(op: ScaledSum, kinds: dict[int, Kind], program: Program) -> KernelChoice:
    if not any(s in kinds for s in op.inputs):
        return KernelChoice(None, _NOTHING_NATIVE)
    terms = {kinds.get(s) for s in op.inputs} if op.passes_counts else {None}
    if terms <= BYTES:
        return KernelChoice("counts" if terms == {"counts"} else "signed", "sum of counts")
    return KernelChoice("whole" if terms <= {*BYTES, "whole"} else "values", "sum")


def _learned(op: Learned, kinds: dict[int, Kind], program: Program) -> KernelChoice:
    reason = unsupported_reason(op)
    return (
        KernelChoice("values", "learned weights") if reason is None else KernelChoice(None, reason)
    )


def _unsupported(reason: str) -> Callable[[Any, dict[int, Kind], Program], KernelChoice]:
    return lambda op, kinds, program: KernelChoice(None, reason)


def _neurons(op: Neurons, kinds: dict[int, Kind], program: Program) -> KernelChoice:
    kind, model = op.neuron_type, kernel_model(op.neuron_type, program.dt)
    if op.restart != program.period and op.restart is not None:
        return KernelChoice(None, _RESTARTS)
    if model is None:
        base = rate_of(kind)
        each = ", ".join({**base.arrays, **kind.arrays})
        whose = f" with {each} for each neuron" if each else ""
        return KernelChoice(None, f"{_named(kind)}{whose} has no native kernel")
    if in_blocks(op, program.dt):
        return KernelChoice(_spikes(kind, model), "integrate and fire")
    made = next((name for name in op.states if name in kind.made_names), None)
    if made is not None:
        return KernelChoice(
            None, f"{made} of {type(kind).__name__} is recorded, which kernels do not give"
        )
    if not kind.spiking and op.inputs[0] not in kinds:
        return KernelChoice(None, _NOTHING_NATIVE)
    return KernelChoice(_spikes(kind, model), "population")


def _advance(op: Advance, kinds: dict[int, Kind], program: Program) -> KernelChoice:
    label = f"advance of {op.steps} step{'s' * (op.steps > 1)}"
    return KernelChoice(kinds.get(op.inputs[0], "values"), label)


def _delay(op: Delay, kinds: dict[int, Kind], program: Program) -> KernelChoice:
    label = f"delay of {op.steps} step{'s' * (op.steps > 1)}"
    if op.steps * np.prod(program.shapes[op.output]) > MOST_WAITING:
        return KernelChoice(None, f"a {label}, in which more than {MOST_WAITING} values wait")
    return KernelChoice(kinds.get(op.inputs[0], "values"), label)


def _delayed_linear(op: DelayedLinear, kinds: dict[int, Kind], program: Program) -> KernelChoice:
    label = f"Sparse with delays of up to {op.rows} step{'s' * (op.rows > 1)}"
    if op.rows > MOST_WAITING_STEPS or op.rows * np.prod(program.shapes[op.output]) > MOST_WAITING:
        return KernelChoice(None, f"a {label}, in which more than {MOST_WAITING} values wait")
    kind = kinds.get(op.inputs[0])
    if kind is None:
        return KernelChoice(None, _NOTHING_NATIVE)
    return KernelChoice("values", f"{label} of {_NAMES[kind]}, lists by sender")


def _named(kind: NeuronType) -> str:
    """A type's name, with that of the function or rate type that it wraps."""
    base = getattr(kind, "base_type", None)
    made = getattr(base, "function", type(base).__name__)
    return type(kind).__name__ + ("" if base is None else f" of {made}")


def _spikes(kind: NeuronType, model: NeuronModel) -> Kind:
    """What a population's output holds."""
    if not kind.spiking:
        return "values"
    if not kind.negative:
        return "counts"
    most = kind.most_in(1)
    fits = most is not None and most <= MOST_COUNTS
    mostly = model.blocks or model.neuron_kind in (NeuronKind.bipolar, NeuronKind.digits)
    return "signed" if fits or mostly else "whole"


def _linear(op: Linear, kinds: dict[int, Kind], program: Program) -> KernelChoice:
    kind = kinds.get(op.inputs[0])
    name = type(op.transform).__name__
    if kind is None:
        return KernelChoice(None, _NOTHING_NATIVE)
    find = _LINEAR.get(type(op.transform))
    if find is None:
        return KernelChoice(None, f"{name} has no native kernel")
    most = MAX_FAN_IN[program.precision] if kind in BYTES else MAX_ANALOG_FAN_IN
    fits = fan_in(op.transform) <= most
    found = find(op.transform, op.factor, program.shapes[op.inputs[0]], kind) if fits else None
    if found is None:
        return KernelChoice(None, f"this {name} of {_NAMES[kind]} has no native kernel")
    how = ""
    if isinstance(op.transform, Sparse) and uses_csc(op.transform, kind in BYTES):
        how = f", {CscWeights.of(op.transform).description}"
    return KernelChoice(found, f"{name} of {_NAMES[kind]}{how}")


def may_use_tiles(op: Operator, found: KernelChoice) -> bool:
    """Whether a native operator may be computed as a dense product of counts and weights."""
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


def uses_csc(transform: Sparse, counts: bool) -> bool:
    """Whether a sparse map is stored in compressed columns, by sender, as for counts in bytes.

    Sums are exact in any order; with weights in doubles they are in the order of the senders.
    """
    return counts and CscWeights.of(transform).longest_sum <= MAX_FAN_IN["float32"]


def _to_values(transform: Transform, factor: float, shape: Shape, kind: Kind) -> Kind | None:
    return "values"


_LINEAR: dict[type[Transform], Callable[[Any, float, Shape, Kind], Kind | None]] = {
    Dense: _dense,
    Convolution: _convolution,
    Sparse: _to_values,
    SumPool: _sum_pool,
    Reshape: _move,
    Permute: _move,
    Slice: _move,
    Take: _move,
    Place: _move,
    AxisMap: _to_values,
    Scale: _to_values,
}


def _apply(op: Apply, kinds: dict[int, Kind], program: Program) -> KernelChoice:
    pool = op.node.output
    if op.restart != program.period and op.restart is not None:
        return KernelChoice(None, _RESTARTS)
    if isinstance(pool, NodeFunction) and not isinstance(pool, MaxPool):
        return _computed(op, pool, kinds, program)
    if not isinstance(pool, MaxPool):
        return KernelChoice(None, "a Python function")
    if op.inputs[0] not in kinds:
        return KernelChoice(None, _NOTHING_NATIVE)
    spatial, _ = split_shape(program.shapes[op.inputs[0]], pool.channels_last)
    if len(spatial) > 2:
        return KernelChoice(None, f"maxima over {len(spatial)} axes have no native kernel")
    # Running sums grow by no more than their input in a step, so that counts in bytes stay so.
    name = _NAMES[kinds[op.inputs[0]]]
    how = "maxima of running sums" if pool.accumulate else "maxima"
    return KernelChoice(kinds[op.inputs[0]], f"{how} of {name}")


def _computed(
    op: Apply, function: NodeFunction, kinds: dict[int, Kind], program: Program
) -> KernelChoice:
    name, signal = type(function).__name__, op.inputs[0]
    if function_kernel(function, program.shapes[signal]) is None:
        return KernelChoice(None, f"{name} has no native kernel")
    if signal not in kinds:
        return KernelChoice(None, _NOTHING_NATIVE)
    return KernelChoice("values", f"{name} of running means" if op.has_state else name)


_CHOICES: dict[type[Operator], Callable[[Any, dict[int, Kind], Program], KernelChoice]] = {
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
    Average: _unsupported("a mean over windows has no native kernel"),
    Carry: _unsupported("what a row leaves to the next one has no native kernel"),
    Generate: _unsupported("a process"),
    NodeSource: _unsupported("a source: constants are given once"),
}
