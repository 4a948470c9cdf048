"""Packing the weights of layers into the kernels' format, just before their first run.

Layers that read the same array of the network in the same way share its packed form, in whatever
conversion, execution or thread they run. It is freed with the last of them. The sizes of packed
weights are known without packing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import immutable, memory_of
from spikewright._base.mapped import give_back
from spikewright.engines.compensation import Compensation, Residuals, grid_of, residuals_of
from spikewright.engines.grid import Grid, Precision
from spikewright.engines.native._kernels import Action, Geometry, Packed, Reading, Region, pack

_READINGS = {Action.signed_layer: Reading.both, Action.depthwise: Reading.depthwise}
_SPARE = 1024  # temporary bytes of a channel, beside its integers
_WIDE_ROWS = 3072  # rows up to which 64 lanes of weights fit three quarters of a second-level cache


def lane_widths(channels: int, rows: int) -> list[int]:
    """The widths of blocks of output channels that are computed together."""
    widths: list[int] = []
    widest = 64 if rows <= _WIDE_ROWS else 32
    left = channels
    while left > 0:
        width = next((w for w in (widest, 32, 16) if w <= left and w <= widest), 16)
        widths.append(width)
        left -= width
    return widths


@dataclass(frozen=True, eq=False)
class WeightSource:
    """The weights `(out, ...)` of a layer before packing.

    Row `i` of the packed form is column `order[i]` (None: `i`), times the `heights` of its column.
    With `steps`, one a channel, weights are whole numbers of these. `owner` is the network's array
    that the weights are made of, if there is one.
    """

    matrix: NDArray
    order: NDArray | None = None
    owner: NDArray | None = None
    heights: NDArray | None = None
    steps: NDArray | None = None


@dataclass(frozen=True, eq=False)
class PackedMatrix:
    """Weights in the kernels' format, and the residuals that their grid leaves out.

    `owner` is the array that they are made of, if others may share them; while it is referenced, no
    other array gets its address.
    """

    kernels: Packed
    owner: NDArray | None
    residuals: Residuals


_shared: WeakValueDictionary[tuple[object, ...], PackedMatrix] = WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class LayerPacking:
    """Packs the weights of one layer and hands them to its kernel, before the first run."""

    label: str
    number: int
    action: Action
    geometry: Geometry
    weights: Callable[[], WeightSource]
    factor: float
    precision: Precision
    compensation: Compensation | None = None

    @property
    def _rows(self) -> int:
        channels = {Action.depthwise: 1, Action.signed_layer: 2 * self.geometry.channels}
        return self.geometry.taps * channels.get(self.action, self.geometry.channels)

    @property
    def bytes(self) -> int:
        """Bytes of the packed weights, with outputs padded to whole vectors."""
        lanes = sum(lane_widths(self.geometry.out_channels, self._rows))
        return 4 * self._limbs * self._rows * lanes

    @property
    def _grid(self) -> Grid:
        return grid_of(self.precision, self.compensation)

    @property
    def _limbs(self) -> int:
        return self._grid.weight_limbs

    @property
    def temporary(self) -> int:
        """Temporary bytes of a thread while it packs: the integers of a block of lanes."""
        signs = 2 if self.action is Action.signed_layer else 1
        lanes = min(64, self.geometry.out_channels)
        return (4 * self._limbs * self._rows // signs + _SPARE) * lanes

    def pack(self, kernels: Region, threads: int) -> PackedMatrix:
        """Pack the weights, unless another layer has done so, and hand them to the kernel."""
        weights = self.weights()
        order = None if weights.order is None else weights.order.astype(np.int32, copy=False)
        owner = weights.owner if immutable(weights.owner) else None
        if owner is None:
            packing = self._packing(weights, order, threads)
        else:
            beside = (order, weights.heights, weights.steps)
            along = (None if a is None else a.tobytes() for a in beside)
            key = (*memory_of(owner), *along, self.compensation is None, *self._form)
            found = _shared.get(key)
            packing = found or self._packing(weights, order, threads)
            _shared[key] = packing
        starts, rows, values = packing.residuals
        kernels.fill(
            self.number, packed=packing.kernels, factor=self.factor, starts=starts.tolist(),
            rows=rows, values=values,
        )  # fmt: skip
        return packing

    def _packing(self, weights: WeightSource, order: NDArray | None, threads: int) -> PackedMatrix:
        """The packed weights, and the residuals of each output."""
        packed = self._pack(weights, order, threads)
        held = self.compensation
        if held is not None:
            held = replace(held, weight=weights.matrix, order=weights.order)
        residuals = residuals_of(held, len(weights.matrix))
        give_back(weights.matrix)
        return PackedMatrix(packed, weights.owner, residuals)

    @property
    def _form(self) -> tuple[Reading, int, int, tuple[int, ...]]:
        """How rows are read, the channels with both signs, the limbs, and the lane widths."""
        reading = _READINGS.get(self.action, Reading.plain)
        channels = self.geometry.channels if reading is Reading.both else 0
        widths = lane_widths(self.geometry.out_channels, self._rows)
        return reading, channels, self._limbs, tuple(widths)

    def _pack(self, weights: WeightSource, order: NDArray | None, threads: int) -> Packed:
        reading, channels, limbs, widths = self._form
        matrix = weights.matrix
        floats = matrix if matrix.dtype in (np.float32, np.float64) else matrix.astype(np.float64)
        return pack(
            np.ascontiguousarray(floats),
            order=order,
            heights=weights.heights,
            steps=weights.steps,
            widths=widths,
            reading=reading,
            channels=channels,
            bits=self._grid.weight_bits,
            limbs=limbs,
            threads=threads,
        )


_CODE, _LIMB, _OFFSETS = 4, 8, 4 * 34  # bytes of an event, of a limb, and of a pixel's offsets
_PLANES = 2  # bytes of a value that is a multiple of a unit
SLAB = 16  # steps that are listed together


class ListingThresholds(NamedTuple):
    """The numbers of events of an input in a slab beyond which they are not listed step by step.

    Beyond `listed` events they are listed once for all steps; beyond `tiled` ones tiles multiply
    the slab, if there are `tiles`.
    """

    listed: int
    tiled: int
    tiles: bool


class EventListBytes(NamedTuple):
    """Bytes of the lists that a layer makes of its input before it sums weights.

    For a slab of steps: `offsets`, and `events` of all neurons, which are `tiled_events` for layers
    that tiles may multiply. For a step: `frames` for tiles, and limbs of `values`.
    """

    offsets: int = 0
    events: int = 0
    tiled_events: int = 0
    frames: int = 0
    values: int = 0

    def bytes(self, steps: int, thresholds: ListingThresholds) -> int:
        """Bytes for so many steps of a sample."""
        slabs = -(-steps // SLAB)
        events = self.events * min(steps, thresholds.listed * slabs)
        most = thresholds.tiled if thresholds.tiles else thresholds.listed
        tiled = self.tiled_events * min(steps, most * slabs)
        frames = self.frames if thresholds.tiles else 0
        return self.offsets * slabs + max(events, tiled) + (frames + self.values) * steps

    def largest(self, other: EventListBytes) -> EventListBytes:
        """The larger of both, field by field: layers use the same memory in turn."""
        return EventListBytes(*map(max, self, other))


def event_list_bytes(
    action: Action, geometry: Geometry, counts: bool, tiled: bool, limbs: int
) -> EventListBytes:
    """The lists of a layer that reads counts, which tiles may multiply, or values in `limbs`."""
    pixels, size = geometry.input_pixels, geometry.input_pixels * geometry.channels
    if action is Action.analog or not counts:
        return EventListBytes(values=(_CODE + _LIMB * limbs + _PLANES) * size + _CODE * pixels)
    if action is Action.depthwise:
        return EventListBytes()
    signs = 2 if action is Action.signed_layer else 1
    split = 2 * size if signs > 1 else 0
    frames = size if tiled and pixels > 1 else 0
    offsets, events = _OFFSETS * (pixels + 1), signs * _CODE * size
    return EventListBytes(offsets, 0 if tiled else events, events if tiled else 0, frames, split)
