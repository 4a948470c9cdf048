"""Weights of layers in the kernels' form, made late; their sizes are known at once.

Layers that read one array of the network's in the same way share what is made of it, whoever runs
them: copies of a conversion, other choices of firing rates, threads. It is freed with the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arrays import immutable
from spikewright.engines.grid import GRIDS, Precision
from spikewright.engines.native._kernels import Action, Geometry, Packed, Reading, Region, pack
from spikewright.engines.native.lanes import lane_widths

_READINGS = {Action.signed_layer: Reading.both, Action.depthwise: Reading.depthwise}
_SPARE = 1024  # bytes beside the integers of a channel


@dataclass(frozen=True, eq=False)
class Weights:
    """A layer's weights `(out, ...)`, and the column of each row of the kernels' form.

    They are in `order`, or, where that is None, as they are. `owner` is the array of the network
    of which they are made, if it is one.
    """

    matrix: NDArray
    order: NDArray | None = None
    owner: NDArray | None = None


@dataclass(frozen=True, eq=False)
class Packing:
    """Weights in the kernels' form, and the array that they are made of, if others may share them.

    While it is held, no other array has its place in memory.
    """

    kernels: Packed
    owner: NDArray | None


_shared: WeakValueDictionary[tuple[object, ...], Packing] = WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class Filling:
    """A layer's weights, which are made and handed over before its first run."""

    label: str
    number: int
    action: Action
    geometry: Geometry
    weights: Callable[[], Weights]
    factor: float
    precision: Precision

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
    def _limbs(self) -> int:
        return GRIDS[self.precision].weight_limbs

    @property
    def making(self) -> int:
        """Temporary bytes of a thread while they are made: the integers of a block of lanes."""
        return (4 * self._limbs * self._rows + _SPARE) * 64

    def fill(self, kernels: Region, threads: int) -> Packing:
        """Make the weights, unless another layer has them, and hand them over."""
        weights = self.weights()
        order = None if weights.order is None else weights.order.astype(np.int32, copy=False)
        owner = weights.owner if immutable(weights.owner) else None
        if owner is None:
            packing = Packing(self._pack(weights.matrix, order, threads), None)
        else:
            key = (*_memory_of(owner), None if order is None else order.tobytes(), *self._form)
            found = _shared.get(key)
            packing = found or Packing(self._pack(weights.matrix, order, threads), owner)
            _shared[key] = packing
        kernels.fill(self.number, packed=packing.kernels, factor=self.factor)
        return packing

    @property
    def _form(self) -> tuple[Reading, int, int, tuple[int, ...]]:
        """How rows are read, channels of those of either sign, limbs, and the widths of lanes."""
        reading = _READINGS.get(self.action, Reading.plain)
        channels = self.geometry.channels if reading is Reading.both else 0
        widths = lane_widths(self.geometry.out_channels, self._rows)
        return reading, channels, self._limbs, tuple(widths)

    def _pack(self, matrix: NDArray, order: NDArray | None, threads: int) -> Packed:
        reading, channels, limbs, widths = self._form
        floats = matrix if matrix.dtype in (np.float32, np.float64) else matrix.astype(np.float64)
        return pack(
            np.ascontiguousarray(floats),
            order=order,
            widths=widths,
            reading=reading,
            channels=channels,
            limbs=limbs,
            threads=threads,
        )


def _memory_of(array: NDArray) -> tuple[object, ...]:
    """What two arrays share that are the same numbers in the same place."""
    place, _ = array.__array_interface__["data"]
    return place, array.shape, array.strides, array.dtype.str


_EVENT, _PIXEL = 4, 9  # bytes of an input's entries, and of where a pixel's begin
_PLACE, _LIMB = 4, 8  # bytes of where a value is, and of each of its limbs


def listed_bytes(action: Action, geometry: Geometry, counts: bool, limbs: int) -> int:
    """Bytes of a step of a layer's input as it is looked at before weights are added.

    Of counts these are lists of events, of neurons that spike once a step at most; of values so
    many `limbs`.
    """
    pixels, size = geometry.input_pixels, geometry.input_pixels * geometry.channels
    if action is Action.analog or not counts:
        return (_PLACE + _LIMB * limbs) * size + _PIXEL * pixels
    if action is Action.depthwise:
        return 0
    signs = 2 if action is Action.signed_layer else 1
    return signs * (_EVENT * size + _PIXEL * pixels) + (2 * size if signs > 1 else 0)
