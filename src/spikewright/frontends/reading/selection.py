"""Values cut out, joined, repeated, moved and padded along axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Pairs
from spikewright.frontends.reading.call import Call, UnsupportedOp, Value, finite
from spikewright.graph.layers import (
    Concatenate,
    Crop,
    Identity,
    Layer,
    Pad,
    Permute,
    Reshape,
    ScaleShift,
    Slice,
    Take,
    Tile,
    UpsampleNearest,
    ZeroPad,
)

Copied = Literal["reflect", "symmetric", "edge", "wrap"]
Mode = Copied | Literal["constant"]


def sliced(call: Call, x: Value, slices: Mapping[int, slice]) -> Value:
    """Python slices of some axes: a crop where all steps are one."""
    layer: Layer = Slice.along(x.shape, slices)
    counts = [count for _, count, _ in layer.ranges]  # type: ignore[attr-defined]
    if min(counts, default=1) < 1:
        raise UnsupportedOp(
            f"its ranges {list(slices.values())} leave nothing of {x.shape}",
            "Leave out what is empty.",
        )
    ranges = layer.ranges  # type: ignore[attr-defined]
    if all(step == 1 for _, _, step in ranges):
        crops = tuple(
            (start, n - start - kept) for n, (start, kept, _) in zip(x.shape, ranges, strict=True)
        )
        layer = Crop(crops) if any(map(any, crops)) else Identity()
    return call.add(layer, x)


def entry(call: Call, x: Value, axis: int, index: int) -> Value:
    """The values at an index of an axis, which vanishes."""
    index %= x.shape[axis]
    cut = sliced(call.inside("cut"), x, {axis: slice(index, index + 1)})
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return call.add(Reshape(shape), cut)


def split(
    call: Call, x: Value, axis: int, sizes: Sequence[int], parts: Sequence[str]
) -> list[Value]:
    """Consecutive ranges of an axis, each a part of its name."""
    stops = np.cumsum([0, *sizes]).tolist()
    return [
        sliced(call.inside(part), x, {axis: slice(start, stop)})
        for start, stop, part in zip(stops[:-1], stops[1:], parts, strict=True)
    ]


def stacked(call: Call, values: Sequence[Value], axis: int) -> Value:
    """Values side by side along a new axis."""
    parts = [
        call.add(Reshape((*x.shape[:axis], 1, *x.shape[axis:])), finite(x), part=str(index))
        for index, x in enumerate(values)
    ]
    return call.add(Concatenate(axis), *parts)


def taken(call: Call, x: Value, indices: NDArray, axis: int) -> Value:
    """The entries of an axis at constant positions, whose axes take that one's place."""
    return call.add(Take(np.asarray(indices, np.int64), axis), finite(x))


def rolled(call: Call, x: Value, shifts: Sequence[tuple[int, int]]) -> Value:
    """Values moved round along axes, by `(axis, shift)`."""
    orders = [(axis, np.roll(np.arange(x.shape[axis]), shift)) for axis, shift in shifts]
    return call.chain(finite(x), *((f"axis{axis}", Take(order, axis)) for axis, order in orders))


def flipped(call: Call, x: Value, axes: Sequence[int]) -> Value:
    """Values along axes in the other direction."""
    turned = {axis: slice(None, None, -1) for axis in axes}
    return call.add(Slice.along(x.shape, turned), finite(x))


def tiled(call: Call, x: Value, times: Mapping[int, int]) -> Value:
    """The whole value several times along some axes."""
    every = tuple(times.get(axis, 1) for axis in range(len(x.shape)))
    return call.add(Tile(every), finite(x))


def repeated(call: Call, x: Value, axis: int, times: NDArray | int) -> Value:
    """Every value along an axis several times: all as often, or each as often as it says."""
    if np.size(times) == 1:
        factors = [1] * len(x.shape)
        factors[axis] = int(np.ravel(times)[0])
        return call.add(UpsampleNearest(tuple(factors)), finite(x))
    return call.add(Take(np.repeat(np.arange(x.shape[axis]), times), axis), finite(x))


def padded(
    call: Call, x: Value, pairs: Sequence[tuple[int, int]], mode: Mode = "constant",
    value: float = 0.0,
) -> Value:  # fmt: skip
    """A border of a constant or of the value's own values; negative counts remove."""
    crops = tuple((max(-before, 0), max(-after, 0)) for before, after in pairs)
    pads = tuple((max(before, 0), max(after, 0)) for before, after in pairs)
    cropped = Crop(crops) if any(map(any, crops)) else None
    return call.chain(finite(x), ("cropped", cropped), *_border(pads, mode, value))


def _border(pads: Pairs, mode: Mode, value: float) -> list[tuple[str, Layer]]:
    if not any(map(any, pads)):
        return []
    if mode != "constant":
        return [("padded", Pad(pads, mode))]
    if not np.isfinite(value):
        raise UnsupportedOp(f"it pads with {value}, which is no finite number")
    if not value:
        return [("padded", ZeroPad(pads))]
    before, after = ScaleShift(shift=np.array(-value)), ScaleShift(shift=np.array(value))
    return [("lowered", before), ("padded", ZeroPad(pads)), ("raised", after)]


def rearranged(
    call: Call,
    x: Value,
    split: Sequence[int],
    order: Sequence[int],
    joined: Sequence[int],
) -> Value:
    """Axes split into blocks, which change places and are joined again."""
    return call.chain(
        finite(x),
        ("split", Reshape(tuple(split))),
        ("order", Permute(tuple(order))),
        ("joined", Reshape(tuple(joined))),
    )


def depth_to_space(call: Call, x: Value, block: int, blocks_first: bool = False) -> Value:
    """Channels of `(..., channels, height, width)` laid out as blocks of pixels."""
    *front, channels, height, width = x.shape
    if block < 1 or channels % block**2:
        raise UnsupportedOp(f"{channels} channels do not divide into blocks of {block} x {block}")
    inner, lead = channels // block**2, len(front)
    blocks = (block, block, inner) if blocks_first else (inner, block, block)
    order = (2, 3, 0, 4, 1) if blocks_first else (0, 3, 1, 4, 2)
    return rearranged(
        call,
        x,
        (*front, *blocks, height, width),
        (*range(lead), *(lead + axis for axis in order)),
        (*front, inner, height * block, width * block),
    )


def space_to_depth(call: Call, x: Value, block: int, blocks_first: bool = False) -> Value:
    """Blocks of pixels of `(..., channels, height, width)` as channels."""
    *front, channels, height, width = x.shape
    if block < 1 or height % block or width % block:
        raise UnsupportedOp(f"blocks of {block} do not divide an image of {height} x {width}")
    lead = len(front)
    order = (2, 4, 0, 1, 3) if blocks_first else (0, 2, 4, 1, 3)
    return rearranged(
        call,
        x,
        (*front, channels, height // block, block, width // block, block),
        (*range(lead), *(lead + axis for axis in order)),
        (*front, channels * block**2, height // block, width // block),
    )
