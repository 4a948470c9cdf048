"""Arguments that change nothing are told, and so is a spiking network without a spike."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import spikewright as sw
from spikewright import demo
from spikewright.cli import main
from spikewright.conversion.trace_warnings import ACT_ON
from spikewright.errors import ConversionWarning
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.running.protocols import as_source

X = np.random.default_rng(0).normal(size=(8, 4))
WEIGHTS = np.random.default_rng(1).normal(size=(4, 4))


def _graph(*functions: str) -> Graph:
    nodes = [GraphNode("x", Input((4,)))]
    for function in functions:
        last = nodes[-1].name
        nodes += [
            GraphNode(f"into {function}", Affine(WEIGHTS), (last,)),
            GraphNode(function, Activation(function, {}), (f"into {function}",)),
        ]
    nodes.append(GraphNode("end", Affine(WEIGHTS), (nodes[-1].name,)))
    return Graph(tuple(nodes), {"y": "end"})


def _told(does: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        does()
    return [str(w.message) for w in caught if issubclass(w.category, ConversionWarning)]


RULE = sw.MinimumError(steps=8, spikes_per_step=1)
RATES: dict[str, list[dict[str, Any]]] = {
    "scale_firing_rates": [
        {"scale_firing_rates": 100},
        {"scale_firing_rates": {"relu": np.full(4, 2.0)}},
        {"scale_firing_rates": RULE, "calibration": X},
    ],
    "initial_voltage": [{"initial_voltage": "zero"}, {"initial_voltage": 0.25}],
    "max_spikes_per_step": [
        {"max_spikes_per_step": 1, "spiking": {"relu": sw.RectifiedLinear()}}
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", RATES)
def test_what_acts_on_spikes_alone_is_told_without_them(name: str) -> None:
    """By name and value, with the next move; the network is the same without it."""
    plain = sw.convert(_graph("relu")).run(X, 1, progress=False).predict()
    for choices in RATES[name]:
        made: list[sw.Conversion] = []
        (text,) = _told(lambda c=choices, made=made: made.append(sw.convert(_graph("relu"), **c)))
        assert text.startswith(f"{name}=")
        assert "changes nothing: no neuron of the network" in text
        assert text.endswith(("leave it out", "Leave it out"))
        np.testing.assert_allclose(made[0].run(X, 1, progress=False).predict(), plain, rtol=1e-6)


@pytest.mark.parametrize("name", ACT_ON)
def test_what_acts_on_neurons_is_told_where_there_are_none(name: str) -> None:
    """A linear model has none, whatever is asked for."""
    values = {"initial_voltage": "zero", "max_spikes_per_step": 2}
    texts = _told(lambda: sw.convert(_graph(), spiking=True, **{name: values.get(name, 0.5)}))

    assert any(t.startswith(f"{name}=") and "no layer of the network has neurons" in t
               for t in texts)  # fmt: skip


def test_nothing_is_told_where_something_acts() -> None:
    """In spiking networks, mixed ones, those of skewed rates, and those that the library makes."""
    graph, mixed = _graph("relu", "tanh"), {"tanh": sw.Tanh(1.0), "relu": sw.IntegrateAndFire()}
    choices: list[dict[str, Any]] = [
        {"spiking": True, "scale_firing_rates": 9.0, "initial_voltage": "zero", "synapse": 0.01},
        {"spiking": mixed, "scale_firing_rates": 9.0, "initial_voltage": "zero"},
        {"scale_firing_rates": 1.0, "synapse": 0.01, "bias_correction": 0.5},
        {"spiking": {"relu": sw.Tanh(1.0), "tanh": sw.LIF(skewed_scaling=True)},
         "scale_firing_rates": 2.0},
    ]  # fmt: skip

    for given in choices:
        assert not [t for t in _told(lambda g=given: sw.convert(graph, **g)) if "nothing" in t]
    spiking = sw.convert(graph, spiking=True, scale_firing_rates=9.0, initial_voltage="zero")
    assert _told(lambda: as_source(spiking)) == []


def test_commands_never_change_nothing() -> None:
    """There such an option asks for spikes, and `--rate` beside it is an error."""
    command = ["convert", str(demo.MODEL), "--scale", "100"]
    spiking, rates = (CliRunner().invoke(main, [*command, *more]) for more in ([], ["--rate"]))

    assert (spiking.exit_code, rates.exit_code) == (0, 2)
    assert "IntegrateAndFire neurons, gain x 100" in spiking.output
    assert "--scale is about spikes: leave one out" in rates.output


def test_a_spiking_network_without_a_spike_is_told() -> None:
    """Counted, with the layers that stay analog: of a model without neurons, and of a readout."""
    read_out = _graph("relu")
    nodes = (*(n for n in read_out if n.name != "end"),)
    softmax = Graph(
        (*nodes[:2], GraphNode("end", Activation("sigmoid", {}), ("into relu",))), {"y": "end"}
    )
    rates = {"relu": sw.RectifiedLinear()}

    (linear,) = _told(lambda: sw.convert(_graph(), spiking=True))
    assert "the model has no activations: nothing spikes" in linear
    (text,) = _told(lambda: sw.convert(softmax, spiking=True))
    assert "0 of 1 activations spike, and these layers hold those that stay analog: end" in text
    assert _told(lambda: sw.convert(read_out, spiking=True, scale_firing_rates=1.0)) == []
    assert _told(lambda: sw.convert(read_out, spiking=rates)) == []  # which were asked for
