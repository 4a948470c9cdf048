"""A network with weights: what a workload is made of, and its forms for PyTorch and Spikewright.

Loading needs nothing but NumPy, so that peers in other Pythons can read it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from spikewright.graph import Graph


@dataclass(frozen=True)
class Pool:
    """Average pooling over squares that do not overlap."""

    size: int


@dataclass(frozen=True)
class Flatten:
    """All values of a sample as one vector, channels first."""


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution: `weight` `(out, in, 3, 3)`, `bias` `(out,)`, float32."""

    weight: NDArray
    bias: NDArray
    stride: int
    padding: int


@dataclass(frozen=True, eq=False)
class Dense:
    """A dense layer: `weight` `(out, in)`, `bias` `(out,)`, float32."""

    weight: NDArray
    bias: NDArray


Weighted = Conv | Dense
Layer = Conv | Dense | Pool | Flatten


@dataclass(frozen=True, eq=False)
class Workload:
    """A network with weights, and its input for `steps` steps.

    `x` `(batch, *shape)`, float32, is held, unless there are `frames` `(batch, steps, *shape)`, of
    which each lasts a step. Frames of bytes are parts of 255.
    """

    name: str
    rate: float
    steps: int
    x: NDArray
    layers: tuple[Layer, ...]
    frames: NDArray | None = None

    @property
    def values(self) -> NDArray:
        """Inputs by step, `(steps or 1, batch, *shape)`, float32."""
        if self.frames is None:
            return self.x[None]
        found = np.ascontiguousarray(self.frames.swapaxes(0, 1), np.float32)
        return found / np.float32(255) if self.frames.dtype == np.uint8 else found

    @property
    def batch(self) -> int:
        """Number of samples."""
        return len(self.x)

    @property
    def convolutional(self) -> bool:
        """Whether memory formats matter."""
        return any(isinstance(layer, Conv) for layer in self.layers)

    @property
    def last(self) -> Layer:
        """The layer whose output is read; no neurons follow it."""
        return self.layers[-1]

    def cut(self, batch: int | None = None, steps: int | None = None) -> Workload:
        """The same network with the first samples, repeated where there are too few."""
        batch, steps = batch or self.batch, steps or self.steps
        frames = None if self.frames is None else _resized(self.frames, batch)[:, :steps]
        return replace(self, x=_resized(self.x, batch), steps=steps, frames=frames)


def _resized(samples: NDArray, batch: int) -> NDArray:
    return np.resize(samples, (batch, *samples.shape[1:]))


def save(work: Workload, path: Path) -> None:
    """Write atomically: several benchmarks may want the same file."""
    arrays: dict[str, Any] = {"x": work.x, "steps": work.steps, "rate": work.rate}
    arrays["name"] = work.name
    if work.frames is not None:
        arrays["frames"] = work.frames
    for index, layer in enumerate(work.layers):
        match layer:
            case Conv():
                arrays[f"{index} conv"] = np.array([layer.stride, layer.padding])
            case Dense():
                arrays[f"{index} dense"] = np.array([])
            case Pool():
                arrays[f"{index} pool"] = np.array([layer.size])
            case Flatten():
                arrays[f"{index} flatten"] = np.array([])
        if isinstance(layer, Weighted):
            arrays[f"{index} weight"], arrays[f"{index} bias"] = layer.weight, layer.bias
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_bytes(buffer.getvalue())
    partial.replace(path)


def load(path: Path | str) -> Workload:
    """Read what `save` wrote."""
    with np.load(path) as file:
        kinds = dict(key.split() for key in file if " " in key and key.split()[1] in _MAKERS)
        layers = tuple(
            _MAKERS[kinds[index]](file, index, *file[f"{index} {kinds[index]}"].tolist())
            for index in sorted(kinds, key=int)
        )
        return Workload(
            str(file["name"]),
            float(file["rate"]),
            int(file["steps"]),
            file["x"],
            layers,
            file.get("frames"),
        )


_MAKERS: dict[str, Callable[..., Layer]] = {
    "conv": lambda file, i, stride, padding: Conv(
        file[f"{i} weight"], file[f"{i} bias"], int(stride), int(padding)
    ),
    "dense": lambda file, i: Dense(file[f"{i} weight"], file[f"{i} bias"]),
    "pool": lambda file, i, size: Pool(int(size)),
    "flatten": lambda file, i: Flatten(),
}


def torch_module(layer: Layer) -> torch.nn.Module:
    """A layer as a module of PyTorch, in evaluation mode."""
    import torch

    match layer:
        case Conv(weight, _, stride, padding):
            out, channels, *size = weight.shape
            module = torch.nn.Conv2d(channels, out, tuple(size), stride, padding)
        case Dense(weight):
            module = torch.nn.Linear(weight.shape[1], weight.shape[0])
        case Pool(size):
            return torch.nn.AvgPool2d(size)
        case Flatten():
            return torch.nn.Flatten()
    set_weights(module, layer)
    return module.eval()


def set_weights(module: Any, layer: Weighted) -> None:
    """Copy a layer's weights into a module that has PyTorch's `weight` and `bias`."""
    import torch

    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(layer.weight))
        module.bias.copy_(torch.from_numpy(layer.bias))


def as_torch(work: Workload) -> torch.nn.Module:
    """The source network: the same layers with ReLU in place of neurons."""
    import torch

    modules: list[torch.nn.Module] = []
    for layer in work.layers:
        modules.append(torch_module(layer))
        if isinstance(layer, Weighted) and layer is not work.last:
            modules.append(torch.nn.ReLU())
    return torch.nn.Sequential(*modules).eval()


def as_graph(work: Workload) -> Graph:
    """The source network for `spikewright.convert`."""
    from spikewright.frontends import GraphBuilder
    from spikewright.graph import layers

    builder = GraphBuilder()
    value: str | None = builder.input("input", work.x.shape[1:])
    for index, layer in enumerate(work.layers):
        name = f"{type(layer).__name__.lower()}{index}"
        match layer:
            case Conv(weight, bias, stride, padding):
                pads = ((padding, padding),) * 2
                made: layers.Layer = layers.Convolution(
                    weight, bias, (stride, stride), pads, (1, 1)
                )
            case Dense(weight, bias):
                made = layers.Affine(weight, bias)
            case Pool(size):
                made = layers.AveragePool((size, size), (size, size), ((0, 0), (0, 0)))
            case Flatten():
                made = layers.Reshape((int(np.prod(builder.shapes[str(value)])),))
        value = builder.add(name, made, value, source=name)
        if isinstance(layer, Weighted) and layer is not work.last:
            value = builder.add(f"{name}_relu", layers.Activation("relu"), value)
    return builder.build({"output": value})
