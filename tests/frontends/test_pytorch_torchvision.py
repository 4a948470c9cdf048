"""Published architectures with random weights, layer by layer; `docs/families.md` has all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from pytorch_helpers import check_values
from torch import nn

from spikewright._base.formatting import label_to_name
from spikewright.frontends import read

_HANDED_ON = ("StochasticDepth", "Identity", "Dropout")  # no operator, or one that is dropped


@pytest.mark.parametrize(
    "name", ["squeezenet1_1", pytest.param("mobilenet_v3_small", marks=pytest.mark.slow)]
)
def test_small_networks(name: str) -> None:
    """Every layer of the module is a node of that name, and has its value."""
    torch.manual_seed(0)
    shape = (3, 32, 32)
    model = getattr(torchvision.models, name)(weights=None)
    with torch.no_grad():
        model.train()(torch.randn(16, *shape))  # so that its statistics are not those of the start
    model.eval()
    source = read(model, np.zeros((1, *shape), np.float32))
    check_values(source, 1e-4, batch=2)
    assert _missing(model, {label_to_name(node.name) for node in source.graph}) == []


def _missing(model: nn.Module, names: set[str]) -> list[str]:
    """Modules without submodules that are no layers, though they compute from the input."""
    layers = {
        path: type(part).__name__
        for path, part in model.named_modules()
        if not list(part.children()) and not isinstance(part, nn.Sequential)  # some are empty
    }
    return sorted({path for path, kind in layers.items() if kind not in _HANDED_ON} - names)
