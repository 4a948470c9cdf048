"""Constants of the shape of a value: the same for every sample."""

from __future__ import annotations

from typing import Any

import torch

from spikewright.frontends.pytorch.call import MIXES, Call, Cannot
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import reads

_FILL = {"zero": 0.0, "ones": 1.0}


@reads(
    "aten.zeros_like.default", "aten.ones_like.default", "aten.full_like.default",
    "aten.new_zeros.default", "aten.new_ones.default", "aten.new_full.default",
    "aten.zero.default", "aten.fill.Scalar",
)  # fmt: skip
def _filled(call: Call) -> Any:
    fill = next((value for name, value in _FILL.items() if name in call.target), None)
    first, *rest = sizes_of(call.results) or (1,)
    if not all(isinstance(size, int) for size in rest):
        raise Cannot("it makes a constant whose shape depends on the size of the batch", MIXES)
    shape = (first if isinstance(first, int) else 1, *rest)  # one sample stands for all
    return torch.full(shape, call.get("fill_value", call.get("value")) if fill is None else fill)
