"""Channels of different ranges: a small MobileNetV2 on the digits, rescaled without a change.

    python -m benchmarks.wide_channels

Trained here in some seconds, seeded. Channels in front of and behind its depthwise convolutions are
divided by factors from 1 to some decades, and the weights that read them multiplied (the opposite
of Nagel et al. 2019, Data-Free Quantization, arXiv 1906.04721, who make ranges equal). The table
has the root mean square error of the outputs relative to the source's, and spikes a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

import spikewright as sw
from benchmarks.results import markdown_table

TRAINED, SAMPLES, FEW, EPOCHS = 1200, 200, 60, 12
DECADES = (0, 1, 2, 3)
RULES: Sequence[tuple[int, sw.ScaleRule]] = (
    (64, sw.TargetRate(4000, per="layer")),
    (64, sw.TargetRate(4000)),
    (16, sw.Percentile(per="layer")),
    (16, sw.Percentile()),
)
"""Steps, and the rule."""


def convolution(inner: int, out: int, size: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    """A convolution and its batch normalisation."""
    layer = nn.Conv2d(inner, out, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(out))


class InvertedResidual(nn.Module):
    """Wide, depthwise and a linear bottleneck (Sandler et al. 2018, arXiv 1801.04381)."""

    def __init__(self, inner: int, out: int, stride: int = 1, times: int = 4) -> None:
        super().__init__()
        wide = times * inner
        self.expand = convolution(inner, wide)
        self.relu1 = nn.ReLU6()
        self.depthwise = convolution(wide, wide, 3, stride, wide)
        self.relu2 = nn.ReLU6()
        self.bottleneck = convolution(wide, out)
        self.is_residual = stride == 1 and inner == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of `(batch, channels, height, width)`."""
        value: torch.Tensor = self.relu2(self.depthwise(self.relu1(self.expand(x))))
        value = self.bottleneck(value)
        return x + value if self.is_residual else value


def mobile_network() -> nn.Sequential:
    """Three inverted residuals on 8 x 8 images, 10 classes."""
    return nn.Sequential(
        *(convolution(1, 8, 3), nn.ReLU6()),
        *(InvertedResidual(8, 8), InvertedResidual(8, 16, 2), InvertedResidual(16, 16)),
        *(convolution(16, 64), nn.ReLU6()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )


def images() -> tuple[torch.Tensor, torch.Tensor]:
    """All digits `(samples, 1, 8, 8)` between 0 and 1 in a seeded order, and their labels."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    pixels = torch.tensor(digits.images[order, None] / 16.0, dtype=torch.float32)
    return pixels, torch.tensor(digits.target[order])


def trained(epochs: int = EPOCHS) -> nn.Sequential:
    """The network, trained on the first images."""
    torch.manual_seed(0)
    model, (x, y) = mobile_network(), images()
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for chosen in torch.randperm(TRAINED).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimiser.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def widened(model: nn.Sequential, decades: float, seed: int = 0) -> nn.Sequential:
    """The same function for values below six: channels divided by up to 10**decades."""
    model, rng = deepcopy(model), np.random.default_rng(seed)
    for block in model:
        if isinstance(block, InvertedResidual):
            for layer, reader in (
                (block.expand, block.depthwise),
                (block.depthwise, block.bottleneck),
            ):
                _divide(layer, reader, rng.uniform(0, decades, layer[1].num_features))
    return model


def _divide(layer: nn.Module, reader: nn.Module, decades: NDArray) -> None:
    """Divide a layer's channels, and multiply the weights that read them."""
    factors = torch.tensor(10.0**decades, dtype=torch.float32)
    layer[1].weight /= factors  # type: ignore[index]
    layer[1].bias /= factors  # type: ignore[index]
    convolution = reader[0]  # type: ignore[index]
    convolution.weight *= factors.reshape((-1, 1, 1, 1) if convolution.groups > 1 else (-1, 1, 1))


def causes(model: nn.Module, steps: int) -> str:
    """The causes of the loss under one threshold a layer, in words."""
    x, seen = images()[0][TRAINED : TRAINED + FEW].numpy(), images()[0][:SAMPLES].numpy()
    rule = {"scale_firing_rates": sw.Percentile(per="layer"), "calibration": seen}
    made = sw.convert(model, example_input=seen[:1], spiking=True, **rule)
    return "\n".join(map(str, made.diagnose(x, steps=steps, progress=False).causes))


def measured(model: nn.Module, steps: int, rule: sw.ScaleRule) -> tuple[float, float, float]:
    """Accuracy, relative error of the outputs, spikes a sample, on images it was not trained on."""
    x, y = (part[TRAINED : TRAINED + SAMPLES].numpy() for part in images())
    seen = images()[0][:SAMPLES].numpy()
    made = sw.convert(
        model, example_input=seen[:1], spiking=True, scale_firing_rates=rule, calibration=seen
    )
    run = made.run(x, steps, progress=False)
    found, truth = run.predict("mean"), model(torch.from_numpy(x)).detach().numpy()
    error = float(np.linalg.norm(found - truth) / np.linalg.norm(truth))
    spikes = sum(float(counts.mean()) for counts in run.spike_counts().values())
    return float(np.mean(found.argmax(axis=1) == y)), error, spikes


def main() -> None:
    """Print the table, and the causes of one loss."""
    model, rows = trained(), []
    for decades in DECADES:
        wide = widened(model, decades)
        for steps, rule in RULES:
            right, error, spikes = measured(wide, steps, rule)
            cells = (f"{right:.1%}", f"{error:.1%}", f"{spikes:,.0f}")
            rows.append((f"1 to {10**decades}", str(steps), str(rule), *cells))
            print(*rows[-1], flush=True)
    print(causes(widened(model, 2), 16))
    print(markdown_table(("factors", "steps", "rule", "accuracy", "error", "spikes"), rows))


if __name__ == "__main__":
    main()
