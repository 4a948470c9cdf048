"""Activations that round to multiples of a step, however they are written, in all readers."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from keras_helpers import assert_agrees, keras, layers, randomise
from numpy.typing import NDArray
from pytorch_helpers import Of
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import UnsupportedLayerError
from spikewright.frontends import read
from spikewright.frontends.reading.rounding import NotSteps, steps_of
from spikewright.graph import Graph
from spikewright.graph.layers import Activation
from spikewright.lower.trace import exact_after

THETA, LEVELS = 1.7, 4
Spelling = Callable[[Tensor, Tensor, int], Tensor]


class _Floor(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.floor()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def _scaled(x: Tensor, theta: Tensor, levels: int) -> Tensor:
    x = torch.clamp(x / theta, 0, 1)
    return torch.floor(x * levels + 0.5) / levels * theta


def _own_gradient(x: Tensor, theta: Tensor, levels: int) -> Tensor:
    return _Floor.apply(torch.clamp(x / theta, 0, 1) * levels + 0.5) / levels * theta


def _detached(x: Tensor, theta: Tensor, levels: int) -> Tensor:
    u = x * levels / theta
    u = u + (u.round() - u).detach()
    return u.clamp(0, levels) * theta / levels


def _bounded(x: Tensor, theta: Tensor, levels: int) -> Tensor:
    most = torch.tensor(float(levels))
    return torch.relu(torch.minimum(torch.round(x * levels / theta), most)) * (theta / levels)


SPELLINGS: dict[str, tuple[Spelling, float]] = {
    "clamp, then floor": (_scaled, 0.5),
    "floor, then clamp": (
        lambda x, theta, n: theta / n * torch.clamp(torch.floor(x * n / theta + 0.5), 0, n), 0.5
    ),
    "floor with a gradient of its own": (_own_gradient, 0.5),
    "a detached difference": (_detached, 0.5),
    "minimum and relu": (_bounded, 0.5),
    "ceil": (
        lambda x, theta, n: nn.functional.hardtanh(torch.ceil(x * n / theta - 0.5), 0, n) / n
        * theta,
        0.5,
    ),
    "started at zero": (
        lambda x, theta, n: theta / n * torch.clamp(torch.floor(x * n / theta), 0, n), 0.0
    ),
    "trunc": (lambda x, theta, n: torch.trunc(torch.clamp(x / theta, 0, 1) * n) / n * theta, 0.0),
    "started in between": (
        lambda x, theta, n: theta / n * torch.clamp(torch.floor(x * n / theta + 0.3), 0, n), 0.3
    ),
}  # fmt: skip


class _Activation(nn.Module):
    def __init__(self, spelling: Spelling, theta: float, levels: int) -> None:
        super().__init__()
        self.spelling, self.levels = spelling, levels
        self.theta = nn.Parameter(torch.tensor([theta]))

    def forward(self, x: Tensor) -> Tensor:
        return self.spelling(x, self.theta, self.levels)


def _network(spelling: Spelling, theta: float = THETA, levels: int = LEVELS) -> nn.Module:
    torch.manual_seed(3)
    first, second = (_Activation(spelling, t, levels) for t in (theta, theta / 3))
    return nn.Sequential(nn.Linear(6, 30), first, nn.Linear(30, 20), second, nn.Linear(20, 3))


def _inputs(seed: int = 0, samples: int = 80) -> NDArray:
    return np.random.default_rng(seed).normal(size=(samples, 6)).astype(np.float32)


def _as_onnx(module: nn.Module) -> onnx.ModelProto:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (torch.tensor(_inputs(samples=2)),), file, dynamo=False,
            input_names=["x"], dynamic_axes={"x": {0: "batch"}},
        )  # fmt: skip
    return onnx.load_from_string(file.getvalue())


def _rounded(graph: Graph) -> list[dict[str, float]]:
    found = [node.layer for node in graph if isinstance(node.layer, Activation)]
    assert all(layer.function == "rounded_relu" for layer in found)
    return [dict(layer.parameters) for layer in found]


NOT_EXPORTED = ("floor with a gradient of its own", "trunc")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "pytorch" if name in NOT_EXPORTED else "onnx") for name in SPELLINGS),
        ("ceil", "pytorch"),
    ],
)
def test_every_spelling_is_one_activation(name: str, kind: str) -> None:
    """Threshold, levels and start are those that it was written with, and values are the same."""
    spelling, start = SPELLINGS[name]
    module = _network(spelling)
    model, x = (_as_onnx(module) if kind == "onnx" else module), _inputs()
    conversion = sw.convert(model, example_input=None if kind == "onnx" else x[:1])

    for found, theta in zip(_rounded(conversion.graph), (THETA, THETA / 3), strict=True):
        assert found["levels"] == LEVELS
        assert found["threshold"] == pytest.approx(theta, rel=1e-6)
        assert found["start"] == pytest.approx(start, abs=1e-6)
    wanted = module(torch.tensor(x)).detach().numpy()
    made = conversion.run(x, steps=1, progress=False).predict()
    np.testing.assert_allclose(made, wanted, atol=1e-6)
    assert np.ptp(wanted, axis=0).min() > 0.1


@pytest.mark.parametrize(
    ("spelling", "levels", "kind"),
    [
        (_scaled, 1, "pytorch"),
        (_scaled, 8, "onnx"),
        (SPELLINGS["started at zero"][0], 3, "pytorch"),
        (SPELLINGS["started at zero"][0], 2, "onnx"),
    ],
)
def test_after_as_many_steps_as_levels_spikes_are_the_source(
    spelling: Spelling, levels: int, kind: str
) -> None:
    """Started and thresholded as the layer says, neurons that take spikes back send its values."""
    module, x = _network(spelling, 0.8, levels), _inputs(levels)
    model = _as_onnx(module) if kind == "onnx" else module
    conversion = sw.convert(model, example_input=None if kind == "onnx" else x[:1], spiking=True)
    wanted = module(torch.tensor(x)).detach().numpy()
    run = conversion.run(x, steps=levels, progress=False)

    np.testing.assert_allclose(run.predict(), wanted, atol=1e-5)
    assert conversion.trace.guarantee == exact_after(levels * 1e-3)
    tops = [means.max() for means in run.layer_means().values()]
    assert tops[0] == pytest.approx(0.8), "no value was above the threshold"


NOT_QUITE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "no bound": (lambda x: torch.relu(torch.round(4 * x)) / 4, "no upper bound"),
    "of either sign": (lambda x: torch.round(4 * x).clamp(-4, 4) / 4, "not zero for negative"),
    "rounded alone": (torch.floor, "no upper bound"),
    "a step at zero itself": (lambda x: torch.ceil(4 * x).clamp(0, 4), "at zero itself"),
    "rounded in a bound": (
        lambda x: torch.floor(4 * x.clamp(0.4, 1.0)), "not zero for negative values"
    ),
    "a curve behind": (lambda x: torch.round(torch.sigmoid(x) * 4) / 4, "its first step is at"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_QUITE)
def test_what_is_not_quite_one_is_refused_as_before(name: str) -> None:
    """It jumps; beside that the refusal says what keeps it from being a rounded activation."""
    function, reason = NOT_QUITE[name]
    model = nn.Sequential(nn.Linear(6, 5), Of(lambda _, x: function(x)), nn.Linear(5, 2))

    with pytest.raises(UnsupportedLayerError, match="it jumps") as caught:
        read(model, example_input=_inputs(samples=2))
    assert any(reason in refusal.reason for refusal in caught.value.refusals), caught.value
    assert "sw.torch.RoundedReLU" in str(caught.value)


def test_values_that_others_read_are_not_taken_away() -> None:
    """A rounded value that is also used before its bound is no part of an activation."""

    def both(_: nn.Module, x: Tensor) -> Tensor:
        rounded = torch.round(4 * x)
        return torch.cat([rounded.clamp(0, 4), rounded], 1)

    with pytest.raises(UnsupportedLayerError, match="it jumps"):
        read(nn.Sequential(nn.Linear(6, 5), Of(both)), example_input=_inputs(samples=2))


def test_the_input_of_an_activation_may_be_read_by_others() -> None:
    """As in a residual block."""
    model = nn.Sequential(
        nn.Linear(6, 5),
        Of(lambda _, x: x + torch.round(4 * x).clamp(0, 4) / 4),
        nn.Linear(5, 2),
    )
    graph = read(model, example_input=_inputs(samples=2)).graph

    assert _rounded(graph) == [{"threshold": 1.0, "levels": 4.0, "start": 0.5}]


def test_a_sum_of_two_is_two() -> None:
    """Neither is taken for the other, and values in front of a rounding are its input."""
    model = nn.Sequential(
        nn.Linear(6, 5),
        Of(lambda _, x: torch.round(x).clamp(0, 2) + torch.floor(3 * x.abs() - 2).clamp(0, 2)),
    )
    x = _inputs()
    graph = read(model, example_input=x[:2]).graph
    wanted = model(torch.tensor(x)).detach().numpy()

    functions = [n.layer.function for n in graph if isinstance(n.layer, Activation)]
    assert sorted(functions) == ["abs", "rounded_relu", "rounded_relu"]
    made = sw.convert(graph).run(x, steps=1, progress=False).predict()
    np.testing.assert_allclose(made, wanted, atol=1e-6)


def test_one_threshold_a_channel_is_a_scale_before_and_behind() -> None:
    """Arrays of thresholds are linear layers around one activation: exact as well."""
    theta = torch.tensor([0.3, 0.7, 1.1, 0.5, 2.0])
    model = nn.Sequential(
        nn.Linear(6, 5), Of(lambda _, x: _scaled(x, theta, LEVELS)), nn.Linear(5, 3)
    )
    x = _inputs()
    conversion = sw.convert(model, example_input=x[:1], spiking=True)
    (found,) = _rounded(conversion.graph)

    assert found["levels"] == LEVELS
    made = conversion.run(x, steps=LEVELS, progress=False).predict()
    np.testing.assert_allclose(made, model(torch.tensor(x)).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_steps_are_found_wherever_they_are(seed: int) -> None:
    """Widths over eight orders of magnitude, any start, and up to a thousand levels."""
    rng = np.random.default_rng(seed)
    width, start = 10 ** rng.uniform(-4, 3), rng.uniform(0, 1)
    levels, factor = int(rng.integers(2, 1000)), rng.choice([1.0, 0.2, 5.0])

    def function(x: NDArray) -> NDArray:
        return factor * width * np.clip(np.floor(x / width + start), 0, levels)

    found = steps_of(function)
    assert (found.levels, found.factor) == (levels, pytest.approx(factor))
    assert found.width == pytest.approx(width, rel=1e-4)
    assert found.start == pytest.approx(start, abs=1e-4 * levels)


def test_a_missing_step_is_noticed() -> None:
    """All steps are looked at, not the first and the last alone."""

    def function(x: NDArray) -> NDArray:
        number = np.clip(np.floor(10 * x), 0, 10)
        return np.where(number == 5, 4, number)

    with pytest.raises(NotSteps, match="not all of one width"):
        steps_of(function)


L, ops = layers, keras.ops
KERAS_LEVELS, TOP = 7, 1.5


def _through(x: Any) -> Any:
    """Rounded, with the gradient of what is rounded."""
    bounded = ops.clip(x, 0.0, TOP)
    rounded = ops.round(bounded * (KERAS_LEVELS / TOP)) * (TOP / KERAS_LEVELS)
    return bounded + ops.stop_gradient(rounded - bounded)


def _floored(x: Any) -> Any:
    """The next level below."""
    return ops.floor(ops.clip(x * (KERAS_LEVELS / TOP), 0, KERAS_LEVELS)) * (TOP / KERAS_LEVELS)


FORMS: dict[str, Callable[[Any], Any]] = {
    "graph": lambda x: _through(x),
    "activation": L.Activation(_through),
    "activation of a layer": L.Dense(4, activation=_floored),
}


@pytest.mark.parametrize("name", FORMS)
def test_rounding_is_one_activation(name: str) -> None:
    """Straight-through rounding becomes a rounded activation, which spikes."""
    x = keras.Input((5,), name="x")
    y = FORMS[name](L.Dense(4)(x))
    model = randomise(keras.Model(x, L.Dense(2)(y)))
    source = assert_agrees(model)
    kinds = {n.layer.function for n in source.graph if isinstance(n.layer, Activation)}
    assert kinds == {"rounded_relu"}
    conversion = sw.convert(model, spiking=True, scale_firing_rates=1000)
    assert conversion.network.n_neurons == 4
    values = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    sw.convert(model).verify(values)
