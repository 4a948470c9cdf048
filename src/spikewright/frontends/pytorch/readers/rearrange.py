"""Other shapes and orders for the same values."""

from __future__ import annotations

from collections.abc import Sequence

from spikewright.frontends.pytorch.call import MIXES, Call, Cannot, Value, count, pretty
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.layers import Permute, Reshape


@reads(
    "aten.view.default", "aten._unsafe_view.default", "aten.reshape.default",
    "aten.view_copy.default", "aten.flatten.using_ints", "aten.unflatten.int",
    "aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims", "aten.unsqueeze.default",
)  # fmt: skip
def _reshape(call: Call) -> Value:
    # In row-major order samples stay apart exactly where the first axis counts whole batches.
    x = call.value("self")
    sizes = sizes_of(call.results)
    rest = sizes[1:]
    batches = call.batch.factor(sizes[0]) if sizes else 0
    fixed = batches and all(isinstance(size, int) for size in rest)
    if not fixed or batches * count(rest) != count(x.known_shape):
        raise Cannot(
            f"it makes {pretty(sizes)} of values of shape {pretty(('batch', *x.known_shape))}, "
            "where the batch axis is no longer the first one",
            MIXES,
        )
    shape = rest if batches == 1 else (batches, *rest)
    value = call.add(Reshape(shape), x)
    return Value(value.name, value.shape, merged=batches != 1)


@reads("aten.permute.default")
def _permute(call: Call) -> Value:
    return _reorder(call, call["dims"])


@reads("aten.transpose.int", "aten.swapaxes.default", "aten.swapdims.default")
def _transpose(call: Call) -> Value:
    order = list(range(call.value("self").rank))
    first, second = (dim for name, dim in call.arguments.items() if name != "self")
    order[first], order[second] = order[second], order[first]
    return _reorder(call, order)


@reads("aten.movedim.int")
def _move(call: Call) -> Value:
    rank = call.value("self").rank
    order = list(range(rank))
    order.insert(call["destination"] % rank, order.pop(call["source"]))
    return _reorder(call, order)


def _reorder(call: Call, order: Sequence[int]) -> Value:
    x = call.value("self")
    if order[0] % x.rank:
        raise Cannot(f"it reorders the axes to {tuple(order)}, which moves the batch axis", MIXES)
    axes = [call.axis(x, dim) for dim in order[1:]]
    return call.add(Permute((0, *axes) if x.merged else tuple(axes)), x)


@reads("aten.pixel_shuffle.default")
def _pixel_shuffle(call: Call) -> Value:
    x, factor = call.value("self"), call["upscale_factor"]
    *front, channels, height, width = x.known_shape
    if front or x.merged:
        raise Cannot("pixel shuffling is read for values of shape (batch, channels, height, width)")
    inner = channels // factor**2
    return call.chain(
        x,
        ("split", Reshape((inner, factor, factor, height, width))),
        ("order", Permute((0, 3, 1, 4, 2))),
        ("join", Reshape((inner, height * factor, width * factor))),
    )


@reads("aten.channel_shuffle.default")
def _channel_shuffle(call: Call) -> Value:
    x, groups = call.value("self"), call["groups"]
    shape = x.known_shape
    if x.merged:
        raise Cannot("channel shuffling is read for values whose batch axis stands apart")
    order = (1, 0, *range(2, len(shape) + 1))
    return call.chain(
        x,
        ("split", Reshape((groups, shape[0] // groups, *shape[1:]))),
        ("order", Permute(order)),
        ("join", Reshape(shape)),
    )
