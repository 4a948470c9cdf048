"""Published architectures with random weights, layer by layer against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from pytorch_helpers import check_values
from torch import nn

from spikewright.frontends import Source, read


def _network(name: str) -> nn.Module:
    """Random weights, and batch norm statistics of one pass over random images."""
    torch.manual_seed(0)
    options = {"init_weights": True} if name == "googlenet" else {}
    model = getattr(torchvision.models, name)(weights=None, **options)
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.momentum = None  # the statistics of this pass alone
    with torch.no_grad():
        model.train()(torch.randn(8, 3, 64, 64))
    return model


def _check(name: str) -> Source:
    model = _network(name)
    source = read(model, np.zeros((1, 3, 64, 64), np.float32))
    check_values(source, 1e-4, batch=2)
    layers = {
        path
        for path, part in model.named_modules()
        if not list(part.children()) and not isinstance(part, nn.Sequential)  # some are empty
    }
    named = {node.name for node in source.graph}
    missing = [path for path in layers - named if not path.startswith("aux")]
    assert missing == []
    return source


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_small_networks(name: str) -> None:
    """Every layer of the module is a node of that name, and has its value."""
    _check(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["vgg11_bn", "densenet121", "mobilenet_v2", "shufflenet_v2_x1_0", "googlenet"]
)
def test_large_networks(name: str) -> None:
    """Every layer of the module is a node of that name, and has its value."""
    _check(name)


def test_a_residual_block_in_words() -> None:
    """The names of a ResNet's first block are those that its code uses."""
    graph = read(torchvision.models.resnet18(weights=None), torch.zeros(2, 3, 32, 32)).graph
    assert [node.name for node in graph][:12] == [
        "x", "conv1", "bn1", "relu", "maxpool",
        "layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu", "layer1.0.conv2", "layer1.0.bn2",
        "layer1.0.add", "layer1.0.relu_1",
    ]  # fmt: skip
