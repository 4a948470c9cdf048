"""Transforms: shapes, what they keep, and what they refuse. Engines' results are tested there."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from conformance import oracle, transform_examples
from spikewright._base.windows import Windows
from spikewright.errors import BuildError, NetworkError
from spikewright.network.transforms import (
    TRANSFORMS,
    Chain,
    Transform,
    as_transform,
    flatten,
    register,
)

NONE = ((0, 0), (0, 0))
ONES = (1, 1)


def matrix_of(transform: Transform, shape: tuple[int, ...]) -> np.ndarray:
    """The transform as a matrix, a column a unit of input."""
    size = int(np.prod(shape))
    columns = [oracle.apply_transform(transform, unit.reshape(shape)) for unit in np.eye(size)]
    return np.stack([column.ravel() for column in columns], axis=1)


@pytest.mark.parametrize("example", transform_examples(), ids=lambda e: e.id)
def test_transforms_are_linear_and_of_the_shape_they_state(example: Any) -> None:
    """`f(2 x - 3 y) = 2 f(x) - 3 f(y)`, of shape `output_shape`."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, *example.shape))
    f = lambda v: oracle.apply_transform(example.transform, v)  # noqa: E731
    np.testing.assert_allclose(f(2 * x - 3 * y), 2 * f(x) - 3 * f(y), atol=1e-7)
    assert f(x).shape == example.transform.output_shape(example.shape)


def test_transforms_keep_copies_that_nobody_can_write_to() -> None:
    """What a user does to an array afterwards does not reach the transform; its type is kept."""
    for part in (part for e in transform_examples() for part in flatten(e.transform)):
        for name, value in vars(part).items():
            if isinstance(value, np.ndarray):
                assert not value.flags.writeable, (part, name)
    matrix = np.ones((2, 2), np.float32)
    dense = sw.Dense(matrix)
    matrix[:] = 5.0
    assert dense.matrix.dtype == np.float32 and dense.matrix.max() == 1.0
    assert sw.Dense([[1, 2]]).matrix.dtype == np.float64  # type: ignore[arg-type]


def test_sparse_weights_are_the_full_matrix() -> None:
    """Entries that meet add up."""
    sparse = sw.Sparse(
        np.array([0, 1, 1]), np.array([2, 0, 0]), np.array([1.5, 2.0, -0.5]), (2,), 3
    )
    np.testing.assert_array_equal(sparse.weights, [[0, 0, 1.5], [1.5, 0, 0]])
    np.testing.assert_array_equal(matrix_of(sparse, (3,)), sparse.weights)


def test_chains_flatten_in_order() -> None:
    """Nested chains are a sequence; an empty one, and none, are no transform."""
    a, b, c = (
        sw.transforms.Scale(np.array(2.0)),
        sw.transforms.Reshape((2, 3)),
        sw.transforms.Permute((1, 0)),
    )
    assert flatten(Chain((Chain((a, b)), c))) == (a, b, c)
    assert flatten(Chain(())) == flatten(None) == ()
    assert flatten(a) == (a,)


def test_what_serves_as_a_transform() -> None:
    """Numbers and vectors scale, matrices are dense; anything else is refused with the place."""
    assert as_transform(None, "here") is None
    scalar, vector = as_transform(2, "here"), as_transform([1.0, 2.0], "here")
    assert isinstance(scalar, sw.transforms.Scale) and isinstance(vector, sw.transforms.Scale)
    assert scalar.factor == 2.0 and vector.factor.tolist() == [1.0, 2.0]
    dense = as_transform(np.ones((2, 3)), "here")
    assert isinstance(dense, sw.Dense)
    with pytest.raises(NetworkError, match=r"here: a transform is None, a number.*'big'"):
        as_transform("big", "here")
    with pytest.raises(NetworkError, match="here: an array of 3 axes is no transform"):
        as_transform(np.ones((1, 2, 3)), "here")


def sparse(rows: Any, columns: Any, values: Any, size: Any = 3) -> Transform:
    """A sparse map to two values."""
    return sw.Sparse(rows, columns, values, (2,), size)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sw.Dense(np.ones(3)), r"Dense.matrix must be \(out, in\), got shape \(3,\)"),
        (lambda: sw.Dense(np.array([[1.0, np.nan]])), r"Dense.matrix: 1 of 2 values are not fin"),
        (lambda: sw.Dense("abc"), r"Dense.matrix must be real numbers"),
        (lambda: sw.Dense(np.ones((1, 1), complex)), r"Dense.matrix must be real numbers"),
        (lambda: sw.transforms.Scale(np.array(np.inf)), r"Scale.factor: 1 of 1 values"),
        (lambda: sparse([0], [1], [1.0, 2.0]), r"Sparse.rows must have one index per value"),
        (lambda: sparse([0], [[1]], [1.0]), r"Sparse.columns must have one index per value"),
        (lambda: sparse([2], [0], [1.0]), r"Sparse.rows must lie in 0..1"),
        (lambda: sparse([0], [-1], [1.0]), r"Sparse.columns must lie in 0..2"),
        (lambda: sparse([0.5], [0], [1.0]), r"Sparse.rows must be whole numbers, got float64"),
        (lambda: sparse([0], [0], [1.0], 1.5), r"Sparse.size_in must be whole numbers"),
        (lambda: sw.Convolution(np.ones((2, 3)), (), (), ()), r"Convolution.kernel .* \(2, 3\)"),
        (
            lambda: sw.Convolution(np.ones((2, 3, 2, 2)), (0, 1), NONE, ONES),
            r"Convolution: stride must be whole numbers from 1, got \(0, 1\)",
        ),
        (
            lambda: sw.Convolution(np.ones((2, 3, 2, 2)), (1.5, 1), NONE, ONES),
            r"Convolution: stride must be whole",
        ),
        (
            lambda: sw.Convolution(np.ones((2, 3, 2, 2)), ONES, ((-1, 0), (0, 0)), ONES),
            r"Convolution: padding must be whole numbers from 0",
        ),
        (
            lambda: sw.Convolution(np.ones((2, 3, 2, 2)), ONES, ((0, 0),), ONES),
            r"must have one entry an axis",
        ),
        (
            lambda: sw.Convolution(np.ones((2, 3, 2, 2)), ONES, NONE, (0, 1)),
            r"Convolution: dilation must be whole numbers from 1",
        ),
        (
            lambda: sw.Convolution(np.ones((3, 3, 2, 2)), ONES, NONE, ONES, groups=2),
            r"3 filters do not divide into 2 groups",
        ),
        (
            lambda: sw.Convolution(np.ones((3, 3, 2, 2)), ONES, NONE, ONES, groups=0),
            r"Convolution.groups must be whole numbers from 1",
        ),
        (lambda: sw.transforms.SumPool((2, 2), np.array(1.0)), r"SumPool.windows must be Windows"),
        (
            lambda: sw.transforms.SumPool(Windows((2, 0), ONES, NONE, ONES), np.array(1.0)),
            r"SumPool: size must be whole numbers from 1",
        ),
        (lambda: sw.transforms.AxisMap(np.ones(3), 0), r"AxisMap.matrix must be \(out, in\)"),
        (
            lambda: sw.transforms.AxisMap(np.ones((1, 3)), -1),
            r"AxisMap.axis must be whole numbers from 0",
        ),
        (
            lambda: sw.transforms.Reshape((2, -1)),
            r"Reshape.shape must be a whole number or a tuple",
        ),
        (lambda: sw.transforms.Permute((0.5, 1)), r"Permute.axes must be whole numbers"),
        (lambda: sw.transforms.Slice(((0, 1),)), r"Slice.ranges must be \(start, stop, step\)"),
        (lambda: sw.transforms.Slice((3,)), r"Slice.ranges must be whole numbers, got 3"),
        (lambda: sw.transforms.Place(((0, 1, 1),), (-2,)), r"Place.shape must be a whole number"),
        (
            lambda: Chain((sw.transforms.Scale(np.array(1.0)), "x")),
            r"Chain.parts must be transforms.*'x'",
        ),
        (lambda: sw.MaxPool(Windows((2,), (1,), ((0, 0),), (0,))), r"MaxPool: dilation must be"),
        (lambda: sw.MaxPool(2), r"MaxPool.windows must be Windows, got 2"),
    ],
)
def test_impossible_transforms_are_refused(make: Any, message: str) -> None:
    """The error names the transform, the parameter and the value."""
    with pytest.raises(NetworkError, match=message):
        make()


@pytest.mark.parametrize(
    ("transform", "shape", "message"),
    [
        (sw.Dense(np.ones((2, 3))), (4,), r"matrix of shape \(2, 3\) .* input of shape \(4,\)"),
        (sw.Dense(np.ones((2, 3))), (), r"Dense: .* shape \(\)"),
        (sparse([0], [0], [1.0]), (2, 2), r"Sparse: a map of 3 inputs .* \(2, 2\)"),
        (
            sw.transforms.Scale(np.ones((2, 1))),
            (3, 4),
            r"Scale: a factor of shape \(2, 1\) .* \(3, 4\)",
        ),
        (sw.transforms.Scale(np.ones((1, 1))), (4,), r"Scale: a factor of shape \(1, 1\)"),
        (
            sw.Convolution(np.ones((2, 3, 2, 2)), ONES, NONE, ONES),
            (4, 5, 5),
            r"\(2, 3, 2, 2\) in 1 groups does not fit an input of shape \(4, 5, 5\)",
        ),
        (sw.Convolution(np.ones((2, 3, 2, 2)), ONES, NONE, ONES), (3, 5), r"does not fit"),
        (
            sw.Convolution(np.ones((2, 3, 2, 6)), ONES, NONE, ONES),
            (3, 5, 5),
            r"the kernel is larger than the padded input \(3, 5, 5\)",
        ),
        (
            sw.transforms.SumPool(Windows((2, 2), ONES, NONE, ONES), np.array(1.0)),
            (5, 5),
            r"2-D windows",
        ),
        (
            sw.transforms.SumPool(Windows((2, 2), ONES, NONE, ONES), np.ones((2, 2))),
            (1, 5, 5),
            r"SumPool: \(4, 4\) windows .* factors of shape \(2, 2\)",
        ),
        (
            sw.transforms.AxisMap(np.ones((2, 3)), 1),
            (3,),
            r"AxisMap: .* axis 1 of an input of shape \(3,\)",
        ),
        (
            sw.transforms.Reshape((2, 3)),
            (5,),
            r"Reshape: 5 values of shape \(5,\) do not fill \(2, 3\)",
        ),
        (sw.transforms.Permute((1, 0)), (2, 3, 4), r"\(1, 0\) is no permutation .* \(2, 3, 4\)"),
        (sw.transforms.Permute((0, 0)), (2, 3), r"no permutation"),
        (sw.transforms.Slice(((0, 6, 1),)), (5,), r"Slice: ranges .* do not lie in shape \(5,\)"),
        (sw.transforms.Slice(((0, 2, 0),)), (5,), r"Slice: ranges"),
        (sw.transforms.Place(((0, 3, 1),), (2,)), (3,), r"Place: ranges"),
        (
            sw.transforms.Place(((0, 2, 1),), (4,)),
            (3,),
            r"Place: an input of shape \(3,\) does not fill",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    transform: Transform, shape: tuple[int, ...], message: str
) -> None:
    """The error names the transform, what it takes and the shape it got."""
    with pytest.raises(NetworkError, match=message):
        transform.output_shape(shape)


@pytest.mark.parametrize(
    ("windows", "shape", "message"),
    [
        (Windows((2, 2), ONES, NONE, ONES), (4, 4), r"2-D windows do not fit .* \(4, 4\)"),
        (Windows((5, 2), ONES, NONE, ONES), (1, 4, 4), r"larger than its padded input"),
        (Windows((1, 1), ONES, ((1, 0), (0, 0)), ONES), (1, 4, 4), r"see padding alone"),
    ],
)
def test_max_pools_that_do_not_fit_are_refused(
    windows: Windows, shape: tuple[int, ...], message: str
) -> None:
    """A window over padding alone would give minus infinity."""
    with sw.Network(), pytest.raises(NetworkError, match=message):
        sw.Node(sw.MaxPool(windows), size_in=shape)


def test_a_transform_that_no_engine_knows_is_refused_when_it_is_to_run() -> None:
    """The error names the connection, the class and what the engine knows."""

    class Twice(Transform):
        def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
            return shape

    with sw.Network() as net:
        node, end = sw.Node([1.0]), sw.Node(size_in=1)
        sw.Connection(node, end, None, Twice(), label="odd one")
    with pytest.raises(BuildError, match=r"odd one.*cannot apply a Twice.*Convolution, Dense"):
        sw.Simulator(net, engine="reference")


def test_registering_a_name_twice_is_refused() -> None:
    """Files name classes: two of one name could not be told apart."""
    with pytest.raises(ValueError, match=re.escape("'Dense' is registered already")):
        register(type("Dense", (sw.Dense,), {}))
    assert TRANSFORMS["Dense"] is sw.Dense


def test_windows_lie_side_by_side_unless_more_is_said():
    """Pools step by their size, convolutions by one, and neither pads or dilates of itself."""
    assert sw.transforms.Windows((2, 3)) == sw.transforms.Windows(
        (2, 3), (2, 3), ((0, 0), (0, 0)), (1, 1)
    )
    kernel = np.random.default_rng(0).standard_normal((4, 2, 3, 3))
    assert sw.Convolution(kernel).windows == Windows((3, 3), ONES, NONE, ONES)
    assert sw.transforms.SumPool(sw.transforms.Windows((2, 3))).output_shape((5, 4, 6)) == (5, 2, 2)
    assert sw.MaxPool(sw.transforms.Windows((2, 2)), channels_last=True).output_shape(
        (4, 6, 5)
    ) == (2, 3, 5)
    assert sw.Convolution(kernel).output_shape((2, 5, 6)) == (4, 3, 4)
