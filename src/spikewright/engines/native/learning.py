"""Weights that change."""

from __future__ import annotations

import numpy as np

from spikewright.engines.grid import GRIDS
from spikewright.engines.native.buffers import Buffers, kept
from spikewright.engines.native.parts import limbs_of
from spikewright.engines.native.rules import form_of
from spikewright.engines.program import Learned


def add_learned(b: Buffers, op: Learned) -> None:
    """Weights that answer and learn, in a loop at different times of a step."""
    (signal, *_) = op.inputs
    largest = np.abs(op.initial).max(axis=1, initial=0.0)
    memories = {"weights": b.kernels.memory(op.initial.ravel())}
    counts = signal in b.op.counts and signal not in b.op.whole
    source = b.held_in(signal) if counts else b.values_in(signal)
    read: dict[int, int] = {}  # buffers of what rules read; outside loops weights read them at once
    if not b.op.loops:
        read = {s: b.values_in(s) for s in op.inputs[1:]}
    number = b.kernels.weights(
        loops=b.op.loops,
        input=source,
        output=b.buffer(False, op.output),
        held=memories["weights"],
        largest=b.kernels.memory(largest),
        recorded=-1 if op.weights is None else b.buffer(False, op.weights),
        factor=op.factor,
        unit=None if op.unit is None else np.ravel(op.unit),
        weight_bits=GRIDS["float32"].weight_bits,
        limbs=limbs_of(op.initial.shape[1]),
    )
    b.kept[op] = kept(memories, None, op.initial.shape)
    for s in op.late:
        b.buffer(False, s)
    if not b.op.loops:
        _add_rules(b, op, number, read)
        return

    def finish() -> None:
        late = {s: b.values_in(s) for s in op.inputs[1:]}
        _add_rules(b, op, number, late)
        b.kernels.finish(number)

    b.last.append(finish)


def _add_rules(b: Buffers, op: Learned, number: int, read: dict[int, int]) -> None:
    for learning in op.rules:
        form = form_of(learning.rule, b.program.dt, op.initial.shape[1])
        signals = {name: read[s] for name, s in learning.signals.items()}
        delta = learning.recorded.get("delta")
        b.kernels.rule(
            number,
            rule=form.rule,
            first=form.first,
            second=form.second,
            receivers=signals[form.receivers],
            senders=signals[form.senders],
            theta=signals.get(form.theta or "", -1),
            signal=signals.get(form.signal or "", -1),
            delta=-1 if delta is None else b.stored[delta].buffer,
            scale=None if learning.scale is None else np.ravel(learning.scale),
        )
