"""Objects of a network, what they wait for, and their signals on the way to a NIR graph.

A signal's `index` says where each of its values is in the array that a NIR node sends. So
reshaping, permuting and selecting need no nodes: the next weights take them up."""

from __future__ import annotations

import graphlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.reference.linear import matrix_of
from spikewright.exchange.nir.maps import Map, by_channel, composed, whole
from spikewright.exchange.nir.reading import NoForm
from spikewright.network import Connection, Ensemble, NeuronsView, Node, Probe
from spikewright.network import transforms as t
from spikewright.network.connection import Object, object_of
from spikewright.network.synapses import Lowpass
from spikewright.network.transforms import Shape, Transform


def recorded(probe: Probe) -> Object:
    """The object whose values a probe records; raises `NoForm` unless it records them as sent."""
    if not isinstance(probe.target, NeuronsView | Node) or probe.attr != "output":
        raise NoForm(
            f"it records {probe.attr!r} of {probe.target!r}, and an output of NIR is what a node "
            "or neurons send",
            "Probe a node or .neurons, all of them",
        )
    if probe.synapse is not None:
        raise NoForm(f"it has the synapse {probe.synapse!r}, and outputs have none", "Leave it out")
    return object_of(probe.target)


def check(connection: Connection) -> None:
    """Raise `NoForm` for what a connection has beside a linear map and a wait."""
    if connection.learning_rules:
        raise NoForm(f"{connection!r} learns, and weights of NIR are fixed", "Take the rule off")
    if connection.function is not None or isinstance(connection.pre_obj, Ensemble):
        raise NoForm(
            f"{connection!r} decodes a vector, and NIR has neurons alone", "Connect .neurons"
        )


def wait_of(connection: Connection, dt: float) -> tuple[int, float]:
    """Steps that a connection waits, and the time constant of its filter in steps, 0 for none."""
    if not isinstance(connection.delay, float):
        raise NoForm(f"{connection!r} has a delay for each of its weights", "Give one for all")
    steps = round(connection.delay / dt)
    synapse = connection.synapse
    if synapse is None:
        return steps, 0.0
    if not isinstance(synapse, Lowpass) or isinstance(synapse.tau, np.ndarray):
        raise NoForm(
            f"{connection!r} has the synapse {synapse!r}, and here NIR has only first-order "
            "filters of one time constant",
            "Use a Lowpass with one",
        )
    return steps + 1, synapse.tau / dt


def has_delay(connection: Connection) -> bool:
    """True where a connection delivers values of an earlier step."""
    return connection.synapse is not None or bool(np.any(connection.delay))


def delivered_constant(connection: Connection) -> NDArray:
    """A node's constant behind a connection; raises `NoForm` where it begins later."""
    if has_delay(connection):
        raise NoForm(
            f"{connection!r} delivers a constant that begins later, and constants of NIR are there "
            "from the first step on",
            "Connect it with synapse=None and without a delay",
        )
    value = np.asarray(object_of(connection.pre_obj).output)  # type: ignore[union-attr]
    maps, shape = connection.chain(), value.shape
    if not maps:
        return value
    flat = matrix_of(maps, shape) @ value.ravel()
    for part in maps:
        shape = part.output_shape(shape)
    return flat.reshape(shape)


def ordered(connections: Sequence[Connection], objects: Sequence[Object]) -> list[Object]:
    """All objects, each behind those that it reads through connections that close no loop."""
    place = {id(item): i for i, item in enumerate(objects)}
    before: dict[int, list[int]] = {i: [] for i in range(len(objects))}
    for connection in connections:
        ends = object_of(connection.pre_obj), object_of(connection.post_obj)
        pre, post = (place[id(end)] for end in ends)
        before[post].append(pre)
    return [objects[i] for i in graphlib.TopologicalSorter(before).static_order()]


def reachable(connections: Sequence[Connection]) -> dict[int, set[int]]:
    """The objects that each object leads to, by identity."""
    after: dict[int, set[int]] = {}
    for connection in connections:
        pre, post = object_of(connection.pre_obj), object_of(connection.post_obj)
        after.setdefault(id(pre), set()).add(id(post))
    found: dict[int, set[int]] = {}
    for start in after:
        seen, left = set(), [start]
        while left:
            for following in after.get(left.pop(), ()):
                if following not in seen:
                    seen.add(following)
                    left.append(following)
        found[start] = seen
    return found


def layout_of(connections: Sequence[Connection], item: Object) -> bool | None:
    """True where the windows over an object have channels last; None if there are none."""
    for connection in connections:
        if object_of(connection.pre_obj) is not item:
            continue
        for part in connection.chain():
            if isinstance(part, t.Convolution | t.SumPool):
                return part.channels_last
            if not isinstance(part, t.Scale):
                break
        else:
            found = (
                None
                if has_delay(connection)
                else layout_of(connections, object_of(connection.post_obj))
            )
            if found is not None:
                return found
    return None


def rank_of(connections: Sequence[Connection]) -> int:
    """The number of spatial axes of a graph's arrays: that of its windows, two at most."""
    parts = [part for c in connections for part in c.chain()]
    ranks = [len(p.windows.size) for p in parts if isinstance(p, t.Convolution | t.SumPool)]
    return max((rank for rank in ranks if rank <= 2), default=0)


MOST_WEIGHTS = 1 << 24
"""The largest matrix that is written where NIR has no smaller form of a map."""

_MOVES = (t.Reshape, t.Permute, t.Slice, t.Take, t.Place)


@dataclass(frozen=True, eq=False)
class Signal:
    """The values of a network's object as `factor / unit` times what a NIR node sends.

    `names` are the nodes whose sum it is; `map`, where it is not None, leads from their array to
    one of `shape`. `index`, in the object's own shape, are places in the flat
    array of `shape`, -1 for zeros. `factor` and `unit` are flat arrays over `shape`, apart so that
    equal units cancel without rounding.
    """

    names: tuple[str, ...]
    shape: Shape
    index: NDArray
    factor: NDArray
    unit: NDArray
    map: Map | None = None

    @property
    def complete(self) -> bool:
        """True where its values are those of the array, each once, in any order."""
        return self.index.size == math.prod(self.shape) and bool(
            np.array_equal(np.sort(self.index, axis=None), np.arange(self.index.size))
        )

    def heights(self, unit: Any = 1.0) -> NDArray:
        """The worth of each value of the array in a given unit, flat over `shape`."""
        return np.asarray(self.factor * (unit / self.unit))


def plain(names: tuple[str, ...], shape: Shape, index: NDArray, map: Map | None = None) -> Signal:
    """A signal whose values are the array's own."""
    ones = np.ones(math.prod(shape))
    return Signal(names, shape, index, ones, ones, map)


def image_index(shape: Shape, natural: Shape, channels_last: bool) -> NDArray:
    """The index of an array `(channels, *spatial)` for an object of the shape `natural`."""
    index = np.arange(math.prod(shape)).reshape(shape)
    return (np.moveaxis(index, 0, -1) if channels_last else index).reshape(natural)


Emit = Callable[[Signal], Signal]


@dataclass(frozen=True)
class Follower:
    """Signals through transforms; `emit` writes the map that a signal has, as a node."""

    rank: int
    emit: Emit

    def through(self, signal: Signal, chain: tuple[Transform, ...]) -> Signal:
        """The signal behind a chain of transforms; raises `NoForm`."""
        for transform in chain:
            signal = self._step(signal, transform)
        return signal

    def _step(self, signal: Signal, transform: Transform) -> Signal:
        if isinstance(transform, _MOVES):
            return replace(signal, index=_moved(transform, signal.index))
        if isinstance(transform, t.Scale):
            scaled = _scaled(signal, transform)
            if scaled is not None:
                return scaled
        return self._behind(signal, transform)

    def _behind(self, signal: Signal, transform: Transform) -> Signal:
        """The signal behind a map of its array, which is one with a pool before it where it can."""
        then, index = self._map(signal, transform)
        if signal.map is None:
            return plain(signal.names, then.output_shape, index, then)
        both = composed(signal.map, then) if signal.map.pooling else None
        if both is not None:
            return plain(signal.names, then.output_shape, index, both)
        written = self.emit(signal)
        if written.shape != signal.shape or not np.array_equal(written.index, signal.index):
            then, index = self._map(written, transform)  # it became a matrix, to a vector
        return plain(written.names, then.output_shape, index, then)

    def _map(self, signal: Signal, transform: Transform) -> tuple[Map, NDArray]:
        """A transform as a map of a signal's array, and where its values lie then."""
        made = self._windows(signal, transform)
        return self._matrix(signal, transform) if made is None else made

    def _windows(self, signal: Signal, transform: Transform) -> tuple[Map, NDArray] | None:
        """A convolution or pool over the array as it lies, or None."""
        natural = signal.index.shape
        if isinstance(transform, t.Dense) and len(natural) == self.rank + 1 > 1:
            transform = _pointwise(transform, self.rank)
        if isinstance(transform, t.SumPool) and transform.factor.ndim == 0:
            return self._sliding(signal, transform, transform.windows, None)
        if isinstance(transform, t.Convolution):
            return self._sliding(signal, transform, transform.windows, _ungrouped(transform))
        return None

    def _sliding(
        self, signal: Signal, transform: Any, windows: Any, kernel: NDArray | None
    ) -> tuple[Map, NDArray] | None:
        place = _as_image(signal, transform.channels_last) if self._fits(windows) else None
        if place is None:
            return None
        channels, heights, padding = place
        pooling = kernel is None
        if kernel is None:
            ones = np.full(windows.size, float(transform.factor))
            kernel = np.multiply.outer(np.eye(len(channels)), ones)
        wide = np.zeros((len(kernel), signal.shape[0], *windows.size))
        for channel, column in zip(channels, np.moveaxis(kernel, 1, 0), strict=True):
            if channel >= 0:
                wide[:, channel] += column * heights[channel]
        pads = tuple(
            (a + c, b + d) for (a, b), (c, d) in zip(windows.padding, padding, strict=True)
        )
        straight = pooling and np.array_equal(channels, np.arange(signal.shape[0]))
        then = Map(wide, signal.shape, windows.stride, pads, windows.dilation, straight)
        natural = transform.output_shape(signal.index.shape)
        return then, image_index(then.output_shape, natural, transform.channels_last)

    def _fits(self, windows: Any) -> bool:
        return len(windows.size) == self.rank and not windows.ceil_mode

    def _matrix(self, signal: Signal, transform: Transform) -> tuple[Map, NDArray]:
        """Any other transform as a matrix on the flattened array."""
        natural = signal.index.shape
        shape = transform.output_shape(natural)
        count = math.prod(shape) * math.prod(signal.shape)
        if count > MOST_WEIGHTS:
            raise NoForm(
                f"NIR has no {type(transform).__name__} of this form, and as a matrix it has "
                f"{count} weights, more than {MOST_WEIGHTS}"
            )
        if isinstance(transform, t.Dense) and len(natural) == 1:
            matrix: NDArray = np.asarray(transform.matrix, np.float64)
        else:
            matrix = matrix_of((transform,), natural)
        wide = np.zeros((len(matrix), math.prod(signal.shape)))
        index = signal.index.ravel()
        np.add.at(wide.T, index[index >= 0], matrix.T[index >= 0])
        then = whole(wide * signal.heights(), signal.shape)
        return then, np.arange(len(matrix)).reshape(shape)


def _moved(transform: Transform, index: NDArray) -> NDArray:
    """The index behind a transform that moves values."""
    match transform:
        case t.Reshape(shape):
            return index.reshape(shape)
        case t.Permute(axes):
            return index.transpose(axes)
        case t.Slice(ranges):
            return index[tuple(slice(*r) for r in ranges)]
        case t.Take():
            return np.take(index, transform.indices, transform.axis)
        case t.Place():
            placed = np.full(transform.output_shape(index.shape), -1)
            placed[tuple(slice(*r) for r in transform.ranges)] = index
            return placed
    raise TypeError(f"{transform!r} has weights")


def _scaled(signal: Signal, transform: t.Scale) -> Signal | None:
    """The signal with its values scaled; None where one of the array has several factors."""
    each = np.broadcast_to(transform.factor, signal.index.shape)
    used = signal.index >= 0
    factors = np.ones(math.prod(signal.shape))
    factors[signal.index[used]] = each[used]
    if not np.array_equal(factors[signal.index[used]], each[used]):
        return None
    if signal.map is None:
        return replace(signal, factor=signal.factor * factors)
    rows = by_channel(factors, signal.shape)
    return None if rows is None else replace(signal, map=signal.map.times(rows))


def _pointwise(transform: t.Dense, rank: int) -> t.Convolution:
    """A matrix on the last axis as a convolution of extent 1."""
    kernel = transform.matrix.reshape(*transform.matrix.shape, *(1,) * rank)
    return t.Convolution(kernel, padding=((0, 0),) * rank, channels_last=True)


def _ungrouped(transform: t.Convolution) -> NDArray:
    """The kernel with zeros between groups: few readers know groups."""
    kernel = np.asarray(transform.kernel, np.float64)
    groups = transform.groups
    outputs, inputs = kernel.shape[:2]
    full = np.zeros((outputs, inputs * groups, *kernel.shape[2:]))
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        full[rows, group * inputs : (group + 1) * inputs] = kernel[rows]
    return full


def _as_image(
    signal: Signal, channels_last: bool
) -> tuple[NDArray, NDArray, tuple[tuple[int, int], ...]] | None:
    """Channels of the array in order (-1: zeros), heights a channel, zeros around the image.

    None where the values are no whole channels of the array as it lies.
    """
    index = np.moveaxis(signal.index, -1, 0) if channels_last else signal.index
    heights = by_channel(signal.heights(), signal.shape)
    if heights is None or index.ndim != len(signal.shape):
        return None
    used = np.max(index.reshape(len(index), -1), axis=1) >= 0
    extent = signal.shape[1:]
    inside, padding = [slice(None)], []
    filled_at = np.asarray(index >= 0)
    for axis, n in enumerate(extent, 1):
        others = tuple(i for i in range(index.ndim) if i != axis)
        filled = np.flatnonzero(filled_at.any(axis=others))
        first = int(filled[0]) if filled.size else 0
        inside.append(slice(first, first + n))
        padding.append((first, index.shape[axis] - first - n))
    image = index[tuple(inside)].reshape(len(index), -1)
    size = math.prod(extent)
    if image.shape[1] != size or min(min(p) for p in padding) < 0:
        return None
    channels = np.where(used, image[:, 0] // size, -1)
    expected = np.where(used[:, None], channels[:, None] * size + np.arange(size), -1)
    whole_channels = np.array_equal(image, expected)
    outside = np.count_nonzero(index >= 0) == np.count_nonzero(image >= 0)
    return (channels, heights, tuple(padding)) if whole_channels and outside else None
