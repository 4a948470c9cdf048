"""The three networks that engines and peers are timed on, calibrated to a firing rate.

* W1: 784-512-512-10, batch 256, 100 steps (handwritten digits)
* W2: 28x28 -> conv 32 -> conv 64, stride 2 -> conv 128, stride 2 -> 10, batch 64, 60 steps (digits)
* W3: 32x32x3 -> two conv 64, pool, two conv 128, pool, two conv 256, pool -> 512 -> 10, batch 16,
  32 steps (crops of two photographs)

An integrate-and-fire layer (threshold 1, soft reset, started at zero) follows every weighted layer
but the last, whose output is summed over the steps; the input is a constant current. Weights are
seeded (He et al. 2015) and scaled layer by layer until the mean number of spikes per neuron and
step is the wanted rate. They are cached outside the repository.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.network import (
    Conv,
    Dense,
    Flatten,
    Layer,
    Pool,
    Weighted,
    Workload,
    load,
    save,
    torch_module,
)

CACHE = Path.home() / ".cache" / "spikewright"
Draw = Callable[["Spec"], NDArray]
RATES = (0.02, 0.10, 0.50)
SEED = 1


@dataclass(frozen=True)
class ConvSpec:
    """A convolution to be drawn, with a square kernel."""

    channels: int
    stride: int = 1
    padding: int = 0
    kernel: int = 3


@dataclass(frozen=True)
class DenseSpec:
    """A dense layer to be drawn."""

    units: int


@dataclass(frozen=True)
class Spec:
    """A network to be drawn: `shape` is that of a sample, channels first."""

    name: str
    batch: int
    steps: int
    shape: tuple[int, ...]
    layers: tuple[ConvSpec | DenseSpec | Pool | Flatten, ...]


_BLOCKS = ((ConvSpec(n, 1, 1), ConvSpec(n, 1, 1), Pool(2)) for n in (64, 128, 256))
SPECS = {
    spec.name: spec
    for spec in (
        Spec("W1", 256, 100, (784,), (DenseSpec(512), DenseSpec(512), DenseSpec(10))),
        Spec(
            "W2",
            64,
            60,
            (1, 28, 28),
            (ConvSpec(32), ConvSpec(64, 2), ConvSpec(128, 2), Flatten(), DenseSpec(10)),
        ),
        Spec(
            "W3",
            16,
            32,
            (3, 32, 32),
            (*sum(_BLOCKS, ()), Flatten(), DenseSpec(512), DenseSpec(10)),
        ),
    )
}


def workload(spec: Spec | str, rate: float, cache: Path = CACHE) -> Workload:
    """The network calibrated to `rate`, from the cache where it is there."""
    path = stored(spec, rate, cache)
    return load(path)


def stored(spec: Spec | str, rate: float, cache: Path = CACHE, frames: Draw | None = None) -> Path:
    """The file of a calibrated network, made where it is not there yet.

    `frames` draws those of an input that moves; a spec of its own name says which they are.
    """
    spec = SPECS[spec] if isinstance(spec, str) else spec
    digest = hashlib.sha256(repr((spec, rate, SEED)).encode()).hexdigest()[:12]
    path = cache / "workloads" / f"{spec.name}-{100 * rate:g}-{digest}.npz"
    if not path.exists():
        save(calibrated(spec, rate, None if frames is None else frames(spec)), path)
    return path


def images(spec: Spec) -> NDArray:
    """Input for a network: photographs for three channels, digits for all others."""
    return _photographs(spec) if spec.shape[0] == 3 else _digits(spec)


def _digits(spec: Spec) -> NDArray:
    """The 8x8 digits that scikit-learn ships, enlarged to a square; taken in order."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    side = round(np.prod(spec.shape) ** 0.5)
    small = np.resize(load_digits().images, (spec.batch, 8, 8)) / 16.0
    large = np.clip(zoom(small, (1, side / 8, side / 8), order=1), 0.0, 1.0)
    return large.astype(np.float32).reshape(spec.batch, *spec.shape)


def _photographs(spec: Spec) -> NDArray:
    """Crops, every third pixel, of the two photographs that scikit-learn ships."""
    from sklearn.datasets import load_sample_images

    _, height, width = spec.shape
    photographs = load_sample_images().images
    rng = np.random.default_rng(SEED)
    crops = []
    for index in range(spec.batch):
        photograph = photographs[index % len(photographs)]
        top = rng.integers(photograph.shape[0] - 3 * height)
        left = rng.integers(photograph.shape[1] - 3 * width)
        crop = photograph[top : top + 3 * height : 3, left : left + 3 * width : 3]
        crops.append(crop.transpose(2, 0, 1) / 255.0)
    return np.ascontiguousarray(np.stack(crops), np.float32)


def calibrated(spec: Spec, rate: float, frames: NDArray | None = None) -> Workload:
    """Draw weights and scale them, layer by layer, until neurons spike `rate` times a step.

    They do so on `frames` `(batch, steps, *shape)` that change, or on images that are held.
    """
    x = images(spec) if frames is None else frames[:, 0].astype(np.float32)
    work = Workload(spec.name, rate, spec.steps, x, (), frames)
    rng = np.random.default_rng(SEED)
    values = work.values  # what the next layer reads
    layers: list[Layer] = []
    for index, wanted in enumerate(spec.layers):
        layer = _drawn(wanted, values.shape[2:], rng)
        currents = forward(layer, values)
        if isinstance(layer, Weighted) and index < len(spec.layers) - 1:
            scale = scale_for(rate, currents, spec.steps)
            layer = replace(layer, weight=layer.weight * np.float32(scale))
            layer = replace(layer, bias=layer.bias * np.float32(scale))
            currents = spikes(currents, scale, spec.steps)
        values = currents
        layers.append(layer)
    return replace(work, layers=tuple(layers))


def _drawn(
    wanted: ConvSpec | DenseSpec | Pool | Flatten,
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> Layer:
    """Weights of standard deviation `sqrt(2 / fan_in)`, biases a twentieth of their mean size."""
    match wanted:
        case ConvSpec(channels, kernel=kernel):
            size: tuple[int, ...] = (channels, shape[0], kernel, kernel)
        case DenseSpec(units):
            size = (units, shape[0])
        case _:
            return wanted
    weight = rng.standard_normal(size) * np.sqrt(2.0 / np.prod(size[1:]))
    bias = rng.standard_normal(size[0]) * 0.05 * np.abs(weight).mean()
    weight, bias = weight.astype(np.float32), bias.astype(np.float32)
    if isinstance(wanted, ConvSpec):
        return Conv(weight, bias, wanted.stride, wanted.padding)
    return Dense(weight, bias)


def forward(layer: Layer, values: NDArray) -> NDArray:
    """A layer on `(steps, batch, *shape)`, float32, by PyTorch."""
    import torch

    flat = torch.from_numpy(values.reshape(-1, *values.shape[2:]))
    with torch.inference_mode():
        result = torch_module(layer)(flat).numpy()
    return result.reshape(*values.shape[:2], *result.shape[1:])


def _sums(currents: NDArray, steps: int) -> Iterator[NDArray]:
    """Running sums of the current over the steps, float64; a current of one step is held."""
    total = np.zeros(currents.shape[1:])
    for step in range(steps):
        total += currents[step % len(currents)]
        yield total


def scale_for(rate: float, currents: NDArray, steps: int) -> float:
    """The factor on `currents` at which neurons spike `rate` times per step on average.

    A signed integrate-and-fire neuron that starts at zero has spiked `max(0, floor(s * peak))`
    times, `peak` being the largest sum of its current so far; so no neuron need be simulated. At a
    rate of zero the factor is half of that at which the first neuron would spike.
    """
    peak = np.full(currents.shape[1:], -np.inf)
    for total in _sums(currents, steps):
        np.maximum(peak, total, out=peak)
    if not peak.max() > 0:
        raise ValueError("no current is above zero, so that no factor makes a neuron spike")
    low, high = 1e-3 / peak.max(), 1e6 / peak.max()
    if rate == 0:
        return float(np.float32(0.5 / peak.max()))
    peak = peak[peak > 0] if (size := peak.size) else peak
    for _ in range(50):
        middle = np.sqrt(low * high)
        few = np.floor(middle * peak).sum() < rate * steps * size
        low, high = (middle, high) if few else (low, middle)
    return float(np.float32(low))


def spikes(currents: NDArray, scale: float, steps: int) -> NDArray:
    """Spikes per step `(steps, batch, *shape)`, float32, of neurons fed `scale * currents`."""
    result = np.empty((steps, *currents.shape[1:]), np.float32)
    before = np.zeros(currents.shape[1:])
    for step, total in enumerate(_sums(currents, steps)):
        fired = np.maximum(before, np.floor(scale * total))
        result[step] = fired - before
        before = fired
    return result
