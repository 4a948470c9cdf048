"""Masks that depend on the data: whatever a model writes, the network computes."""

from __future__ import annotations

import numpy as np
import pytest

import spikewright as sw

torch = pytest.importorskip("torch")
LEAST = torch.finfo(torch.float32).min
BIAS = torch.from_numpy(np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32))
MASKS = {
    "a number in place of scores": lambda scores, seen, other: torch.where(
        seen > 0.5, scores, LEAST
    ),
    "added numbers": lambda scores, seen, other: scores + (1 - seen) * LEAST,
    "added constants": lambda scores, seen, other: scores + torch.where(seen > 0.5, BIAS, LEAST),
    "added values": lambda scores, seen, other: scores + torch.where(seen > 0.5, other, LEAST),
}


class Attention(torch.nn.Module):
    """Shares of values by scores under one of the masks; with none the smallest value seen."""

    def __init__(self, mask):
        super().__init__()
        self.mask, self.value = mask, torch.nn.Linear(8, 8)

    def forward(self, x, seen):
        value = self.value(x)
        if self.mask is None:
            return torch.where(seen[:, :, None] > 0.5, value, -LEAST).amin(1)
        seen, other = seen[:, None, :], value @ x.transpose(1, 2)
        return torch.softmax(self.mask(x @ x.transpose(1, 2), seen, other), -1) @ value


@pytest.fixture(scope="module")
def given():
    """Samples, every other one of which ends after three positions."""
    x = np.random.default_rng(0).normal(size=(6, 5, 8)).astype(np.float32)
    seen = np.ones((6, 5), np.float32)
    seen[::2, 3:] = 0
    return {"x": x, "seen": seen}


@pytest.mark.parametrize("mask", [*MASKS, "the largest number"])
def test_masks_hide_and_change_nothing_else(mask, given):
    """A mask's numbers hide what they hide, and what is added beside them is not lost.

    Of -3.4e38, scales and shifts are limited alike, or their difference is no zero.
    """
    torch.manual_seed(0)
    model = Attention(MASKS.get(mask)).eval()
    expected = model(*map(torch.from_numpy, given.values())).detach().numpy()
    few = {name: array[:2] for name, array in given.items()}
    still = sw.convert(model, example_input=few).run(given, steps=3, progress=False).predict()
    np.testing.assert_allclose(still, expected, atol=1e-5)
    if mask in MASKS:
        digits = sw.convert(
            model, example_input=few, spiking=True, coding=sw.SignedDigits(8, 8), calibration=given
        )
        said = digits.run(given, progress=False).predict()
        np.testing.assert_allclose(said, expected, atol=0.02)
