"""Upsample and Resize: one matrix along each axis, or copies of values where that is all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.registry import OnnxNode, reads
from spikewright.frontends.onnx.values import SignalValue, UnsupportedOp
from spikewright.frontends.reading.call import Value, afford
from spikewright.frontends.reading.reductions import resampled
from spikewright.graph.layers import ScaleShift


@dataclass(frozen=True)
class Convention:
    """The transform of coordinates, and the weighting of values."""

    mode: str
    transform: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    extrapolation: float = 0.0


def positions(
    extent: int,
    outputs: int,
    factor: float,
    region: tuple[float, float],
    convention: Convention,
) -> NDArray:
    """The place in an axis of `extent` values that each of `outputs` values lies at.

    These are the equations of the standard; `factor extent` is the length before it was rounded.
    """
    x = np.arange(outputs, dtype=np.float64)
    length, last = factor * extent, extent - 1
    match convention.transform:
        case "half_pixel":
            return (x + 0.5) / factor - 0.5
        case "half_pixel_symmetric":
            offset = extent / 2 * (1 - outputs / length)
            return offset + (x + 0.5) / factor - 0.5
        case "pytorch_half_pixel":
            return (x + 0.5) / factor - 0.5 if length > 1 else np.full(outputs, -0.5)
        case "align_corners":
            return x * last / (length - 1) if length != 1 else 0.0 * x
        case "asymmetric":
            return x / factor
        case "tf_crop_and_resize":
            start, end = region
            if length == 1:
                return np.full(outputs, 0.5 * (start + end) * last)
            return start * last + x * (end - start) * last / (length - 1)
    raise UnsupportedOp(f"its coordinates are {convention.transform!r}, which is not known")


def weights(where: NDArray, extent: int, factor: float, convention: Convention) -> NDArray:
    """The matrix `(outputs, extent)` of values read at these places; beyond the ends lies the end.

    Linear weights fall to zero at a distance of one, cubic ones (Keys 1981) at two; with
    `antialias` distances shrink by the factor, where it is below one.
    """
    matrix = np.zeros((len(where), extent))
    rows = np.arange(len(where))
    if convention.mode == "nearest":
        matrix[rows, np.clip(_rounded(where, convention.rounding), 0, extent - 1)] = 1.0
        return matrix
    shrink = min(factor, 1.0) if convention.antialias else 1.0
    reach = 1.0 if convention.mode == "linear" else 2.0
    count = int(np.ceil(reach / shrink))
    taps = np.floor(where).astype(np.int64)[:, None] + np.arange(1 - count, count + 1)
    distance = shrink * np.abs(taps - where[:, None])
    values = np.maximum(1 - distance, 0.0) if reach == 1 else _keys(distance, convention.cubic)
    if convention.exclude_outside:
        values = np.where((taps < 0) | (taps >= extent), 0.0, values)
    values = values / values.sum(axis=1, keepdims=True)
    np.add.at(matrix, (rows[:, None], np.clip(taps, 0, extent - 1)), values)
    return matrix


def _rounded(where: NDArray, rounding: str) -> NDArray:
    match rounding:
        case "floor":
            found = np.floor(where)
        case "ceil":
            found = np.ceil(where)
        case "round_prefer_floor":
            found = np.ceil(where - 0.5)
        case "round_prefer_ceil":
            found = np.floor(where + 0.5)
        case _:
            raise UnsupportedOp(f"its nearest_mode is {rounding!r}, which is not known")
    return found.astype(np.int64)


def _keys(distance: NDArray, a: float) -> NDArray:
    """The cubic convolution kernel with slope `a` at distance one."""
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


@dataclass(frozen=True)
class Target:
    """The target of one axis: its new extent, the factor as stated, and the region read."""

    extent: int
    factor: float
    region: tuple[float, float] = (0.0, 1.0)


@reads("Upsample", "Resize")
def resize(node: OnnxNode) -> Value:
    """Resizing by any convention, linear in the signal's values."""
    convention = _convention(node)
    whole = node.view(0)
    targets = _targets(node, whole)
    changed = [
        axis
        for axis, target in sorted(targets.items())
        if (target.extent, target.region, target.factor) != (whole.full[axis], (0.0, 1.0), 1)
    ]
    view = node.view(0, *changed)
    return _resized(node, view, {view.axis(axis): targets[axis] for axis in changed}, convention)


def _convention(node: OnnxNode) -> Convention:
    """The convention of coordinates and weights; fixed before operator set 11."""
    get = node.attributes.get
    mode = get("mode", "nearest")
    mode = {"bilinear": "linear"}.get(mode, mode)
    if mode not in ("nearest", "linear", "cubic"):
        raise UnsupportedOp(f"its mode is {mode!r}, which the standard does not know")
    if node.opset < 11:
        return Convention(mode, "asymmetric", "floor")
    return Convention(
        mode,
        get("coordinate_transformation_mode", "half_pixel"),
        get("nearest_mode", "round_prefer_floor"),
        cubic=float(get("cubic_coeff_a", -0.75)),
        exclude_outside=bool(get("exclude_outside", 0)),
        antialias=bool(get("antialias", 0)) and mode != "nearest",
        extrapolation=float(get("extrapolation_value", 0.0)),
    )


def _targets(node: OnnxNode, view: SignalValue) -> dict[int, Target]:
    """The target of each full axis that the node names."""
    full = view.full
    given = node.integers("axes")
    axes = view.every_axis() if given is None else tuple(view.full_axis(axis) for axis in given)
    regions = _regions(node, axes)
    scales = node.attributes.get("scales")
    if scales is None:
        scales = node.constant(1 if node.opset < 11 else 2)
    if scales is not None and np.size(scales) > 0:
        factors = np.ravel(np.asarray(scales)).astype(np.float64)
        if len(factors) != len(axes):
            raise UnsupportedOp(f"it gives {len(factors)} factors for {len(axes)} axes")
        if not (factors > 0).all():
            raise UnsupportedOp(f"its factors {factors.tolist()} are not all positive")
        extents = [math.floor(full[a] * f) for a, f in zip(axes, factors, strict=True)]
    else:
        extents, factors = _from_sizes(node, full, axes)
    if any(extent < 1 for extent in extents):
        raise UnsupportedOp(f"it makes extents {extents} of {full}")
    made = zip(extents, map(float, factors), regions, strict=True)
    return {axis: Target(*each) for axis, each in zip(axes, made, strict=True)}


def _regions(node: OnnxNode, axes: tuple[int, ...]) -> list[tuple[float, float]]:
    """Start and end of the region that tf_crop_and_resize reads, in 0 to 1; else all of it."""
    if node.attributes.get("coordinate_transformation_mode") != "tf_crop_and_resize":
        return [(0.0, 1.0)] * len(axes)
    roi = node.constant(1)
    if roi is None or roi.size != 2 * len(axes):
        raise UnsupportedOp("its region of interest is not one pair per axis")
    starts, ends = np.ravel(roi).astype(np.float64).reshape(2, -1)
    return list(zip(map(float, starts), map(float, ends), strict=True))


def _from_sizes(
    node: OnnxNode, full: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[list[int], NDArray]:
    """New extents and factors from the input `sizes`."""
    sizes = node.whole_numbers(3)
    if sizes is None:
        raise UnsupportedOp("it has neither scales nor sizes")
    own = [full[axis] for axis in axes]
    if len(sizes) != len(axes):
        raise UnsupportedOp(f"it gives sizes {list(sizes)} for {len(axes)} axes")
    factors = np.array(sizes, np.float64) / own
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return list(sizes), factors
    if policy not in ("not_larger", "not_smaller"):
        raise UnsupportedOp(f"its keep_aspect_ratio_policy is {policy!r}, which is not known")
    factor = factors.min() if policy == "not_larger" else factors.max()
    return [math.floor(factor * n + 0.5) for n in own], np.full(len(axes), factor)


def _resized(
    node: OnnxNode, view: SignalValue, targets: dict[int, Target], convention: Convention
) -> Value:
    """The layers, of which the last has the node's name."""
    beside, matrices = {}, {}
    for axis, target in targets.items():
        n = view.shape[axis]
        afford(target.extent * n)
        where = positions(n, target.extent, target.factor, target.region, convention)
        matrices[axis] = weights(where, n, target.factor, convention)
        outside = convention.transform == "tf_crop_and_resize"
        beside[axis] = outside & ((where < 0) | (where > n - 1))
    for axis, mask in beside.items():
        matrices[axis] = np.where(mask[:, None], 0.0, matrices[axis])
    shift = _outside(view, targets, beside, convention.extrapolation)
    if shift is None:
        return resampled(node, view, matrices)
    return node.add(ScaleShift(shift=shift), resampled(node.inside("interpolated"), view, matrices))


def _outside(
    view: SignalValue, targets: dict[int, Target], beside: dict[int, NDArray], value: float
) -> NDArray | None:
    """The extrapolation value where a coordinate of some axis lies outside."""
    if value == 0 or not any(mask.any() for mask in beside.values()):
        return None
    shape = [targets[axis].extent if axis in targets else n for axis, n in enumerate(view.shape)]
    union = np.zeros(shape, bool)
    for axis, mask in beside.items():
        union |= mask.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return np.where(union, value, 0.0)
