"""Laws of surrogates, over their registry, and of the gradients that they give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from test_bptt import WITH, given, two_layers

import spikewright as sw
from slowly import in_turn
from spikewright._base.equations import NUMPY
from spikewright.engines.torch.device import Tensors
from spikewright.errors import TrainingError
from spikewright.training.gradients import surrogate as gradients
from spikewright.training.gradients.surrogate import Differentiable, IntegratorBounds, nearest_jump
from spikewright.training.surrogates import SURROGATES, TriangleSurrogate, surrogate_of

EVERY = pytest.mark.parametrize("name", SURROGATES)
USUAL = {  # the slope at the jump, and its integral, of the papers' formulas
    "arctan": (1.0, 1.0),
    "fast sigmoid": (1.0, 2 * 0.04),
    "sigmoid": (1.0, 1.0),
    "triangle": (0.3, 0.3),
    "exponential": (2.0, 2.0),
    "periodic exponential": (2.0, 2.0),
}


@EVERY
def test_a_slope_is_a_peak_at_the_jump_of_the_width_that_was_asked_for(name: str) -> None:
    """Even, highest at the jump, falling; a width is a stretch of the distance."""
    kind = surrogate_of(name)
    x = np.linspace(-3.0, 3.0, 601)
    y = kind.slope(NUMPY, x)
    np.testing.assert_allclose(y, kind.slope(NUMPY, -x), rtol=1e-12)
    assert y.argmax() == 300 and np.all(np.diff(y[300:]) <= 0) and np.all(y >= 0)
    wide = type(kind)(width=2.0 * kind.width)
    shape, wider = y / y[300], wide.slope(NUMPY, 2.0 * x)
    np.testing.assert_allclose(wider / wider[300], shape, rtol=1e-12)


@EVERY
def test_usual_slopes_are_those_of_the_papers(name: str) -> None:
    """Height and integral of the published formulas, in units of the threshold."""
    kind = surrogate_of(name)
    height, area = USUAL[name]
    assert float(kind.slope(NUMPY, np.array(0.0))) == pytest.approx(height)
    found = 2.0 * quad(lambda x: float(kind.slope(NUMPY, np.array(x))), 0.0, np.inf, limit=500)[0]
    assert found == pytest.approx(area, rel=1e-4)


def test_surrogates_that_cannot_be_are_told() -> None:
    """A width of nothing, and a name that none has."""
    with pytest.raises(
        TrainingError, match=r"TriangleSurrogate.width must be thresholds above 0, got 0"
    ):
        TriangleSurrogate(width=0)
    with pytest.raises(TrainingError, match=r"'periodic exponential'.*got 'linear'"):
        surrogate_of("linear")


def test_jumps_are_where_the_number_of_spikes_changes() -> None:
    """A brute force over voltages: the nearest voltage at which one spike more is sent."""
    u = np.linspace(-3.45, 3.45, 300)
    for rounding, least, cap in (
        ("down", 0.0, None), ("down", 0.0, 1), ("down", None, None), ("down", -2.0, 2),
        ("truncate", None, None),
    ):  # fmt: skip
        xp = Differentiable(
            Tensors(torch.device("cpu"), torch.float64), surrogate_of("arctan"), True
        )
        fine = torch.linspace(-6.0, 6.0, 120001, dtype=torch.float64)
        counts, _ = xp.engine.integrate(
            fine, torch.zeros(()), torch.ones(()), least=least, rounding=rounding, cap=cap
        )
        jumps = fine[1:][counts.diff() != 0].numpy().round(3)
        nearest = np.abs(u[:, None] - jumps).min(1)
        bounds = IntegratorBounds(rounding, None, cap)
        found = nearest_jump(torch.from_numpy(u), least, bounds, every=True).numpy()
        np.testing.assert_allclose(np.abs(u - found), nearest, atol=2e-3)
        first = np.asarray(nearest_jump(torch.from_numpy(u), least, bounds, every=False))
        silent = (counts[1:] == 0) | (counts[:-1] == 0)
        beside = fine[1:][(counts.diff() != 0) & silent].numpy()
        np.testing.assert_allclose(np.abs(u - first), np.abs(u[:, None] - beside).min(1), atol=2e-3)


AREAS = {
    "arctan": lambda x: torch.atan(torch.pi * x) / torch.pi,
    "periodic exponential": lambda x: x.sign() * -torch.expm1(-2.0 * x.abs()),
}
"""Integrals of usual slopes."""


class Smoothed:
    """The integrator and the choice whose numbers of spikes are `S(u) + r`, `r` held.

    `S` is the surrogate's integral. The first run remembers `r` of every call.
    """

    def __init__(self, area: Any) -> None:
        self.area, self.held, self.call = area, list[Any](), 0

    def moved(self, x: Any, jump: Any = 0.0) -> Any:
        """`S(x) - S(x0)`, where `x0` is that of the first run."""
        if self.call == len(self.held):
            self.held.append((x, jump))
        first, jump = self.held[self.call]
        self.call += 1
        return self.area(x - jump) - self.area(first - jump)


SMOOTHED = (
    "integrate-and-fire-scale", "integrate-and-fire-floor-cap", "signed", "bipolar",
    "spiking-leaky-relu", "lif-without-floor", "grid-lif-without-floor", "running-mean-tanh",
)  # fmt: skip


@pytest.mark.parametrize(("example", "name"), in_turn([e for e in WITH if e.id in SMOOTHED], AREAS))
def test_gradients_are_those_of_the_smoothed_network(
    example: Any, name: str, monkeypatch: Any
) -> None:
    """Finite differences of the network whose counts move by the surrogate's integral."""
    kind, dt = example.neuron_type, example.dt
    scale = example.scale if kind.scaling != "refused" else 1.0
    conversion = sw.convert(
        two_layers(40.0 if dt < 0.01 else 12.0), spiking={"relu": kind}, scale_firing_rates=scale
    )
    how = {"precision": "float64", "surrogate": name, "reset": "attached"}
    module = conversion.to_torch(4, dt=dt, **how)
    x = torch.from_numpy(given().astype(np.float64))
    module(x).sum().backward()
    free = list(module.parameters())
    torch.manual_seed(2)
    moves = [torch.randn_like(p) for p in free]
    expected = sum(float((p.grad * m).sum()) for p, m in zip(free, moves, strict=True))
    smoothed = Smoothed(AREAS[name])

    def integrated(v: Any, threshold: Any, least: Any, bounds: Any, xp: Any) -> Any:
        if smoothed.call == len(smoothed.held):
            counts, _ = xp.engine.integrate(v, 0.0, threshold, least=least, **bounds._asdict())
            u = v / threshold
            jump = nearest_jump(u, least, bounds, xp.surrogate.every)
            held = torch.floor(u + 2.0**-16) < least if isinstance(least, torch.Tensor) else None
            smoothed.held.append((u, jump, counts, least, held))
        u, jump, counts, before, held = smoothed.held[smoothed.call]
        smoothed.call += 1
        n = counts + smoothed.area(v / threshold - jump) - smoothed.area(u - jump)
        if held is not None:
            n = n + torch.where(held, least - before, 0.0)
        left = v - n * threshold
        return n, left if bounds.floor is None else left.clamp(min=-bounds.floor * threshold)

    monkeypatch.setattr(gradients._Integrated, "apply", integrated)
    monkeypatch.setattr(gradients._Slope, "apply", lambda over, xp: smoothed.moved(over))

    def value(size: float) -> float:
        smoothed.call = 0
        for p, m in zip(free, moves, strict=True):
            p.add_(m, alpha=size)
        found = float(module(x).sum())
        for p, m in zip(free, moves, strict=True):
            p.sub_(m, alpha=size)
        return found

    with torch.no_grad():
        value(0.0)
        found = (value(1e-6) - value(-1e-6)) / 2e-6
    assert abs(expected) > 1e-3
    assert found == pytest.approx(expected, rel=1e-4)


def test_gradients_are_those_of_a_small_network_of_its_own() -> None:
    """One layer of integrate-and-fire neurons in ten lines of PyTorch, reset detached or not."""

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, u: Any) -> Any:
            ctx.save_for_backward(u)
            return torch.floor(u + 2.0**-16).clamp(min=0.0)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            (u,) = ctx.saved_tensors
            return gradient / (1.0 + (torch.pi * (u - 1.0)) ** 2)

    graph = two_layers()
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=500.0)
    x, theta = torch.from_numpy(given().astype(np.float64)), 2.0
    for reset in ("detached", "attached"):
        module = conversion.to_torch(5, precision="float64", reset=reset)
        module(x).square().sum().backward()
        w = {n: p.detach().clone().requires_grad_() for n, p in module.named_parameters()}
        layers = [(w[f"{n}.weight"], w[f"{n}.bias"]) for n in ("first", "second", "last")]
        voltages: list[Any] = [0.5 * theta, 0.5 * theta]
        total: Any = 0.0
        for _ in range(5):
            value = x
            for i, (weight, bias) in enumerate(layers[:2]):
                v = voltages[i] + value @ weight.T + bias
                n = Step.apply(v / theta)
                voltages[i] = v - (n.detach() if reset == "detached" else n) * theta
                value = n * theta
            total = total + (value @ layers[2][0].T + layers[2][1]) / 5
        total.square().sum().backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad.abs().sum() > 0
            torch.testing.assert_close(parameter.grad, w[name].grad, rtol=1e-9, atol=1e-12)


@EVERY
def test_every_surrogate_trains(name: str) -> None:
    """Every parameter has a gradient that is finite and not nothing."""
    conversion = sw.convert(two_layers(), spiking=True, scale_firing_rates=500.0)
    module = conversion.to_torch(4, surrogate=name)
    module(torch.from_numpy(given())).square().sum().backward()
    for parameter in module.parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.any()
