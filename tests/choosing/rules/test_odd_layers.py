"""Every rule on layers and data that are out of the ordinary, under caps, starts and synapses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from calibrating import ALL
from numpy.typing import NDArray

import spikewright as sw
from slowly import in_turn
from spikewright.choosing import ScaleRule
from spikewright.errors import ConversionError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.testing.modelling import neuron_type_examples

STEPS = 8
DATA_RULES = [rule for rule in ALL if rule.needs_data]


def network(
    activation: str = "relu",
    inputs: int = 6,
    hidden: int = 12,
    weight: float = 1.0,
    bias: float = 0.0,
) -> Graph:
    """Two hidden layers, random weights of about that size."""
    rng = np.random.default_rng(0)

    def affine(outer: int, inner: int, size: float = 1.0, shift: float = 0.0) -> Affine:
        drawn = rng.normal(size=(outer, inner)) / np.sqrt(inner)
        return Affine(size * drawn, 0.1 * rng.normal(size=outer) + shift)

    nodes = (
        GraphNode("x", Input((inputs,))),
        GraphNode("fc1", affine(hidden, inputs, weight, bias), ("x",)),
        GraphNode("act1", Activation(activation), ("fc1",)),
        GraphNode("fc2", affine(hidden, hidden), ("act1",)),
        GraphNode("act2", Activation(activation), ("fc2",)),
        GraphNode("fc3", affine(3, hidden), ("act2",)),
    )
    return Graph(nodes, {"y": "fc3"})


def drawn(samples: int, inputs: int = 6) -> NDArray:
    """Random samples."""
    return np.random.default_rng(1).normal(size=(samples, inputs))


ODD: dict[str, Callable[[], tuple[Graph, NDArray]]] = {
    "constant": lambda: (network(weight=0.0, bias=0.5), drawn(20)),
    "silent": lambda: (network(bias=-1e3), drawn(20)),
    "one neuron": lambda: (network(inputs=1, hidden=1, bias=0.5), drawn(20, 1)),
    "huge fan-in": lambda: (network(inputs=20_000), drawn(8, 20_000)),
    "saturated": lambda: (network("tanh", bias=40.0), drawn(20)),
    "one sample": lambda: (network(), drawn(1)),
    "equal samples": lambda: (network(), np.repeat(drawn(1), 5, axis=0)),
    "zeros": lambda: (network(), np.zeros((5, 6))),
    "tiny values": lambda: (network(), 1e-30 * drawn(20)),
    "huge values": lambda: (network(), 1e30 * drawn(20)),
}
CONVERTED: list[dict[str, Any]] = [
    {"max_spikes_per_step": 1},
    {"max_spikes_per_step": 2, "synapse": 0.005, "initial_voltage": "zero"},
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("rule", DATA_RULES, ids=repr)
def test_no_rule_stumbles_over_odd_layers(rule, name) -> None:
    """Scales are finite and above 0, every layer has its line, and the network runs."""
    graph, x = ODD[name]()
    for arguments in CONVERTED:
        found = sw.convert(graph, spiking=True, scale_firing_rates=rule, calibration=x, **arguments)
        for scale in found.resolved["scale_firing_rates"].values():
            assert np.all(np.isfinite(scale) & (np.asarray(scale) > 0))
        told = {e.layer: e.text for e in found.trace if e.stage == "calibrate"}
        assert list(told) == ["act1", "act2"]
        assert all(text.startswith(str(rule)) and "scale" in text for text in told.values())
        assert np.all(np.isfinite(found.run(x, STEPS, progress=False).predict()))


@pytest.mark.parametrize("rule", DATA_RULES, ids=repr)
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.full((4, 6), np.nan), "24 of 24 values are NaN or infinite"),
        (np.where(np.eye(4, 6) > 0, np.inf, 1.0), "4 of 24 values are NaN or infinite"),
        (np.zeros((0, 6)), "it holds no samples"),
        (None, "needs data, and none was given"),
    ],
    ids=["nan", "infinity", "no samples", "no data"],
)
def test_data_that_says_nothing_is_refused(rule, x, words) -> None:
    """By every rule, in the same words."""
    with pytest.raises(ConversionError, match=words):
        sw.convert(network(), spiking=True, scale_firing_rates=rule, calibration=x, **CONVERTED[0])


@pytest.mark.parametrize(
    ("rule", "activation"), in_turn(DATA_RULES, ["gelu", "tanh", "hard_swish", "selu"])
)
def test_values_of_either_sign_are_sent_one_spike_a_step(rule, activation) -> None:
    """No neuron sends more, whatever the rule; and they say what they stand for, more or less."""
    graph, x = network(activation, weight=2.0), drawn(30)
    found = sw.convert(
        graph, spiking=True, max_spikes_per_step=1, scale_firing_rates=rule, calibration=x
    )
    run = found.run(x, 32, progress=False, record=["act1", "act2"])
    below = 0.0
    for name, values in run.recorded.items():
        scale = np.asarray(found.populations()[name].rate_scale)
        counts = values * scale * 0.001
        assert np.all(np.abs(counts) < 1.0 + 1e-6)
        below = min(below, float(counts.min()))
    assert below < -0.5
    source = sw.convert(graph).run(x, 1, progress=False).predict()
    assert np.corrcoef(run.predict().ravel(), source.ravel())[0, 1] > 0.8


ASKING: list[Callable[..., ScaleRule]] = [sw.MinimumError, sw.ThresholdIteration]
TYPES = {
    type(neurons).__name__: neurons
    for neurons in (example.neuron_type for example in neuron_type_examples())
    if neurons.spiking and neurons.scaling != "refused" and neurons.most_spikes is None
}


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("make", ASKING)
@pytest.mark.parametrize("kind", TYPES)
def test_what_a_refusal_advises_helps(kind, make) -> None:
    """A rule that needs a bound says how to give one, and on any neurons the first way works.

    The other way works where neurons can be capped; the refusal of those that cannot does not lead
    back here.
    """
    graph, x = network(), drawn(20)
    arguments: dict[str, Any] = {"spiking": {"relu": TYPES[kind]}, "calibration": x}
    with pytest.raises(ConversionError, match="Give spikes_per_step=1 to the rule") as caught:
        sw.convert(graph, scale_firing_rates=make(STEPS), **arguments)
    assert "max_spikes_per_step=1 to sw.convert" in str(caught.value)

    sw.convert(graph, scale_firing_rates=make(STEPS, spikes_per_step=1), **arguments)
    capped = {**arguments, "max_spikes_per_step": 1, "scale_firing_rates": make(STEPS)}
    try:
        sw.convert(graph, **capped)
    except ConversionError as error:
        assert "has no cap on its spikes" in str(error)
        assert "choose a type that takes it" in str(error)
