"""Published architectures with random weights, layer by layer against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from pytorch_helpers import check_values
from pytorch_networks import calibrated
from torch import nn

import spikewright as sw
from spikewright.frontends import read

FAMILIES = {
    "alexnet": 64, "convnext_tiny": 32, "densenet121": 32, "efficientnet_b0": 32,
    "efficientnet_v2_s": 32, "googlenet": 32, "inception_v3": 75, "maxvit_t": 64,
    "mnasnet0_5": 32, "mobilenet_v2": 32, "mobilenet_v3_small": 32, "regnet_y_400mf": 32,
    "resnet18": 32, "resnext50_32x4d": 32, "shufflenet_v2_x0_5": 32, "squeezenet1_1": 32,
    "swin_t": 32, "swin_v2_t": 64, "vgg11_bn": 32, "vit_b_16": 64, "wide_resnet50_2": 32,
}  # fmt: skip
"""One member of every family, and the extent of small images that it accepts."""
_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"init_weights": False, "aux_logits": False},
    "inception_v3": {"init_weights": False, "aux_logits": False},
    "vit_b_16": {"image_size": 64},
}
_HANDED_ON = ("StochasticDepth", "Identity", "Dropout")  # no operator, or one that is dropped


def _network(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """Random weights, and batch-norm statistics of one pass over random images."""
    torch.manual_seed(0)
    shape = (3, FAMILIES[name], FAMILIES[name])
    if name == "maxvit_t":
        model = _small_maxvit(shape[1:])
    else:
        model = getattr(torchvision.models, name)(weights=None, **_OPTIONS.get(name, {}))
    has_statistics = any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    return calibrated(model, *shape) if has_statistics else model.eval(), shape


def _small_maxvit(size: tuple[int, int]) -> nn.Module:
    """`maxvit_t` with fewer blocks, and windows of 2 x 2 that small images divide into."""
    return torchvision.models.MaxVit(
        input_size=size, stem_channels=64, partition_size=2, head_dim=32,
        block_channels=[64, 128, 256, 512], block_layers=[1, 1, 2, 1], stochastic_depth_prob=0.2,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "squeezenet1_1",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("resnet18", "mobilenet_v3_small")),
    ],
)
def test_small_networks(name: str) -> None:
    """Every layer of the module is a node of that name, and has its value."""
    model, shape = _network(name)
    source = read(model, np.zeros((1, *shape), np.float32))
    check_values(source, 1e-4, batch=2)
    assert _missing(model, {node.name for node in source.graph}) == []


def _missing(model: nn.Module, names: set[str]) -> list[str]:
    """Modules without submodules that are no layers, though they compute from the input."""
    layers = {
        path: type(part).__name__
        for path, part in model.named_modules()
        if not list(part.children()) and not isinstance(part, nn.Sequential)  # some are empty
    }
    named = {name.partition(" ")[0] for name in names}  # of numbered ones "0 Conv2d"
    missing = {path for path, kind in layers.items() if kind not in _HANDED_ON} - named
    return sorted(path for path in missing if ".cpb_mlp." not in path)  # a constant: positions


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FAMILIES))
def test_all_families(name: str) -> None:
    """Read, named, converted to spikes; layer by layer as near as rounding explains."""
    model, shape = _network(name)
    x = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    conversion = sw.convert(model, example_input=x, spiking=True)
    assert _missing(model, set(conversion.layers)) == []
    errors = conversion.verify(x)
    assert len(errors) > 10 and max(errors.values()) < 1e-2
    assert conversion.trace.guarantee == "convergent"


def test_a_residual_block_in_words() -> None:
    """The names of a ResNet's first block are those that its code uses."""
    graph = read(torchvision.models.resnet18(weights=None), torch.zeros(2, 3, 32, 32)).graph
    assert [node.name for node in graph][:12] == [
        "x", "conv1", "bn1", "relu", "maxpool",
        "layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu", "layer1.0.conv2", "layer1.0.bn2",
        "layer1.0.add", "layer1.0.relu_1",
    ]  # fmt: skip
