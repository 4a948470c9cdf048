"""Padding, cutting out, repeating, moving and reshaping values, or passing them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from spikewright._base.windows import Pairs
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import WHOLE, TorchCall, reads
from spikewright.frontends.reading.call import UnsupportedOp, Value, sample_shape
from spikewright.frontends.reading.selection import (
    Mode,
    depth_to_space,
    entry,
    flipped,
    padded,
    rearranged,
    repeated,
    rolled,
    sliced,
    space_to_depth,
    split,
    tiled,
)
from spikewright.frontends.reading.truth import truth_of
from spikewright.graph.layers import Broadcast, Identity, ZeroPad

_MODES: dict[str, Mode] = {
    "constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap",
}  # fmt: skip


@reads("aten.constant_pad_nd.default", "aten.pad.default")
def _pad(call: TorchCall) -> Value:
    mode = call.get("mode", "constant")
    return _padded(call, mode, call["value"] or 0.0)


@reads(
    "aten.reflection_pad1d.default", "aten.reflection_pad2d.default",
    "aten.reflection_pad3d.default", "aten.replication_pad1d.default",
    "aten.replication_pad2d.default", "aten.replication_pad3d.default",
)  # fmt: skip
def _pad_with_own(call: TorchCall) -> Value:
    mode = "reflect" if "reflection" in call.target else "replicate"
    return _padded(call, mode, 0.0, "padding")


def _padded(call: TorchCall, mode: str, value: float, name: str = "pad") -> Value:
    x = call.value("self")
    flat = list(call[name])
    pairs = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)][::-1]  # the last came first
    own = [(0, 0)] * len(x.shape)
    for dim, pair in enumerate(pairs, start=x.rank - len(pairs)):
        if any(pair):
            own[call.axis(x, dim)] = pair
    if value == -np.inf and mode == "constant" and any(map(any, own)) and min(map(min, own)) >= 0:
        return _surrounded(call, x, tuple(own))
    if mode not in _MODES:
        raise UnsupportedOp(f"padding of mode {mode!r} with {value} has no reading")
    return padded(call, x, own, _MODES[mode], value)


def _surrounded(call: TorchCall, x: Value, pads: Pairs) -> Value:
    """A value with minus infinity around it, which a maximum over windows does not see."""
    made = call.add(ZeroPad(pads), x)
    inside = np.pad(np.zeros(x.shape, bool), pads, constant_values=True)
    call.notes["surrounded", made.name] = (x, pads)
    return replace(made, masked=inside)


@reads("aten.slice.Tensor", "aten.narrow.default")
def _slice(call: TorchCall) -> Value:
    x = call.value("self")
    dim, extent = call["dim"] % x.rank, call.results.shape[call["dim"]]
    if dim == x.layout.axis and extent == 1:
        return call.add(Identity(), x)
    axis, step = call.axis(x, dim), call.get("step", 1)
    start = first_index(call["start"], x.shape[axis])
    return cut(call, x, axis, start, extent, step=step)


def first_index(start: Any, extent: int) -> int:
    """The start of a slice, counted from the front of an axis."""
    if start is None:
        return 0
    if not isinstance(start, int):
        raise UnsupportedOp("where it starts depends on the input", "Use fixed indices.")
    return min(max(start + extent if start < 0 else start, 0), extent)


def cut(call: TorchCall, x: Value, axis: int, start: int, kept: int, step: int = 1) -> Value:
    """The `kept` values from `start` along an axis of the unbatched value."""
    return sliced(call, x, {axis: slice(start, start + kept * step, step)})


@reads("aten.select.int")
def _select(call: TorchCall) -> Value:
    x = call.value("self")
    if not isinstance(call["index"], int):
        raise UnsupportedOp("its index depends on the input", "Use a fixed index.")
    if call["dim"] % x.rank == x.layout.axis:
        return call.view(x, sizes_of(call.results))
    return entry(call, x, call.axis(x, call["dim"]), call["index"])


@reads("aten.unbind.int")
def _unbind(call: TorchCall) -> tuple[Value, ...]:
    x, axis = call.along()
    return tuple(entry(call.inside(f"{i}"), x, axis, i) for i in range(x.shape[axis]))


@reads(
    "aten.split.Tensor", "aten.split.sizes", "aten.split_with_sizes.default", "aten.chunk.default",
    "aten.tensor_split.sections", "aten.tensor_split.indices",
)  # fmt: skip
def _split(call: TorchCall) -> tuple[Value, ...]:
    x = call.value("self")
    sizes = [sizes_of(result)[call["dim"]] for result in call.results]
    axis = call.axis(x, call["dim"])
    return tuple(split(call, x, axis, sizes, [str(index) for index in range(len(sizes))]))


@reads("aten.expand.default", "aten.expand_as.default", "aten.broadcast_to.default")
def _expand(call: TorchCall) -> Value:
    x = call.value("self")
    made = _broadcast(call, x)
    norm = call.notes.get(("norm", x.name))
    if norm is not None:
        call.notes["norm", made.name] = norm
    return made


def _broadcast(call: TorchCall, x: Value) -> Value:
    """A value repeated to the shape of the result."""
    return call.add(Broadcast(sample_shape(sizes_of(call.results))), x)


@reads("aten.copy.default")
def _copy(call: TorchCall) -> Value:
    """Another value in the place of one, repeated to its shape."""
    if not isinstance(call["src"], Value):
        like = call.value("self")
        array = np.broadcast_to(call.against(call["src"]), like.shape)
        return call.constant_like(array.copy(), like, "")
    return _broadcast(call, call.value("src"))


@reads("aten.repeat.default", "aten.tile.default")
def _repeat(call: TorchCall) -> Value:
    x = call.value("self")
    times = list(call["repeats"] if "repeats" in call.arguments else call["dims"])
    times = [1] * (x.rank - len(times)) + times
    lacking = x.rank - len(x.shape)
    front = len(times) - len(x.shape)
    if all(n == 1 for n in times[:front]) and front == lacking:
        return tiled(call, x, dict(enumerate(times[front:])))
    lifted = call.lift(x, len(times))
    return tiled(call, lifted, dict(enumerate(times)))


@reads("aten.repeat_interleave.self_int")
def _repeat_each(call: TorchCall) -> Value:
    x = call.value("self")
    if call["dim"] is None:
        raise UnsupportedOp("it flattens the batch axis", "Give dim.")
    return repeated(call, x, call.axis(x, call["dim"]), call["repeats"])


@reads("aten.roll.default")
def _roll(call: TorchCall) -> Value:
    x = call.value("self")
    if not call["dims"]:
        raise UnsupportedOp("it rolls over all axes, the batch's too", "Give dims.")
    pairs = zip(call["dims"], call["shifts"], strict=True)
    return rolled(call, x, [(call.axis(x, dim), shift) for dim, shift in pairs])


@reads("aten.flip.default")
def _flip(call: TorchCall) -> Value:
    x = call.value("self")
    return flipped(call, x, [call.axis(x, dim) for dim in call["dims"]])


@reads(
    "aten.view.default", "aten._unsafe_view.default", "aten.reshape.default",
    "aten.view_copy.default", "aten.flatten.using_ints", "aten.unflatten.int",
    "aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims", "aten.unsqueeze.default",
    "aten.reshape_as.default", "aten.view_as.default", "aten.ravel.default",
)  # fmt: skip
def _reshape(call: TorchCall) -> Value:
    return call.view(call.value("self"), sizes_of(call.results))


@reads("aten.permute.default")
def _permute(call: TorchCall) -> Value:
    return call.reorder(call.value("self"), call["dims"])


@reads("aten.transpose.int", "aten.swapaxes.default", "aten.swapdims.default")
def _transpose(call: TorchCall) -> Value:
    x = call.value("self")
    order = list(range(x.rank))
    first, second = (dim for name, dim in call.arguments.items() if name != "self")
    order[first], order[second] = order[second], order[first]
    return call.reorder(x, order)


@reads("aten.t.default", "aten.numpy_T.default", "aten.mT.default")
def _turn(call: TorchCall) -> Value:
    x = call.value("self")
    order = list(range(x.rank))
    if "mT" in call.target:
        order[-2:] = order[:-3:-1]
    else:
        order = order[::-1]
    return call.reorder(x, order)


@reads("aten.movedim.int", "aten.movedim.intlist", "aten.moveaxis.int", "aten.moveaxis.intlist")
def _move(call: TorchCall) -> Value:
    x = call.value("self")
    sources, destinations = (_numbers(call[name], x.rank) for name in ("source", "destination"))
    order = [axis for axis in range(x.rank) if axis not in sources]
    for destination, source in sorted(zip(destinations, sources, strict=True)):
        order.insert(destination, source)
    return call.reorder(x, order)


def _numbers(dims: int | Sequence[int], rank: int) -> list[int]:
    return [dim % rank for dim in ([dims] if isinstance(dims, int) else dims)]


@reads("aten.pixel_shuffle.default")
def _pixel_shuffle(call: TorchCall) -> Value:
    return depth_to_space(call, _image(call), call["upscale_factor"])


@reads("aten.pixel_unshuffle.default")
def _pixel_unshuffle(call: TorchCall) -> Value:
    return space_to_depth(call, _image(call), call["downscale_factor"])


def _image(call: TorchCall) -> Value:
    """The value, whose last three axes are an image's."""
    x = call.value("self")
    for dim in (-3, -2, -1):
        call.axis(x, dim)
    return x


@reads("aten.channel_shuffle.default")
def _channel_shuffle(call: TorchCall) -> Value:
    x, groups = call.value("self"), call["groups"]
    axis, shape = call.axis(x, 1), x.shape
    split = (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])
    order = [*range(axis), axis + 1, axis, *range(axis + 2, len(shape) + 1)]
    return rearranged(call, x, split, order, shape)


@reads(
    "aten.clone.default", "aten.contiguous.default", "aten.alias.default", "aten.detach.default",
    "aten.lift_fresh_copy.default", "aten.positive.default",
)  # fmt: skip
def _same(call: TorchCall) -> Value:
    return call.add(Identity(), call.value("self"))


@reads(
    "aten.dropout.default", "aten.feature_dropout.default", "aten.alpha_dropout.default",
    "aten.feature_alpha_dropout.default", "aten.native_dropout.default",
)  # fmt: skip
def _dropout(call: TorchCall) -> Value:
    if call["train"] is not False and call["p"] > 0:
        raise UnsupportedOp(
            "it drops values at random, which is meant for training only",
            "Give F.dropout(x, training=self.training), or export the model in evaluation mode.",
        )
    return call.add(Identity(), call.value("input" if "input" in call.arguments else "self"))


_INTEGERS = (torch.int32, torch.int64)


@reads(
    "aten.to.dtype", "aten.to.dtype_layout", "aten.to.device", "aten.to.other",
    "aten._to_copy.default", "aten.type_as.default",
)  # fmt: skip
def _convert(call: TorchCall) -> Value:
    to = call.results.dtype
    if call.dtype in (*_INTEGERS, torch.bool) and to in _INTEGERS:
        return call.add(Identity(), call.value("self"))
    if to == torch.bool:
        return call.add(Identity(), truth_of(call.inside("truth"), call.value("self")))
    if not to.is_floating_point:
        raise UnsupportedOp(*WHOLE)
    if to not in (torch.float32, torch.float64, call.dtype, call.precision):
        raise UnsupportedOp(
            f"it rounds values to {str(to).removeprefix('torch.')}",
            "Convert the model to float32 first: model.float().",
        )
    return call.add(Identity(), call.value("self"))
