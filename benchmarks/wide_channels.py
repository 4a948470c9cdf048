"""Channels of different ranges: a small MobileNetV2 on the digits, rescaled without a change.

    python -m benchmarks.wide_channels [--causes] [--document]

Trained here in some seconds, seeded. Channels in front of and behind its depthwise convolutions are
divided by factors from 1 to some decades, and the weights that read them multiplied (the opposite
of Nagel et al. 2019, Data-Free Quantization, arXiv 1906.04721, who make ranges equal). The table
has the root mean square error of the outputs relative to the source's, by factors and rule;
`--causes` prints what `diagnose` says of one of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

import spikewright as sw
from benchmarks.marked import add_document, write_section
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


def measured(model: nn.Module, steps: int, rule: sw.ScaleRule) -> float:
    """Relative error of the outputs, on images that it was not trained on."""
    x = images()[0][TRAINED : TRAINED + SAMPLES].numpy()
    seen = images()[0][:SAMPLES].numpy()
    made = sw.convert(
        model, example_input=seen[:1], spiking=True, scale_firing_rates=rule, calibration=seen
    )
    run = made.run(x, steps, progress=False)
    found, truth = run.predict("mean"), model(torch.from_numpy(x)).detach().numpy()
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def main() -> None:
    """Print the table, or the causes of one loss."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--causes", action="store_true", help="of one loss, in words")
    add_document(parser, "choosing.md")
    given = parser.parse_args()
    model = trained()
    if given.causes:
        print(causes(widened(model, 2), 16))
        return
    rows = []
    for decades in DECADES:
        wide = widened(model, decades)
        errors = [f"{measured(wide, steps, rule):.1%}" for steps, rule in RULES]
        rows.append([f"1 to {10**decades}" if decades else "1", *errors])
        print(*rows[-1], flush=True)
    head = ["factors", *(f"`{rule}`, {steps} steps" for steps, rule in RULES)]
    write_section("wide", markdown_table(head, rows), given.document)


if __name__ == "__main__":
    main()
