"""Operations that only choose values: Keras itself is asked which, on their positions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.keras.registry import Call, Unreadable, Value, array, reads
from spikewright.frontends.keras.running import run_operation
from spikewright.frontends.keras.walking import filled
from spikewright.frontends.reading.values import afford
from spikewright.graph.layers import Reshape, Take

_CHOOSING = (
    "CropImages", "Diagonal", "Dsplit", "ExtractPatches", "Fliplr", "Hsplit", "Rot90",
    "Slice", "TakeAlongAxis", "Unfold",
)  # fmt: skip


@reads(*(f"ops.{name}" for name in _CHOOSING))
def chosen_values(call: Call) -> list[Value]:
    """Values of one tensor at other places, by constant indices."""
    if len(call.inputs) != 1:
        raise Unreadable(
            "it chooses by computed positions", "Use constant positions, or keras.ops.where"
        )
    (x,) = call.inputs
    flat = call.add(Reshape((math.prod(x.shape),)), x, part="flat")
    outputs = _positions(call)
    names = [f"{index}" if index else "" for index in range(len(outputs))]
    return [
        call.add(Take(places, 0), flat, part=name)
        for places, name in zip(outputs, names, strict=True)
    ]


def _positions(call: Call) -> list[NDArray]:
    """For each output, the place in a flat sample of every value of it."""
    (x,), n = call.inputs, math.prod(call.shape)
    afford(n)
    samples = 1 if call.batch == 1 else 2
    places = np.arange(1, samples * n + 1, dtype=np.float64).reshape(samples, *x.shape)
    given = filled(dict(call.arguments), [require("keras").ops.convert_to_tensor(places)])
    try:
        made = [array(one) for one in run_operation(call.layer, (), given)]
    except (RuntimeError, ValueError, IndexError, TypeError):
        made = []  # it needs another number of samples
    apart = all(
        len(one) == samples and all((row == one[0] + i * n).all() for i, row in enumerate(one))
        for one in made
    )
    if not made or not apart or any((one[:1] < 1).any() for one in made):
        raise Unreadable(
            "it chooses among the samples of the batch", "Choose along other axes than 0"
        )
    return [np.asarray(one[0] - 1, np.int64) for one in made]
