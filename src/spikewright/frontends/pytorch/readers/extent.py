"""Padding, cutting out, choosing and repeating values."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.call import MIXES
from spikewright.frontends.reading.layout import BATCH, BATCH_FIRST, JOINED
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.selection import (
    Mode,
    entry,
    flipped,
    padded,
    repeated,
    rolled,
    sliced,
    split,
    tiled,
)
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import (
    Broadcast,
    Identity,
    Reshape,
    ZeroPad,
)

_Pairs = tuple[tuple[int, int], ...]
_MODES: dict[str, Mode] = {
    "constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap",
}  # fmt: skip


@reads("aten.constant_pad_nd.default", "aten.pad.default")
def _pad(call: Call) -> Value:
    mode = call.get("mode", "constant")
    return _padded(call, mode, call["value"] or 0.0)


@reads(
    "aten.reflection_pad1d.default", "aten.reflection_pad2d.default",
    "aten.reflection_pad3d.default", "aten.replication_pad1d.default",
    "aten.replication_pad2d.default", "aten.replication_pad3d.default",
)  # fmt: skip
def _pad_with_own(call: Call) -> Value:
    mode = "reflect" if "reflection" in call.target else "replicate"
    return _padded(call, mode, 0.0, "padding")


def _padded(call: Call, mode: str, value: float, name: str = "pad") -> Value:
    x = call.value("self")
    flat = list(call[name])
    pairs = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)][::-1]  # the last came first
    own = [(0, 0)] * len(x.shape)
    for dim, pair in enumerate(pairs, start=x.rank - len(pairs)):
        if any(not isinstance(n, int) for n in pair):
            raise Unreadable("its padding depends on the size of the batch", MIXES)
        if any(pair):
            own[call.axis(x, dim)] = pair
    if value == -np.inf and mode == "constant" and any(map(any, own)) and min(map(min, own)) >= 0:
        return _surrounded(call, x, tuple(own))
    if mode not in _MODES:
        raise Unreadable(f"padding of mode {mode!r} with {value} has no reading")
    return padded(call, x, own, _MODES[mode], value)


def _surrounded(call: Call, x: Value, pads: _Pairs) -> Value:
    """A value with minus infinity around it, which a maximum over windows does not see."""
    made = call.add(ZeroPad(pads), x)
    inside = np.pad(np.zeros(x.shape, bool), pads, constant_values=True)
    call.notes["surrounded", made.name] = (x, pads)
    return replace(made, masked=inside)


@reads("aten.slice.Tensor", "aten.narrow.default")
def _slice(call: Call) -> Value:
    x = call.value("self")
    dim, first = call["dim"] % x.rank, call.get("start") in (0, None)
    if dim == x.layout.axis and first and is_whole_batch(call, x):
        return call.add(Identity(), x)
    if dim == x.layout.axis and x.layout == JOINED:
        return _batches(call, x, call.get("start"), sizes_of(call.results)[0])
    axis, step = call.axis(x, dim), call.get("step", 1)
    start = first_index(call["start"], x.shape[axis])
    return cut(call, x, axis, start, call.results.shape[dim], step=step)


def _batches(call: Call, x: Value, start: Any, size: Any, part: str = "") -> Value:
    """Some of several batches that lie one after the other, from a size or a number of rows."""
    at_front = start is None or (isinstance(start, int) and start == 0)
    first = 0 if at_front else call.batch.factor(start)
    count = call.batch.factor(size)
    if not count or not (at_front or first):
        raise Unreadable("it cuts through the samples of a batch", MIXES)
    shape = (count, *x.shape[1:]) if count > 1 else x.shape[1:]
    chosen = cut(call, x, 0, first, count, part=f"{part}/cut" if part else "cut")
    made = call.add(Reshape(shape), chosen, part=part)
    return replace(made, layout=JOINED if count > 1 else BATCH_FIRST)


def is_whole_batch(call: Call, x: Value) -> bool:
    """Whether the result has as many samples as a value."""
    axis = x.layout.axis
    batches = call.batch.factor(sizes_of(call.results)[axis])
    group = x.layout.groups(len(x.shape))[axis]
    return batches == int(np.prod([x.shape[one] for one in group if one != BATCH] or [1]))


def first_index(start: Any, extent: int) -> int:
    """The start of a slice, counted from the front of an axis."""
    if start is None:
        return 0
    if not isinstance(start, int):
        raise Unreadable("where it starts depends on the input", "Use fixed indices.")
    return min(max(start + extent if start < 0 else start, 0), extent)


def cut(
    call: Call, x: Value, axis: int, start: int, kept: int, part: str = "", step: int = 1
) -> Value:
    """The `kept` values from `start` along an axis of the unbatched value."""
    return sliced(call, x, {axis: slice(start, start + kept * step, step)}, part)


@reads("aten.select.int")
def _select(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis(x, call["dim"])
    if not isinstance(call["index"], int):
        raise Unreadable("its index depends on the input", "Use a fixed index.")
    return entry(call, x, axis, call["index"])


@reads("aten.unbind.int")
def _unbind(call: Call) -> tuple[Value, ...]:
    x = call.value("self")
    axis = call.axis(x, call["dim"])
    return tuple(entry(call, x, axis, i, f"{i}") for i in range(x.shape[axis]))


@reads(
    "aten.split.Tensor", "aten.split.sizes", "aten.split_with_sizes.default", "aten.chunk.default",
    "aten.tensor_split.sections", "aten.tensor_split.indices",
)  # fmt: skip
def _split(call: Call) -> tuple[Value, ...]:
    x = call.value("self")
    sizes = [sizes_of(result)[call["dim"]] for result in call.results]
    starts = [0, *accumulate(sizes)]
    if call["dim"] % x.rank == x.layout.axis and x.layout == JOINED:
        both = enumerate(zip(starts, sizes, strict=False))
        return tuple(_batches(call, x, start, size, str(i)) for i, (start, size) in both)
    axis = call.axis(x, call["dim"])
    return tuple(split(call, x, axis, sizes, [str(index) for index in range(len(sizes))]))


@reads("aten.expand.default", "aten.expand_as.default")
def _expand(call: Call) -> Value:
    x = call.value("self")
    made = _broadcast(call, x)
    norm = call.notes.get(("norm", x.name))
    if norm is not None:
        call.notes["norm", made.name] = norm
    return made


def _broadcast(call: Call, x: Value) -> Value:
    """A value repeated to the shape of the result."""
    sizes = sizes_of(call.results)
    lifted = call.lift(x, len(sizes))
    groups = lifted.layout.groups(len(lifted.shape))
    shape = list(lifted.shape)
    for group, size in zip(groups, sizes, strict=True):
        if BATCH not in group:
            shape[group[0]] = size
    if not all(isinstance(n, int) for n in shape):
        raise Unreadable("it repeats values as often as the batch has samples", MIXES)
    return call.add(Broadcast(tuple(shape)), lifted)


@reads("aten.copy.default")
def _copy(call: Call) -> Value:
    """Another value in the place of one, repeated to its shape."""
    if not isinstance(call["src"], Value):
        like = call.value("self")
        array = np.broadcast_to(call.against(call["src"], like), like.shape)
        return call.constant_like(array.copy(), like, "")
    return _broadcast(call, call.value("src"))


@reads("aten.repeat.default", "aten.tile.default")
def _repeat(call: Call) -> Value:
    x = call.value("self")
    times = list(call["repeats"] if "repeats" in call.arguments else call["dims"])
    times = [1] * (x.rank - len(times)) + times
    lifted = call.lift(x, len(times))
    if any(not isinstance(n, int) for n in times):
        raise Unreadable(f"it repeats values {tuple(times)} times, depending on the batch", MIXES)
    batches = times[lifted.layout.axis]
    own = {
        call.axis(lifted, dim): n
        for dim, n in enumerate(times)
        if n != 1 and dim != lifted.layout.axis
    }
    if batches == 1:
        return tiled(call, lifted, own)
    if own:
        lifted = tiled(call, lifted, own, "tile")
    return _copies(call, lifted, batches, outer=True)


@reads("aten.repeat_interleave.self_int")
def _repeat_each(call: Call) -> Value:
    x = call.value("self")
    if call["dim"] is None:
        raise Unreadable("it flattens the batch axis", "Give dim.")
    if call["dim"] % x.rank == x.layout.axis:
        return _copies(call, x, call["repeats"], outer=False)
    return repeated(call, x, call.axis(x, call["dim"]), call["repeats"])


def _copies(call: Call, x: Value, times: int, outer: bool) -> Value:
    """As many copies of every sample: of the whole batch one after another, or of each in turn."""
    layout, shape = x.layout, x.shape
    where = layout.axis if outer else layout.before + layout.inner
    apart = (*shape[:where], 1, *shape[where:])
    copied = (*shape[:where], times, *shape[where:])
    merged = list(copied)
    if outer and layout.outer:
        merged[where : where + 2] = [times * shape[where]]
    elif not outer and layout.inner:
        merged[where - 1 : where + 1] = [times * shape[where - 1]]
    new = replace(layout, before=layout.before + (outer and not layout.outer))
    new = replace(new, outer=True) if outer else replace(new, inner=True)
    joined = Reshape(tuple(merged)) if tuple(merged) != copied else None
    made = call.chain(
        x, ("apart", Reshape(apart)), ("copies", Broadcast(copied)), ("joined", joined)
    )
    return replace(made, layout=new)


@reads("aten.roll.default")
def _roll(call: Call) -> Value:
    x = call.value("self")
    if not call["dims"]:
        raise Unreadable("it rolls over all axes, the batch's too", "Give dims.")
    pairs = zip(call["dims"], call["shifts"], strict=True)
    return rolled(call, x, [(call.axis(x, dim), shift) for dim, shift in pairs])


@reads("aten.flip.default")
def _flip(call: Call) -> Value:
    x = call.value("self")
    return flipped(call, x, [call.axis(x, dim) for dim in call["dims"]])
