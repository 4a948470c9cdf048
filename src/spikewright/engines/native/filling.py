"""Weights of layers in the kernels' form, made late; their sizes are known at once.

Layers that read one array of the network's in the same way share what is made of it, whoever runs
them: copies of a conversion, other choices of firing rates, threads. It is freed with the last.
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
_SPARE = 1024  # bytes beside the integers of a channel
_WIDE_ROWS = 3072  # rows up to which 64 lanes of weights fit three quarters of a second-level cache


def lane_widths(channels: int, rows: int) -> list[int]:
    """Blocks of output channels that are computed together."""
    widths: list[int] = []
    widest = 64 if rows <= _WIDE_ROWS else 32
    left = channels
    while left > 0:
        width = next((w for w in (widest, 32, 16) if w <= left and w <= widest), 16)
        widths.append(width)
        left -= width
    return widths


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """A layer's weights `(out, ...)`, and the column of each row of the kernels' form.

    They are in `order`, or, where that is None, as they are, and multiplied by the `heights` of
    their columns. Where there are `steps`, one a channel, they are whole numbers of these. `owner`
    is the array of the network of which they are made, if it is one.
    """

    matrix: NDArray
    order: NDArray | None = None
    owner: NDArray | None = None
    heights: NDArray | None = None
    steps: NDArray | None = None


@dataclass(frozen=True, eq=False)
class Packing:
    """Weights in the kernels' form, and what it leaves out of them.

    `owner` is the array that they are made of, if others may share them.

    While it is held, no other array has its place in memory.
    """

    kernels: Packed
    owner: NDArray | None
    residuals: Residuals


_shared: WeakValueDictionary[tuple[object, ...], Packing] = WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class Filling:
    """A layer's weights, which are made and handed over before its first run."""

    label: str
    number: int
    action: Action
    geometry: Geometry
    weights: Callable[[], PackedWeights]
    factor: float
    precision: Precision
    compensation: Compensation | None = None

    @property
    def _rows(self) -> int:
        channels = {Action.depthwise: 1, Action.signed_layer: 2 * self.geometry.channels}
        return self.geometry.taps * channels.get(self.action, self.geometry.channels)

    @property
    def bytes(self) -> int:
        """Bytes that the kernels hold, outputs padded to whole vectors."""
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
        """Temporary bytes of a thread while they are made: the integers of a block of lanes."""
        signs = 2 if self.action is Action.signed_layer else 1
        lanes = min(64, self.geometry.out_channels)
        return (4 * self._limbs * self._rows // signs + _SPARE) * lanes

    def fill(self, kernels: Region, threads: int) -> Packing:
        """Make the weights, unless another layer has them, and hand them over."""
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

    def _packing(self, weights: PackedWeights, order: NDArray | None, threads: int) -> Packing:
        """The weights' form, and the residuals of its rows, the entries of each row in order."""
        packed = self._pack(weights, order, threads)
        held = self.compensation
        if held is not None:
            held = replace(held, weight=weights.matrix, order=weights.order)
        residuals = residuals_of(held, len(weights.matrix))
        give_back(weights.matrix)
        return Packing(packed, weights.owner, residuals)

    @property
    def _form(self) -> tuple[Reading, int, int, tuple[int, ...]]:
        """How rows are read, channels of those of either sign, limbs, and the widths of lanes."""
        reading = _READINGS.get(self.action, Reading.plain)
        channels = self.geometry.channels if reading is Reading.both else 0
        widths = lane_widths(self.geometry.out_channels, self._rows)
        return reading, channels, self._limbs, tuple(widths)

    def _pack(self, weights: PackedWeights, order: NDArray | None, threads: int) -> Packed:
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


_CODE, _LIMB, _OFFSETS = 4, 8, 4 * 34  # bytes of an entry, of a limb, and of where a pixel's begin
_PLANES = 2  # bytes of a value that is a multiple of a unit
SLAB = 16  # steps that are listed together


class Often(NamedTuple):
    """Events of an input in a slab beyond which they are not listed step by step.

    `listed`: then they are listed at once; `tiled`: then tiles multiply the slab, if there
    are `tiles`.
    """

    listed: int
    tiled: int
    tiles: bool


class Listed(NamedTuple):
    """Bytes of a layer's input as it is looked at before weights are added.

    Of a slab of steps: where events begin, and an event of every neuron (of those that spike once a
    step at most), of layers that tiles may multiply and of others. Of a step: frames for tiles, and
    limbs of values.
    """

    offsets: int = 0
    events: int = 0
    tiled_events: int = 0
    frames: int = 0
    values: int = 0

    def bytes(self, steps: int, often: Often) -> int:
        """Of a sample."""
        slabs = -(-steps // SLAB)
        events = self.events * min(steps, often.listed * slabs)
        most = often.tiled if often.tiles else often.listed
        tiled = self.tiled_events * min(steps, most * slabs)
        frames = self.frames if often.tiles else 0
        return self.offsets * slabs + max(events, tiled) + (frames + self.values) * steps

    def largest(self, other: Listed) -> Listed:
        """Room that serves both."""
        return Listed(*map(max, self, other))


def listed(action: Action, geometry: Geometry, counts: bool, tiled: bool, limbs: int) -> Listed:
    """Of a layer that reads counts, which tiles may multiply, or values of so many `limbs`."""
    pixels, size = geometry.input_pixels, geometry.input_pixels * geometry.channels
    if action is Action.analog or not counts:
        return Listed(values=(_CODE + _LIMB * limbs + _PLANES) * size + _CODE * pixels)
    if action is Action.depthwise:
        return Listed()
    signs = 2 if action is Action.signed_layer else 1
    split = 2 * size if signs > 1 else 0
    frames = size if tiled and pixels > 1 else 0
    offsets, events = _OFFSETS * (pixels + 1), signs * _CODE * size
    return Listed(offsets, 0 if tiled else events, events if tiled else 0, frames, split)
