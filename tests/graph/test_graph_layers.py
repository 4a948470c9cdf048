"""Every registered layer: its shape rule, its equation, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from spikewright.errors import GraphError
from spikewright.graph.layers import (
    LAYERS,
    Activation,
    AdaptiveAveragePool,
    Add,
    Affine,
    AveragePool,
    BatchNormalization,
    Concatenate,
    Convolution,
    Crop,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    Input,
    Layer,
    MaxPool,
    Permute,
    Reshape,
    ScaleShift,
    UpsampleNearest,
    ZeroPad,
    affine,
    register,
)
from spikewright.testing.layers import LayerExample, example_inputs, layer_examples

EXAMPLES = [example for example in layer_examples() if example.layer.arity != 0]
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)

RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 4, 7, 6))
PLAIN = ((0, 0), (0, 0))


def test_every_registered_layer_has_an_example() -> None:
    """A layer that is registered and has no example would escape every test over examples."""
    assert {example.layer.kind for example in layer_examples()} == set(LAYERS)


def test_examples_have_names_of_their_own_and_stay_the_same() -> None:
    """Example names are unique, and two calls draw the same parameters."""
    first, second = layer_examples(), layer_examples()

    assert len({example.id for example in first}) == len(first)
    for a, b in zip(first, second, strict=True):
        for name, array in a.layer.arrays().items():
            np.testing.assert_array_equal(array, b.layer.arrays()[name])


TRIVIAL = {
    "activation-linear", "maximum-of-one", "multiply-one", "maximum-of-only", "minimum-of-only",
}  # fmt: skip


@every_example
def test_a_layer_is_a_function_of_each_sample(example: LayerExample) -> None:
    """`output_shape` predicts the shape of `evaluate`, for any batch size, in float64.

    Values and weights are read, never written; a batch gives what its samples give one by one.
    A `linear` layer maps a mixture of inputs to the mixture of outputs; the others do not.
    """
    layer = example.layer
    for batch in (1, 3):
        inputs = example_inputs(example.shapes, batch)
        for array in (*inputs, *layer.arrays().values()):
            array.flags.writeable = False
        value = layer.evaluate(*inputs)

        assert value.shape == (batch, *layer.output_shape(*example.shapes))
        assert value.dtype == np.float64

    for i in range(3):
        alone = layer.evaluate(*(x[i : i + 1] for x in inputs))
        np.testing.assert_allclose(alone[0], value[i], rtol=1e-12, atol=1e-12)

    a, b = example_inputs(example.shapes), example_inputs(example.shapes, seed=1)
    mixed = layer.evaluate(*(0.3 * x + 0.7 * y for x, y in zip(a, b, strict=True)))
    mixture = 0.3 * layer.evaluate(*a) + 0.7 * layer.evaluate(*b)
    trivial = example.id in TRIVIAL

    assert np.allclose(mixed, mixture, rtol=1e-9, atol=1e-9) == (layer.linear or trivial)


@every_example
def test_evaluating_leaves_inputs_and_parameters_alone(example: LayerExample) -> None:
    """Values and weights are read, never written."""
    inputs = example_inputs(example.shapes)
    for array in (*inputs, *example.layer.arrays().values()):
        array.flags.writeable = False

    example.layer.evaluate(*inputs)


def test_an_input_computes_nothing() -> None:
    """An `Input` has a shape and no equation."""
    assert Input((2, 3)).output_shape() == (2, 3)
    with pytest.raises(TypeError, match="given its value"):
        Input((2, 3)).evaluate()


def test_affine_is_a_matrix_product_on_the_last_axis() -> None:
    """y[..., o] = sum over i of W[o, i] x[..., i] + b[o]."""
    weight, bias = RNG.normal(size=(2, 6)), RNG.normal(size=2)

    expected = np.einsum("oi,bchi->bcho", weight, X) + bias
    np.testing.assert_allclose(Affine(weight, bias).evaluate(X), expected, rtol=1e-12)


def test_scale_shift_broadcasts_against_the_unbatched_shape() -> None:
    """y = scale x + shift; a missing one is one or zero, and the batch axis never takes part."""
    scale, shift = RNG.normal(size=(4, 1, 1)), RNG.normal(size=6)

    expected = np.stack([sample * scale + shift for sample in X])
    np.testing.assert_array_equal(ScaleShift(scale, shift).evaluate(X), expected)
    np.testing.assert_array_equal(ScaleShift().evaluate(X), X)
    np.testing.assert_array_equal(ScaleShift(shift=shift).evaluate(X), X + shift)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_batch_normalisation_is_its_formula_on_any_axis(axis: int) -> None:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, per channel of the axis."""
    n = X.shape[1:][axis]
    gamma, beta, mean = RNG.normal(size=(3, n))
    variance = RNG.uniform(0.1, 2.0, n)
    layer = BatchNormalization(gamma, beta, mean, variance, 1e-3, axis)

    moved = np.moveaxis(X, axis if axis < 0 else axis + 1, -1)
    expected = gamma * (moved - mean) / np.sqrt(variance + 1e-3) + beta
    found = np.moveaxis(layer.evaluate(X), axis if axis < 0 else axis + 1, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("function", ["sigmoid", "tanh", "softplus", "softmax"])
def test_activations_do_not_overflow(function: str) -> None:
    """Inputs of a thousand and more give the limit, without a warning."""
    with np.errstate(all="raise", under="ignore"):
        found = Activation(function).evaluate(np.array([[-1e3, 0.0, 1e3]]))

    limits = {"sigmoid": [0, 0.5, 1], "tanh": [-1, 0, 1], "softplus": [0, np.log(2), 1e3]}
    np.testing.assert_allclose(found[0], limits.get(function, [0, 0, 1]), atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, -1, -3])
def test_softmax_normalises_its_axis(axis: int) -> None:
    """The axis leaves the batch out; the values along it sum to one and keep their order."""
    found = Activation("softmax", {"axis": axis}).evaluate(X)
    batched = axis if axis < 0 else axis + 1

    np.testing.assert_allclose(found.sum(axis=batched), 1.0)
    np.testing.assert_array_equal(found.argmax(batched), X.argmax(batched))


def test_layers_that_move_values() -> None:
    """Reshape is row-major; the others follow NumPy's indexing."""
    np.testing.assert_array_equal(Identity().evaluate(X), X)
    np.testing.assert_array_equal(Reshape((168,)).evaluate(X)[1], X[1].ravel())
    np.testing.assert_array_equal(Permute((2, 0, 1)).evaluate(X)[0], np.moveaxis(X[0], -1, 0))
    cropped = Crop(((1, 0), (0, 2), (3, 1))).evaluate(X)
    np.testing.assert_array_equal(cropped, X[:, 1:, :-2, 3:-1])
    padded = ZeroPad(((1, 0), (0, 2), (3, 1))).evaluate(X)
    np.testing.assert_array_equal(Crop(((1, 0), (0, 2), (3, 1))).evaluate(padded), X)
    assert np.count_nonzero(padded) == X.size
    grown = UpsampleNearest((1, 2, 3)).evaluate(X)
    np.testing.assert_array_equal(grown[:, :, 5, 8], X[:, :, 2, 2])


def test_layers_of_several_inputs() -> None:
    """Add is the sum; Concatenate keeps the order of its inputs, along an unbatched axis."""
    y, z = RNG.normal(size=(2, *X.shape))

    np.testing.assert_allclose(Add().evaluate(X, y, z), X + y + z)
    np.testing.assert_array_equal(Concatenate(1).evaluate(X, y)[:, :, 7:], y)
    np.testing.assert_array_equal(Concatenate(-3).evaluate(X, y)[:, :4], X)


def test_global_pooling_is_over_unbatched_axes() -> None:
    """Mean and maximum over whole axes, which vanish unless they are kept."""
    np.testing.assert_allclose(GlobalAveragePool((1, 2)).evaluate(X), X.mean((2, 3)))
    np.testing.assert_array_equal(GlobalMaxPool((-1,)).evaluate(X), X.max(3))
    kept = GlobalMaxPool((0, 2), keepdims=True).evaluate(X)
    np.testing.assert_array_equal(kept, X.max((1, 3), keepdims=True))


def test_batch_normalisation_and_its_scale_shift_agree() -> None:
    """`as_scale_shift` is the same map, whatever the axis."""
    for example in EXAMPLES:
        if isinstance(example.layer, BatchNormalization):
            (x,) = example_inputs(example.shapes)
            plain = example.layer.as_scale_shift(x.ndim - 1)

            np.testing.assert_array_equal(plain.evaluate(x), example.layer.evaluate(x))


def _square(**changes: object) -> Convolution:
    fields = {
        "weight": np.ones((4, 2, 3, 3)), "bias": None, "stride": (1, 1),
        "padding": PLAIN, "dilation": (1, 1), "groups": 2,
    }  # fmt: skip
    return Convolution(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(("batch", "last", "groups"), [(1, False, 1), (3, True, 1), (2, False, 2)])
def test_convolutions_do_not_depend_on_the_lines_done_at_once(
    batch: int, last: bool, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit: products of some lines are the rows of that of all."""
    rng = np.random.default_rng(0)
    layer = _square(
        weight=rng.normal(size=(12, 6 // groups, 3, 3)), bias=rng.normal(size=12), groups=groups,
        padding=((1, 1), (1, 1)), channels_last=last,
    )  # fmt: skip
    x = rng.normal(size=(batch, 300, 64, 6) if last else (batch, 6, 300, 64))
    monkeypatch.setattr(affine, "_AT_ONCE", 2**40)
    whole = layer.evaluate(x)
    monkeypatch.setattr(affine, "_AT_ONCE", 2**18)
    assert len([*layer._patches(np.zeros((batch, 300, 64, 6)))]) >= 3
    np.testing.assert_array_equal(layer.evaluate(x), whole)


REFUSED: list[tuple[Layer, list, str]] = [
    (Affine(np.ones((2, 5))), [(4,)], "last axis holds 4 values"),
    (Affine(np.ones((2, 5))), [()], "scalar"),
    (Affine(np.ones(5)), [(5,)], r"must be \(out, in\)"),
    (Affine(np.ones((2, 5)), np.ones(1)), [(5,)], r"bias must have shape \(2,\), got \(1,\)"),
    (_square(), [(3, 5, 5)], "has 3 channels, the kernel expects 4"),
    (_square(), [(4, 5)], "rank 3"),
    (_square(), [(4, 2, 5)], "larger than its padded input"),
    (_square(weight=np.ones((3, 2, 3, 3))), [(4, 5, 5)], "do not divide"),
    (_square(groups=0), [(4, 5, 5)], "0 groups"),
    (_square(weight=np.ones((4, 2))), [(4,)], "one to three sizes"),
    (_square(stride=(0, 1)), [(4, 5, 5)], r"stride \(0, 1\)"),
    (_square(stride=(1,)), [(4, 5, 5)], r"stride \(1,\) must be 2 numbers"),
    (_square(dilation=(1, -1)), [(4, 5, 5)], "dilation"),
    (_square(padding=((0, -1), (0, 0))), [(4, 5, 5)], "padding"),
    (_square(bias=np.ones(3)), [(4, 5, 5)], "bias"),
    (ScaleShift(np.ones(3)), [(4,)], "does not broadcast"),
    (ScaleShift(shift=np.ones((1, 4))), [(4,)], "shift of shape"),
    (BatchNormalization(*np.ones((4, 3)), 1e-3, 0), [(4, 3)], "do not fit axis 0"),
    (BatchNormalization(*np.ones((4, 3)), 1e-3, 2), [(4, 3)], "axis 2 does not exist"),
    (BatchNormalization(*np.zeros((4, 3)), 0.0, 0), [(3,)], "not positive in 3 of 3"),
    (Activation("foo"), [(4,)], "'foo' is unknown; known are abs"),
    (Activation("relu", {"slope": 1.0}), [(4,)], r"no parameter \['slope'\]"),
    (Activation("leaky_relu"), [(4,)], "needs a value for"),
    (Activation("softmax", {"axis": 3}), [(4,)], "axis 3 does not exist"),
    (AveragePool((3, 3), (1, 1), PLAIN), [(4, 2, 5)], "larger than its padded input"),
    (AveragePool((), (), ()), [(4,)], "size"),
    (AveragePool((2,), (1,), ((2, 0),)), [(4, 5)], "nothing to pool"),
    (MaxPool((2,), (1,), ((0, 2),), (1,)), [(4, 5)], "nothing to pool"),
    (MaxPool((2,), (1,), ((1, 1),), (2,)), [(4, 1)], "nothing to pool"),
    (GlobalMaxPool((3,)), [(4, 5, 6)], "axis 3 does not exist"),
    (GlobalAveragePool((1, -1)), [(4, 5)], "twice"),
    (AdaptiveAveragePool((0,)), [(4, 5)], "at least 1"),
    (AdaptiveAveragePool((2, 2)), [(4, 5)], "rank 3"),
    (Input((3, 0)), [], "positive"),
    (Reshape((4, 4)), [(3, 5)], "do not fill"),
    (Reshape((-3, -5)), [(3, 5)], "do not fill"),
    (Permute((0, 0)), [(3, 5)], "no permutation"),
    (ZeroPad(((0, -1),)), [(3,)], "one pair of counts per axis"),
    (ZeroPad(((0, 1),)), [(3, 3)], "one pair of counts per axis"),
    (Crop(((1, 2),)), [(3,)], "does not leave something"),
    (Crop(((1, 0),)), [(3, 3)], "does not leave something"),
    (UpsampleNearest((0,)), [(3,)], "one factor per axis"),
    (UpsampleNearest((2,)), [(3, 3)], "one factor per axis"),
    (Add(), [(3,), (4,)], "do not match"),
    (Concatenate(0), [(3, 2), (3, 4)], "differ beside axis 0"),
    (Concatenate(2), [(3, 2), (3, 2)], "axis 2 does not exist"),
    (Concatenate(0), [(3, 2), (3,)], "differ beside axis 0"),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shapes", "message"), REFUSED)
def test_layers_refuse_what_does_not_fit(layer: Layer, shapes: list, message: str) -> None:
    """A shape or an option that makes no sense is a `GraphError` that names kind and value."""
    with pytest.raises(GraphError, match=message) as caught:
        layer.output_shape(*shapes)

    assert layer.kind.lower() in str(caught.value).lower() or "softmax" in str(caught.value)


def test_a_kind_is_registered_once() -> None:
    """A second layer of a registered name would make files ambiguous."""
    with pytest.raises(ValueError, match="'Affine' is registered already"):
        register(type("Affine", (Layer,), {}))
    with pytest.raises(TypeError):
        LAYERS["Other"] = Affine  # type: ignore[index]
