"""Normalisations, products and extrema of several inputs, against PyTorch and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from spikewright.errors import GraphError
from spikewright.graph.layers import (
    Divide,
    GroupNormalization,
    Layer,
    LayerNormalization,
    MatMul,
    Maximum,
    Minimum,
    Multiply,
    RMSNormalization,
    UnitNormalization,
)

RNG = np.random.default_rng(6)
X = RNG.normal(size=(3, 4, 7, 6)) + 0.5
T = torch.from_numpy(X)


def test_layer_normalisation_over_trailing_and_other_axes() -> None:
    """PyTorch's over trailing axes; any axes are the same after moving them last."""
    scale, shift = RNG.normal(size=(2, 7, 6))
    expected = F.layer_norm(T, (7, 6), torch.from_numpy(scale), torch.from_numpy(shift), 1e-3)
    found = LayerNormalization((-1, 1), 1e-3, scale, shift).evaluate(X)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-10, atol=1e-12)

    moved = F.layer_norm(T.movedim(1, -1), (4,), eps=1e-6).movedim(-1, 1)
    first = LayerNormalization((0,), 1e-6).evaluate(X)
    np.testing.assert_allclose(first, moved.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_normalisation_on_either_side(groups: int) -> None:
    """PyTorch's, channels first; channels last is the same after moving the axis."""
    scale, shift = RNG.normal(size=(2, 4))
    expected = F.group_norm(
        T, groups, torch.from_numpy(scale), torch.from_numpy(shift), 1e-5
    ).numpy()

    first = GroupNormalization(groups, 0, 1e-5, scale, shift).evaluate(X)
    np.testing.assert_allclose(first, expected, rtol=1e-10, atol=1e-12)
    last = GroupNormalization(groups, -1, 1e-5, scale, shift).evaluate(np.moveaxis(X, 1, -1))
    np.testing.assert_allclose(np.moveaxis(last, -1, 1), expected, rtol=1e-10, atol=1e-12)


def test_products_and_extrema_broadcast_without_the_batch() -> None:
    """Unbatched shapes broadcast as NumPy's do; the batch axis takes no part."""
    low, wide = RNG.normal(size=(3, 6)), RNG.normal(size=(3, 4, 1, 1))

    for layer, function in (
        (Multiply(), np.multiply), (Maximum(), np.maximum), (Minimum(), np.minimum),
        (Divide(), np.divide),
    ):  # fmt: skip
        np.testing.assert_array_equal(layer.evaluate(X, wide), function(X, wide))
        by_sample = [function(a, b) for a, b in zip(low, X, strict=True)]
        np.testing.assert_array_equal(layer.evaluate(low, X), by_sample)
    np.testing.assert_array_equal(Multiply().evaluate(X, X, wide), X * X * wide)
    np.testing.assert_array_equal(Maximum().evaluate(X), X)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_matrix_products_of_two_inputs(transpose_a: bool, transpose_b: bool) -> None:
    """The last two axes multiply, the others broadcast, and either side may be transposed."""
    a, b = RNG.normal(size=(3, 2, 1, 5, 4)), RNG.normal(size=(3, 6, 4, 5))
    left = np.swapaxes(a, -1, -2) if transpose_a else a
    right = np.swapaxes(b, -1, -2) if transpose_b else b
    if left.shape[-1] != right.shape[-2]:
        b, right = np.swapaxes(b, -1, -2), np.swapaxes(right, -1, -2)
    layer = MatMul(transpose_a, transpose_b)

    expected = np.stack([x @ y for x, y in zip(left, right, strict=True)])
    np.testing.assert_allclose(layer.evaluate(a, b), expected, rtol=1e-12)
    assert layer.output_shape(a.shape[1:], b.shape[1:]) == expected.shape[1:]


REFUSED: list[tuple[Layer, list, str]] = [
    (Multiply(), [(3,), (4,)], r"\[\(3,\), \(4,\)\] do not broadcast"),
    (Divide(), [(2, 3), (4, 3)], "Divide: inputs of shapes"),
    (MatMul(), [(3,), (3, 4)], "two axes or more"),
    (MatMul(), [(2, 3), (4, 5)], r"3 values along the inner axis of \(2, 3\) do not fit 4"),
    (MatMul(), [(2, 1, 3), (3, 3, 5)], "do not broadcast"),
    (LayerNormalization((), 1e-5), [(3,)], "no axes are given"),
    (LayerNormalization((0, -1), 1e-5), [(3,)], "twice"),
    (LayerNormalization((0,), -1.0), [(3,)], "epsilon must be 0 or more"),
    (LayerNormalization((0,), 1e-5, np.ones(4)), [(3,)], "scale of shape"),
    (GroupNormalization(2, 0, 1e-5), [(3, 4)], "do not divide into 2 groups"),
    (GroupNormalization(3, 0, 1e-5, np.ones(4)), [(3, 4)], r"scale must have shape \(3,\)"),
    (RMSNormalization((2,), 1e-5), [(3, 4)], "axis 2 does not exist"),
    (UnitNormalization((0,), -1.0), [(3,)], "epsilon"),
]


@pytest.mark.parametrize(("layer", "shapes", "message"), REFUSED)
def test_shapes_and_options_that_do_not_fit(layer: Layer, shapes: list, message: str) -> None:
    """A `GraphError` that names the kind and the value."""
    with pytest.raises(GraphError, match=message) as caught:
        layer.output_shape(*shapes)

    assert layer.kind in str(caught.value)
