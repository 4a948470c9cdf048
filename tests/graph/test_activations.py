"""Activations, clipping and windows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikewright._base.equations import CURVES, NUMPY, curve
from spikewright._base.windows import (
    Windows,
    channels_last,
    join_shape,
    restore_channels,
    split_shape,
)
from spikewright.errors import GraphError
from spikewright.graph.clipping import FAR, clip_steps
from spikewright.graph.layers import ACTIVATIONS, Activation, ParametricReLU
from spikewright.testing.layers import CURVE_PARAMETERS

BOUNDS = st.floats(-1e9, 1e9) | st.just(math.inf) | st.just(-math.inf)


@example(bounds=(-5e-324, 0.0))
@given(bounds=st.tuples(BOUNDS, BOUNDS).filter(lambda b: b[0] < b[1]))
def test_values_are_limited_and_others_keep_their_digits(bounds) -> None:
    """The layers compute `min(max(x, low), high)`, and values between the bounds keep 13 digits."""
    low, high = bounds
    x = np.array([[-1e10, -1.0, -1e-3, 0.0, 1e-3, 1.0, 1e10]])
    value = x
    for _, layer in clip_steps(low, high):
        value = layer.evaluate(value)

    scale = max([1.0, *(abs(b) for b in bounds if abs(b) <= FAR)])
    assert np.allclose(value, np.clip(x, low, high), rtol=1e-12, atol=1e-13 * scale)


def test_a_far_bound_is_a_curve() -> None:
    """A sum with a bound of a million would cost a small value its digits."""
    assert clip_steps(-1e6, 2.0) == (("", Activation("clip", {"minimum": -1e6, "maximum": 2.0})),)


def test_bounds_next_to_each_other_are_a_curve() -> None:
    """No factor of the layers leaves the range of 32-bit floats, however close the bounds are."""
    assert [layer.function for _, layer in clip_steps(0.0, 1e-7)] == ["clip"]
    for _, layer in clip_steps(0.0, 2e-6):
        assert np.isfinite(layer.evaluate(np.array([-1e30, 1e30], dtype=np.float32))).all()


def test_an_interval_without_inside_is_refused() -> None:
    """Bounds that leave nothing between them are named."""
    with pytest.raises(ValueError, match=r"2\.0 and 2\.0: nothing lies between"):
        clip_steps(2.0, 2.0)


small = st.integers(1, 4)


@st.composite
def lines(draw: st.DrawFn) -> tuple[Windows, int]:
    """One-dimensional windows over an extent that has room for at least one."""
    size, stride, dilation = draw(small), draw(small), draw(small)
    padding = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    windows = Windows((size,), (stride,), (padding,), (dilation,), draw(st.booleans()))
    extent = draw(st.integers(1, 8))
    return windows, max(extent, dilation * (size - 1) + 1 - sum(padding))


def _positions(windows: Windows, extent: int) -> list[list[int]]:
    """Input positions under every tap of every window, some of them outside the input."""
    (count,), ((before, _),) = windows.output_extent((extent,)), windows.padding
    starts = [i * windows.stride[0] - before for i in range(count)]
    return [[s + t * windows.dilation[0] for t in range(windows.size[0])] for s in starts]


@settings(deadline=None, derandomize=True, max_examples=100)
@given(lines())
def test_taps_see_the_input_and_the_fill_value_outside(case: tuple[Windows, int]) -> None:
    """Tap t of window o holds x[o stride - padding + t dilation], or the value asked for."""
    windows, extent = case
    x = np.arange(1.0, extent + 1)
    views = [view[0, :, 0] for _, view in windows.taps(x[None, :, None], value=-7.0)]

    seen = [[x[p] if 0 <= p < extent else -7.0 for p in row] for row in _positions(*case)]
    np.testing.assert_array_equal(np.transpose(views), seen)


@settings(deadline=None, derandomize=True, max_examples=166)
@given(lines())
def test_windows_that_see_no_input_are_found(case: tuple[Windows, int]) -> None:
    """Yes is never wrong; no may be over-cautious only where the dilation exceeds the extent."""
    windows, extent = case
    truth = all(any(0 <= p < extent for p in row) for row in _positions(*case))
    found = windows.all_see_input((extent,))

    assert found == truth or (not found and windows.dilation[0] > extent)


def test_patches_lay_the_taps_out_in_row_major_order() -> None:
    """`(batch, *windows, taps, channels)`, taps as the kernel's flattened axes."""
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    windows = Windows((2, 2), (1, 2), ((0, 0), (0, 0)), (1, 1))

    patches = windows.patches(x)
    assert patches.shape == (2, 3, 2, 4, 3)
    np.testing.assert_array_equal(patches[:, 1, 1], x[:, 1:3, 2:4].reshape(2, 4, 3))


@pytest.mark.parametrize("last", [False, True])
def test_channel_order_goes_there_and_back(last: bool) -> None:
    """Moving the channel axis and moving it back is no change, of values and of shapes."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    shape = x.shape[1:]

    assert restore_channels(channels_last(x, last), last).tobytes() == x.tobytes()
    assert channels_last(x, last).shape[-1] == split_shape(shape, last)[1]
    assert join_shape(*split_shape(shape, last), last) == shape


RNG = np.random.default_rng(5)
X = 3.0 * RNG.normal(size=(3, 4, 7, 6))

Torch = Callable[[torch.Tensor], torch.Tensor]
FORMULAS: dict[str, Torch] = {
    "atan": torch.atan,
    "linear": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "clip": lambda x: F.hardtanh(x, -0.4, 0.7),
    "hard_sigmoid": lambda x: torch.clamp(0.2 * x + 0.5, 0.0, 1.0),
    "abs": torch.abs,
    "threshold": lambda x: torch.where(x > 0.2, x.clamp(max=1.5), 0.1 + 0.3 * (x - 0.2)),
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softsign": F.softsign,
    "softplus": lambda x: torch.log1p(torch.exp(x)),
    "log_sigmoid": F.logsigmoid,
    "tanhshrink": F.tanhshrink,
    "erf": torch.erf,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hard_swish": F.hardswish,
    "mish": F.mish,
    "elu": lambda x: F.elu(x, 0.7),
    "celu": lambda x: F.celu(x, 1.3),
    "selu": F.selu,
    "exp": torch.exp,
    "sin": torch.sin,
    "cos": torch.cos,
    "squareplus": lambda x: (x + torch.sqrt(x**2 + 4)) / 2,
    "sparse_plus": lambda x: torch.where(x < -1, 0.0 * x, torch.where(x < 1, (x + 1) ** 2 / 4, x)),
    "square": torch.square,
    "sqrt": torch.sqrt,
    "log": torch.log,
    "power": lambda x: x**1.5,
    "reciprocal": torch.reciprocal,
    "round": torch.round,
    "rounded_relu": lambda x: 1.3 / 5 * torch.clamp(torch.floor(5 * x / 1.3 + 0.4), 0, 5),
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
}


def _inputs(function: str) -> NDArray:
    """Inputs where the function is defined."""
    positive = function in CURVES and CURVES[function].domain == "above zero"
    return np.abs(X) + 0.01 if positive else X


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_activation_is_its_formula(function: str) -> None:
    """Every activation agrees with PyTorch's function, or with the formula written in it.

    One that says that it is never below zero is not.
    """
    x = _inputs(function)
    expected = FORMULAS[function](torch.from_numpy(x)).numpy()

    found = Activation(function, CURVE_PARAMETERS.get(function, {})).evaluate(x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert function not in CURVES or CURVES[function].negative or found.min() >= 0


def test_the_error_function_has_the_precision_of_its_type() -> None:
    """Within 4e-16 of the standard library's, over both of its ranges and beyond."""
    x = np.concatenate([np.linspace(-7, 7, 4001), [0.46875, -0.46875, 1e-300, 1e300, 0.0]])
    expected = np.array([math.erf(v) for v in x])

    np.testing.assert_allclose(NUMPY.erf(x), expected, rtol=4e-16, atol=4e-16)


def test_an_elementwise_function_has_one_name() -> None:
    """A second function of a registered name would make files ambiguous."""
    with pytest.raises(ValueError, match="'gelu' is registered already"):
        curve("gelu")(lambda xp, x: x)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Activation("elu", {"beta": 1.0}), r"'elu' has no parameter \['beta'\]"),
        (Activation("power"), r"'power' needs a value for \['exponent'\]"),
        (Activation("log_softmax", {"alpha": 0}), r"no parameter \['alpha'\]"),
        (Activation("log_softmax", {"axis": 2}), "axis 2 does not exist"),
        (ParametricReLU(np.ones(3)), r"slope of shape \(3,\) does not broadcast to \(4,\)"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(layer: Activation, message: str) -> None:
    """The message names the function and the parameter."""
    with pytest.raises(GraphError, match=message):
        layer.output_shape((4,))


def test_a_slope_of_its_own_for_every_channel() -> None:
    """y = x above zero, else the channel's slope times x."""
    slope = RNG.normal(size=4)
    expected = F.prelu(torch.from_numpy(X), torch.from_numpy(slope)).numpy()

    found = ParametricReLU(slope.reshape(4, 1, 1)).evaluate(X)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
