"""Channels rescaled without a change of the function: rules for channels give the same network.

Ranges of channels that differ by decades are what batch normalisation leaves behind depthwise
convolutions (Nagel et al. 2019, Data-Free Quantization Through Weight Equalization and Bias
Correction, arXiv 1906.04721). One threshold for a layer then rounds most of them to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from calibrating import EXAMPLES

import spikewright as sw
from slowly import slow_but
from spikewright.choosing.rules import RULES, FromWeights
from spikewright.choosing.rules.rule import StepsRule
from spikewright.graph import Graph, Node, evaluate_all
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    Convolution,
    GlobalAveragePool,
    Input,
    LayerNormalization,
    MaxPool,
    ParametricReLU,
)

STEPS = 8
SAMPLES = 12
CHANNELS = 8
FACES = ((1, 1), (1, 1))


def dense(rng: np.random.Generator, out: int, inner: int) -> Affine:
    """Weights that keep the variance, and biases with which no channel is silent."""
    return Affine(rng.normal(size=(out, inner)) / np.sqrt(inner), rng.uniform(0.2, 0.6, out))


def convolution(rng: np.random.Generator, out: int, inner: int, size: int = 3) -> Convolution:
    """A convolution that keeps the extent, and halves the variance; pointwise with `size=1`."""
    weight = rng.normal(size=(out, inner, size, size)) / np.sqrt(2 * inner * size**2)
    padding = FACES if size == 3 else ((0, 0), (0, 0))
    return Convolution(weight, rng.uniform(0.2, 0.6, out), (1, 1), padding, (1, 1))


def depthwise(rng: np.random.Generator) -> Convolution:
    """A kernel for each channel."""
    layer = convolution(rng, CHANNELS, 1)
    return replace(layer, groups=CHANNELS)


def chain(shape: tuple[int, ...], **layers: Any) -> Graph:
    """Layers one behind the other."""
    names = ["x", *layers]
    nodes = [Node("x", Input(shape))]
    nodes += [Node(n, la, (names[i],)) for i, (n, la) in enumerate(layers.items())]
    return Graph(tuple(nodes), {"output": names[-1]})


def act(kind: str) -> Activation | ParametricReLU:
    """An activation by its name; "parametric" has a slope for each channel."""
    if kind == "parametric":
        return ParametricReLU(np.linspace(0.05, 0.5, CHANNELS).reshape(-1, 1, 1))
    return Activation(kind, {"negative_slope": 0.2} if kind == "leaky_relu" else {})


def of_dense(kind: str, rng: np.random.Generator) -> Graph:
    """Two dense layers and a head."""
    return chain(
        (6,),
        first=dense(rng, CHANNELS, 6),
        act1=act(kind),
        second=dense(rng, CHANNELS, CHANNELS),
        act2=act(kind),
        head=dense(rng, 5, CHANNELS),
    )


def of_convolutions(kind: str, rng: np.random.Generator) -> Graph:
    """Two convolutions, a mean and a head."""
    return chain(
        (2, 5, 5),
        first=convolution(rng, CHANNELS, 2),
        act1=act(kind),
        second=convolution(rng, CHANNELS, CHANNELS),
        act2=act(kind),
        mean=GlobalAveragePool((1, 2)),
        head=dense(rng, 5, CHANNELS),
    )


def of_bottlenecks(kind: str, rng: np.random.Generator) -> Graph:
    """An inverted residual: wide, depthwise, a linear bottleneck, and wide again."""
    return chain(
        (2, 5, 5),
        first=convolution(rng, CHANNELS, 2),
        act1=act(kind),
        second=depthwise(rng),
        act2=act(kind),
        bottleneck=convolution(rng, CHANNELS, CHANNELS, 1),
        wide=convolution(rng, CHANNELS, CHANNELS, 1),
        act3=act(kind),
        mean=GlobalAveragePool((1, 2)),
        head=dense(rng, 5, CHANNELS),
    )


def of_pools(kind: str, rng: np.random.Generator) -> Graph:
    """Max pooling, and a sum of what is pooled with a convolution of it."""
    pool = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    nodes = (
        Node("x", Input((2, 6, 6))),
        Node("first", convolution(rng, CHANNELS, 2), ("x",)),
        Node("act1", act(kind), ("first",)),
        Node("pool", pool, ("act1",)),
        Node("second", convolution(rng, CHANNELS, CHANNELS), ("pool",)),
        Node("act2", act(kind), ("second",)),
        Node("third", convolution(rng, CHANNELS, CHANNELS), ("act2",)),
        Node("sum", Add(), ("third", "pool")),
        Node("act3", act(kind), ("sum",)),
        Node("mean", GlobalAveragePool((1, 2)), ("act3",)),
        Node("head", dense(rng, 5, CHANNELS), ("mean",)),
    )
    return Graph(nodes, {"output": "head"})


def of_norms(kind: str, rng: np.random.Generator) -> Graph:
    """A normalisation, whose values of either sign are sent as spikes, between dense layers."""
    scale, shift = rng.uniform(0.5, 1.5, CHANNELS), rng.normal(size=CHANNELS) / 4
    return chain(
        (6,),
        first=dense(rng, CHANNELS, 6),
        act1=act(kind),
        second=LayerNormalization((-1,), 1e-5, scale, shift),
        third=dense(rng, CHANNELS, CHANNELS),
        act2=act(kind),
        head=dense(rng, 5, CHANNELS),
    )


NETWORKS: Mapping[str, tuple[Any, str, dict[str, str]]] = {
    "dense": (of_dense, "relu", {"first": "second", "second": "head"}),
    "dense, either sign": (of_dense, "leaky_relu", {"first": "second", "second": "head"}),
    "convolutions": (of_convolutions, "relu", {"first": "second", "second": "head"}),
    "convolutions, a slope for each channel": (
        of_convolutions, "parametric", {"first": "second", "second": "head"}
    ),
    "depthwise": (of_bottlenecks, "relu", {"first": "second", "second": "bottleneck"}),
    "depthwise, at most six": (
        of_bottlenecks, "relu6", {"first": "second", "second": "bottleneck", "wide": "head"}
    ),
    "linear bottleneck": (of_bottlenecks, "relu6", {"bottleneck": "wide"}),
    "max pooling and a sum": (of_pools, "relu", {"second": "third"}),
    "values of either sign behind a norm": (of_norms, "relu", {"second": "third"}),
}  # fmt: skip
"""A builder, its activation, and which layers' channels are rescaled, by who reads them."""


def multiplied(layer: Any, factors: np.ndarray) -> Any:
    """The layer with its output channels multiplied."""
    if isinstance(layer, LayerNormalization):
        return replace(layer, scale=layer.scale * factors, shift=layer.shift * factors)
    weight = layer.weight * factors.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    return replace(layer, weight=weight, bias=layer.bias * factors)


def divided(layer: Any, factors: np.ndarray) -> Any:
    """The layer for input channels that were multiplied."""
    if isinstance(layer, Convolution) and layer.groups > 1:
        return replace(layer, weight=layer.weight / factors.reshape(-1, 1, 1, 1))
    shape = (1, -1, *(1,) * (layer.weight.ndim - 2))
    return replace(layer, weight=layer.weight / factors.reshape(shape))


def rescaled(graph: Graph, pairs: Mapping[str, str], rng: np.random.Generator) -> Graph:
    """The same function, channels of some layers smaller by powers of two, over three decades."""
    layers = {node.name: node.layer for node in graph}
    for name, reader in pairs.items():
        factors = 2.0 ** rng.permutation(np.linspace(-10, 0, CHANNELS).round())
        layers[name] = multiplied(layers[name], factors)
        layers[reader] = divided(layers[reader], factors)
    nodes = tuple(replace(node, layer=layers[node.name]) for node in graph)
    return Graph(nodes, graph.outputs)


def of_channels(rule: sw.ScaleRule, per: str = "channel", cap: int | None = 1) -> sw.ScaleRule:
    """The rule for channels, or for layers; neurons without a cap have room for two spikes."""
    if isinstance(rule, FromWeights):
        return replace(rule, rule=of_channels(rule.rule, per, cap))
    rule = replace(rule, per=per)  # type: ignore[call-arg]
    like = getattr(rule, "like", None)
    if like is not None:
        rule = replace(rule, like=of_channels(like, per, cap))  # type: ignore[call-arg]
    if isinstance(rule, StepsRule) and cap is None:
        rule = replace(rule, spikes_per_step=2)
    return rule


def claims_channels(rule: object) -> bool:
    """Whether it has a choice between layers and channels."""
    inner = rule.rule if isinstance(rule, FromWeights) else rule
    return "per" in {field.name for field in fields(inner)}  # type: ignore[arg-type]


RULES_OF_CHANNELS = [
    pytest.param(rule, id=str(rule))
    for rules in EXAMPLES.values()
    for rule in dict.fromkeys(of_channels(rule) for rule in rules if claims_channels(rule))
]


def test_every_rule_that_claims_channels_is_tried() -> None:
    """All of the registry but the one that looks at nothing."""
    tried = {type(param.values[0]) for param in RULES_OF_CHANNELS}  # type: ignore[attr-defined]
    assert tried == {*RULES.values()} - {sw.OneScale}


def before_and_after(name: str) -> tuple[Graph, Graph, np.ndarray]:
    """A network, the same rescaled, and inputs; their values are equal, and below six."""
    build, kind, pairs = NETWORKS[name]
    rng = np.random.default_rng(3)
    graph = build(kind, rng)
    wide = rescaled(graph, pairs, rng)
    x = rng.normal(size=(SAMPLES, *graph.shapes["x"]))
    old, new = (evaluate_all(each, {"x": x}) for each in (graph, wide))
    np.testing.assert_allclose(old["head"], new["head"], rtol=1e-12)
    assert kind != "relu6" or max(old[n].max() for n in old if n.startswith("act")) < 6
    return graph, wide, x


def sent(graph: Graph, x: np.ndarray, rule: sw.ScaleRule, cap: int | None) -> tuple[Any, Any]:
    """Outputs of all samples, and spikes of each layer and sample."""
    made = sw.convert(
        graph, spiking=True, scale_firing_rates=rule, calibration=x, max_spikes_per_step=cap
    )
    run = made.run(x, STEPS, progress=False)
    return run.predict(), run.spike_counts()


@pytest.mark.filterwarnings("ignore:.*has doubts")
@pytest.mark.parametrize("cap", slow_but([1], [1, None]))
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rule", RULES_OF_CHANNELS)
def test_a_rule_for_channels_does_not_see_that_they_were_rescaled(
    rule: sw.ScaleRule, name: str, cap: int | None
) -> None:
    """Outputs and the spikes of every layer are those of before, with a cap and without.

    But for a spike in a thousand: values between layers are on a grid that the largest of all
    channels determines, so that ties may be broken otherwise.
    """
    graph, wide, x = before_and_after(name)
    rule = of_channels(rule, cap=cap)
    (old, spikes), (new, spikes_then) = (sent(each, x, rule, cap) for each in (graph, wide))

    for layer, counts in spikes.items():
        assert np.abs(spikes_then[layer] - counts).sum() <= max(1, counts.sum() // 1000)
    assert sum(counts.sum() for counts in spikes.values()) > 0
    np.testing.assert_allclose(new, old, atol=0.01 * np.abs(old).max())


DEFAULTS = {
    "percentile": sw.Percentile(),
    "target-rate": sw.TargetRate(1000.0),
    "energy-budget": sw.EnergyBudget(STEPS, spikes=1000.0),
    "from-weights": sw.FromWeights(-2, 2),
}
"""Rules that choose between layers and channels themselves."""


def error(graph: Graph, x: np.ndarray, rule: sw.ScaleRule) -> float:
    """Of the outputs, relative to the source's, without a cap."""
    truth = evaluate_all(graph, {"x": x})["head"]
    found, _ = sent(graph, x, rule, None)
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


@pytest.mark.filterwarnings("ignore:.*has doubts")
@pytest.mark.parametrize("kind", DEFAULTS)
@pytest.mark.parametrize("name", ["depthwise", "depthwise, at most six", "dense"])
def test_by_default_rules_choose_for_channels_where_ranges_differ(name: str, kind: str) -> None:
    """One threshold a layer loses a wide network; the default is the choice for channels there."""
    _, wide, x = before_and_after(name)
    rule = DEFAULTS[kind]
    layers, channels = (of_channels(rule, per, None) for per in ("layer", "channel"))
    made, other = (
        sw.convert(wide, spiking=True, scale_firing_rates=each, calibration=x)
        for each in (rule, channels)
    )
    pairs = NETWORKS[name][2]
    for layer in pairs:
        behind = wide.consumers[layer][0]
        found, expected = (m.resolved["scale_firing_rates"][behind] for m in (made, other))
        np.testing.assert_array_equal(found, expected)
        assert np.size(found) == CHANNELS
    assert error(wide, x, layers) > 1.5 * error(wide, x, rule)


@pytest.mark.filterwarnings("ignore:.*has doubts")
@pytest.mark.parametrize("kind", DEFAULTS)
def test_by_default_rules_choose_for_layers_where_ranges_are_alike(kind: str) -> None:
    """The trace says nothing of channels; where they are chosen it says their ranges."""
    graph, wide, x = before_and_after("dense")
    told = []
    for each in (graph, wide):
        made = sw.convert(each, spiking=True, scale_firing_rates=DEFAULTS[kind], calibration=x)
        told.append("\n".join(str(entry) for entry in made.trace if entry.layer == "act1"))
        scale = made.resolved["scale_firing_rates"]["act1"]
        assert (np.size(scale) == 1) is (each is graph)
    assert "channels" not in told[0]
    assert "for each channel: the largest values of channels span" in told[1]
