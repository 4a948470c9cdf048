"""Layers and operations that move, choose, repeat, join or drop values, or change none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewright._base.optional import require
from spikewright._base.windows import Pairs
from spikewright.frontends.keras.convolutions import is_channels_last
from spikewright.frontends.keras.registry import (
    KerasCall,
    UnsupportedOp,
    Value,
    array,
    plain_array,
    reads,
    unbatched_axes,
    unbatched_axis,
)
from spikewright.frontends.keras.running import as_values
from spikewright.frontends.reading.selection import (
    Copied,
    depth_to_space,
    entry,
    flipped,
    padded,
    repeated,
    rolled,
    sliced,
    space_to_depth,
    stacked,
    taken,
    tiled,
)
from spikewright.frontends.reading.selection import split as split_up
from spikewright.graph.layers import (
    Broadcast,
    Crop,
    Identity,
    Lookup,
    Pad,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    ZeroPad,
)

_IN_TRAINING = (
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise",
    "Identity", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter",
    "RandomContrast", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale",
    "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation",
    "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
)  # fmt: skip


@reads(*_IN_TRAINING)
def identity(call: KerasCall) -> Value:
    """Layers that act in training only."""
    return call.add(Identity())


@reads("Flatten")
def flatten(call: KerasCall) -> Value:
    """In channels-last order, whatever the layout of the input."""
    flat = Reshape((math.prod(call.shape),))
    rank = len(call.shape)
    if is_channels_last(call.layer) or rank < 2:
        return call.add(flat)
    return call.add(flat, call.add(Permute((*range(1, rank), 0)), part="channels_last"))


@reads("Reshape")
def reshape(call: KerasCall) -> Value:
    """The batch axis stays out of `target_shape`."""
    return call.add(Reshape(filled_shape(call.layer.target_shape, call.shape)))


def filled_shape(wanted: Sequence[int], shape: Shape) -> Shape:
    """`wanted` with -1 replaced by the extent that makes it hold as many values as `shape`."""
    known = math.prod(n for n in wanted if n != -1)
    free = math.prod(shape) // known if known else 0
    return tuple(free if n == -1 else int(n) for n in wanted)


@reads("Permute")
def permute(call: KerasCall) -> Value:
    """`dims` count from 1, the batch being 0."""
    return call.add(Permute(tuple(n - 1 for n in call.layer.dims)))


def _pairs(call: KerasCall, amounts: Any) -> Pairs:
    """Amounts per spatial axis, one pair or several, as pairs per axis of the unbatched input."""
    spatial = (amounts,) if isinstance(amounts[0], int) else amounts
    pairs = tuple((int(before), int(after)) for before, after in spatial)
    return (*pairs, (0, 0)) if is_channels_last(call.layer) else ((0, 0), *pairs)


@reads("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(call: KerasCall) -> Value:
    """Zeros around the spatial axes."""
    return call.add(ZeroPad(_pairs(call, call.layer.padding)))


@reads("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(call: KerasCall) -> Value:
    """Borders of the spatial axes dropped."""
    return call.add(Crop(_pairs(call, call.layer.cropping)))


@reads("RepeatVector")
def repeat_vector(call: KerasCall) -> Value:
    """A vector as often as asked, along a new first axis."""
    row = call.add(Reshape((1, *call.shape)), part="row")
    return call.add(Broadcast((int(call.layer.n), *call.shape)), row)


@reads("ops.Reshape")
def reshape_operation(call: KerasCall) -> Value:
    """A shape that keeps the batch axis first and free: `(-1, ...)` or `(None, ...)`."""
    batch, *rest = call.layer.newshape
    free = batch in (-1, None) or (batch == 1 and call.batch == 1)
    if not free or (batch == -1 and -1 in rest):
        raise UnsupportedOp(
            f"its new shape {tuple(call.layer.newshape)} fixes the batch size",
            "Use a Reshape layer, or (-1, ...) with the other extents given",
        )
    return call.add(Reshape(filled_shape([-1 if n is None else n for n in rest], call.shape)))


@reads("ops.BroadcastTo")
def broadcast(call: KerasCall) -> Value:
    """A value repeated along axes of extent one."""
    batch, *shape = call.layer.shape
    if batch not in (-1, None, call.batch) or None in shape:
        raise UnsupportedOp(
            f"its shape {tuple(call.layer.shape)} repeats samples", "Keep the batch"
        )
    x = call.lift(call.inputs[0], len(shape))
    wanted = tuple(n if m == -1 else int(m) for m, n in zip(shape, x.shape, strict=True))
    return call.add(Broadcast(wanted), x)


@reads("ops.Squeeze", "ops.ExpandDims")
def rank_changing(call: KerasCall) -> Value:
    """Axes of one element, dropped or added."""
    shape, axis = call.shape, call.layer.axis
    if call.kind == "ops.ExpandDims":
        full = len(shape) + (1 if isinstance(axis, int) else len(axis))
        new = set(unbatched_axes(axis, full))
        old = iter(shape)
        return call.add(Reshape(tuple(1 if i in new else next(old) for i in range(full))))
    if axis is None:
        dropped = {i for i, n in enumerate(shape) if n == 1}
    else:
        dropped = set(unbatched_axes(axis, len(shape)))
    return call.add(Reshape(tuple(n for i, n in enumerate(shape) if i not in dropped)))


@reads("ops.Transpose", "ops.Swapaxes", "ops.Moveaxis")
def transpose(call: KerasCall) -> Value:
    """Any order of axes in which the batch stays first."""
    layer, rank = call.layer, len(call.shape) + 1
    axes = list(range(rank))
    if call.kind == "ops.Transpose":
        axes = [axis % rank for axis in layer.axes or reversed(axes)]
    elif call.kind == "ops.Swapaxes":
        a, b = layer.axis1 % rank, layer.axis2 % rank
        axes[a], axes[b] = b, a
    else:
        axes = [int(n) for n in _moved(rank, layer.source, layer.destination)]
    if axes[0] != 0:
        raise UnsupportedOp(
            "it moves the batch axis, which the graph leaves out", "Keep axis 0 first"
        )
    return call.add(Permute(tuple(axis - 1 for axis in axes[1:])))


def _moved(rank: int, source: Any, destination: Any) -> Sequence[int]:
    """The order of axes that `numpy.moveaxis` makes."""
    sizes = np.moveaxis(np.empty(tuple(range(1, rank + 1)), bool), source, destination).shape
    return [n - 1 for n in sizes]


@reads("ops.GetItem")
def get_item(call: KerasCall) -> Value:
    """Slices, numbers, `...` and `None`, all samples of the batch."""
    key = call.arguments["key"]
    parts = list(key) if isinstance(key, tuple | list) else [key]
    if not all(part is None or part is ... or isinstance(part, int | slice) for part in parts):
        raise UnsupportedOp(
            "it chooses by something else than numbers and slices", "Use keras.ops.take"
        )
    rank = len(call.shape) + 1
    used = sum(isinstance(part, int | slice) for part in parts)
    at = parts.index(...) if ... in parts else len(parts)
    parts[at : at + 1] = [slice(None)] * (rank - used)
    if parts[0] != slice(None):
        raise UnsupportedOp(
            "it chooses samples of the batch", "Begin with `:`, which keeps them all"
        )
    chosen: dict[int, slice] = {}
    shape: list[int] = []
    axis = 0
    for part in parts[1:]:
        if part is None:
            shape.append(1)
            continue
        n = call.shape[axis]
        if isinstance(part, int):
            chosen[axis] = slice(part % n, part % n + 1)
        else:
            chosen[axis] = part
            shape.append(len(range(*part.indices(n))))
        axis += 1
    (x,) = call.inputs[:1]
    counts = [len(range(*chosen.get(i, slice(None)).indices(n))) for i, n in enumerate(x.shape)]
    if tuple(counts) == tuple(shape):
        return sliced(call, x, chosen)
    return call.add(Reshape(tuple(shape)), sliced(call.inside("slice"), x, chosen))


@reads("ops.Take")
def take(call: KerasCall) -> Value:
    """Constant positions along an axis, or rows of a constant table by number."""
    indices, table = call.arguments["indices"], call.arguments["x"]
    if isinstance(indices, Value):
        if isinstance(table, Value) or call.layer.axis != 0:
            raise UnsupportedOp(
                "it chooses by computed positions",
                "Use constant positions, or choose rows of a constant table, axis=0",
            )
        return call.add(Lookup(array(table)), indices)
    return taken(call, call.inputs[0], plain_array(indices), call.axis)


@reads("ops.Split", "ops.ArraySplit", "ops.Unstack")
def split(call: KerasCall) -> list[Value]:
    """Parts along an axis, of `unstack` without it."""
    layer, (x,) = call.layer, call.inputs
    axis = call.axis
    n = x.shape[axis]
    if call.kind == "ops.Unstack":
        return [entry(call, x, axis, index) for index in range(n)]
    wanted = layer.indices_or_sections
    parts = np.array_split(np.arange(n), wanted if isinstance(wanted, int) else list(wanted))
    sizes = [len(part) for part in parts]
    if not all(sizes):
        raise UnsupportedOp("one of its parts is empty", "Split into parts that hold something")
    return split_up(call, x, axis, sizes, [""] * len(sizes))


@reads("ops.Stack")
def stack(call: KerasCall) -> Value:
    """Tensors side by side along a new axis."""
    values = as_values(call, call.arguments["x"])
    return stacked(call, values, unbatched_axis(call.layer.axis, len(call.shape) + 1))


@reads("ops.Flip", "ops.Roll")
def reorder(call: KerasCall) -> Value:
    """Values along axes in the other direction, or moved round."""
    axes, (x,) = call.axes, call.inputs
    if call.kind == "ops.Flip":
        return flipped(call, x, axes)
    shifts = call.layer.shift
    shifts = [shifts] * len(axes) if isinstance(shifts, int) else list(shifts)
    return rolled(call, x, list(zip(axes, shifts, strict=True)))


@reads("ops.Repeat")
def repeat(call: KerasCall) -> Value:
    """Every value along an axis several times."""
    return repeated(call, call.inputs[0], call.axis, plain_array(call.layer.repeats))


@reads("ops.Tile")
def tile(call: KerasCall) -> Value:
    """The whole tensor several times along its axes."""
    given = call.layer.repeats
    times = [int(n) for n in ([given] if isinstance(given, int) else given)]
    rank = len(call.shape) + 1
    times = [1] * (rank - len(times)) + times
    if len(times) > rank or times[0] != 1:
        raise UnsupportedOp("it repeats samples of the batch", "Give 1 for axis 0")
    return tiled(call, call.inputs[0], dict(enumerate(times[1:])))


@reads("ops.Pad")
def pad(call: KerasCall) -> Value:
    """A border of zeros, of another number, or of the tensor's own values."""
    layer, (x,) = call.layer, call.inputs
    width = np.asarray(layer.pad_width)
    pairs = np.broadcast_to(width, (len(x.shape) + 1, 2))
    if pairs[0].any():
        raise UnsupportedOp("it pads the batch", "Give (0, 0) for axis 0")
    pads = tuple((int(a), int(b)) for a, b in pairs[1:])
    if layer.mode != "constant":
        return padded(call, x, pads, _border(x.shape, pads, layer.mode))
    constant = call.arguments.get("constant_values")
    return padded(call, x, pads, value=0.0 if constant is None else float(array(constant)))


def _border(shape: Shape, pads: Pairs, mode: str) -> Copied:
    """The border that a mode makes, found by running Keras, as backends differ.

    Keras 3.15 on PyTorch repeats the edge where others mirror it (`symmetric`).
    """
    ops = require("keras").ops
    places = np.arange(math.prod(shape), dtype=np.float32).reshape(1, *shape)
    whole = ((0, 0), *pads)
    made = array(ops.pad(ops.convert_to_tensor(places), whole, mode))
    for name in _MODES:
        layer = Pad(pads, name)
        if np.array_equal(layer.evaluate(places), made):
            return name
    raise UnsupportedOp(f"its mode {mode!r} is none of {', '.join(_MODES)}", "Use another mode")


_MODES: tuple[Copied, ...] = ("reflect", "symmetric", "edge", "wrap")


@reads("ops.Tril", "ops.Triu")
def triangle(call: KerasCall) -> Value:
    """Zeros above or below a diagonal of the last two axes."""
    if len(call.shape) < 2:
        raise UnsupportedOp("its triangle would be of the batch", "Give three axes or more")
    cut = np.tril if call.kind == "ops.Tril" else np.triu
    return call.add(ScaleShift(scale=cut(np.ones(call.shape[-2:]), call.layer.k)))


@reads("ops.DepthToSpace", "ops.SpaceToDepth")
def blocks(call: KerasCall) -> Value:
    """Channels as blocks of pixels and back, channels last."""
    layer, (x,) = call.layer, call.inputs
    if layer.data_format != "channels_last":
        raise UnsupportedOp("its channels come first", 'Use data_format="channels_last"')
    x = call.add(Permute((2, 0, 1)), x, part="channels_first")
    move = depth_to_space if call.kind == "ops.DepthToSpace" else space_to_depth
    made = move(call.inside("moved"), x, int(layer.block_size), blocks_first=True)
    return call.add(Permute((1, 2, 0)), made)
