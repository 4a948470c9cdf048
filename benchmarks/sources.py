"""Trains the source networks whose conversion is measured, and keeps them outside the repository.

    python -m benchmarks.sources --mnist mnist.npz --fashion-mnist fashion_mnist.npz \
        --cifar10 cifar10.npz --cache FOLDER [--networks gru vit mobilenet_v3]

Any of the three may be left out. What the files hold and how to get them: `image_sets.py`. A
training that was killed goes on after its last whole epoch when the command is given again.
Weights of the same recipe and images that are kept in `weights/` are taken from there; `--keep`
puts them there.

* `mnist`: the published network of NengoDL's keras-to-snn example, trained for six epochs on
  pixels from 0 to 1 (its own recipe, in `published_curve.py`, is two epochs on raw bytes).
* `fashion_mnist`: three times convolution, batch normalisation, ReLU, max pooling.
* `cifar10`: ResNet-20 as in He et al. 2016 (0.27 M parameters, shortcuts without weights). Where
  the photographs are JPEG-coded, its accuracy is that on those pixels, not "CIFAR-10 accuracy".
* `gru`, `vit`, `mobilenet_v3`: those of `family_networks.py`, the first two on Fashion-MNIST, the
  last on CIFAR-10. Their trainings are short, minutes of one core: what they are for is what
  conversion changes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks import kept, published_curve, training
from benchmarks.family_networks import Rows, VisionTransformer, mobilenet_v3
from benchmarks.image_sets import ImageSet, load
from benchmarks.training import AdamRecipe, Normalised, Recipe


@dataclass(frozen=True)
class Source:
    """A trained network, and images as it takes them.

    `outputs` runs it on images `(n, *shape)`; `model` and `example` are what `convert` takes.
    `weights` are its arrays by name, and `origin` says how they were made.
    """

    name: str
    model: Any
    example: NDArray | None
    x_train: NDArray
    y_train: NDArray
    x_test: NDArray
    y_test: NDArray
    outputs: Callable[[NDArray], NDArray]
    weights: Callable[[], dict[str, NDArray]] = dict
    origin: kept.Origin | None = None

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Of which test images the largest output is the label."""
        found: NDArray[np.bool_] = self.outputs(self.x_test).argmax(axis=1) == self.y_test
        return found

    def accuracy(self) -> float:
        """The share of those."""
        return float(self.right.mean())


def fashion_network() -> nn.Sequential:
    """Three times convolution, batch normalisation, ReLU and max pooling; a dense layer."""
    layers: list[nn.Module] = []
    for inputs, channels in ((1, 32), (32, 64), (64, 128)):
        layers += [
            nn.Conv2d(inputs, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 3 * 3, 10))


class Block(nn.Module):
    """Two convolutions and a shortcut; where the size halves it skips pixels and adds zeros."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.stride = 1 if inputs == channels else 2
        self.more = channels - inputs
        self.conv1 = nn.Conv2d(inputs, channels, 3, self.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`relu(f(x) + x)`."""
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
            x = nn.functional.pad(x, (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return torch.relu(y + x)


def resnet(blocks: int = 3, width: int = 16) -> nn.Sequential:
    """A residual network of He et al. 2016, section 4.2: `6 blocks + 2` layers; 3 are ResNet-20."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    ]  # fmt: skip
    inputs = width
    for channels in (width, 2 * width, 4 * width):
        for _ in range(blocks):
            layers.append(Block(inputs, channels))
            inputs = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


FASHION = Recipe(((8, 0.1),), shift=1, mirror=True)
CIFAR = Recipe(
    ((16, 0.2), (16, 0.1), (10, 0.1), (3, 0.05), (3, 0.05), (3, 0.05)),
    shift=4,
    mirror=True,
    averaged=4,
)
NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], Recipe]] = {
    "fashion_mnist": (fashion_network, FASHION),
    "cifar10": (resnet, CIFAR),
    "gru": (Rows, AdamRecipe(((10, 4e-3),), weight_decay=0.01, shift=1, mirror=True)),
    "vit": (
        VisionTransformer, AdamRecipe(((7, 2e-3),), weight_decay=0.05, shift=1, mirror=True)
    ),
    "mobilenet_v3": (
        mobilenet_v3, AdamRecipe(((5, 6e-3),), weight_decay=0.02, shift=2, mirror=True)
    ),
}  # fmt: skip
LEAST = {"mnist": 0.985, "fashion_mnist": 0.91, "cifar10": 0.88}
"""The test accuracy that each source must have."""
IMAGES = {"gru": "fashion_mnist", "vit": "fashion_mnist", "mobilenet_v3": "cifar10"}
"""The images of those networks that are not named by them."""
FAMILIES = {"gru": 0.87, "vit": 0.87, "mobilenet_v3": 0.70}
"""The test accuracy that those must have: their trainings are short."""
TEXTS_AND_RATINGS = {"bert": 0.70, "ncf": 0.75}
"""The test accuracy that those must have: one in six and a half are right by chance."""
GOOD = {**LEAST, **FAMILIES}


def mnist(data: ImageSet, cache: Path, epochs: int = 6, seed: int = 0) -> Source:
    """The published network in Keras, trained or read from the cache."""
    path = cache / f"mnist_{seed}.keras"
    recipe = f"Adam 0.001, batches of 200, {epochs} epochs, seed {seed}"
    origin = kept.Origin.of(path.stem, recipe, data)
    arrays = None if path.exists() else kept.load(origin)
    x_train, x_test = (x.astype(np.float32) / 255.0 for x in (data.x_train, data.x_test))
    if arrays is not None:
        model = published_curve.network()
        model.set_weights([arrays[weight.path] for weight in model.weights])
    else:
        if not path.exists():
            _fit(x_train, data.y_train, path, epochs, seed)
        model = keras.saving.load_model(path)

    def weights() -> dict[str, NDArray]:
        return {w.path: np.asarray(keras.ops.convert_to_numpy(w)) for w in model.weights}

    def outputs(x: NDArray) -> NDArray:
        return np.asarray(model.predict(x, batch_size=500, verbose=0))

    return Source(
        "mnist", model, None, x_train, data.y_train, x_test, data.y_test, outputs, weights, origin
    )


def _fit(x: NDArray, y: NDArray, path: Path, epochs: int, seed: int) -> None:
    """Adam, batches of 200; what is done is kept after every epoch."""
    keras.utils.set_random_seed(seed)
    model = published_curve.network()
    model.compile(
        optimizer=keras.optimizers.Adam(0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    backup = keras.callbacks.BackupAndRestore(path.with_suffix(".epochs"))
    model.fit(x, y, batch_size=200, epochs=epochs, callbacks=[backup], verbose=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)


def of_pytorch(
    name: str,
    data: ImageSet,
    cache: Path,
    recipe: Recipe | None = None,
    bfloat16: bool = False,
) -> Source:
    """A network in PyTorch, trained or read from the cache."""
    make, usual = NETWORKS[name]
    recipe = recipe or usual
    torch.manual_seed(recipe.seed)
    checkpoint = cache / f"{name}_{recipe.seed}.pt"
    origin = kept.Origin.of(checkpoint.stem, recipe, data)
    arrays = None if checkpoint.exists() else kept.load(origin)
    if arrays is None:
        module = training.trained(make(), data, recipe, checkpoint, bfloat16=bfloat16)
    else:
        module = make().to(memory_format=torch.channels_last).eval()
        module.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()})
    normalised = Normalised.by(data.x_train)
    x_train, x_test = (normalised(x).contiguous().numpy() for x in (data.x_train, data.x_test))

    def outputs(x: NDArray) -> NDArray:
        return training.outputs(module, torch.from_numpy(np.asarray(x, dtype=np.float32)))

    def weights() -> dict[str, NDArray]:
        return {key: value.numpy() for key, value in module.state_dict().items()}

    return Source(
        name, module, x_train[:1], x_train, data.y_train, x_test, data.y_test, outputs, weights,
        origin,
    )  # fmt: skip


def source(name: str, path: Path, cache: Path, bfloat16: bool = False) -> Source:
    """A source network by name, from the file of its images."""
    data = load(path)
    if name == "mnist":
        return mnist(data, cache)
    return of_pytorch(name, data, cache, bfloat16=bfloat16)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files of images and the cache, as all commands on these networks take them."""
    for name in LEAST:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, help="its images, .npz")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "spikewright")


def main() -> None:
    """Train what is named and not yet trained; exits with an error where one is not good enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    parser.add_argument(
        "--bfloat16", action="store_true", help="for processors that are fast in it"
    )
    parser.add_argument("--keep", action="store_true", help="keep the weights beside this file")
    parser.add_argument("--networks", nargs="+", choices=GOOD, default=list(LEAST))
    given = vars(parser.parse_args())
    weak = []
    for name in given["networks"]:
        path, least = given[IMAGES.get(name, name)], GOOD[name]
        if path is None:
            continue
        start = time.perf_counter()
        found = source(name, path, given["cache"], given["bfloat16"])
        right = found.accuracy()
        print(f"{name}: test accuracy {right:.2%}, {time.perf_counter() - start:.0f} s", flush=True)
        weak += [name] if right < least else []
        if given["keep"] and right >= least and found.origin is not None:
            print(kept.save(found.weights(), found.origin, right))
    if weak:
        raise SystemExit(f"not as good as they must be: {', '.join(weak)}")


if __name__ == "__main__":
    main()
