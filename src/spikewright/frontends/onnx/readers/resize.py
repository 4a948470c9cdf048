"""Upsample and Resize, where they repeat values a whole number of times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.node import OnnxNode, Unreadable
from spikewright.frontends.onnx.registry import reads
from spikewright.graph.layers import Identity, UpsampleNearest

_LARGEST = 2**24  # values along one axis: a model file must not exhaust the memory
_OPTIONS = "Upsample by whole factors with mode nearest"


@reads("Upsample", "Resize")
def resize(node: OnnxNode) -> str:
    """Nearest-neighbour upsampling whose index map is plain repetition."""
    transform, rounding = _conventions(node)
    mode = node.attributes.get("mode", "nearest")
    factors = _factors(node)
    if factors[0] != 1:
        raise Unreadable("it resizes the batch axis", _OPTIONS)
    if all(factor == 1 for factor in factors):
        return node.add(Identity(), node.signal(0))
    if mode != "nearest":
        raise Unreadable(f"it interpolates ({mode})", _OPTIONS)
    for extent, factor in zip(node.shape(), factors[1:], strict=True):
        if extent * factor > _LARGEST:
            raise Unreadable(f"it makes {extent * factor} values of {extent}", _OPTIONS)
        where = _indices(extent, factor, transform, rounding)
        if not np.array_equal(where, np.arange(extent * factor) // factor):
            raise Unreadable(
                f"with {transform} coordinates and nearest_mode {rounding} it does not repeat "
                f"each of {extent} values {factor} times",
                f"{_OPTIONS}, coordinates asymmetric and nearest_mode floor",
            )
    return node.add(UpsampleNearest(tuple(factors[1:])), node.signal(0))


def _conventions(node: OnnxNode) -> tuple[str, str]:
    """How coordinates are computed and rounded; before operator set 11 it was fixed."""
    if node.opset < 11:
        return "asymmetric", "floor"
    transform = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if transform == "tf_crop_and_resize":
        raise Unreadable("it crops and resizes at once", "Use Slice, then Resize")
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        raise Unreadable(f"keep_aspect_ratio_policy is {policy!r}", "Use 'stretch'")
    return transform, node.attributes.get("nearest_mode", "round_prefer_floor")


def _factors(node: OnnxNode) -> list[int]:
    """The whole factor of every axis, the batch included."""
    full = len(node.shape()) + 1
    axes = node.integers("axes")
    axes = tuple(range(full)) if axes is None else tuple(axis % full for axis in axes)
    scales = node.constant(1 if node.opset < 11 else 2)
    if scales is None or scales.size == 0:
        given = _from_sizes(node, axes)
    else:
        given = np.ravel(scales).astype(np.float64)
    if len(given) != len(axes):
        raise Unreadable(f"it gives {len(given)} factors for {len(axes)} axes")
    if any(scale < 1 or scale != round(scale) for scale in given):
        raise Unreadable(f"its factors {given.tolist()} are not all whole and at least 1", _OPTIONS)
    factors = [1] * full
    for axis, scale in zip(axes, given, strict=True):
        factors[axis] = int(scale)
    return factors


def _from_sizes(node: OnnxNode, axes: tuple[int, ...]) -> NDArray:
    sizes = node.worlds(3)
    if sizes is None:
        raise Unreadable("it has neither scales nor sizes")
    shape = node.shape()
    ratios = []
    for n, size in zip(node.batches, sizes, strict=True):
        extents = np.array([(n, *shape)[axis] for axis in axes], np.float64)
        if size.shape != extents.shape:
            raise Unreadable(f"it gives sizes {size.tolist()} for {len(axes)} axes")
        ratios.append(size / extents)
    if any(not np.array_equal(ratio, ratios[0]) for ratio in ratios):
        raise Unreadable("its sizes fix the batch size or depend on it", _OPTIONS)
    return ratios[0]


def _indices(extent: int, factor: int, transform: str, rounding: str) -> NDArray:
    """The input index that every output index reads, by the standard's equations."""
    out = np.arange(extent * factor, dtype=np.float64)
    if transform in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"):
        x = (out + 0.5) / factor - 0.5
    elif transform == "align_corners":
        x = out * (extent - 1) / max(extent * factor - 1, 1)
    elif transform == "asymmetric":
        x = out / factor
    else:
        raise Unreadable(f"its coordinates are {transform!r}, which is not known", _OPTIONS)
    rounded = {
        "floor": np.floor(x),
        "ceil": np.ceil(x),
        "round_prefer_floor": np.ceil(x - 0.5),
        "round_prefer_ceil": np.floor(x + 0.5),
    }.get(rounding)
    if rounded is None:
        raise Unreadable(f"its nearest_mode is {rounding!r}, which is not known", _OPTIONS)
    return np.clip(rounded, 0, extent - 1).astype(np.int64)
