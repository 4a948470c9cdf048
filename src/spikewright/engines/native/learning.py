"""Weights that change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spikewright.engines.grid import GRIDS
from spikewright.engines.native.parts import kept, limbs_of
from spikewright.engines.native.rules import form_of
from spikewright.engines.program import Learned

if TYPE_CHECKING:
    from spikewright.engines.native.building import Builder


def add_learned(b: Builder, op: Learned) -> None:
    """Weights that answer and learn, in a loop at different times of a step."""
    (signal, *_) = op.inputs
    largest = np.ascontiguousarray(np.abs(op.initial).max(axis=1, initial=0.0), np.float64)
    weights = np.ascontiguousarray(op.initial.ravel(), np.float64)
    memories = {"weights": b.kernels.memory(weights)}
    unit = np.empty(0) if op.unit is None else np.ravel(op.unit).astype(np.float64)
    counts = signal in b.op.counts and signal not in b.op.whole
    source = b.held_in(signal, None) if counts else b.values_in(signal, None)
    read: dict[int, int] = {}  # buffers of what rules read; outside loops weights read them at once
    if not b.op.loops:
        read = {s: b.values_in(s, None) for s in op.inputs[1:]}
    target = b.buffer(False, op.output, None)
    recorded = -1 if op.weights is None else b.buffer(False, op.weights, None)
    bits = [GRIDS["float32"].weight_bits, *limbs_of(op.initial.shape[1])]
    number = b.kernels.weights(
        b.op.loops,
        source,
        target,
        memories["weights"],
        b.kernels.memory(largest),
        recorded,
        op.factor,
        unit,
        bits,
    )
    b.kept[op] = kept(memories, None, op.initial.shape)
    for s in op.late:
        b.buffer(False, s, None)
    if not b.op.loops:
        _add_rules(b, op, number, read)
        return

    def finish() -> None:
        late = {s: b.values_in(s, None) for s in op.inputs[1:]}
        _add_rules(b, op, number, late)
        b.kernels.finish(number)

    b.last.append(finish)


def _add_rules(b: Builder, op: Learned, number: int, read: dict[int, int]) -> None:
    for learning in op.rules:
        form = form_of(learning.rule, b.program.dt, op.initial.shape[1])
        names = (form.receivers, form.senders, form.theta, form.signal)
        delta = learning.recorded.get("delta")
        scale = np.empty(0) if learning.scale is None else np.ravel(learning.scale)
        b.kernels.rule(
            number,
            form.how,
            form.first,
            form.second,
            [
                *(-1 if name is None else read[learning.signals[name]] for name in names),
                -1 if delta is None else b.stored[delta].buffer,
            ],
            scale.astype(np.float64),
        )
