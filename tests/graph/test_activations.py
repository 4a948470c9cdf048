"""Activations: every function by name against PyTorch, its limits, its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from spikewright._base.equations import CURVES, NUMPY, curve
from spikewright.errors import GraphError
from spikewright.graph.layers import ACTIVATIONS, Activation, ParametricReLU
from spikewright.testing.layers import CURVE_PARAMETERS

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
