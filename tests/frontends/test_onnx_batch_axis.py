"""Operators on the batch axis: those that keep every sample are nothing, others mix samples."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import pytest
from onnx_helpers import agrees, model, node, single

from spikewright.graph.layers import Identity

LAST = 2**63 - 1


def ints(*values: int) -> np.ndarray:
    """An int64 vector."""
    return np.array(values, np.int64)


def whole(start: int, end: int, *more: np.ndarray) -> tuple[str, dict[str, Any]]:
    """A slice of axis 0."""
    return "Slice", {"operands": [ints(start), ints(end), *more]}


WHOLE: list[tuple[str, dict[str, Any]]] = [
    whole(0, 1_000_000_000),
    whole(0, 2**31 - 1),
    whole(0, LAST),
    whole(0, 100, ints(0)),
    whole(0, LAST, ints(0), ints(1)),
    whole(0, LAST, ints(-3)),
    whole(-LAST, LAST),
    whole(-(2**31), 10**9),
    ("Slice", {"operands": [ints(0, 1), ints(10**9, 3), ints(0, 2)]}),
    ("Slice", {"starts": [0, 0], "ends": [10**9, 2], "opset": 9}),
    ("Split", {"axis": 0, "num_outputs": 1}),
    ("Squeeze", {}),
    ("Concat", {"axis": 0}),
    ("Tile", {"operands": [ints(1, 2, 1)]}),
    ("Tile", {"operands": [ints(2, 1, 1)]}),
    ("Pad", {"operands": [ints(0, 0, 0, 0, 0, 0)]}),
    ("Pad", {"operands": [ints(0, 1, 0, 0, 0, 2)]}),
    ("Expand", {"operands": [ints(1, 1, 1)]}),
    ("Reshape", {"operands": [ints(0, -1)]}),
    ("Reshape", {"operands": [ints(0, 0, 2, 2)]}),
    ("Reshape", {"operands": [ints(-1, 12)]}),
    ("Unsqueeze", {"operands": [ints(0)]}),
    ("Unsqueeze", {"operands": [ints(1)]}),
    ("Unsqueeze", {"operands": [ints(-4, 2)]}),
]


@pytest.mark.parametrize(
    ("operator", "options", "batch"),
    [(*case, batch) for case, batch in zip(WHOLE, cycle(["n", 1, 3]), strict=False)],
)
def test_what_keeps_every_sample_is_read(
    operator: str, options: dict[str, Any], batch: Any
) -> None:
    """Whether the batch is free or fixed, and where other axes are cut beside it."""
    agrees(single(operator, (3, 4), batch=batch, **options), independent=False)


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_a_gather_of_all_samples(batch: Any) -> None:
    """In order, every one, by indices that are counted from the shape: the samples as they are."""
    nodes = [
        node("Shape", "x", "rows", start=0, end=1),
        node("Squeeze", "rows", "count"),
        node("Range", "zero count one", "all"),
        node("Gather", "x all", "y", "it", axis=0),
    ]
    weights = {"zero": np.array(0), "one": np.array(1)}
    source = agrees(model(nodes, {"x": [batch, 3, 4]}, ["y"], weights), independent=False)
    assert batch == 1 or isinstance(source.graph["it"].layer, Identity)


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_a_merged_axis_is_whole_too(batch: Any) -> None:
    """An axis of samples and values side by side is not cut by an end beyond it."""
    nodes = [node("Reshape", "x flat", "f"), node("Slice", "f zero end", "y", "it")]
    weights = {"flat": ints(-1, 4), "zero": ints(0), "end": ints(10**9)}
    agrees(model(nodes, {"x": [batch, 3, 4]}, ["y"], weights), independent=False)
