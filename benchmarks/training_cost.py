"""Epochs of training through rounding and through time, beside one of the source's in PyTorch.

    python -m benchmarks.training_cost [--samples 512] [--rounds 5]

The same random images, batches, optimiser and loss, in turn; of `Conversion.train` the second epoch
counts, since the source's outputs are computed in the first. Through time it is four steps of one
spike at most. Printed: seconds of the fastest epoch of each, and how many times the source's ours
takes, through time for each of the steps; once for each of two networks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import spikewright as sw
from benchmarks.results import markdown_table
from benchmarks.sources import fashion_network, resnet
from benchmarks.timing import with_threads

NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolutions, Fashion-MNIST": (fashion_network, (1, 28, 28)),
    "ResNet-20, CIFAR-10": (resnet, (3, 32, 32)),
}
BATCH, STEPS = 64, 4


def source_epoch(model: nn.Module, x: NDArray, y: NDArray) -> float:
    """Seconds of one epoch of the source's own training."""
    optimiser = torch.optim.Adam(model.parameters(), 5e-4)
    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    model.train()
    begun = time.perf_counter()
    for part in torch.randperm(len(images)).split(BATCH):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images[part]), labels[part]).backward()
        optimiser.step()
    return time.perf_counter() - begun


def our_epoch(conversion: sw.Conversion, x: NDArray, y: NDArray, method: str) -> float:
    """Seconds of one epoch of `Conversion.train`."""
    history = conversion.train(
        x, y, steps=STEPS, method=method, epochs=2, batch_size=BATCH, validation=0.0, progress=False
    ).history
    return history[1].seconds


def measure(name: str, samples: int, rounds: int) -> tuple[float, ...]:
    """The fastest epochs of a network: its source's, ours through rounding, and through time."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, *shape)).astype(np.float32)
    y = rng.integers(0, 10, samples)
    model = make()
    neurons = {"relu": sw.BipolarIntegrateAndFire()}
    conversion = sw.convert(model.eval(), spiking=neurons, example_input=torch.from_numpy(x[:1]))
    capped = conversion.again(max_spikes_per_step=1)
    found = [
        (
            source_epoch(make(), x, y),
            our_epoch(conversion, x, y, "rounding"),
            our_epoch(capped, x, y, "time"),
        )
        for _ in range(rounds)
    ]
    return tuple(map(min, zip(*found, strict=True)))


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--samples", type=int, default=512)
    p.add_argument("--rounds", type=int, default=5)
    how = p.parse_args()
    with_threads(1)
    rows = []
    for name in NETWORKS:
        source, rounding, steps = seconds = measure(name, how.samples, how.rounds)
        ratios = rounding / source, steps / source / STEPS
        rows.append([name, *(f"{value:.2f}" for value in (*seconds, *ratios))])
    head = ["seconds an epoch", "source", "rounding", "time", "rounding, x", "time, x a step"]
    print(markdown_table(head, rows))


if __name__ == "__main__":
    main()
