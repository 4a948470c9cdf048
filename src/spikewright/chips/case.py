"""A network and a chip, with the numbers that rules and placements read, each computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikewright.chips.chip import Chip
from spikewright.chips.kernels import Image, Kernel, NoKernel, channels_last, image_of, kernel_of
from spikewright.chips.layers import Layer, Layers, Path
from spikewright.engines.program import Linear
from spikewright.engines.reference.linear import LinearKernel
from spikewright.measure.operations.patterns import pull_back_chain
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Scale,
    Sparse,
    SumPool,
    Transform,
)

_FIELDS: dict[type[Transform], str] = {
    AxisMap: "matrix", Convolution: "kernel", Dense: "matrix", Scale: "factor", Sparse: "values",
    SumPool: "factor",
}  # fmt: skip


def fan_out(path: Path, reached: NDArray | None = None) -> NDArray:
    """Weights that are not zero from each value of a path's origin, shaped like the origin.

    `reached` is one for the neurons that count (default: all of them), and zero for the others.
    """
    shape = path.shape
    for part in path.weights:
        shape = part.output_shape(shape)
    every = np.ones(shape) if reached is None else reached.reshape(shape)
    return pull_back_chain(path.weights, path.shape, every, False)


def fan_in(layer: Layer) -> NDArray:
    """Weights that are not zero to each neuron of a layer, shaped like the layer."""
    found = np.zeros(layer.shape)
    for path in layer.paths:
        value = np.ones((1, 1, *path.shape))
        for part in path.weights:
            (made,) = LinearKernel(Linear("", (0,), 0, _pattern(part)), "float64").run(
                [value], 0, 1
            )
            value = np.asarray(made)
        found += value[0, 0]
    return np.rint(found)


def _pattern(part: Transform) -> Transform:
    """The map with ones in the place of what is not zero."""
    name = _FIELDS.get(type(part))
    if name is None:
        return part
    values = (getattr(part, name) != 0).astype(np.float64)
    return replace(part, **{name: values})  # type: ignore[type-var]


@dataclass(frozen=True)
class Placed:
    """A layer on a chip: the number of its cores, and the shares of their room on its fullest core.

    `shares` are fractions by the name of a limit; a number above one does not fit. `numbers` are
    the cores by number where the chip's cores differ.
    """

    cores: int
    shares: Mapping[str, float]
    numbers: tuple[int, ...] = ()

    @property
    def fits(self) -> bool:
        """True where the fullest core has room."""
        return all(share <= 1 for share in self.shares.values())


@dataclass(frozen=True, eq=False)
class Case:
    """A network that is to be laid out on a chip."""

    chip: Chip
    network: Layers
    _fan_in: dict[str, NDArray] = field(default_factory=dict, init=False, repr=False)
    _fan_out: dict[Path, NDArray] = field(default_factory=dict, init=False, repr=False)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the network."""
        return self.network.layers

    @cached_property
    def orientations(self) -> Mapping[str, bool]:
        """Layers and inputs by name: True for those with channels on their last axis."""
        functions = dict.fromkeys(self.network.functions, False)
        return {**functions, **channels_last(self.network)}

    @cached_property
    def kernels(self) -> Mapping[Path, Kernel | str]:
        """Every path as a convolution, or the reason why it is none."""
        return {path: self._kernel(path) for layer in self.layers for path in layer.paths}

    def _kernel(self, path: Path) -> Kernel | str:
        try:
            return kernel_of(path, self.orientations)
        except NoKernel as reason:
            return str(reason)

    def convolutions(self, layer: Layer) -> list[Kernel]:
        """The paths to a layer that are convolutions."""
        found = (self.kernels[path] for path in layer.paths)
        return [kernel for kernel in found if isinstance(kernel, Kernel)]

    def image(self, layer: Layer) -> Image | None:
        """The shape of a layer as an image, or None where it is none."""
        return image_of(layer.shape, self.orientations[layer.name])

    def fan_in(self, layer: Layer) -> NDArray:
        """Weights that lead to each neuron of a layer."""
        if layer.name not in self._fan_in:
            self._fan_in[layer.name] = fan_in(layer)
        return self._fan_in[layer.name]

    def fan_out(self, path: Path) -> NDArray:
        """Weights that lead from each value of a path's origin."""
        if path not in self._fan_out:
            self._fan_out[path] = fan_out(path)
        return self._fan_out[path]

    def most_out(self, layer: Layer, readers: list[Layer] | None = None) -> int:
        """The largest number of weights from a neuron of a layer, to all of its readers or some."""
        to = self.network.readers(layer.name) if readers is None else readers
        paths = [p for reader in to for p in reader.paths if p.origin == layer.name]
        total = sum((self.fan_out(path) for path in paths), start=np.zeros(layer.shape))
        return int(total.max(initial=0))

    def synapses(self, layer: Layer) -> int:
        """Weights that lead to a layer, each position of a convolution counted."""
        return sum(int(self.fan_out(path).sum()) for path in layer.paths)

    def stored(self, layer: Layer) -> int:
        """Weights that lead to a layer, those of a convolution once."""
        return sum(
            stored_once(self.kernels[path], int(self.fan_out(path).sum())) for path in layer.paths
        )


def stored_once(kernel: Kernel | str, synapses: int, filters: float = 1.0) -> int:
    """Weights of a path that memory holds: a convolution's positions share theirs.

    `filters` is the share of the convolution's filters that are there.
    """
    if isinstance(kernel, str) or kernel.whole or not kernel.weights:
        return synapses
    return min(synapses, round(kernel.weights * filters))
