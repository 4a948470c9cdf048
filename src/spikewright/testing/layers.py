"""Examples of every registered layer, which tests of passes, files and engines run over.

Parameters are drawn from a fixed seed; every option of a layer that changes its equation has an
example of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import CURVES
from spikewright.graph.layers import (
    ACTIVATIONS,
    Activation,
    AdaptiveAveragePool,
    Add,
    Affine,
    AveragePool,
    BatchNormalization,
    Broadcast,
    Concatenate,
    Constant,
    Convolution,
    ConvolutionTranspose,
    Crop,
    Divide,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNormalization,
    Identity,
    Input,
    Interpolate,
    Layer,
    LayerNormalization,
    Lookup,
    MatMul,
    Maximum,
    MaxPool,
    Minimum,
    Multiply,
    Pad,
    ParametricReLU,
    Permute,
    Reshape,
    RMSNormalization,
    ScaleShift,
    Shape,
    Slice,
    Sum,
    Take,
    Tile,
    UnitNormalization,
    UpsampleNearest,
    ZeroPad,
)
from spikewright.graph.layers.activation import OVER_AXIS

IMAGE: Shape = (4, 7, 6)
"""Channels, height, width of most examples: sizes that differ, so that swapped axes show."""


class LayerExample(NamedTuple):
    """A layer with the (unbatched) shapes of its inputs, under a name that is unique."""

    id: str
    layer: Layer
    shapes: tuple[Shape, ...]


def layer_examples() -> list[LayerExample]:
    """At least one example of every kind of layer; the same values at every call."""
    rng = np.random.default_rng(0)
    families = (
        _affine, _convolution, _elementwise, _pooling, _shape, _merge, _activation, _transposed,
        _selection, _arithmetic, _normalization,
    )  # fmt: skip
    return [example for family in families for example in family(rng)]


def example_inputs(shapes: tuple[Shape, ...], batch: int = 3, seed: int = 0) -> list[NDArray]:
    """Random float64 inputs `(batch, *shape)`, positive and negative, one per shape."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(batch, *shape)) for shape in shapes]


def _affine(rng: np.random.Generator) -> Iterator[LayerExample]:
    yield LayerExample("affine", Affine(rng.normal(size=(3, 5)), rng.normal(size=3)), ((5,),))
    yield LayerExample("affine-no-bias", Affine(rng.normal(size=(3, 5))), ((5,),))
    single = rng.normal(size=(3, 5)).astype(np.float32)
    yield LayerExample("affine-float32", Affine(single, single[:, 0]), ((5,),))
    wide = Affine(rng.normal(size=(2, 6)), rng.normal(size=2))
    yield LayerExample("affine-of-rank-3", wide, (IMAGE,))


_CONVOLUTIONS: Mapping[str, dict] = {
    "convolution": {},
    "convolution-no-bias": {"bias": False},
    "convolution-stride": {"stride": (2, 3)},
    "convolution-padding": {"padding": ((1, 1), (1, 1))},
    "convolution-asymmetric-padding": {"padding": ((0, 2), (1, 0)), "stride": (2, 2)},
    "convolution-dilation": {"dilation": (2, 2), "padding": ((2, 2), (1, 1))},
    "convolution-groups": {"groups": 2},
    "convolution-depthwise": {"groups": 4, "padding": ((1, 1), (1, 1))},
    "convolution-channels-last": {"channels_last": True, "groups": 2, "stride": (2, 1)},
}


def _convolution(rng: np.random.Generator) -> Iterator[LayerExample]:
    for name, options in _CONVOLUTIONS.items():
        last = options.get("channels_last", False)
        layer = _convolve(rng, 4, 8, (3, 2), **options)
        yield LayerExample(name, layer, ((*IMAGE[1:], IMAGE[0]) if last else IMAGE,))
    line = _convolve(rng, 3, 2, (3,), stride=(2,), padding=((1, 0),))
    yield LayerExample("convolution-1d", line, ((3, 8),))
    volume = _convolve(rng, 2, 3, (2, 1, 3), padding=((0, 1), (0, 0), (1, 1)))
    yield LayerExample("convolution-3d", volume, ((2, 3, 4, 5),))


def _convolve(
    rng: np.random.Generator,
    channels: int,
    filters: int,
    size: tuple[int, ...],
    bias: bool = True,
    groups: int = 1,
    **options: tuple,
) -> Convolution:
    """A convolution of random weights; stride, padding and dilation do nothing unless given."""
    rank = len(size)
    plain: dict = {"stride": (1,) * rank, "padding": ((0, 0),) * rank, "dilation": (1,) * rank}
    return Convolution(
        rng.normal(size=(filters, channels // groups, *size)),
        rng.normal(size=filters) if bias else None,
        **{**plain, "groups": groups, **options},
    )


def _elementwise(rng: np.random.Generator) -> Iterator[LayerExample]:
    def some(*shape: int) -> NDArray:
        return rng.normal(size=shape)

    yield LayerExample("scale-shift-channels", ScaleShift(some(4, 1, 1), some(4, 1, 1)), (IMAGE,))
    yield LayerExample("scale-shift-scalar", ScaleShift(some(), some()), (IMAGE,))
    yield LayerExample("scale-shift-every-value", ScaleShift(some(*IMAGE), some(6)), (IMAGE,))
    yield LayerExample("scale-only", ScaleShift(scale=some(4, 1, 1)), (IMAGE,))
    yield LayerExample("shift-only", ScaleShift(shift=some(5)), ((5,),))
    yield LayerExample("scale-shift-neither", ScaleShift(), ((5,),))
    for name, shape, axis in (
        ("batch-norm", IMAGE, 0),
        ("batch-norm-last-axis", IMAGE, -1),
        ("batch-norm-middle-axis", IMAGE, 1),
        ("batch-norm-features", (5,), 0),
    ):
        n = shape[axis]
        variance = rng.uniform(0.3, 3.0, n)
        layer = BatchNormalization(some(n), some(n), some(n), variance, 1e-3, axis)
        yield LayerExample(name, layer, (shape,))


def _pooling(rng: np.random.Generator) -> Iterator[LayerExample]:
    none = ((0, 0), (0, 0))
    some = ((1, 0), (0, 1))
    image = (IMAGE,)
    last = ((*IMAGE[1:], IMAGE[0]),)
    average, maximum = AveragePool, MaxPool
    yield LayerExample("average", average((2, 2), (2, 2), none), image)
    yield LayerExample("average-padding", average((3, 2), (2, 1), some), image)
    counted = average((3, 2), (2, 1), some, count_include_pad=True)
    yield LayerExample("average-count-padding", counted, image)
    ceiling = average((3, 3), (2, 2), some, ceil_mode=True, count_include_pad=True)
    yield LayerExample("average-ceil", ceiling, image)
    yield LayerExample("average-last", average((2, 3), (1, 2), none, channels_last=True), last)
    yield LayerExample("average-of-one", average((1, 1), (1, 1), none), image)
    yield LayerExample("average-1d", average((3,), (2,), ((1, 1),)), ((2, 7),))
    yield LayerExample("maximum", maximum((2, 2), (2, 2), none, (1, 1)), image)
    yield LayerExample("maximum-padding", maximum((3, 2), (2, 1), some, (1, 1)), image)
    yield LayerExample("maximum-dilation", maximum((2, 3), (1, 1), none, (3, 2)), image)
    yield LayerExample("maximum-ceil", maximum((3, 3), (2, 2), some, (1, 1), True), image)
    only = maximum((2, 2), (2, 2), none, (1, 1), channels_last=True)
    yield LayerExample("maximum-last", only, last)
    yield LayerExample("maximum-of-one", maximum((1, 1), (1, 1), none, (1, 1)), image)
    volume = maximum((2, 1, 2), (1, 1, 2), ((0, 0), (0, 0), (1, 0)), (1, 1, 1))
    yield LayerExample("maximum-3d", volume, ((2, 3, 4, 5),))
    yield LayerExample("global-average", GlobalAveragePool((1, 2)), image)
    yield LayerExample("global-average-kept", GlobalAveragePool((-2, -1), True), image)
    yield LayerExample("global-average-none", GlobalAveragePool(()), image)
    yield LayerExample("global-maximum", GlobalMaxPool((1, 2)), image)
    yield LayerExample("global-maximum-kept", GlobalMaxPool((0,), True), image)
    yield LayerExample("adaptive-average", AdaptiveAveragePool((3, 4)), image)
    yield LayerExample("adaptive-average-more", AdaptiveAveragePool((9, 6)), image)
    yield LayerExample("adaptive-average-last", AdaptiveAveragePool((2, 5), True), last)
    yield LayerExample("adaptive-average-same", AdaptiveAveragePool((7, 6)), image)


def _shape(rng: np.random.Generator) -> Iterator[LayerExample]:
    image = (IMAGE,)
    yield LayerExample("input", Input(IMAGE), ())
    yield LayerExample("input-whole", Input((4,), whole=True), ())
    yield LayerExample("identity", Identity(), image)
    yield LayerExample("reshape-flat", Reshape((168,)), image)
    yield LayerExample("reshape", Reshape((6, 4, 7)), image)
    yield LayerExample("reshape-same", Reshape(IMAGE), image)
    yield LayerExample("permute", Permute((1, 2, 0)), image)
    yield LayerExample("permute-same", Permute((0, 1, 2)), image)
    yield LayerExample("pad", ZeroPad(((0, 0), (1, 2), (3, 0))), image)
    yield LayerExample("pad-nothing", ZeroPad(((0, 0), (0, 0), (0, 0))), image)
    yield LayerExample("crop", Crop(((1, 0), (0, 2), (1, 1))), image)
    yield LayerExample("crop-nothing", Crop(((0, 0), (0, 0), (0, 0))), image)
    yield LayerExample("upsample", UpsampleNearest((1, 2, 3)), image)
    yield LayerExample("upsample-nothing", UpsampleNearest((1, 1, 1)), image)


def _merge(rng: np.random.Generator) -> Iterator[LayerExample]:
    yield LayerExample("add", Add(), (IMAGE, IMAGE, IMAGE))
    yield LayerExample("add-one", Add(), (IMAGE,))
    yield LayerExample("concatenate", Concatenate(0), (IMAGE, (2, *IMAGE[1:])))
    yield LayerExample("concatenate-last", Concatenate(-1), (IMAGE, (*IMAGE[:-1], 2)))
    yield LayerExample("concatenate-one", Concatenate(0), (IMAGE,))


CURVE_PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "leaky_relu": {"negative_slope": 0.1},
    "threshold": {"threshold": 0.2, "value": 0.1, "negative_slope": 0.3, "maximum": 1.5},
    "clip": {"minimum": -0.4, "maximum": 0.7},
    "rounded_relu": {"threshold": 1.3, "levels": 5.0, "start": 0.4},
    "hard_sigmoid": {"slope": 0.2},
    "elu": {"alpha": 0.7},
    "celu": {"alpha": 1.3},
    "power": {"exponent": 1.5},
}
"""Parameters for the examples of activations that need some, or have some worth an example."""


def _activation(rng: np.random.Generator) -> Iterator[LayerExample]:
    """Every activation that is defined everywhere: tests put examples behind any others."""
    for function in ACTIVATIONS:
        if function in OVER_AXIS or CURVES[function].domain != "above zero":
            layer = Activation(function, CURVE_PARAMETERS.get(function, {}))
            yield LayerExample(f"activation-{function}", layer, (IMAGE,))
    first = Activation("softmax", {"axis": 0})
    yield LayerExample("activation-softmax-first-axis", first, (IMAGE,))
    plain = Activation("softmax", {"axis": -1})
    yield LayerExample("activation-softmax-features", plain, ((5,),))
    slopes = ParametricReLU(rng.uniform(-0.2, 0.5, (4, 1, 1)))
    yield LayerExample("parametric-relu", slopes, (IMAGE,))
    yield LayerExample("parametric-relu-scalar", ParametricReLU(np.array(0.2)), ((5,),))


_TRANSPOSED: Mapping[str, dict] = {
    "transposed": {},
    "transposed-stride": {"stride": (2, 3)},
    "transposed-padding": {"stride": (2, 2), "padding": ((1, 0), (1, 2))},
    "transposed-output-padding": {"stride": (3, 2), "output_padding": (2, 1)},
    "transposed-dilation": {"dilation": (2, 3), "padding": ((1, 1), (0, 0))},
    "transposed-groups": {"groups": 2, "stride": (2, 1)},
    "transposed-channels-last": {"channels_last": True, "groups": 2, "stride": (2, 2)},
}


def _transposed(rng: np.random.Generator) -> Iterator[LayerExample]:
    plain: dict = {
        "stride": (1, 1),
        "padding": ((0, 0), (0, 0)),
        "output_padding": (0, 0),
        "dilation": (1, 1),
    }
    for name, options in _TRANSPOSED.items():
        filters = 6 // options.get("groups", 1)
        bias = None if options == {} else rng.normal(size=6)
        layer = ConvolutionTranspose(
            rng.normal(size=(4, filters, 3, 2)), bias, **{**plain, **options}
        )
        last = options.get("channels_last", False)
        yield LayerExample(name, layer, ((*IMAGE[1:], IMAGE[0]) if last else IMAGE,))
    line = ConvolutionTranspose(
        rng.normal(size=(3, 2, 4)), rng.normal(size=2), (2,), ((1, 1),), (0,), (1,)
    )
    yield LayerExample("transposed-1d", line, ((3, 5),))


def _selection(rng: np.random.Generator) -> Iterator[LayerExample]:
    image = (IMAGE,)
    yield LayerExample("lookup", Lookup(rng.normal(size=(5, 3))), ((4,),))
    yield LayerExample("lookup-numbers", Lookup(rng.normal(size=6)), ((2, 3),))
    yield LayerExample("constant", Constant(rng.normal(size=(2, 3))), ())
    yield LayerExample("slice", Slice(((3, 2, -2), (0, 3, 3), (1, 5, 1))), image)
    yield LayerExample("slice-reversed", Slice.along(IMAGE, {1: slice(None, None, -1)}), image)
    yield LayerExample("take", Take(np.array([3, 0, 0, -2, 1]), 1), image)
    yield LayerExample("take-one", Take(np.array(-1), -1), image)
    yield LayerExample("take-many", Take(rng.integers(0, 4, (2, 3)), 0), image)
    yield LayerExample("tile", Tile((1, 2, 3)), image)
    yield LayerExample("broadcast", Broadcast((2, 4, 3, 5)), ((4, 1, 5),))
    for mode in ("reflect", "symmetric", "edge", "wrap"):
        pads = ((0, 0), (1, 2), (3, 0))
        yield LayerExample(f"pad-{mode}", Pad(pads, mode), image)
    whole = ((0, 0), (0, 0), (0, 0))
    yield LayerExample("slice-whole", Slice.along(IMAGE, {}), image)
    yield LayerExample("tile-once", Tile((1, 1, 1)), image)
    yield LayerExample("broadcast-same", Broadcast(IMAGE), image)
    yield LayerExample("pad-edge-nothing", Pad(whole, "edge"), image)
    yield LayerExample("sum-none", Sum(()), image)
    yield LayerExample("sum", Sum((0, 2)), image)
    yield LayerExample("sum-kept", Sum((-1,), True), image)
    matrices = (rng.normal(size=(3, 6)), rng.normal(size=(9, 7)))
    yield LayerExample("interpolate", Interpolate(matrices, (-1, 1)), image)


def _arithmetic(rng: np.random.Generator) -> Iterator[LayerExample]:
    two = (IMAGE, IMAGE)
    wide = (IMAGE, (IMAGE[0], 1, 1))
    low = ((1, IMAGE[2]), IMAGE)
    yield LayerExample("multiply", Multiply(), two)
    yield LayerExample("multiply-three", Multiply(), (IMAGE, *wide))
    yield LayerExample("multiply-low-rank", Multiply(), low)
    yield LayerExample("divide", Divide(), wide)
    yield LayerExample("multiply-one", Multiply(), (IMAGE,))
    yield LayerExample("maximum-of-only", Maximum(), (IMAGE,))
    yield LayerExample("minimum-of-only", Minimum(), (IMAGE,))
    yield LayerExample("maximum-of-two", Maximum(), two)
    yield LayerExample("maximum-of-three", Maximum(), (*low, IMAGE))
    yield LayerExample("minimum-of-two", Minimum(), wide)
    yield LayerExample("matmul", MatMul(), ((3, 4, 5), (3, 5, 2)))
    yield LayerExample("matmul-transpose-a", MatMul(True), ((5, 4), (5, 2)))
    yield LayerExample("matmul-transpose-b", MatMul(transpose_b=True), ((3, 4, 5), (2, 5)))
    yield LayerExample("matmul-both", MatMul(True, True), ((2, 1, 5, 4), (3, 2, 5)))


def _normalization(rng: np.random.Generator) -> Iterator[LayerExample]:
    def some(*shape: int) -> NDArray:
        return rng.normal(size=shape)

    image = (IMAGE,)
    last = LayerNormalization((-1,), 1e-5, some(6), some(6))
    yield LayerExample("layer-norm", last, image)
    yield LayerExample("layer-norm-plain", LayerNormalization((0, 2), 1e-3), image)
    channels = LayerNormalization((0,), 1e-6, some(4, 1, 1), some(4, 1, 1))
    yield LayerExample("layer-norm-channels", channels, image)
    yield LayerExample("group-norm", GroupNormalization(2, 0, 1e-5, some(4), some(4)), image)
    yield LayerExample("group-norm-last", GroupNormalization(3, -1, 1e-5, some(6)), image)
    yield LayerExample("instance-norm", GroupNormalization(4, 0, 1e-5), image)
    yield LayerExample("rms-norm", RMSNormalization((-1,), 1e-5, some(6)), image)
    yield LayerExample("unit-norm", UnitNormalization((1, 2)), image)
