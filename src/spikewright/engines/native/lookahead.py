"""Signed digits that layers read ahead: their kernels sum each step's spikes, then weight the sums.

So a spike of height 8 is not added eight times, and no signal has to hold what arrived before a
layer's first step.
"""

from __future__ import annotations

from spikewright.engines.native.buffers import Buffers, Lookahead
from spikewright.engines.native.neuron_kernels import DIGITS_IN_BYTES
from spikewright.engines.native.residual_fusion import Shortcut, shortcuts
from spikewright.engines.operators import Advance, Apply, Linear, Operator, ScaledSum
from spikewright.engines.populations import Neurons
from spikewright.network import MaxPool
from spikewright.network.transforms import Convolution, Dense, Permute, Reshape


def read_ahead(b: Buffers) -> dict[Advance, Lookahead]:
    """The `Advance` operators of a region that the kernels of layers include."""
    found: dict[Advance, Lookahead] = {}
    for op in b.op.operators:
        heights = _heights(b, op.inputs[0]) if isinstance(op, Advance) else ()
        if isinstance(op, Advance) and heights:
            found[op] = Lookahead(op.inputs[0], op.steps, heights)
    joins = {s.signal: s for s in shortcuts(b).values()}
    left = 0
    while len(found) != left:  # a shortcut is read as its layer's input is
        left = len(found)
        made = {signal: op for op in found for signal in orders_of(b, op.output)}
        found = {op: one for op, one in found.items() if _only_layers(b, op, made, joins)}
    return found


def _heights(b: Buffers, signal: int) -> tuple[int, ...]:
    """The height of a spike in each step of a signal of digits in bytes; empty for other signals.

    Digits that need more than a byte are read as values, in which heights are included.
    """
    op = b.producer_of.get(signal)
    if isinstance(op, Apply) and isinstance(op.node.output, MaxPool) and op.has_state:
        op = b.producer_of.get(op.inputs[0])
    if not isinstance(op, Neurons) or op.neuron_type.start != 0 or signal not in b.op.whole:
        return ()
    heights = op.neuron_type.spike_heights
    return heights if len(heights) <= DIGITS_IN_BYTES else ()


def _only_layers(
    b: Buffers, op: Advance, made: dict[int, Advance], joins: dict[int, Shortcut]
) -> bool:
    """Whether only layers, and shortcuts of such layers, read an advanced signal."""
    orders = orders_of(b, op.output)
    return not {*b.op.exported} & {*orders} and all(
        _reorders(reader) or _sums_weights(reader) or _joins(reader, op, made, joins.get(signal))
        for signal in orders
        for reader in b.op.operators
        if signal in reader.inputs
    )


def orders_of(b: Buffers, signal: int) -> list[int]:
    """A signal, and the signals that are its values in another order."""
    found = [signal]
    for one in found:
        found += [op.output for op in b.op.operators if one in op.inputs and _reorders(op)]
    return found


def _reorders(op: Operator) -> bool:
    if isinstance(op, ScaledSum):
        return len(op.inputs) == 1 and op.gain is None and op.bias is None
    return isinstance(op, Linear) and isinstance(op.transform, Reshape | Permute)


def _sums_weights(op: Operator) -> bool:
    if not isinstance(op, Linear):
        return False
    of_all = isinstance(op.transform, Convolution) and op.transform.groups == 1
    return of_all or isinstance(op.transform, Dense)


def _joins(
    reader: Operator, op: Advance, made: dict[int, Advance], shortcut: Shortcut | None
) -> bool:
    """Whether a reader is the shortcut of a layer that reads as far ahead."""
    if shortcut is None or reader not in (shortcut.scale, shortcut.total):
        return False
    other = made.get(shortcut.layer.inputs[0])
    return other is not None and other.steps == op.steps
