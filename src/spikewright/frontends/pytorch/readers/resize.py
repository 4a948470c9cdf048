"""Images, sequences and volumes of another size."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.resampling import resampled
from spikewright.frontends.reading.values import Value

_OPERATORS = (
    *(f"upsample_{name}" for name in (
        "nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "trilinear3d", "bicubic2d",
    )),
    *(f"_upsample_{name}" for name in (
        "nearest_exact1d", "nearest_exact2d", "nearest_exact3d", "bilinear2d_aa", "bicubic2d_aa",
    )),
)  # fmt: skip


@reads(*(f"aten.{name}.{kind}" for name in _OPERATORS for kind in ("default", "vec")))
def _resize(call: Call) -> Value:
    x = call.value("input" if "input" in call.arguments else "self")
    name = call.target.split(".")[1]
    rank = int(re.findall(r"([123])d", name)[0])
    axes = [call.axis(x, dim) for dim in range(-rank, 0)]
    sizes = sizes_of(call.results)[-rank:]
    scales = _scales(call, rank)
    align = bool(call.get("align_corners", False))
    matrices = {
        axis: _matrix(name, x.shape[axis], int(size), scale, align, call.dtype)
        for axis, size, scale in zip(axes, sizes, scales, strict=True)
    }
    return resampled(call, x, matrices)


def _scales(call: Call, rank: int) -> list[float | None]:
    given = call.get("scale_factors")
    if given:
        return list(given)
    named = [value for name, value in call.arguments.items() if name.startswith("scales")]
    return named if len(named) == rank else [None] * rank


def _matrix(
    name: str, before: int, after: int, scale: float | None, align: bool, dtype: Any
) -> NDArray:
    """The matrix `(after, before)` of an operator along one axis: its values on unit vectors."""
    operators = torch.ops.aten
    nearest = "nearest" in name
    # Which value is nearest depends on the rounding of the precision that the model has.
    units = torch.eye(before, dtype=dtype if nearest and dtype else torch.float64)[None]
    if nearest:
        packet = "_upsample_nearest_exact1d" if "exact" in name else "upsample_nearest1d"
        result = getattr(operators, packet).default(units, [after], scale)
    elif "linear" in name and "aa" not in name:
        result = operators.upsample_linear1d.default(units, [after], align, scale)
    else:
        operator = getattr(operators, name).default
        result = operator(units[:, :, None], [1, after], align, None, scale)[:, :, 0]
    return np.ascontiguousarray(result[0].T.double().numpy())
