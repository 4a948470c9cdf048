"""The law of conversion on real architectures: the error falls as 1 / (scale x steps).

    python -m benchmarks.convergence [resnet18 vgg11_bn squeezenet1_1 densenet121 ...] [--size 64]

Torchvision networks with random weights, batch-norm statistics calibrated on random input, are
verified against PyTorch, converted with the defaults and run for a fixed number of steps at
doubling firing-rate scales. Printed: the relative error of the mean output against the source, and
the log-log slope over the last two doublings (it should lie between -0.85 and -1.15).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
import torchvision

import spikewright as sw

NAMES = ("resnet18", "vgg11_bn", "squeezenet1_1", "densenet121")


def calibrated(name: str, size: int, seed: int = 0) -> torch.nn.Module:
    """The network in evaluation mode, its batch-norm statistics those of random input."""
    torch.manual_seed(seed)
    model: torch.nn.Module = getattr(torchvision.models, name)(weights=None)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # a cumulative average: exactly the batch's statistics
    model.train()
    with torch.no_grad():
        model(torch.randn(8, 3, size, size))
    return model.eval()


def errors(
    conversion_of: sw.Conversion, source: np.ndarray, x: np.ndarray, scales: list[float], steps: int
) -> list[float]:
    """Relative error `|mean - source| / |source|` (2-norm) of the output at each scale."""
    result = []
    for scale in scales:
        for ensemble in conversion_of.network.all_ensembles:
            ensemble.rate_scale = scale
        run = conversion_of.run(x, steps=steps, dt=1.0, engine="reference")
        mean = run.predict()
        result.append(float(np.linalg.norm(mean - source) / np.linalg.norm(source)))
    return result


def slope(scales: list[float], error: list[float]) -> float:
    """Log-log slope over the last two doublings."""
    return float(np.polyfit(np.log(scales[-3:]), np.log(error[-3:]), 1)[0])


def main() -> None:
    """Print one block per network."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("networks", nargs="*", default=NAMES)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--doublings", type=int, default=9)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((arguments.batch, 3, arguments.size, arguments.size), np.float32)
    scales = [float(2**k) for k in range(arguments.doublings + 1)]
    for name in arguments.networks:
        start = time.perf_counter()
        model = calibrated(name, arguments.size)
        rate = sw.convert(model, example_input=x)
        worst = max(rate.verify(x).values())
        with torch.no_grad():
            source = model(torch.from_numpy(x)).numpy()
        spiking = sw.convert(model, spiking=True, example_input=x)
        error = errors(spiking, source, x, scales, arguments.steps)
        print(f"{name} at {arguments.size} x {arguments.size}: verify {worst:.1e}")
        print("  scale x steps  " + "  ".join(f"{s * arguments.steps:8g}" for s in scales))
        print("  relative error " + "  ".join(f"{e:8.2e}" for e in error))
        seconds = time.perf_counter() - start
        print(f"  slope {slope(scales, error):.3f}  ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
