"""Small networks of three families, as PyTorch modules: MobileNetV3, a vision transformer, a GRU.

They have what plain ReLU networks lack: hard-swish, gates of squeeze-and-excitation, depthwise
convolutions, attention, GELU, layer normalisation, and a recurrence with gates.
"""

from __future__ import annotations

import torch
from torch import nn


class Squeeze(nn.Module):
    """Squeeze-and-excitation: channels times a hard sigmoid of their means (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = max(8, channels // 4)
        self.down = nn.Conv2d(channels, middle, 1)
        self.up = nn.Conv2d(middle, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Channels, each times its gate."""
        means = x.mean((2, 3), keepdim=True)
        return x * nn.functional.hardsigmoid(self.up(torch.relu(self.down(means))))


class Bottleneck(nn.Module):
    """Expansion, depthwise convolution, gates and a linear projection; a shortcut where it fits."""

    def __init__(
        self, inputs: int, expanded: int, channels: int, kernel: int, stride: int,
        squeezed: bool, curve: type[nn.Module],
    ) -> None:  # fmt: skip
        super().__init__()
        self.shortcut = stride == 1 and inputs == channels
        layers: list[nn.Module] = []
        if expanded != inputs:
            layers += [nn.Conv2d(inputs, expanded, 1, bias=False), nn.BatchNorm2d(expanded)]
            layers += [curve()]
        layers += [
            nn.Conv2d(expanded, expanded, kernel, stride, kernel // 2, groups=expanded, bias=False),
            nn.BatchNorm2d(expanded),
            curve(),
        ]
        if squeezed:
            layers.append(Squeeze(expanded))
        layers += [nn.Conv2d(expanded, channels, 1, bias=False), nn.BatchNorm2d(channels)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layers' values, with the input added where there is a shortcut."""
        y: torch.Tensor = self.layers(x)
        return x + y if self.shortcut else y


def mobilenet_v3() -> nn.Sequential:
    """The small MobileNetV3 of Howard et al. 2019, narrower, for images of 32 x 32 in colour."""
    relu, swish = nn.ReLU, nn.Hardswish
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
        Bottleneck(16, 16, 16, 3, 1, True, relu),
        Bottleneck(16, 48, 24, 3, 2, False, relu),
        Bottleneck(24, 72, 24, 3, 1, False, relu),
        Bottleneck(24, 96, 40, 5, 1, True, swish),
        Bottleneck(40, 120, 40, 5, 1, True, swish),
        Bottleneck(40, 160, 64, 5, 2, True, swish),
        Bottleneck(64, 192, 64, 5, 1, True, swish),
        nn.Conv2d(64, 192, 1, bias=False), nn.BatchNorm2d(192), nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(192, 192), nn.Hardswish(), nn.Dropout(0.1), nn.Linear(192, 10),
    )  # fmt: skip


class Attention(nn.Module):
    """Attention of tokens `(n, tokens, width)` to each other, with several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.asked = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attention: a weighted sum of all tokens' values for each token."""
        n, tokens, width = x.shape
        parts = self.asked(x).reshape(n, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        y: torch.Tensor = self.out(attended.transpose(1, 2).reshape(n, tokens, width))
        return y


class Layer(nn.Module):
    """A layer of a transformer: attention, then two dense layers; each behind a normalisation."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.dense = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The tokens, and what is added to them."""
        x = x + self.attention(self.norm1(x))
        y: torch.Tensor = x + self.dense(self.norm2(x))
        return y


class VisionTransformer(nn.Module):
    """Patches of an image as tokens, behind a class token (Dosovitskiy et al. 2021)."""

    def __init__(self, width: int = 64, heads: int = 4, layers: int = 3, patch: int = 7) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, patch, patch)
        self.label = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, 1 + (28 // patch) ** 2, width))
        self.layers = nn.Sequential(*(Layer(width, heads, 2 * width) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images `(n, 1, 28, 28)` to ten numbers each."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.label.expand(len(x), -1, -1), tokens], 1) + self.places
        y: torch.Tensor = self.head(self.norm(self.layers(tokens))[:, 0])
        return y


class Rows(nn.Module):
    """A GRU over the rows of an image `(n[, 1], height, width)`; the last state decides."""

    def __init__(self, width: int = 28, hidden: int = 96) -> None:
        super().__init__()
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Ten numbers for each image."""
        y: torch.Tensor = self.head(self.gru(x.squeeze(1))[0][:, -1])
        return y
