"""Every registered layer along a sequence: on all steps at once, and at one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.graph.layers import LAYERS, Layer, Shape
from spikewright.graph.layers.steps import AlongTimeError
from spikewright.testing.layers import LayerExample, example_inputs, layer_examples

STEPS = 3
EXAMPLES = layer_examples()
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
UNDECLARED = {"GroupNormalization", "Input"}
"""Kinds that say neither how they act on axes nor what their forms are."""

WRITTEN_OUT = {
    "convolution", "convolution-no-bias", "convolution-stride", "convolution-padding",
    "convolution-asymmetric-padding", "convolution-dilation", "convolution-groups",
    "convolution-depthwise", "convolution-1d", "convolution-3d", "average", "average-padding",
    "average-count-padding", "average-ceil", "average-of-one", "average-1d", "maximum",
    "maximum-padding", "maximum-dilation", "maximum-ceil", "maximum-of-one", "maximum-3d",
    "adaptive-average", "adaptive-average-more", "adaptive-average-same", "transposed",
    "transposed-stride", "transposed-padding", "transposed-output-padding", "transposed-dilation",
    "transposed-groups", "transposed-1d", "broadcast", "multiply-low-rank", "maximum-of-three",
    "matmul-transpose-b", "matmul-both", "group-norm", "group-norm-last", "instance-norm",
    "input", "input-whole",
}  # fmt: skip
"""Examples without a form on all steps: channels first, new axes, inputs of several ranks."""


def same(a: Layer, b: Layer) -> bool:
    """Whether two layers are of one kind, with equal fields."""
    return type(a) is type(b) and all(
        np.array_equal(x, y) if isinstance(x, np.ndarray) else repr(x) == repr(y)
        for x, y in ((getattr(a, f.name), getattr(b, f.name)) for f in fields(a))  # type: ignore[arg-type]
    )


def sequences(shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Shapes with time in front."""
    return tuple((STEPS, *shape) for shape in shapes)


@every_example
def test_on_all_steps_a_layer_does_what_it_does_at_each(example: LayerExample) -> None:
    """Its form on sequences, evaluated on one, is the layer at every step; others have none.

    The form at one step of that form is the layer itself, field by field.
    """
    whole = example.layer.over_steps(STEPS, *example.shapes)

    assert (whole is None) == (example.id in WRITTEN_OUT)
    if whole is None:
        return
    layer, time = whole.at_one_step(0, *sequences(example.shapes))
    assert same(layer, example.layer)
    assert time == 0
    inputs = example_inputs(sequences(example.shapes))
    made = whole.evaluate(*inputs)
    for step in range(STEPS):
        wanted = example.layer.evaluate(*(value[:, step] for value in inputs))
        np.testing.assert_allclose(made[:, step], wanted, rtol=1e-12, atol=1e-12)


@every_example
def test_at_one_step_undoes_over_steps(example: LayerExample) -> None:
    """The form at one step of the form on all steps is the layer itself, field by field."""
    whole = example.layer.over_steps(STEPS, *example.shapes)
    if whole is None:
        return

    layer, time = whole.at_one_step(0, *sequences(example.shapes))

    assert same(layer, example.layer)
    assert time == 0


def along(value: NDArray, axis: int, rank: int, step: int) -> NDArray:
    """A step of a value; the axis is counted in the input with most axes."""
    return np.take(value, step, axis - rank)


def timed(example: LayerExample) -> Iterator[tuple[int, int]]:
    """Axes that all inputs have, in one extent: each may be time."""
    rank = max(map(len, example.shapes), default=0)
    for axis in range(rank):
        extents = {s[axis - rank] if len(s) >= rank - axis else 1 for s in example.shapes}
        if len(extents) == 1 and extents != {1}:
            yield axis, extents.pop()


@every_example
def test_wherever_time_is_a_layer_has_its_form_at_one_step(example: LayerExample) -> None:
    """Any axis may be time: step by step gives what the whole sequence gives, at its new place."""
    layer = example.layer
    rank = max(map(len, example.shapes), default=0)
    inputs = example_inputs(example.shapes)
    for axis, steps in timed(example):
        try:
            at_one, time = layer.at_one_step(axis, *example.shapes)
        except AlongTimeError as error:
            assert str(error).startswith(("it", layer.kind))
            continue
        whole = layer.evaluate(*inputs)
        assert whole.shape[time + 1] == steps
        for step in range(steps):
            made = at_one.evaluate(*(along(value, axis, rank, step) for value in inputs))
            wanted = np.take(whole, step, time + 1)
            np.testing.assert_allclose(made, wanted, rtol=1e-12, atol=1e-12)


def test_every_kind_has_a_form_at_one_step_along_some_axis() -> None:
    """The test above compares values for every kind of layer but those that have no such axis."""
    found = set()
    for example in EXAMPLES:
        for axis, _ in timed(example):
            with suppress(AlongTimeError):
                example.layer.at_one_step(axis, *example.shapes)
                found.add(example.layer.kind)

    assert set(LAYERS) - found == UNDECLARED | {"Constant", "ConvolutionTranspose"}


def test_a_kind_that_declares_nothing_says_so() -> None:
    """Every other kind declares how it acts on axes, or defines both of its forms itself."""
    own = ("over_steps", "at_one_step")
    silent = {
        name
        for name, kind in LAYERS.items()
        if kind.acts is None and any(getattr(kind, form) is getattr(Layer, form) for form in own)
    }
    assert silent == UNDECLARED

    for example in EXAMPLES:
        if example.layer.kind in silent:
            assert example.layer.over_steps(STEPS, *example.shapes) is None
            with pytest.raises(AlongTimeError, match=f"{example.layer.kind} is not known"):
                example.layer.at_one_step(0, *sequences(example.shapes))
