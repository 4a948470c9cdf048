"""A network and a chip, with the numbers that rules and placements read, each computed once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Pairs, Windows, split_shape
from spikewright.chips.chip import Chip
from spikewright.chips.layers import ChipLayer, ChipNetwork, Path, Stage
from spikewright.measure.operations.patterns import applied, pull_back_chain, shapes_along
from spikewright.network import MaxPool
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Permute,
    Reshape,
    Scale,
    Shape,
    Sparse,
    SumPool,
    Transform,
)

_WINDOWED = (Convolution, SumPool, MaxPool)


@dataclass(frozen=True)
class Image:
    """Channels, height and width of values: vectors are images of one pixel."""

    channels: int
    height: int
    width: int

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True, eq=False)
class ConvolutionPath:
    """A path as a convolution of `reads` (behind its pools) to `makes`; matrices are one as well.

    A `whole` one is a matrix, which reads all pixels at once. `held` is the array of its
    weights, which two paths may share; None where the path has no weights of its own.
    """

    reads: Image
    makes: Image
    size: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: Pairs = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    whole: bool = False
    sums: tuple[Windows, ...] = ()
    held: np.ndarray | None = field(default=None, repr=False)

    @property
    def weights(self) -> int:
        """The number of weights that are stored, as far as the path has any."""
        return 0 if self.held is None else self.held.size


def image_of(shape: Shape, channels_last: bool) -> Image | None:
    """Values of a shape as an image; None where they have more than two spatial axes."""
    if len(shape) > 3:
        return None
    spatial, channels = (
        ((), math.prod(shape)) if len(shape) < 2 else split_shape(shape, channels_last)
    )
    height, width = (*spatial, 1, 1)[:2]
    return Image(channels, height, width)


def channels_last(layers: ChipNetwork) -> dict[str, bool]:
    """Layers and inputs by name: True for those with channels on their last axis.

    The last convolution or pool before a layer says so, else the layer that it reads; for an input
    it is the first one behind it.
    """
    found: dict[str, bool] = {}
    for name in layers.inputs:
        behind = (p for layer in layers.readers(name) for p in layer.paths if p.origin == name)
        found[name] = any(_orientation(path.stages) for path in behind)
    for layer in layers.layers:
        own = [_orientation(path.stages[::-1]) for path in layer.paths]
        read = [found.get(path.origin, False) for path in layer.paths]
        lasts = [last for last in own if last is not None]
        found[layer.name] = lasts[0] if lasts else any(read)
    return found


def _orientation(stages: Sequence[Stage]) -> bool | None:
    windowed = (stage for stage in stages if isinstance(stage, _WINDOWED))
    return next((stage.channels_last for stage in windowed), None)


class NoKernel(Exception):
    """A path that is no convolution; its text says why."""


def kernel_of(path: Path, orientations: Mapping[str, bool]) -> ConvolutionPath:
    """A path as a convolution; raises `NoKernel`, with the reason, where it is none."""
    image = image_of(path.shape, orientations[path.origin])
    if image is None:
        raise NoKernel(f"its input has {len(path.shape) - 1} spatial axes")
    scan = _Scan(image)
    shapes = shapes_along(path.weights, path.shape)
    for stage, shape in zip(path.stages, shapes, strict=True):
        scan.take(stage, shape)
    return scan.kernel()


class _Scan:
    """A path walked from its origin, stage by stage."""

    def __init__(self, image: Image) -> None:
        self._image, self._moved = image, False
        self._sums: list[Windows] = []
        self._made: ConvolutionPath | None = None

    def kernel(self) -> ConvolutionPath:
        made = self._made or ConvolutionPath(self._image, self._image)
        return replace(made, sums=tuple(self._sums))

    def take(self, stage: Stage, shape: Shape) -> None:
        if isinstance(stage, Scale):
            return
        if isinstance(stage, Reshape):
            self._reshape(stage.output_shape(shape))
        elif isinstance(stage, Permute):
            self._moved = True
        elif isinstance(stage, SumPool | MaxPool):
            self._pool(stage, shape)
        elif isinstance(stage, Convolution):
            self._convolve(stage, shape)
        elif isinstance(stage, Dense):
            self._multiply(stage, shape)
        else:
            raise NoKernel(f"it holds a {type(stage).__name__}, which no convolution is")

    def _reshape(self, shape: Shape) -> None:
        if len(shape) > 1 and self._image.sides != (1, 1):
            raise NoKernel(f"it arranges an image anew, as {shape}")

    def _pool(self, stage: SumPool | MaxPool, shape: Shape) -> None:
        self._refuse_second(stage)
        if isinstance(stage, SumPool):
            self._sums.append(stage.windows)
        self._image = _seen(stage.output_shape(shape), stage.channels_last)

    def _convolve(self, stage: Convolution, shape: Shape) -> None:
        self._refuse_second(stage)
        windows = stage.windows
        (size, stride, dilation) = (
            _two(part) for part in (windows.size, windows.stride, windows.dilation)
        )
        padding = (*windows.padding, (0, 0))[:2]
        made = _seen(stage.output_shape(shape), stage.channels_last)
        self._image, self._made = made, ConvolutionPath(
            _seen(shape, stage.channels_last), made, size, stride, padding, dilation,
            held=stage.kernel,
        )  # fmt: skip

    def _multiply(self, stage: Dense, shape: Shape) -> None:
        self._refuse_second(stage)
        reads, rows = self._image, stage.matrix.shape[0]
        if len(shape) == 1:
            made = Image(rows, 1, 1)
            self._made = ConvolutionPath(reads, made, reads.sides, whole=True, held=stage.matrix)
        elif shape[-1] == reads.channels and not self._moved:
            made = Image(rows, *reads.sides)
            self._made = ConvolutionPath(reads, made, held=stage.matrix)
        else:
            raise NoKernel("it holds a matrix along one axis of an image")
        self._image = made

    def _refuse_second(self, stage: Stage) -> None:
        if self._made is not None:
            raise NoKernel(f"it holds a {type(stage).__name__} behind its weights")


def _seen(shape: Shape, last: bool) -> Image:
    image = image_of(shape, last)
    if image is None:
        raise NoKernel(f"it has {len(shape) - 1} spatial axes")
    return image


def _two(numbers: Sequence[int]) -> tuple[int, int]:
    """Numbers of one or two axes, for two."""
    first, second = (*numbers, 1)[:2]
    return first, second


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


def fan_in(layer: ChipLayer) -> NDArray:
    """Weights that are not zero to each neuron of a layer, shaped like the layer."""
    found = np.zeros(layer.shape)
    for path in layer.paths:
        value = np.ones((1, *path.shape))
        for part in path.weights:
            value = applied(_pattern(part), value)
        found += value[0]
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
class ChipMapping:
    """A network that is to be laid out on a chip."""

    chip: Chip
    network: ChipNetwork
    _fan_in: dict[str, NDArray] = field(default_factory=dict, init=False, repr=False)
    _fan_out: dict[Path, NDArray] = field(default_factory=dict, init=False, repr=False)

    @property
    def layers(self) -> tuple[ChipLayer, ...]:
        """The layers of the network."""
        return self.network.layers

    @cached_property
    def orientations(self) -> Mapping[str, bool]:
        """Layers and inputs by name: True for those with channels on their last axis."""
        functions = dict.fromkeys(self.network.functions, False)
        return {**functions, **channels_last(self.network)}

    @cached_property
    def kernels(self) -> Mapping[Path, ConvolutionPath | str]:
        """Every path as a convolution, or the reason why it is none."""
        return {path: self._kernel(path) for layer in self.layers for path in layer.paths}

    def _kernel(self, path: Path) -> ConvolutionPath | str:
        try:
            return kernel_of(path, self.orientations)
        except NoKernel as reason:
            return str(reason)

    def convolutions(self, layer: ChipLayer) -> list[ConvolutionPath]:
        """The paths to a layer that are convolutions."""
        found = (self.kernels[path] for path in layer.paths)
        return [kernel for kernel in found if isinstance(kernel, ConvolutionPath)]

    def image(self, layer: ChipLayer) -> Image | None:
        """The shape of a layer as an image, or None where it is none."""
        return image_of(layer.shape, self.orientations[layer.name])

    def fan_in(self, layer: ChipLayer) -> NDArray:
        """Weights that lead to each neuron of a layer."""
        if layer.name not in self._fan_in:
            self._fan_in[layer.name] = fan_in(layer)
        return self._fan_in[layer.name]

    def fan_out(self, path: Path) -> NDArray:
        """Weights that lead from each value of a path's origin."""
        if path not in self._fan_out:
            self._fan_out[path] = fan_out(path)
        return self._fan_out[path]

    def most_out(self, layer: ChipLayer, readers: list[ChipLayer] | None = None) -> int:
        """The largest number of weights from a neuron of a layer, to all of its readers or some."""
        to = self.network.readers(layer.name) if readers is None else readers
        paths = [p for reader in to for p in reader.paths if p.origin == layer.name]
        total = sum((self.fan_out(path) for path in paths), start=np.zeros(1))
        return int(total.max(initial=0))

    def synapses(self, layer: ChipLayer) -> int:
        """Weights that lead to a layer, each position of a convolution counted."""
        return sum(int(self.fan_out(path).sum()) for path in layer.paths)

    def stored(self, layer: ChipLayer) -> int:
        """Weights that lead to a layer, those of a convolution once."""
        return sum(
            stored_once(self.kernels[path], int(self.fan_out(path).sum())) for path in layer.paths
        )


def stored_once(kernel: ConvolutionPath | str, synapses: int, filters: float = 1.0) -> int:
    """Weights of a path that memory holds: a convolution's positions share theirs.

    `filters` is the share of the convolution's filters that are there.
    """
    if isinstance(kernel, str) or kernel.whole or not kernel.weights:
        return synapses
    return min(synapses, round(kernel.weights * filters))
