"""Layers that choose values, and layers of attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.errors import GraphError
from spikewright.graph import Graph, GraphNode, evaluate, to_text
from spikewright.graph.layers import (
    Broadcast,
    Concatenate,
    Constant,
    ConvolutionTranspose,
    Divide,
    GroupNormalization,
    Input,
    Interpolate,
    Layer,
    LayerNormalization,
    MatMul,
    Maximum,
    Minimum,
    Multiply,
    Pad,
    RMSNormalization,
    Slice,
    Sum,
    Take,
    Tile,
    UnitNormalization,
)

DRAWING = np.random.default_rng(6)
VALUES = DRAWING.normal(size=(3, 4, 7, 6)) + 0.5
T = torch.from_numpy(VALUES)


def test_layer_normalisation_over_trailing_and_other_axes() -> None:
    """PyTorch's over trailing axes; any axes are the same after moving them last."""
    scale, shift = DRAWING.normal(size=(2, 7, 6))
    expected = F.layer_norm(T, (7, 6), torch.from_numpy(scale), torch.from_numpy(shift), 1e-3)
    found = LayerNormalization((-1, 1), 1e-3, scale, shift).evaluate(VALUES)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-10, atol=1e-12)

    moved = F.layer_norm(T.movedim(1, -1), (4,), eps=1e-6).movedim(-1, 1)
    first = LayerNormalization((0,), 1e-6).evaluate(VALUES)
    np.testing.assert_allclose(first, moved.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_normalisation_on_either_side(groups: int) -> None:
    """PyTorch's, channels first; channels last is the same after moving the axis."""
    scale, shift = DRAWING.normal(size=(2, 4))
    expected = F.group_norm(
        T, groups, torch.from_numpy(scale), torch.from_numpy(shift), 1e-5
    ).numpy()

    first = GroupNormalization(groups, 0, 1e-5, scale, shift).evaluate(VALUES)
    np.testing.assert_allclose(first, expected, rtol=1e-10, atol=1e-12)
    last = GroupNormalization(groups, -1, 1e-5, scale, shift).evaluate(np.moveaxis(VALUES, 1, -1))
    np.testing.assert_allclose(np.moveaxis(last, -1, 1), expected, rtol=1e-10, atol=1e-12)


def test_products_and_extrema_broadcast_without_the_batch() -> None:
    """Unbatched shapes broadcast as NumPy's do; the batch axis takes no part."""
    low, wide = DRAWING.normal(size=(3, 6)), DRAWING.normal(size=(3, 4, 1, 1))

    for layer, function in (
        (Multiply(), np.multiply), (Maximum(), np.maximum), (Minimum(), np.minimum),
        (Divide(), np.divide),
    ):  # fmt: skip
        np.testing.assert_array_equal(layer.evaluate(VALUES, wide), function(VALUES, wide))
        by_sample = [function(a, b) for a, b in zip(low, VALUES, strict=True)]
        np.testing.assert_array_equal(layer.evaluate(low, VALUES), by_sample)
    np.testing.assert_array_equal(Multiply().evaluate(VALUES, VALUES, wide), VALUES * VALUES * wide)
    np.testing.assert_array_equal(Maximum().evaluate(VALUES), VALUES)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_matrix_products_of_two_inputs(transpose_a: bool, transpose_b: bool) -> None:
    """The last two axes multiply, the others broadcast, and either side may be transposed."""
    a, b = DRAWING.normal(size=(3, 2, 1, 5, 4)), DRAWING.normal(size=(3, 6, 4, 5))
    left = np.swapaxes(a, -1, -2) if transpose_a else a
    right = np.swapaxes(b, -1, -2) if transpose_b else b
    if left.shape[-1] != right.shape[-2]:
        b, right = np.swapaxes(b, -1, -2), np.swapaxes(right, -1, -2)
    layer = MatMul(transpose_a, transpose_b)

    expected = np.stack([x @ y for x, y in zip(left, right, strict=True)])
    np.testing.assert_allclose(layer.evaluate(a, b), expected, rtol=1e-12)
    assert layer.output_shape(a.shape[1:], b.shape[1:]) == expected.shape[1:]


REFUSED_ATTENTION: list[tuple[Layer, list, str]] = [
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


@pytest.mark.parametrize(("layer", "shapes", "message"), REFUSED_ATTENTION)
def test_shapes_and_options_that_do_not_fit(layer: Layer, shapes: list, message: str) -> None:
    """A `GraphError` that names the kind and the value."""
    with pytest.raises(GraphError, match=message) as caught:
        layer.output_shape(*shapes)

    assert layer.kind in str(caught.value)


RNG = np.random.default_rng(7)
X = RNG.normal(size=(3, 4, 7, 6))

TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def test_a_constant_is_there_for_every_sample() -> None:
    """A class token in front of tokens: the batch of the inputs, whatever it is; or of one."""
    token = RNG.normal(size=(1, 5))
    nodes = (
        GraphNode("token", Constant(token)),
        GraphNode("x", Input((3, 5))),
        GraphNode("y", Concatenate(0), ("token", "x")),
    )
    x = RNG.normal(size=(4, 3, 5))

    found = evaluate(Graph(nodes, {"y": "y"}), {"x": x})["y"]
    np.testing.assert_array_equal(found, [np.concatenate([token, s]) for s in x])
    assert evaluate(Graph(nodes[:1], {"y": "token"}), {})["y"].shape == (1, 1, 5)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-9, 9)),
            st.one_of(st.none(), st.integers(-9, 9)),
            st.sampled_from([None, 1, 2, 5, -1, -2, -5]),
        ),
        min_size=3, max_size=3,
    )
)  # fmt: skip
def test_slices_are_python_s(parts: list[tuple[int | None, int | None, int | None]]) -> None:
    """Any start, stop and step, negative ones too; an empty slice is refused."""
    slices = {axis: slice(*part) for axis, part in enumerate(parts)}
    layer = Slice.along(X.shape[1:], slices)
    expected = X[(slice(None), *slices.values())]

    if expected.size == 0:
        with pytest.raises(GraphError, match="does not choose from an axis"):
            layer.output_shape(X.shape[1:])
        return
    assert layer.output_shape(X.shape[1:]) == expected.shape[1:]
    np.testing.assert_array_equal(layer.evaluate(X), expected)


def test_slices_of_some_axes_leave_the_others_whole() -> None:
    """Axes count from either end."""
    layer = Slice.along((4, 7, 6), {-1: slice(1, 3)})

    assert layer.ranges == ((0, 4, 1), (0, 7, 1), (1, 2, 1))


def test_chosen_and_repeated_values_follow_numpy() -> None:
    """Take, Tile, Broadcast and Sum are NumPy's functions without the batch axis."""
    indices = np.array([[2, -1], [0, 0]])
    np.testing.assert_array_equal(Take(indices, 1).evaluate(X), X[:, :, indices])
    np.testing.assert_array_equal(Take(np.array(3), -1).evaluate(X), X[..., 3])
    np.testing.assert_array_equal(Tile((2, 1, 3)).evaluate(X), np.tile(X, (1, 2, 1, 3)))
    wide = Broadcast((2, 5, 7, 6)).evaluate(X[:, :1])
    np.testing.assert_array_equal(wide[1], np.broadcast_to(X[1, :1], (2, 5, 7, 6)))
    np.testing.assert_allclose(
        Sum((0, -1), keepdims=True).evaluate(X), X.sum((1, 3), keepdims=True)
    )


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge", "wrap"])
def test_padding_with_the_input_s_own_values(mode: str) -> None:
    """`numpy.pad` by name, also as a choice of positions an axis."""
    pads = ((0, 0), (2, 1), (0, 5))
    layer = Pad(pads, mode)  # type: ignore[arg-type]
    found = layer.evaluate(X)

    np.testing.assert_array_equal(found, np.pad(X, ((0, 0), *pads), mode=mode))  # type: ignore[call-overload]
    chosen = X
    for axis, indices in enumerate(layer.indices(X.shape[1:]), start=1):
        chosen = chosen.take(indices, axis)
    np.testing.assert_array_equal(found, chosen)


@pytest.mark.parametrize("corners", [False, True])
def test_interpolation_is_a_matrix_an_axis(corners: bool) -> None:
    """PyTorch's bilinear resize, its matrices read off by resizing unit vectors."""

    def matrix(n: int, m: int) -> np.ndarray:
        lines = torch.eye(n, dtype=torch.float64)[None]
        made = F.interpolate(lines, m, mode="linear", align_corners=corners)
        return made[0].numpy().T

    layer = Interpolate((matrix(7, 9), matrix(6, 4)), (1, -1))
    expected = F.interpolate(
        torch.from_numpy(X), (9, 4), mode="bilinear", align_corners=corners
    ).numpy()

    assert layer.output_shape(X.shape[1:]) == (4, 9, 4)
    np.testing.assert_allclose(layer.evaluate(X), expected, rtol=1e-10, atol=1e-12)
    assert list(layer.arrays()) == ["matrices[0]", "matrices[1]"]
    graph = Graph((GraphNode("x", Input((4, 7, 6))), GraphNode("y", layer, ("x",))), {"y": "y"})
    assert "Interpolate(matrices=([9,7], [4,6]), axes=(1, -1))" in to_text(graph)


@st.composite
def transposed(draw: st.DrawFn) -> tuple[ConvolutionTranspose, np.ndarray]:
    """A transposed convolution with PyTorch's options, and an input, channels first."""
    rank, groups = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 3]))
    numbers = st.integers
    size, stride, dilation = (
        tuple(draw(numbers(1, high)) for _ in range(rank)) for high in (3, 3, 2)
    )
    more = tuple(draw(numbers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    extent = tuple(draw(numbers(2, 4)) for _ in range(rank))
    padding = tuple(
        (p, p)
        for p in (
            draw(numbers(0, ((n - 1) * s + d * (k - 1)) // 2))
            for n, s, d, k in zip(extent, stride, dilation, size, strict=True)
        )
    )
    rng = np.random.default_rng(draw(numbers(0, 99)))
    inputs, outputs = 2 * groups, draw(numbers(1, 2))
    weight = rng.normal(size=(inputs, outputs, *size))
    bias = rng.normal(size=outputs * groups) if draw(st.booleans()) else None
    layer = ConvolutionTranspose(
        weight, bias, stride, padding, more, dilation, groups, draw(st.booleans())
    )
    return layer, rng.normal(size=(2, inputs, *extent))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(transposed())
def test_transposed_convolution_with_any_options(
    case: tuple[ConvolutionTranspose, np.ndarray],
) -> None:
    """Stride, padding, output padding, dilation, groups, channel order; 1 to 3 dimensions."""
    layer, x = case
    bias = None if layer.bias is None else torch.from_numpy(layer.bias)
    expected = TRANSPOSED[x.ndim - 2](
        torch.from_numpy(x), torch.from_numpy(layer.weight), bias, stride=layer.stride,
        padding=[before for before, _ in layer.padding], output_padding=layer.output_padding,
        dilation=layer.dilation, groups=layer.groups,
    ).numpy()  # fmt: skip

    given_x = np.moveaxis(x, 1, -1) if layer.channels_last else x
    found = layer.evaluate(given_x)
    assert found.shape[1:] == layer.output_shape(given_x.shape[1:])
    found = np.moveaxis(found, -1, 1) if layer.channels_last else found
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


ONES = np.ones((4, 2, 3))


def _line(**changes: object) -> ConvolutionTranspose:
    fields = {
        "weight": ONES, "bias": None, "stride": (2,), "padding": ((0, 0),),
        "output_padding": (0,), "dilation": (1,),
    }  # fmt: skip
    return ConvolutionTranspose(**{**fields, **changes})  # type: ignore[arg-type]


REFUSED: list[tuple[Layer, list, str]] = [
    (Constant(np.ones((0, 2))), [], "is empty"),
    (Slice(((0, 1, 1),)), [(3, 4)], r"one \(start, count, step\) per axis"),
    (Slice(((0, 0, 1),)), [(3,)], "does not choose"),
    (Slice(((0, 1, 0),)), [(3,)], "does not choose"),
    (Slice(((1, 3, 1),)), [(3,)], "does not choose"),
    (Slice(((1, 3, -1),)), [(3,)], "does not choose"),
    (Take(np.array([3]), 0), [(3,)], "from 3 to 3 do not lie in an axis of 3"),
    (Take(np.array([-4]), 0), [(3,)], "do not lie"),
    (Take(np.array([0.5]), 0), [(3,)], "whole numbers"),
    (Take(np.array([], int), 0), [(3,)], "one or more"),
    (Take(np.array([0]), 1), [(3,)], "axis 1 does not exist"),
    (Tile((2,)), [(3, 4)], "one number of at least 1 per axis"),
    (Tile((0,)), [(3,)], "at least 1"),
    (Broadcast((4,)), [(3,)], "does not broadcast"),
    (Broadcast((3,)), [(1, 3)], "does not broadcast"),
    (Broadcast((0, 3)), [(3,)], "does not broadcast"),
    (Pad(((0, -1),), "edge"), [(3,)], "one pair of counts"),
    (Pad(((0, 1),), "mirror"), [(3,)], "mode 'mirror' is unknown"),  # type: ignore[arg-type]
    (Sum((0, -1)), [(3,)], "twice"),
    (Interpolate((np.ones((2, 4)),), (0,)), [(3,)], "does not fit axis 0"),
    (Interpolate((np.ones((2, 3)),), (0, 1)), [(3, 4)], "1 matrices for 2 axes"),
    (Interpolate((np.ones((2, 3)),), (1,)), [(3,)], "axis 1 does not exist"),
    (_line(), [(3, 5)], "has 3 channels, the kernel expects 4"),
    (_line(), [(4,)], "rank 2"),
    (_line(groups=3), [(4, 5)], "do not divide into 3 groups"),
    (_line(bias=np.ones(3)), [(4, 5)], "bias must have shape"),
    (_line(stride=(0,)), [(4, 5)], "stride"),
    (_line(output_padding=(-1,)), [(4, 5)], "output_padding"),
    (_line(padding=((0, -1),)), [(4, 5)], "padding"),
    (_line(padding=((9, 9),)), [(4, 2)], "leaves nothing"),
    (_line(weight=np.ones((4, 2))), [(4,)], "one to three sizes"),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shapes", "message"), REFUSED)
def test_options_that_do_not_fit_are_refused(layer: Layer, shapes: list, message: str) -> None:
    """A `GraphError` that names the kind and the value."""
    with pytest.raises(GraphError, match=message) as caught:
        layer.output_shape(*shapes)

    assert layer.kind in str(caught.value)
