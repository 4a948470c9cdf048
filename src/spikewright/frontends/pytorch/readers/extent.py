"""Padding, cutting out, and repeating values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from spikewright.frontends.pytorch.call import MIXES, Call, Cannot, Value, repeats
from spikewright.frontends.pytorch.reasons import BORDER, INTERPOLATION
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.layers import Concatenate, Crop, Identity, Reshape, UpsampleNearest, ZeroPad


@reads("aten.constant_pad_nd.default", "aten.pad.default")
def _pad(call: Call) -> Value:
    x = call.value("self")
    if call.get("mode", "constant") != "constant" or call["value"]:
        raise Cannot(*BORDER)
    flat = list(call["pad"])
    pairs = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]  # the last axis comes first
    every = [(0, 0)] * (x.rank - len(pairs)) + pairs[::-1]
    if any(every[0]):
        raise Cannot("it pads the batch axis", MIXES)
    own = [(0, 0)] * x.merged + every[1:]
    crops = tuple((max(-before, 0), max(-after, 0)) for before, after in own)
    pads = tuple((max(before, 0), max(after, 0)) for before, after in own)
    return call.chain(
        x,
        ("crop", Crop(crops) if any(map(any, crops)) else None),
        ("pad", ZeroPad(pads) if any(map(any, pads)) else None),
    )


@reads("aten.slice.Tensor", "aten.narrow.default")
def _slice(call: Call) -> Value:
    x = call.value("self")
    if call["dim"] % x.rank == 0 and call.get("start") in (0, None) and is_whole_batch(call, x):
        return call.add(Identity(), x)
    axis = call.axis(x, call["dim"])
    if call.get("step", 1) != 1:
        raise Cannot(
            f"it takes every {call['step']}th value", "Use pooling or a strided convolution."
        )
    start = first_index(call["start"], x.known_shape[axis])
    return cut(call, x, axis, start, call.results.shape[call["dim"]])


def is_whole_batch(call: Call, x: Value) -> bool:
    """Whether the result has as many samples as a value."""
    batches = call.batch.factor(call.results.shape[0])
    return batches == (x.known_shape[0] if x.merged else 1)


def first_index(start: int | None, extent: int) -> int:
    """Where a slice starts, counted from the front of an axis."""
    if start is None:
        return 0
    return min(max(start + extent if start < 0 else start, 0), extent)


def cut(call: Call, x: Value, axis: int, start: int, kept: int, part: str = "") -> Value:
    """The `kept` values from `start` along an axis of the unbatched value."""
    shape = x.known_shape
    crops = [(0, 0)] * len(shape)
    crops[axis] = (start, shape[axis] - start - kept)
    return call.add(Crop(tuple(crops)) if any(crops[axis]) else Identity(), x, part=part)


@reads("aten.select.int")
def _select(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis(x, call["dim"])
    return _one(call, x, axis, call["index"] % x.known_shape[axis])


@reads("aten.unbind.int")
def _unbind(call: Call) -> tuple[Value, ...]:
    x = call.value("self")
    axis = call.axis(x, call["dim"])
    return tuple(_one(call, x, axis, i, f"{i}") for i in range(x.known_shape[axis]))


def _one(call: Call, x: Value, axis: int, index: int, part: str = "") -> Value:
    shape = x.known_shape
    single = cut(call, x, axis, index, 1, part=f"{part}/cut" if part else "cut")
    return call.add(Reshape((*shape[:axis], *shape[axis + 1 :])), single, part=part)


@reads(
    "aten.split.Tensor", "aten.split.sizes", "aten.split_with_sizes.default", "aten.chunk.default",
)  # fmt: skip
def _split(call: Call) -> tuple[Value, ...]:
    x = call.value("self")
    axis = call.axis(x, call["dim"])
    sizes = [result.shape[call["dim"]] for result in call.results]
    starts = [0, *accumulate(sizes)]
    return tuple(
        cut(call, x, axis, start, size, part=str(index))
        for index, (start, size) in enumerate(zip(starts, sizes, strict=False))
    )


@reads("aten.expand.default")
def _expand(call: Call) -> Value:
    x = call.value("self")
    shape = call.shape_of(call.results, x.merged)
    return call.add(UpsampleNearest(repeats(x.known_shape, shape)), x)


@reads("aten.repeat.default")
def _repeat(call: Call) -> Value:
    x = call.value("self")
    times = list(call["repeats"])
    if len(times) != x.rank or times[0] != 1:
        raise Cannot(f"it repeats the batch axis, {tuple(times)} times", MIXES)
    steps = [(axis, n) for axis, n in enumerate(times[1:], start=int(x.merged)) if n != 1]
    for axis, n in steps[:-1]:
        x = call.add(Concatenate(axis), *[x] * n, part=f"axis{axis}")
    return (
        call.add(Concatenate(steps[-1][0]), *[x] * steps[-1][1])
        if steps
        else call.add(Identity(), x)
    )


@reads(
    "aten.upsample_nearest1d.default", "aten.upsample_nearest1d.vec",
    "aten.upsample_nearest2d.default", "aten.upsample_nearest2d.vec",
    "aten.upsample_nearest3d.default", "aten.upsample_nearest3d.vec",
    "aten._upsample_nearest_exact1d.default", "aten._upsample_nearest_exact1d.vec",
    "aten._upsample_nearest_exact2d.default", "aten._upsample_nearest_exact2d.vec",
    "aten._upsample_nearest_exact3d.default", "aten._upsample_nearest_exact3d.vec",
)  # fmt: skip
def _upsample(call: Call) -> Value:
    x = call.value("input" if "input" in call.arguments else "self")
    shape = x.known_shape
    extent = call.shape_of(call.results)
    factors = tuple(after // before for before, after in zip(shape, extent, strict=True))
    exact = all(n * factor == m for n, factor, m in zip(shape, factors, extent, strict=True))
    # With a scale such as 2.1 the extent may double while other values are repeated.
    asked = [scale for scale in _scales(call) if scale is not None]
    if not exact or (asked and asked != list(factors[-len(asked) :])):
        raise Cannot(
            f"it upsamples {shape} to {extent} by factors {asked or 'that are not whole'}",
            INTERPOLATION[1] + " Give whole scale factors.",
        )
    return call.add(UpsampleNearest(factors), x)


def _scales(call: Call) -> Sequence[float | None]:
    given = call.get("scale_factors")
    return given or [value for name, value in call.arguments.items() if name.startswith("scales")]
