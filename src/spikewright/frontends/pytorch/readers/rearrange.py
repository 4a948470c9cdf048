"""Other shapes and orders for the same values."""

from __future__ import annotations

from collections.abc import Sequence

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.selection import depth_to_space, rearranged, space_to_depth
from spikewright.frontends.reading.values import Value


@reads(
    "aten.view.default", "aten._unsafe_view.default", "aten.reshape.default",
    "aten.view_copy.default", "aten.flatten.using_ints", "aten.unflatten.int",
    "aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims", "aten.unsqueeze.default",
    "aten.reshape_as.default", "aten.view_as.default", "aten.ravel.default",
)  # fmt: skip
def _reshape(call: Call) -> Value:
    return call.view(call.value("self"), sizes_of(call.results))


@reads("aten.permute.default")
def _permute(call: Call) -> Value:
    return call.reorder(call.value("self"), call["dims"])


@reads("aten.transpose.int", "aten.swapaxes.default", "aten.swapdims.default")
def _transpose(call: Call) -> Value:
    x = call.value("self")
    order = list(range(x.rank))
    first, second = (dim for name, dim in call.arguments.items() if name != "self")
    order[first], order[second] = order[second], order[first]
    return call.reorder(x, order)


@reads("aten.t.default", "aten.numpy_T.default", "aten.mT.default")
def _turn(call: Call) -> Value:
    x = call.value("self")
    order = list(range(x.rank))
    if "mT" in call.target:
        order[-2:] = order[:-3:-1]
    else:
        order = order[::-1]
    return call.reorder(x, order)


@reads("aten.movedim.int", "aten.movedim.intlist", "aten.moveaxis.int", "aten.moveaxis.intlist")
def _move(call: Call) -> Value:
    x = call.value("self")
    sources, destinations = (_numbers(call[name], x.rank) for name in ("source", "destination"))
    order = [axis for axis in range(x.rank) if axis not in sources]
    for destination, source in sorted(zip(destinations, sources, strict=True)):
        order.insert(destination, source)
    return call.reorder(x, order)


def _numbers(dims: int | Sequence[int], rank: int) -> list[int]:
    return [dim % rank for dim in ([dims] if isinstance(dims, int) else dims)]


@reads("aten.pixel_shuffle.default")
def _pixel_shuffle(call: Call) -> Value:
    return depth_to_space(call, _image(call), call["upscale_factor"])


@reads("aten.pixel_unshuffle.default")
def _pixel_unshuffle(call: Call) -> Value:
    return space_to_depth(call, _image(call), call["downscale_factor"])


def _image(call: Call) -> Value:
    """The value, whose last three axes are an image's."""
    x = call.value("self")
    for dim in (-3, -2, -1):
        call.axis(x, dim)
    return x


@reads("aten.channel_shuffle.default")
def _channel_shuffle(call: Call) -> Value:
    x, groups = call.value("self"), call["groups"]
    axis, shape = call.axis(x, 1), x.shape
    split = (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])
    order = [*range(axis), axis + 1, axis, *range(axis + 2, len(shape) + 1)]
    return rearranged(call, x, split, order, shape)
