"""Layers against PyTorch, and along time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from math import inf

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikewright._base.windows import Windows
from spikewright.graph.layers import (
    LAYERS,
    AdaptiveAveragePool,
    AveragePool,
    BatchNormalization,
    Convolution,
    Layer,
    MaxPool,
    Shape,
)
from spikewright.graph.layers.time_semantics import AlongTimeError
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


CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
MAXIMUM = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPTIVE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}

many = settings(max_examples=40, deadline=None, derandomize=True)


def _tuple(draw: st.DrawFn, rank: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank)))


def _pad(x: torch.Tensor, pairs: tuple[tuple[int, int], ...], value: float = 0.0) -> torch.Tensor:
    flat = [n for pair in reversed(pairs) for n in pair]  # torch counts from the last axis
    return F.pad(x, flat, value=value)


def _same(layer: Layer, x: NDArray, reference: torch.Tensor, last: bool) -> None:
    """The layer agrees with torch on an input that torch has seen channels first."""
    found = layer.evaluate(np.moveaxis(x, 1, -1) if last else x)
    expected = reference.numpy()

    assert found.shape[1:] == layer.output_shape((np.moveaxis(x, 1, -1) if last else x).shape[1:])
    np.testing.assert_allclose(
        np.moveaxis(found, -1, 1) if last else found, expected, rtol=1e-10, atol=1e-10
    )


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Convolution, NDArray]:
    """A convolution with any options, and an input for it, channels first."""
    rank, groups = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 3]))
    inner, per_group = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    size, dilation = _tuple(draw, rank, 1, 3), _tuple(draw, rank, 1, 2)
    stride, before, after = (_tuple(draw, rank, low, 3) for low in (1, 0, 0))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    reach = [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)]
    extent = [max(1, r + draw(st.integers(-1, 3))) for r in reach]
    for i, (n, r) in enumerate(zip(extent, reach, strict=True)):
        extent[i] = max(n, r - before[i] - after[i])
    layer = Convolution(
        rng.normal(size=(groups * per_group, inner, *size)),
        rng.normal(size=groups * per_group) if draw(st.booleans()) else None,
        stride,
        tuple(zip(before, after, strict=True)),
        dilation,
        groups,
        draw(st.booleans()),
    )
    return layer, rng.normal(size=(2, groups * inner, *extent))


@many
@given(convolutions())
def test_convolution_with_any_options(case: tuple[Convolution, NDArray]) -> None:
    """Stride, asymmetric padding, dilation, groups, bias, channel order; 1 to 3 dimensions."""
    layer, x = case
    bias = None if layer.bias is None else torch.from_numpy(layer.bias)
    padded = _pad(torch.from_numpy(x), layer.padding)
    expected = CONVOLVE[x.ndim - 2](
        padded, torch.from_numpy(layer.weight), bias,
        stride=layer.stride, dilation=layer.dilation, groups=layer.groups,
    )  # fmt: skip

    _same(layer, x, expected, layer.channels_last)


@st.composite
def pools(draw: st.DrawFn) -> tuple[Windows, NDArray]:
    """Windows with torch's symmetric padding of at most half a window, and an input."""
    rank = draw(st.integers(1, 3))
    size, stride, dilation = (_tuple(draw, rank, 1, high) for high in (4, 4, 2))
    padding = tuple((p, p) for p in (draw(st.integers(0, n // 2)) for n in size))
    reach = [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)]
    extent = tuple(r + draw(st.integers(0, 4)) for r in reach)
    x = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(2, 3, *extent))
    return Windows(size, stride, padding, dilation, draw(st.booleans())), x


@many
@given(pools(), st.booleans())
def test_max_pool_with_any_options(case: tuple[Windows, NDArray], last: bool) -> None:
    """Stride, padding, dilation and ceil mode, in 1 to 3 dimensions."""
    w, x = case
    layer = MaxPool(w.size, w.stride, w.padding, w.dilation, w.ceil_mode, last)
    expected = MAXIMUM[x.ndim - 2](
        torch.from_numpy(x), w.size, w.stride, [before for before, _ in w.padding],
        dilation=w.dilation, ceil_mode=w.ceil_mode,
    )  # fmt: skip

    _same(layer, x, expected, last)


@many
@given(pools(), st.booleans(), st.booleans())
def test_average_pool_with_any_options(
    case: tuple[Windows, NDArray], counted: bool, last: bool
) -> None:
    """Stride, padding, ceil mode and whether padding counts, in 1 to 3 dimensions."""
    w, x = case
    layer = AveragePool(w.size, w.stride, w.padding, w.ceil_mode, counted, last)
    expected = AVERAGE[x.ndim - 2](
        torch.from_numpy(x), w.size, w.stride, [before for before, _ in w.padding],
        ceil_mode=w.ceil_mode, count_include_pad=counted,
    )  # fmt: skip

    _same(layer, x, expected, last)


@pytest.mark.parametrize("pairs", [((1, 0), (0, 2)), ((0, 1), (2, 1))])
def test_pools_with_asymmetric_padding(pairs: tuple[tuple[int, int], ...]) -> None:
    """Padding never wins a maximum; it counts as zeros in a mean, or not at all."""
    x = np.random.default_rng(3).normal(size=(2, 3, 7, 6)) - 1.0
    t, size, stride = torch.from_numpy(x), (3, 3), (2, 2)
    total = F.avg_pool2d(_pad(t, pairs), size, stride)
    covered = F.avg_pool2d(_pad(torch.ones_like(t), pairs), size, stride)

    maximum = MaxPool(size, stride, pairs, (1, 1))
    _same(maximum, x, F.max_pool2d(_pad(t, pairs, -inf), size, stride), last=False)
    _same(AveragePool(size, stride, pairs, count_include_pad=True), x, total, last=False)
    _same(AveragePool(size, stride, pairs), x, total / covered, last=False)


@many
@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=3))
def test_adaptive_average_pool(axes: list[tuple[int, int]]) -> None:
    """Outputs that divide the input, do not, or exceed it."""
    extents, outputs = zip(*axes, strict=True)
    x = np.random.default_rng(0).normal(size=(2, 3, *extents))
    expected = ADAPTIVE[len(axes)](torch.from_numpy(x), outputs)

    for last in (False, True):
        _same(AdaptiveAveragePool(outputs, last), x, expected, last)


@many
@given(pools())
def test_window_counts_are_torch_s(case: tuple[Windows, NDArray]) -> None:
    """The number of windows, with ceil mode's rule for a last one that starts in the padding."""
    w, x = case
    pool: Callable[..., torch.Tensor] = MAXIMUM[x.ndim - 2]
    expected = pool(
        torch.from_numpy(x), w.size, w.stride, [before for before, _ in w.padding],
        dilation=w.dilation, ceil_mode=w.ceil_mode,
    )  # fmt: skip

    assert w.output_extent(x.shape[2:]) == tuple(expected.shape[2:])


def test_batch_normalisation_in_evaluation_mode() -> None:
    """The running statistics normalise, as in `torch.nn.functional.batch_norm`."""
    rng = np.random.default_rng(1)
    x, (gamma, beta, mean) = rng.normal(size=(2, 4, 3, 5)), rng.normal(size=(3, 4))
    variance = rng.uniform(0.2, 2.0, 4)
    tensors = [torch.from_numpy(v) for v in (x, mean, variance, gamma, beta)]
    layer = BatchNormalization(gamma, beta, mean, variance, 1e-3, 0)

    _same(layer, x, F.batch_norm(*tensors, eps=1e-3), last=False)
