"""Chips of which each core holds one layer of convolution: layers matched with cores.

Memory in words, for `c` input channels, `f` channels of `fy` by `fx` neurons and a kernel of `ky`
by `kx`: `c 2^(ceil(log2(kx ky)) + ceil(log2 f))` of weights, `f 2^(ceil(log2 fy) + ceil(log2 fx))`
of neurons (documentation of sinabs, memory summary of a DYNAP-CNN layer).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.chips.case import Case, Placed
from spikewright.chips.chip import MEMORIES
from spikewright.chips.kernels import Kernel
from spikewright.chips.layers import Layer


def kernel_words(kernel: Kernel) -> int:
    """Words of a core's weight memory that a convolution takes."""
    bits = _bits(math.prod(kernel.size)) + _bits(kernel.makes.channels)
    return kernel.reads.channels * 2**bits


def neuron_words(channels: int, sides: Sequence[int]) -> int:
    """Words of a core's neuron memory that `channels` images take."""
    return channels * 2 ** sum(map(_bits, sides))


def _bits(number: int) -> int:
    """`ceil(log2(number))`."""
    return (number - 1).bit_length()


def words(case: Case, layer: Layer) -> dict[str, int]:
    """Words of weights and of neurons that a layer takes, by the name of the limit."""
    image = case.image(layer)
    neurons = layer.neurons if image is None else neuron_words(image.channels, image.sides)
    kernels = [kernel_words(kernel) for kernel in case.convolutions(layer)]
    return {"core_kernel_words": max(kernels, default=0), "core_neuron_words": neurons}


def matched(case: Case) -> Mapping[str, Placed]:
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


def _room(case: Case, name: str) -> tuple[int, ...]:
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
