"""Layouts of networks on chips: the cores that each layer takes."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.chips.case import ChipMapping, ConvolutionPath, Placed, fan_out, stored_once
from spikewright.chips.chip import MEMORIES, Placement
from spikewright.chips.layers import ChipLayer, Path


def kernel_words(kernel: ConvolutionPath) -> int:
    """Words of a core's weight memory that a convolution takes."""
    bits = _bits(math.prod(kernel.size)) + _bits(kernel.makes.channels)
    return kernel.reads.channels * 2**bits


def neuron_words(channels: int, sides: Sequence[int]) -> int:
    """Words of a core's neuron memory that `channels` images take."""
    return channels * 2 ** sum(map(_bits, sides))


def _bits(number: int) -> int:
    """`ceil(log2(number))`."""
    return (number - 1).bit_length()


def words(case: ChipMapping, layer: ChipLayer) -> dict[str, int]:
    """Words of weights and of neurons that a layer takes, by the name of the limit."""
    image = case.image(layer)
    neurons = layer.neurons if image is None else neuron_words(image.channels, image.sides)
    kernels = [kernel_words(kernel) for kernel in case.convolutions(layer)]
    return {"core_kernel_words": max(kernels, default=0), "core_neuron_words": neurons}


def matched(case: ChipMapping) -> Mapping[str, Placed]:
    """Each layer on a core with room for it: a largest matching, earlier layers on earlier cores.

    A layer that no core is left for has no number. Its shares are those of the core that it is on,
    or else of the core that it comes nearest to.
    """
    wanted = [words(case, layer) for layer in case.layers]
    rooms = {name: np.array(_room(case, name)) for name in MEMORIES}
    shares = {
        name: np.array([[each[name] / room for room in rooms[name]] for each in wanted])
        for name in rooms
    }
    fullest = np.maximum(*shares.values()) if wanted else np.zeros((0, len(case.layers)))
    cores = _assigned(fullest <= 1)
    return {
        layer.name: _placed(shares, fullest, index, cores.get(index))
        for index, layer in enumerate(case.layers)
    }


def _placed(
    shares: Mapping[str, NDArray], fullest: NDArray, layer: int, core: int | None
) -> Placed:
    nearest = int(fullest[layer].argmin()) if core is None else core
    taken = {name: float(each[layer, nearest]) for name, each in shares.items()}
    return Placed(0 if core is None else 1, taken, () if core is None else (core,))


def _room(case: ChipMapping, name: str) -> tuple[int, ...]:
    """A memory of every core; without bound where the chip names none."""
    limits = case.chip.limits
    room: tuple[int, ...] | None = getattr(limits, name)
    return room or (2**62,) * (limits.cores or len(case.layers))


def _assigned(allowed: NDArray) -> dict[int, int]:
    """A core for as many layers as can have one.

    The assignment of least cost, where a layer without a core costs more than all cores together:
    a core's cost is its number times a weight that falls from layer to layer, so that of all
    largest matchings it is the one in the order of the layers.
    """
    layers, cores = allowed.shape
    if not layers:
        return {}
    weights = np.arange(layers, 0, -1)[:, None]
    cost = np.where(allowed, weights * np.arange(cores), layers * layers * (cores + 1))
    found = require("scipy.optimize").linear_sum_assignment(cost)
    pairs = zip(*(each.tolist() for each in found), strict=True)
    return {layer: core for layer, core in pairs if allowed[layer, core]}


_NEURON_BYTES = 4
_BIAS_BITS = 32  # of a bias that no number of a profile is about

Demand = dict[str, float]


class _Job(NamedTuple):
    """A layer that is to be cut.

    `reading` is the number of cores that read each neuron, `channel` the channel of each, flat, and
    `filters` the number of channels.
    """

    case: ChipMapping
    layer: ChipLayer
    reading: NDArray
    channel: NDArray
    filters: int

    @property
    def pixels(self) -> NDArray:
        """The numbers of the neurons, pixel after pixel."""
        return self.channels.reshape(self.filters, -1).T.ravel()

    @property
    def channels(self) -> NDArray:
        """The numbers of the neurons, channel after channel."""
        return np.argsort(self.channel, kind="stable")


class _Layout(NamedTuple):
    """A layer in parts: its place, and the number of parts that read each value."""

    placed: Placed
    read: Mapping[str, NDArray]

    @property
    def parts(self) -> int:
        """The number of parts, a core each."""
        return self.placed.cores

    @property
    def fits(self) -> bool:
        """True where the fullest part has room on a core."""
        return self.placed.fits


def cut(case: ChipMapping) -> Mapping[str, Placed]:
    """Every layer in as few parts as fit, or in as many as the chip has cores."""
    reading = {layer.name: np.zeros(layer.shape) for layer in case.layers}
    found = {}
    for layer in reversed(case.layers):
        channel = _channel(case, layer)
        layout = _fewest(
            _Job(case, layer, reading[layer.name].ravel(), channel, len(np.unique(channel)))
        )
        found[layer.name] = layout.placed
        for origin, cores in layout.read.items():
            if origin in reading:
                same = cores.shape == reading[origin].shape  # not of functions that mix values
                reading[origin] += cores if same else cores.max()
    return {layer.name: found[layer.name] for layer in case.layers}


def _fewest(job: _Job) -> _Layout:
    """The least number of parts that fit, of pixels or of channels.

    There are none where the neuron that reads most has no room on a core of its own.
    """
    busiest = job.case.fan_in(job.layer).argmax()
    alone = _laid_out(job, [np.array([busiest])])
    if not alone.fits:
        return _Layout(Placed(0, alone.placed.shares), {})
    layout = _bisected(job, job.pixels)
    if layout.fits and layout.parts == 1:
        return layout
    other = _bisected(job, job.channels)
    better = other.fits and (not layout.fits or other.parts < layout.parts)
    return other if better else layout


def _bisected(job: _Job, order: NDArray) -> _Layout:
    """The least number of equal parts of neurons in an order, or as many as there are cores.

    It is found by bisection with three parts of each layout; then all parts are looked at.
    """
    limits, neurons = job.case.chip.limits, job.layer.neurons
    most = min(neurons, limits.cores or neurons)
    least = min(most, -(-neurons // (limits.core_neurons or neurons)))

    def sample_fits(parts: int) -> bool:
        made = np.array_split(order, parts)
        three = {0: made[0], parts // 2: made[parts // 2], parts - 1: made[-1]}
        return _laid_out(job, [*three.values()]).fits

    parts = bisect_left(range(least, most), True, key=sample_fits) + least
    while True:
        layout = _laid_out(job, np.array_split(order, parts))
        if layout.fits or parts == most:
            return layout
        parts = min(most, max(parts + 1, int(parts * max(layout.placed.shares.values()))))


def _laid_out(job: _Job, parts: list[NDArray]) -> _Layout:
    """A layer in these parts; looked at from the middle, and not on where one has no room."""
    shares: Demand = {}
    read: dict[str, NDArray] = {}
    middle = len(parts) // 2
    for part in (*parts[middle:], *parts[:middle]):
        out = _fan_outs(job.layer, part)
        for origin, values in _values_read(out).items():
            read[origin] = values + read.get(origin, 0)
        for name, needed in _demand(job, part, out).items():
            room = getattr(job.case.chip.limits, name)
            if room is not None:
                shares[name] = max(needed / room, shares.get(name, 0.0))
        if max(shares.values(), default=0.0) > 1:
            break
    return _Layout(Placed(len(parts), shares), read)


def _channel(case: ChipMapping, layer: ChipLayer) -> NDArray:
    """The channel of each neuron of a layer, flat; a vector has a channel for each."""
    image = case.image(layer)
    if image is None or len(layer.shape) < 2:
        return np.arange(layer.neurons)
    number = np.arange(image.channels)
    if case.orientations[layer.name]:
        return np.tile(number, image.height * image.width)
    return np.repeat(number, image.height * image.width)


def _demand(job: _Job, part: NDArray, out: Mapping[Path, NDArray]) -> Demand:
    """The room that one part takes on its core; `out` are the weights from each value it reads."""
    chip, sent = job.case.chip, job.reading[part]
    copies = np.maximum(sent, 1) if chip.placement == "crossbar" else np.ones(len(part))
    filters = len(np.unique(job.channel[part])) / job.filters
    weights = sum(
        stored_once(job.case.kernels[path], int(each.sum()), filters) for path, each in out.items()
    )
    bits = weights * (chip.arithmetic.weight_bits or 0)
    read = sum(int(each.sum()) for each in _values_read(out).values())
    return {
        "core_neurons": float(copies.sum()),
        "core_axons_in": read * (chip.limits.axons_per_input or 1),
        "core_axons_out": float(sent.sum()),
        "core_synapse_bits": bits,
        "core_bytes": (bits + _step_bias_bits(job, part)) / 8 + _state_bytes(job.layer) * len(part),
    }


def _state_bytes(layer: ChipLayer) -> int:
    """Memory of a neuron's state: of digits there are two, what is known and what was sent."""
    return _NEURON_BYTES * (2 if layer.sends_digits else 1)


def _step_bias_bits(job: _Job, part: NDArray) -> int:
    """Memory for biases of each step: of every neuron in a part, or of every channel in it."""
    biases = job.layer.step_biases
    if biases is None or job.layer.sends_digits:  # what digits take once is a bias like any other
        return 0
    each = np.broadcast_to(np.arange(biases[0].size).reshape(biases[0].shape), job.layer.shape)
    values = len(biases) * len(np.unique(each.ravel()[part]))
    return values * (job.case.chip.arithmetic.bias_bits or _BIAS_BITS)


def _fan_outs(layer: ChipLayer, part: NDArray) -> dict[Path, NDArray]:
    """Weights from each value that a layer reads to one of its parts."""
    if not layer.paths:
        return {}
    reached = np.zeros(layer.neurons)
    reached[part] = 1
    return {path: fan_out(path, reached) for path in layer.paths}


def _values_read(out: Mapping[Path, NDArray]) -> dict[str, NDArray]:
    """Masks of the values of each origin that are read, once even where several paths read them."""
    read: dict[str, NDArray] = {}
    for path, weights in out.items():
        read[path.origin] = (weights > 0) | read.get(path.origin, False)
    return read


def whole(case: ChipMapping) -> Mapping[str, Placed]:
    """All layers on the chip's one core, with the share of its neurons that each takes."""
    return {layer.name: Placed(1, _shares(case, layer)) for layer in case.layers}


def _shares(case: ChipMapping, layer: ChipLayer) -> dict[str, float]:
    limits = case.chip.limits
    role = "outputs" if layer.name in case.network.last else "hidden"
    rooms = {"neurons": limits.neurons, role: getattr(limits, role)}
    return {name: layer.neurons / room for name, room in rooms.items() if room is not None}


_PLACEMENTS: Mapping[Placement, Callable[[ChipMapping], Mapping[str, Placed]]] = {
    "one layer a core": matched,
    "cut": cut,
    "crossbar": cut,
    "whole": whole,
}


def place(case: ChipMapping) -> Mapping[str, Placed]:
    """Every layer of the network on the chip, whether it fits or not."""
    return _PLACEMENTS[case.chip.placement](case)
