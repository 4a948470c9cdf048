"""Examples of every registered layer and node function, which many tests run over.

Parameters are drawn from a fixed seed; every option of a layer that changes its equation has an
example of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import CURVES
from spikewright._base.windows import Windows
from spikewright.graph import layers as g
from spikewright.graph.layers import ACTIVATIONS, Activation, AveragePool, Layer, MaxPool, Shape
from spikewright.graph.layers.activation import OVER_AXIS
from spikewright.network import node_functions as f
from spikewright.network.functions import NodeFunction

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
    yield LayerExample("affine", g.Affine(rng.normal(size=(3, 5)), rng.normal(size=3)), ((5,),))
    yield LayerExample("affine-no-bias", g.Affine(rng.normal(size=(3, 5))), ((5,),))
    single = rng.normal(size=(3, 5)).astype(np.float32)
    yield LayerExample("affine-float32", g.Affine(single, single[:, 0]), ((5,),))
    wide = g.Affine(rng.normal(size=(2, 6)), rng.normal(size=2))
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
) -> g.Convolution:
    """A convolution of random weights; stride, padding and dilation do nothing unless given."""
    rank = len(size)
    plain: dict = {"stride": (1,) * rank, "padding": ((0, 0),) * rank, "dilation": (1,) * rank}
    return g.Convolution(
        rng.normal(size=(filters, channels // groups, *size)),
        rng.normal(size=filters) if bias else None,
        **{**plain, "groups": groups, **options},
    )


def _elementwise(rng: np.random.Generator) -> Iterator[LayerExample]:
    def some(*shape: int) -> NDArray:
        return rng.normal(size=shape)

    yield LayerExample("scale-shift-channels", g.ScaleShift(some(4, 1, 1), some(4, 1, 1)), (IMAGE,))
    yield LayerExample("scale-shift-scalar", g.ScaleShift(some(), some()), (IMAGE,))
    yield LayerExample("scale-shift-every-value", g.ScaleShift(some(*IMAGE), some(6)), (IMAGE,))
    yield LayerExample("scale-only", g.ScaleShift(scale=some(4, 1, 1)), (IMAGE,))
    yield LayerExample("shift-only", g.ScaleShift(shift=some(5)), ((5,),))
    yield LayerExample("scale-shift-neither", g.ScaleShift(), ((5,),))
    for name, shape, axis in (
        ("batch-norm", IMAGE, 0),
        ("batch-norm-last-axis", IMAGE, -1),
        ("batch-norm-middle-axis", IMAGE, 1),
        ("batch-norm-features", (5,), 0),
    ):
        n = shape[axis]
        variance = rng.uniform(0.3, 3.0, n)
        layer = g.BatchNormalization(some(n), some(n), some(n), variance, 1e-3, axis)
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
    yield LayerExample("global-average", g.GlobalAveragePool((1, 2)), image)
    yield LayerExample("global-average-kept", g.GlobalAveragePool((-2, -1), True), image)
    yield LayerExample("global-average-none", g.GlobalAveragePool(()), image)
    yield LayerExample("global-maximum", g.GlobalMaxPool((1, 2)), image)
    yield LayerExample("global-maximum-kept", g.GlobalMaxPool((0,), True), image)
    yield LayerExample("adaptive-average", g.AdaptiveAveragePool((3, 4)), image)
    yield LayerExample("adaptive-average-more", g.AdaptiveAveragePool((9, 6)), image)
    yield LayerExample("adaptive-average-last", g.AdaptiveAveragePool((2, 5), True), last)
    yield LayerExample("adaptive-average-same", g.AdaptiveAveragePool((7, 6)), image)


def _shape(rng: np.random.Generator) -> Iterator[LayerExample]:
    image = (IMAGE,)
    yield LayerExample("input", g.Input(IMAGE), ())
    yield LayerExample("input-whole", g.Input((4,), whole=True), ())
    yield LayerExample("identity", g.Identity(), image)
    yield LayerExample("reshape-flat", g.Reshape((168,)), image)
    yield LayerExample("reshape", g.Reshape((6, 4, 7)), image)
    yield LayerExample("reshape-same", g.Reshape(IMAGE), image)
    yield LayerExample("permute", g.Permute((1, 2, 0)), image)
    yield LayerExample("permute-same", g.Permute((0, 1, 2)), image)
    yield LayerExample("pad", g.ZeroPad(((0, 0), (1, 2), (3, 0))), image)
    yield LayerExample("pad-nothing", g.ZeroPad(((0, 0), (0, 0), (0, 0))), image)
    yield LayerExample("crop", g.Crop(((1, 0), (0, 2), (1, 1))), image)
    yield LayerExample("crop-nothing", g.Crop(((0, 0), (0, 0), (0, 0))), image)
    yield LayerExample("upsample", g.UpsampleNearest((1, 2, 3)), image)
    yield LayerExample("upsample-nothing", g.UpsampleNearest((1, 1, 1)), image)


def _merge(rng: np.random.Generator) -> Iterator[LayerExample]:
    yield LayerExample("add", g.Add(), (IMAGE, IMAGE, IMAGE))
    yield LayerExample("add-one", g.Add(), (IMAGE,))
    yield LayerExample("concatenate", g.Concatenate(0), (IMAGE, (2, *IMAGE[1:])))
    yield LayerExample("concatenate-last", g.Concatenate(-1), (IMAGE, (*IMAGE[:-1], 2)))
    yield LayerExample("concatenate-one", g.Concatenate(0), (IMAGE,))


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
    slopes = g.ParametricReLU(rng.uniform(-0.2, 0.5, (4, 1, 1)))
    yield LayerExample("parametric-relu", slopes, (IMAGE,))
    yield LayerExample("parametric-relu-scalar", g.ParametricReLU(np.array(0.2)), ((5,),))


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
        layer = g.ConvolutionTranspose(
            rng.normal(size=(4, filters, 3, 2)), bias, **{**plain, **options}
        )
        last = options.get("channels_last", False)
        yield LayerExample(name, layer, ((*IMAGE[1:], IMAGE[0]) if last else IMAGE,))
    line = g.ConvolutionTranspose(
        rng.normal(size=(3, 2, 4)), rng.normal(size=2), (2,), ((1, 1),), (0,), (1,)
    )
    yield LayerExample("transposed-1d", line, ((3, 5),))


def _selection(rng: np.random.Generator) -> Iterator[LayerExample]:
    image = (IMAGE,)
    yield LayerExample("lookup", g.Lookup(rng.normal(size=(5, 3))), ((4,),))
    yield LayerExample("lookup-numbers", g.Lookup(rng.normal(size=6)), ((2, 3),))
    yield LayerExample("constant", g.Constant(rng.normal(size=(2, 3))), ())
    yield LayerExample("slice", g.Slice(((3, 2, -2), (0, 3, 3), (1, 5, 1))), image)
    yield LayerExample("slice-reversed", g.Slice.along(IMAGE, {1: slice(None, None, -1)}), image)
    yield LayerExample("take", g.Take(np.array([3, 0, 0, -2, 1]), 1), image)
    yield LayerExample("take-one", g.Take(np.array(-1), -1), image)
    yield LayerExample("take-many", g.Take(rng.integers(0, 4, (2, 3)), 0), image)
    yield LayerExample("tile", g.Tile((1, 2, 3)), image)
    yield LayerExample("broadcast", g.Broadcast((2, 4, 3, 5)), ((4, 1, 5),))
    for mode in ("reflect", "symmetric", "edge", "wrap"):
        pads = ((0, 0), (1, 2), (3, 0))
        yield LayerExample(f"pad-{mode}", g.Pad(pads, mode), image)
    whole = ((0, 0), (0, 0), (0, 0))
    yield LayerExample("slice-whole", g.Slice.along(IMAGE, {}), image)
    yield LayerExample("tile-once", g.Tile((1, 1, 1)), image)
    yield LayerExample("broadcast-same", g.Broadcast(IMAGE), image)
    yield LayerExample("pad-edge-nothing", g.Pad(whole, "edge"), image)
    yield LayerExample("sum-none", g.Sum(()), image)
    yield LayerExample("sum", g.Sum((0, 2)), image)
    yield LayerExample("sum-kept", g.Sum((-1,), True), image)
    matrices = (rng.normal(size=(3, 6)), rng.normal(size=(9, 7)))
    yield LayerExample("interpolate", g.Interpolate(matrices, (-1, 1)), image)


def _arithmetic(rng: np.random.Generator) -> Iterator[LayerExample]:
    two = (IMAGE, IMAGE)
    wide = (IMAGE, (IMAGE[0], 1, 1))
    low = ((1, IMAGE[2]), IMAGE)
    yield LayerExample("multiply", g.Multiply(), two)
    yield LayerExample("multiply-three", g.Multiply(), (IMAGE, *wide))
    yield LayerExample("multiply-low-rank", g.Multiply(), low)
    yield LayerExample("divide", g.Divide(), wide)
    yield LayerExample("multiply-one", g.Multiply(), (IMAGE,))
    yield LayerExample("maximum-of-only", g.Maximum(), (IMAGE,))
    yield LayerExample("minimum-of-only", g.Minimum(), (IMAGE,))
    yield LayerExample("maximum-of-two", g.Maximum(), two)
    yield LayerExample("maximum-of-three", g.Maximum(), (*low, IMAGE))
    yield LayerExample("minimum-of-two", g.Minimum(), wide)
    yield LayerExample("matmul", g.MatMul(), ((3, 4, 5), (3, 5, 2)))
    yield LayerExample("matmul-transpose-a", g.MatMul(True), ((5, 4), (5, 2)))
    yield LayerExample("matmul-transpose-b", g.MatMul(transpose_b=True), ((3, 4, 5), (2, 5)))
    yield LayerExample("matmul-both", g.MatMul(True, True), ((2, 1, 5, 4), (3, 2, 5)))


def _normalization(rng: np.random.Generator) -> Iterator[LayerExample]:
    def some(*shape: int) -> NDArray:
        return rng.normal(size=shape)

    image = (IMAGE,)
    last = g.LayerNormalization((-1,), 1e-5, some(6), some(6))
    yield LayerExample("layer-norm", last, image)
    yield LayerExample("layer-norm-plain", g.LayerNormalization((0, 2), 1e-3), image)
    channels = g.LayerNormalization((0,), 1e-6, some(4, 1, 1), some(4, 1, 1))
    yield LayerExample("layer-norm-channels", channels, image)
    yield LayerExample("group-norm", g.GroupNormalization(2, 0, 1e-5, some(4), some(4)), image)
    yield LayerExample("group-norm-last", g.GroupNormalization(3, -1, 1e-5, some(6)), image)
    yield LayerExample("instance-norm", g.GroupNormalization(4, 0, 1e-5), image)
    yield LayerExample("rms-norm", g.RMSNormalization((-1,), 1e-5, some(6)), image)
    yield LayerExample("unit-norm", g.UnitNormalization((1, 2)), image)


class FunctionExample(NamedTuple):
    """A node function with the (unbatched) shape of its input, under a name that is unique."""

    id: str
    function: NodeFunction
    shape: Shape

    def accumulating(self) -> NodeFunction:
        """The same function of running means."""
        return replace(self.function, accumulate=True)  # type: ignore[type-var]

    def values(self, batch: int, steps: int, seed: int = 0) -> NDArray:
        """Random inputs `(batch, steps, *shape)` of both signs, whose means differ.

        Where rows are looked up, numbers of rows.
        """
        rng = np.random.default_rng(seed)
        if isinstance(self.function, f.Lookup):
            rows = rng.integers(0, len(self.function.table), (batch, steps, *self.shape))
            return rows.astype(np.float64)
        mean = rng.normal(size=(batch, 1, *self.shape))
        return 2.0 * mean + rng.normal(size=(batch, steps, *self.shape))


def function_examples() -> list[FunctionExample]:
    """At least one example of every node function, none of them accumulating."""
    windows = Windows((3, 2), (2, 1), ((1, 1), (0, 1)))
    image, tokens = (2, 5, 4), (3, 5)
    table = np.random.default_rng(7).normal(size=(6, 2, 3))
    return [
        FunctionExample("max-pool", f.MaxPool(windows), image),
        FunctionExample("max-pool-last", f.MaxPool(windows, True), (5, 4, 2)),
        FunctionExample("reduce-max", f.ReduceMax((-1, -3)), image),
        FunctionExample("reduce-max-kept", f.ReduceMax((-2,), True), image),
        FunctionExample("softmax", f.Softmax(), tokens),
        FunctionExample("softmax-first", f.Softmax(-2), tokens),
        FunctionExample("log-softmax", f.LogSoftmax(), tokens),
        FunctionExample("layer-norm", f.LayerNormalization((-1,), 1e-3), tokens),
        FunctionExample("layer-norm-axes", f.LayerNormalization((-3, -1), 1e-5), image),
        FunctionExample("rms-norm", f.RMSNormalization((-1,), 1e-3), tokens),
        FunctionExample("unit-norm", f.UnitNormalization((-2,), 0.0), tokens),
        FunctionExample("elementwise", f.Elementwise("tanh"), tokens),
        FunctionExample(
            "elementwise-parameters",
            f.Elementwise("threshold", (("threshold", 0.5), ("maximum", 1.0))),
            tokens,
        ),
        FunctionExample("lookup", f.Lookup(table), (4,)),
        FunctionExample("lookup-numbers", f.Lookup(table[:, 0, 0]), (2, 2)),
        FunctionExample("multiply", f.Multiply(((2, 3), (2, 3))), (12,)),
        FunctionExample("multiply-broadcast", f.Multiply(((2, 1, 3), (4, 1), (3,))), (13,)),
        FunctionExample("divide", f.Divide(((2, 3), (3,))), (9,)),
        FunctionExample("maximum", f.Maximum(((2, 3), (3,), (2, 1))), (11,)),
        FunctionExample("minimum", f.Minimum(((2, 3), (2, 3))), (12,)),
        FunctionExample("matmul", f.MatMul(((2, 3, 4), (2, 4, 2))), (40,)),
        FunctionExample("matmul-wide", f.MatMul(((2, 3, 4), (4, 2))), (32,)),
        FunctionExample(
            "matmul-transposed",
            f.MatMul(((4, 3), (2, 4)), transpose_a=True, transpose_b=True),
            (20,),
        ),
    ]
