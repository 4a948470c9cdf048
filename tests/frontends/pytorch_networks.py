"""Small look-alikes of published networks: their operators, in the order of their code."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F


def calibrated(model: nn.Module, *shape: int, seed: int = 0) -> nn.Module:
    """The model with batch-norm statistics of one pass over random input, in evaluation mode."""
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.momentum = None  # the statistics of this pass alone
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.train()(torch.randn(32, *shape, generator=generator))
    return model.eval()


class Residual(nn.Module):
    """A residual block whose shortcut is a convolution, as in ResNet."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(inputs, outputs, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.short(x)
        return self.relu(y)


class SqueezeExcitation(nn.Module):
    """Channels scaled by a function of their means, as in EfficientNet and MobileNetV3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gate(self.fc2(F.silu(self.fc1(self.pool(x))))) * x


class Inverted(nn.Module):
    """An inverted bottleneck with squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.block = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish(True),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide), nn.BatchNorm2d(wide), nn.SiLU(True),
            SqueezeExcitation(wide), nn.Conv2d(wide, channels, 1), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x)


class NextBlock(nn.Module):
    """Depthwise convolution, layer norm on the channels, GELU and a layer scale: ConvNeXt."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.up, self.down = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.conv(x).permute(0, 2, 3, 1))
        return x + self.scale * self.down(F.gelu(self.up(y))).permute(0, 3, 1, 2)


class VisionTransformer(nn.Module):
    """Patches, class token, position embedding, encoder layers, head: ViT."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(2, 8, 2, 2)
        self.token = nn.Parameter(0.3 * torch.randn(1, 1, 8))
        self.position = nn.Parameter(0.3 * torch.randn(1, 5, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[0]
        y = self.patches(x).reshape(n, 8, -1).permute(0, 2, 1)
        y = torch.cat([self.token.expand(n, -1, -1), y], dim=1) + self.position
        return self.head(self.norm(self.encoder(y)[:, 0]))


class ShiftedWindows(nn.Module):
    """Attention in rolled windows of 2 x 2 with a table of relative positions: Swin."""

    def __init__(self, channels: int = 4, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.qkv = heads, nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        self.table = nn.Parameter(torch.randn(9, heads))
        index = torch.tensor([[4, 5, 7, 8], [3, 4, 6, 7], [1, 2, 4, 5], [0, 1, 3, 4]])
        self.register_buffer("index", index.flatten())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, height, width, channels = x.shape
        y = torch.roll(x, shifts=(-1, -1), dims=(1, 2))
        y = y.view(batch, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 2, 4, 5)
        windows = (height // 2) * (width // 2)
        y = y.reshape(batch * windows, 4, channels)
        qkv = self.qkv(y).reshape(y.size(0), 4, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = q * (channels // self.heads) ** -0.5 @ k.transpose(-2, -1)
        weights = weights + self.table[self.index].view(4, 4, -1).permute(2, 0, 1).unsqueeze(0)
        mask = self._mask(x, height, width)
        weights = weights.view(batch, windows, self.heads, 4, 4)
        weights = weights + mask.unsqueeze(1).unsqueeze(0)
        weights = F.softmax(weights.view(-1, self.heads, 4, 4), dim=-1)
        y = (weights @ v).transpose(1, 2).reshape(batch * windows, 4, channels)
        y = self.project(y).view(batch, height // 2, width // 2, 2, 2, channels)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(batch, height, width, channels)
        return x + torch.roll(y, shifts=(1, 1), dims=(1, 2))

    def _mask(self, x: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Where a window holds what was not side by side before the roll."""
        areas = x.new_zeros((height, width))
        for count, rows in enumerate(((0, -2), (-2, -1), (-1, None))):
            areas[rows[0] : rows[1], :] += 3 * count
            areas[:, rows[0] : rows[1]] += count
        areas = areas.view(height // 2, 2, width // 2, 2).permute(0, 2, 1, 3).reshape(-1, 4)
        apart = areas.unsqueeze(1) - areas.unsqueeze(2)
        return apart.masked_fill(apart != 0, -100.0).masked_fill(apart == 0, 0.0)


class Grid(nn.Module):
    """Attention over a grid by einsum, with pooled keys: MaxViT."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.mix, self.bias = nn.Linear(channels, 2 * channels), nn.Parameter(torch.randn(2, 4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        y = x.reshape(batch, channels, 2, height // 2, 2, width // 2)
        y = y.permute(0, 3, 5, 2, 4, 1).reshape(batch, -1, 4, channels)
        q, k = torch.chunk(self.mix(y), 2, dim=-1)
        q, k = (
            one.reshape(batch, -1, 4, 2, channels // 2).permute(0, 1, 3, 2, 4) for one in (q, k)
        )
        weights = F.softmax(torch.einsum("BGHID,BGHJD->BGHIJ", [q, k]) + self.bias, dim=-1)
        y = torch.einsum("BGHIJ,BGHJD->BGHID", [weights, k])
        y = y.permute(0, 1, 3, 2, 4).reshape(batch, height // 2, width // 2, 2, 2, channels)
        return y.permute(0, 5, 3, 1, 4, 2).reshape(batch, channels, height, width)


class Shuffled(nn.Module):
    """Split channels, one half convolved, joined and shuffled: ShuffleNet."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, dim=1)
        y = torch.cat((first, self.branch(second)), dim=1)
        batch, channels, height, width = y.size()
        y = y.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return y.view(batch, channels, height, width)


def _last(channels: int, *layers: nn.Module) -> nn.Module:
    pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, *pool, nn.Linear(channels, 3))


class ChannelsLast(nn.Module):
    """A layer on values whose channels come last."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _stem() -> nn.Module:
    return nn.Conv2d(2, 4, 3, padding=1)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "residual": lambda: _last(6, _stem(), nn.MaxPool2d(2, ceil_mode=True), Residual(4, 6, 2)),
    "inverted": lambda: _last(4, _stem(), Inverted(4)),
    "next": lambda: _last(4, _stem(), NextBlock(4)),
    "transformer": VisionTransformer,
    "windows": lambda: _last(4, _stem(), ChannelsLast(ShiftedWindows())),
    "grid": lambda: _last(4, _stem(), Grid()),
    "shuffled": lambda: _last(4, _stem(), Shuffled()),
    "group norm": lambda: _last(
        4, _stem(), nn.GroupNorm(2, 4), nn.Mish(), nn.InstanceNorm2d(4, affine=True), nn.ELU()
    ),
    "up and down": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, 2, 1), nn.PReLU(4), nn.ConvTranspose2d(4, 2, 2, 2),
        nn.ReflectionPad2d(1),
        nn.Upsample(scale_factor=1.5, mode="bilinear", align_corners=True), nn.GLU(1), nn.Tanh(),
        nn.Flatten(), nn.LazyLinear(3), nn.LogSoftmax(1),
    ),
}  # fmt: skip
"""Networks on images `(2, 4, 4)` with three outputs."""


def network(name: str, seed: int = 0) -> nn.Module:
    """One of the networks, with random weights and calibrated statistics."""
    torch.manual_seed(seed)
    return calibrated(NETWORKS[name](), 2, 4, 4)
