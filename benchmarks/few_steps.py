"""Few steps: ResNet-20 run for four steps beside its four forward passes.

    python -m benchmarks.few_steps [--cifar10 cifar10.npz] [--batch 64] [--rounds 5] [--document]

The network is that of `sources.py`, untrained; its batch normalisation has seen the images, so that
layers are as active as those of a trained one. Images are those of the file (`image_sets.py`), or
noise that varies slowly from pixel to pixel. The conversion has at most one spike a step, and a
height for each channel: `MinimumError(4)`, and neurons with negative spikes.

Timed are runs on the native engine, outputs and spike counts in hand, and as many forward passes
as there are steps in the faster memory format (`torch.inference_mode`), in turn. Printed are the
ratio of the medians and the spikes of either sign of a neuron and step.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import spikewright as sw
from benchmarks import edges
from benchmarks.image_sets import load
from benchmarks.mobile import medians, passes, spikes_of
from benchmarks.sources import resnet
from benchmarks.timing import with_threads
from benchmarks.training import Normalised

STEPS = 4
SEEN = 256  # images that rules and batch normalisation see


def images(path: Path | None, count: int) -> NDArray[np.float32]:
    """Images `(count, 3, 32, 32)` of mean 0 and deviation 1."""
    if path is not None:
        photographs = load(path).some(count, 1).x_train
        return Normalised.by(photographs)(photographs).contiguous().numpy()
    noise = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    smooth = nn.functional.interpolate(noise, size=32, mode="bilinear")
    found: NDArray[np.float32] = (smooth / smooth.std()).numpy()
    return found


def network(x: NDArray[np.float32]) -> nn.Sequential:
    """ResNet-20 with random weights, whose statistics are those of these images."""
    torch.manual_seed(0)
    model = resnet().train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.from_numpy(x))
    return model.eval()


def converted(model: nn.Module, x: NDArray[np.float32], **how: Any) -> sw.Conversion:
    """The spiking network, with these options of `convert` beside its own."""
    return sw.convert(
        model,
        example_input=x[:1],
        spiking={"relu": sw.BipolarIntegrateAndFire(max_spikes_per_step=1)},
        scale_firing_rates=sw.MinimumError(STEPS),
        calibration=x,
        **how,
    )


def measured(conversion: sw.Conversion, model: nn.Module, x: NDArray, rounds: int) -> str:
    """Its figures."""

    def run() -> sw.results.Run:
        return conversion.run(x, STEPS, engine="native", threads=1, progress=False)

    ours, *theirs = medians([run, *passes(model, torch.from_numpy(x), STEPS)], rounds)
    neurons = sum(e.n_neurons for e in conversion.populations().values()) * len(x)
    return (
        f"{ours / min(theirs):.2f} x its {STEPS} forward passes, {1000 * ours:.0f} ms; "
        f"{spikes_of(run(), neurons, STEPS):.2f} spikes a neuron and step"
    )


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--cifar10", type=Path, default=None)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--rounds", type=int, default=5)
    edges.add_arguments(p)
    how = p.parse_args()
    with_threads(1)
    torch.set_num_threads(1)
    x = images(how.cifar10, SEEN + how.batch)
    model = network(x[:SEEN])
    line = measured(converted(model, x[:SEEN]), model, x[SEEN:], how.rounds)
    what = f"ResNet-20, untrained, batch {how.batch} (`python -m benchmarks.few_steps`):"
    edges.write_section("Four steps", [what, line], how)


if __name__ == "__main__":
    main()
