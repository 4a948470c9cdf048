"""Kernels of learned weights and of their learning rules."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spikewright.engines.grid import GRIDS
from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.learning_kernels import RuleParameters, rule_parameters
from spikewright.engines.native.region_operators import limbs_of
from spikewright.engines.populations import Learned


def add_learned(b: Buffers, op: Learned) -> None:
    """Add learned weights; in a loop they are applied in a step and changed at its end."""
    (signal, *_) = op.inputs
    forms = [rule_parameters(one.rule, b.program.dt, op.initial.shape[1]) for one in op.rules]
    kept = _memories(b, op, forms)
    b.learned[op] = kept["weights"]
    counts = signal in b.op.counts and signal not in b.op.whole
    source = b.buffer_in(signal) if counts else b.values_in(signal)
    for s in op.late_outputs:
        b.buffer(False, s)
    read: dict[int, int] = {}  # buffers of what rules read; outside loops weights read them at once
    gains: list[int] = []
    if not b.op.loops:
        read = {s: b.values_in(s) for s in op.inputs[1:]}
        gains = _add_recursions(b, op, forms, kept, read)
    if op.weights is not None:
        b.buffer(False, op.weights)
    recorded, every = _recorded(b, op.weights)
    number = b.kernels.weights(
        loops=b.op.loops,
        input=source,
        output=b.buffer(False, op.output),
        held=kept["weights"],
        largest=b.kernels.memory(np.abs(op.initial).max(axis=1, initial=0.0)),
        recorded=recorded,
        every=every,
        factor=op.factor,
        unit=None if op.unit is None else np.ravel(op.unit),
        weight_bits=GRIDS[b.program.precision].weight_bits,
        limbs=limbs_of(b, op.initial.shape[1]),
    )
    if not b.op.loops:
        _add_rules(b, op, forms, number, read, gains)
        return

    def finish() -> None:
        late = {s: b.values_in(s) for s in op.inputs[1:]}
        _add_rules(b, op, forms, number, late, _add_recursions(b, op, forms, kept, late))
        b.kernels.finish(number)

    b.step_end.append(finish)


def _memories(b: Buffers, op: Learned, forms: list[RuleParameters]) -> dict[str, int]:
    """The memories of the weights, and of the rules that have a state."""
    starts = {"weights": op.initial}
    size = op.initial.shape[1]
    for i, form in enumerate(forms):
        if form.recursion is not None:
            starts[_named(i, "inverse")] = form.recursion * np.eye(size)
            starts |= {_named(i, name): np.zeros(size) for name in ("along", "gain")}
    return {name: b.memory([op], start) for name, start in starts.items()}


def _recorded(b: Buffers, signal: int | None) -> tuple[int, int]:
    """The buffer of a recorded signal (-1: none), and the sampling period in steps."""
    return (-1, 1) if signal is None else (b.stored[signal].buffer, b.every.get(signal, 1))


def _named(rule: int, name: str) -> str:
    """The name of a rule's own state beside that of the others."""
    return f"{rule} {name}"


def _add_recursions(
    b: Buffers,
    op: Learned,
    forms: list[RuleParameters],
    kept: dict[str, int],
    read: Mapping[int, int],
) -> list[int]:
    """The buffers that rules read as senders: activities, or their gains by recursive squares."""
    senders = []
    for i, (learning, form) in enumerate(zip(op.rules, forms, strict=True)):
        activities = read[learning.signals[form.senders]]
        if form.recursion is not None:
            gain = b.scratch(False, op.initial.shape[1])
            names = ("inverse", "along", "gain")
            memories = {name: kept[_named(i, name)] for name in names}
            recorded, every = _recorded(b, learning.recorded.get("inv_gamma"))
            b.kernels.recursion(
                input=activities, output=gain, **memories, recorded=recorded, every=every
            )
            activities = gain
        senders.append(activities)
    return senders


def _add_rules(
    b: Buffers,
    op: Learned,
    forms: list[RuleParameters],
    number: int,
    read: Mapping[int, int],
    senders: list[int],
) -> None:
    for learning, form, sender in zip(op.rules, forms, senders, strict=True):
        signals = {name: read[s] for name, s in learning.signals.items()}
        delta, every = _recorded(b, learning.recorded.get("delta"))
        b.kernels.rule(
            number,
            rule=form.rule,
            first=form.first,
            second=form.second,
            receivers=signals[form.receivers],
            senders=sender,
            theta=signals.get(form.theta or "", -1),
            signal=signals.get(form.signal or "", -1),
            delta=delta,
            every=every,
            scale=None if learning.scale is None else np.ravel(learning.scale),
        )
