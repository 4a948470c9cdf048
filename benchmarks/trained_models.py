"""Networks that others trained and published: source and spiking accuracy on MNIST's test images.

    pip install digit-recognizer-py ccexam
    python -m benchmarks.trained_models --mnist path/to/mnist.npz [--images 10000] [--steps 32]

Both packages ship PyTorch state dicts and the modules that they belong to. `digit-recognizer-py`
pools three times, the last time over an odd size; `ccexam` has a network for MNIST, and ones with
batch normalisation for USPS (16 x 16) and SVHN (32 x 32, colour). The latter two were not trained
on MNIST: its digits, resized and made white on black as theirs are, measure what conversion
changes, not what they are good for.

The file `mnist.npz` holds x_test and y_test; with internet access
`keras.datasets.mnist.load_data(path)` fetches it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import spikewright as sw
from spikewright.records import select

BATCH = 500
MOST_LOST = 0.003
"""Of the source's accuracy, what the spiking form of a network trained on MNIST may lose."""


@dataclass(frozen=True)
class Trained:
    """A published network: its module, the file of its weights, and what it was normalised by."""

    name: str
    make: Callable[[], torch.nn.Module]
    package: str
    weights: str
    size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    on_mnist: bool = True

    def module(self) -> torch.nn.Module:
        """The trained network in evaluation mode."""
        with as_file(files(self.package) / self.weights) as path:
            stored = torch.load(path, map_location="cpu", weights_only=True)
        module = self.make()
        module.load_state_dict(stored.get("model_state_dict", stored))
        return module.eval()

    def images(self, digits: NDArray) -> torch.Tensor:
        """MNIST's `(n, 28, 28)` bytes as the network takes them."""
        x = torch.from_numpy(digits.astype(np.float32) / 255.0)[:, None]
        if self.size != 28:
            size = (self.size, self.size)
            x = torch.nn.functional.interpolate(x, size, mode="bilinear", antialias=True)
        x = x.expand(-1, len(self.mean), -1, -1)
        shape = (1, -1, 1, 1)
        deviation = torch.tensor(self.deviation).reshape(shape)
        return ((x - torch.tensor(self.mean).reshape(shape)) / deviation).contiguous()


def published() -> Iterator[Trained]:
    """The networks of those packages that are installed."""
    try:
        from digit_recognizer.model import CNN

        yield Trained(
            "digit-recognizer-py", CNN, "digit_recognizer", "models/handwriting_model.pth",
            28, (0.1307,), (0.3081,),
        )  # fmt: skip
    except ImportError:
        pass
    try:
        from ccexam import models
        from ccexam.constants import DATASET_STATS
    except ImportError:
        return
    makers = {"mnist": models.MNISTNet, "usps": models.USPSNet, "svhn": models.SVHNNet}
    for name, make in makers.items():
        stats = DATASET_STATS[name]
        size = stats["image_size"]
        yield Trained(
            f"ccexam {name}", lambda make=make, size=size: make(size), "ccexam",
            f"weights/{name}.pth", size, stats["mean"], stats["std"], name == "mnist",
        )  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What one network gave."""

    name: str
    source: float
    spiking: float
    low: float
    high: float
    agreement: float
    spikes: float
    seconds: float

    @property
    def lost(self) -> float:
        """Of the accuracy in PyTorch."""
        return self.source - self.spiking


def measured(net: Trained, digits: NDArray, labels: NDArray, steps: int, scale: float) -> Row:
    """Accuracy of the network in PyTorch, and of its spiking form."""
    module = net.module()
    answers = []
    with torch.inference_mode():
        for x, _ in batches(net, digits, labels):
            answers.append(module(x).numpy().argmax(axis=1))
    source = float((np.concatenate(answers) == labels).mean())
    example = net.images(digits[:1])
    conversion = sw.convert(module, example_input=example, spiking=True, scale_firing_rates=scale)
    conversion.verify()
    start = time.perf_counter()
    found = conversion.evaluate(
        batches(net, digits, labels), steps=steps, readouts="mean", operations=False
    )
    seconds = time.perf_counter() - start
    (drop,) = select(found.records, "accuracy drop", steps=steps)
    (agreement,) = select(found.records, "agreement", steps=steps)
    (spikes,) = select(found.records, "spikes per sample", steps=steps, layer=None)
    low, high = drop.interval or (drop.value, drop.value)
    return Row(
        net.name,
        source,
        found.accuracy().value,
        low,
        high,
        agreement.value,
        spikes.value,
        seconds,
    )


def batches(
    net: Trained, digits: NDArray, labels: NDArray
) -> Iterator[tuple[torch.Tensor, NDArray]]:
    """The images as the network takes them, some hundred at a time: all would not fit in memory."""
    for start in range(0, len(digits), BATCH):
        part = slice(start, start + BATCH)
        yield net.images(digits[part]), labels[part]


def main() -> None:
    """Measure and print; exits with an error where a network loses too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--scale", type=float, default=100.0)
    given = parser.parse_args()
    with np.load(given.mnist) as data:
        digits, labels = data["x_test"][: given.images], data["y_test"][: given.images]
    print(f"{len(digits)} images, {given.steps} steps, scale_firing_rates={given.scale:g}\n")
    print(
        "network               source  spiking     lost  (95 %)            agree  spikes  seconds"
    )
    rows = []
    for net in published():
        row = measured(net, digits, labels, given.steps, given.scale)
        rows.append((row.lost, net.on_mnist))
        print(
            f"{row.name:20s} {row.source:7.2%} {row.spiking:8.2%} {row.lost:8.2%}  "
            f"({row.low:6.2%} to {row.high:5.2%}) {row.agreement:7.2%} {row.spikes:7,.0f} "
            f"{row.seconds:8.1f}",
            flush=True,
        )
    if not rows:
        raise SystemExit(
            "none of the networks is installed: pip install digit-recognizer-py ccexam"
        )
    most = max(loss for loss, on_mnist in rows if on_mnist)
    if most > MOST_LOST:
        raise SystemExit(f"a network trained on MNIST loses {most:.2%}, more than {MOST_LOST:.1%}")


if __name__ == "__main__":
    main()
