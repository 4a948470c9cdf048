"""What a network of running means has sent is its source with the values of neurons rounded."""

from __future__ import annotations

import numpy as np
import pytest
from layer_graphs import errors_over_time, slope
from numpy.typing import NDArray

import spikewright as sw
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    Convolution,
    GlobalAveragePool,
    Input,
    LayerNormalization,
    Multiply,
)
from spikewright.network.neurons import TOLERANCE

CHANNELS, SIDE = 8, 5
DT = 0.001


def squeeze_excite(blocks: int, seed: int = 0, curve: str = "silu") -> Graph:
    """Blocks as EfficientNet's: expand, depthwise, gate times features, project, residual sum."""
    rng = np.random.default_rng(seed)

    def convolution(out: int, inner: int, size: int = 1, groups: int = 1) -> Convolution:
        shape = (out, inner // groups, size, size)
        weight = rng.normal(size=shape) * (1.7 / np.sqrt(inner // groups * size * size))
        edge = ((size // 2, size // 2),) * 2
        return Convolution(weight, 0.1 * rng.normal(size=out), (1, 1), edge, (1, 1), groups)

    nodes = [GraphNode("x", Input((CHANNELS, SIDE, SIDE)))]
    wide, few = 2 * CHANNELS, 4
    for b in range(blocks):
        before = nodes[-1].name
        nodes += [
            GraphNode(f"expand{b}", convolution(wide, CHANNELS), (before,)),
            GraphNode(f"curve{b}", Activation(curve), (f"expand{b}",)),
            GraphNode(f"depthwise{b}", convolution(wide, wide, 3, wide), (f"curve{b}",)),
            GraphNode(f"relu6{b}", Activation("relu6"), (f"depthwise{b}",)),
            GraphNode(f"squeeze{b}", GlobalAveragePool((1, 2), keepdims=True), (f"relu6{b}",)),
            GraphNode(f"reduce{b}", convolution(few, wide), (f"squeeze{b}",)),
            GraphNode(f"inner{b}", Activation("tanh"), (f"reduce{b}",)),
            GraphNode(f"excite{b}", convolution(wide, few), (f"inner{b}",)),
            GraphNode(f"gate{b}", Activation("sigmoid"), (f"excite{b}",)),
            GraphNode(f"gated{b}", Multiply(), (f"relu6{b}", f"gate{b}")),
            GraphNode(f"project{b}", convolution(CHANNELS, wide), (f"gated{b}",)),
            GraphNode(f"sum{b}", Add(), (before, f"project{b}")),
            GraphNode(f"norm{b}", LayerNormalization((0,), 1e-5), (f"sum{b}",)),
        ]
    nodes += [
        GraphNode("pool", GlobalAveragePool((1, 2)), (nodes[-1].name,)),
        GraphNode("head", Affine(rng.normal(size=(6, CHANNELS))), ("pool",)),
    ]
    return Graph(tuple(nodes), {"y": "head"})


def rounded(conversion: sw.Conversion, x: NDArray, unit: float, start: float) -> NDArray:
    """The graph's output, each neuron's value a multiple of `unit`: `start` 0.5 is the nearest."""
    values = {"x": x}
    for node in conversion.canonical:
        if node.name == "x":
            continue
        value = node.layer.evaluate(*(values[name] for name in node.inputs))
        if node.name in conversion.populations():
            value = unit * np.floor(value / unit + start + TOLERANCE)
        values[node.name] = value
    return values[conversion.canonical.outputs["y"]]


@pytest.mark.parametrize(("start", "offset"), [("half", 0.5), ("zero", 0.0)])
@pytest.mark.parametrize("scale", [300.0, 2500.0])
def test_the_mean_is_that_of_the_source_with_rounded_values(
    start: str, offset: float, scale: float
) -> None:
    """At every step t, to the last spike: values are then multiples of 1 / (s dt t)."""
    graph = squeeze_excite(2)
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=scale, initial_voltage=start)
    x = np.random.default_rng(1).normal(size=(2, CHANNELS, SIDE, SIDE))
    run = conversion.run(
        x, steps=150, dt=DT, engine="reference", precision="float64", progress=False
    )
    means = run.predict_at_every_step("mean")
    assert isinstance(means, np.ndarray)

    for t in (1, 2, 3, 7, 20, 64, 149, 150):
        expected = rounded(conversion, x, 1.0 / (scale * DT * t), offset)
        np.testing.assert_allclose(means[:, t - 1], expected, rtol=1e-9, atol=1e-9)


def test_a_rectifier_that_takes_spikes_back_obeys_the_same_law() -> None:
    """Behind layers whose values arrive unevenly too, where `IntegrateAndFire` does not."""
    x = np.random.default_rng(1).normal(size=(2, CHANNELS, SIDE, SIDE))
    scale, off = 2500.0, {}
    for kind in (sw.BipolarIntegrateAndFire(), sw.IntegrateAndFire()):
        conversion = sw.convert(
            squeeze_excite(2, curve="relu"), spiking={"relu": kind}, scale_firing_rates=scale
        )
        run = conversion.run(
            x, steps=64, dt=DT, engine="reference", precision="float64", progress=False
        )
        means = run.predict_at_every_step("mean")
        assert isinstance(means, np.ndarray)
        off[type(kind)] = [
            np.abs(means[:, t - 1] - rounded(conversion, x, 1.0 / (scale * DT * t), 0.5)).max()
            for t in (1, 2, 5, 16, 33, 64)
        ]
    assert max(off[sw.BipolarIntegrateAndFire]) < 1e-9
    assert min(off[sw.IntegrateAndFire][1:]) > 1e-3


def test_rounding_down_is_worse_than_to_the_nearest() -> None:
    """Half a spike at the start is what makes the law round to the nearest."""
    graph = squeeze_excite(1)
    errors = {}
    for start in ("half", "zero"):
        conversion = sw.convert(
            graph, spiking=True, scale_firing_rates=2000.0, initial_voltage=start
        )
        x = {"x": np.random.default_rng(1).normal(size=(2, CHANNELS, SIDE, SIDE))}
        errors[start] = errors_over_time(conversion, x)[-1]
    assert errors["half"] < 0.5 * errors["zero"]


def test_a_deep_chain_of_gated_blocks_converges() -> None:
    """Gates times features, depthwise layers, residual sums, six blocks deep: slope -1."""
    graph = squeeze_excite(6)
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=2000.0)
    x = {"x": np.random.default_rng(1).normal(size=(1, CHANNELS, SIDE, SIDE))}
    errors = errors_over_time(conversion, x)

    assert slope(errors) < -0.8, errors
    assert errors[-1] < 0.05
