"""Memory of modules through time: with checkpoints it grows with the logarithm of the steps."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import spikewright as sw


class Peak(TorchDispatchMode):
    """The most bytes of tensors that are made and alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak, self._known = 0, 0, set[int]()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage())
        return made

    def _note(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


@pytest.mark.parametrize("kind", [sw.IntegrateAndFire(), sw.LIF()])
def test_eight_steps_take_twice_the_memory_of_one_at_most(kind: Any) -> None:
    """With checkpoints at halves of halves; without them eight steps take three times and more."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()]
    for _ in range(4):
        layers += [nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(128, 4)).eval()
    x = torch.randn(8, 3, 16, 16)
    conversion = sw.convert(model, spiking={"relu": kind}, example_input=x[:1])

    def peak(steps: int, checkpoint: bool) -> int:
        module = conversion.to_torch(steps, checkpoint=checkpoint)
        module(x).sum().backward()
        module.zero_grad()
        with Peak() as found:
            module(x).square().mean().backward()
        return found.peak

    one = peak(1, False)
    assert peak(8, True) <= 2.0 * one
    assert peak(8, False) > 3.0 * one
