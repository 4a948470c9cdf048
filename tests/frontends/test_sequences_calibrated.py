"""Firing rates of recurrent networks from data, whose values depend on the past of a sequence."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest
from recurrent import INPUTS, TIME, UNITS, cell_of, error, graph_of, samples

import spikewright as sw
from spikewright.choosing.rules import RULES
from spikewright.choosing.statistics.histogram import Histogram
from spikewright.errors import ConversionError
from spikewright.frontends.source import GraphBuilder
from spikewright.frontends.unrolling import keeping_recurrence, unroll
from spikewright.graph import Graph, evaluate
from spikewright.graph.layers import Activation, Add, Affine, Layer

EXAMPLES: dict[str, sw.ScaleRule] = {
    "percentile": sw.Percentile(),
    "target-rate": sw.TargetRate(500.0),
    "minimum-error": sw.MinimumError(64, spikes_per_step=1),
    "constant-scale": sw.ConstantScale(1000.0),
    "local-threshold-balancing": sw.LocalThresholdBalancing(),
    "threshold-iteration": sw.ThresholdIteration(64, spikes_per_step=1),
    "energy-budget": sw.EnergyBudget(64, spikes=700.0),
    "data-free-calibration": sw.DataFreeCalibration(-2, 2),
}
X = samples(40)


def converted(kind: str, **arguments: object) -> sw.Conversion:
    """A cell over a sequence, every step of which takes 64 steps."""
    return sw.convert(graph_of(cell_of(kind)), sequence_step=64, **arguments)


def with_head(*more: str) -> Graph:
    """A cell that reads `x` plus `more` inputs; `head` rectifies what weights make of its end."""
    builder = GraphBuilder()

    def add(layer: Layer, *inputs: str, part: str = "") -> str:
        name = builder.add(f"rnn/{part}" if part else "rnn", layer, *inputs, source="rnn")
        assert name is not None
        return name

    weight = np.random.default_rng(2).normal(size=(5, UNITS))
    with keeping_recurrence():
        read = builder.input("x", (TIME, INPUTS))
        for other in more:
            read = builder.add("sum", Add(), read, builder.input(other, (TIME, INPUTS)))
        last = unroll(add, cell_of("tanh"), read, TIME).outputs[-1]
        dense = builder.add("dense", Affine(weight), last)
        head = builder.add("head", Activation("relu"), dense)
        return builder.build({"end": builder.add("end", Affine(weight.T), head)})


@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_a_layer_is_looked_at_at_every_step(kind: str) -> None:
    """What is collected of it are its values in the source, at all steps of all sequences."""
    conversion = converted(kind)
    (layer,) = conversion.calibrate(X, progress=False).layers.values()
    values = evaluate(graph_of(cell_of(kind)), {"x": X})["all"]
    assert layer.values.counts.sum() == values.size
    if kind == "relu":  # currents are kept, which may be below zero
        assert layer.values.highest.max() == pytest.approx(values.max())
    else:
        np.testing.assert_allclose(layer.values.highest, values.max((0, 1)))
        np.testing.assert_allclose(layer.values.lowest, values.min((0, 1)))


def test_a_layer_behind_the_end_is_looked_at_there() -> None:
    """Its neurons run at every step, but what they do before the last means nothing."""
    graph = with_head()
    statistics = sw.convert(graph, sequence_step=8).calibrate(X, progress=False)
    counted = {name: layer.values.counts.sum() for name, layer in statistics.layers.items()}
    assert counted.pop("head") == len(X) * 5
    assert list(counted.values()) == [len(X) * TIME * UNITS]
    assert statistics.samples == len(X)


def test_what_is_collected_is_that_of_all_steps_side_by_side() -> None:
    """A layer's values are those of the layers of the other form, one for each step, together."""
    (layer,) = converted("tanh").calibrate(X, progress=False).layers.values()
    beside = sw.convert(graph_of(cell_of("tanh"), kept=False)).calibrate(X, progress=False)
    assert len(beside.layers) == TIME
    joined = Histogram.join([other.values for other in beside.layers.values()])
    np.testing.assert_array_equal(joined.code, layer.values.code)
    np.testing.assert_array_equal(joined.counts, layer.values.counts)


def test_several_sequences_go_side_by_side() -> None:
    """Every step reads that step of each, and they are of one length."""
    two = sw.convert(with_head("y"), sequence_step=8)
    found = two.calibrate({"x": X / 2, "y": X / 2}, progress=False)
    assert found.layers == sw.convert(with_head(), sequence_step=8).calibrate(X).layers
    with pytest.raises(ConversionError, match=r"different lengths: \{'x': 6, 'y': 5\} steps"):
        two.calibrate({"x": X, "y": X[:, 1:]}, progress=False)


def test_every_rule_is_tried_here() -> None:
    """The registry and the examples name the same rules."""
    assert set(EXAMPLES) == set(RULES)


@pytest.mark.parametrize(
    ("name", "kind"), list(zip(EXAMPLES, cycle(["tanh", "lstm"]), strict=False))
)
def test_rules_choose_for_recurrent_layers(name: str, kind: str) -> None:
    """The network of the choice says what the source says, and numbers alone reproduce it."""
    model = graph_of(cell_of(kind))
    rule = EXAMPLES[name]
    data = X if rule.needs_data else None
    chosen = converted(kind, spiking=True, scale_firing_rates=rule, calibration=data)
    x = samples(5, seed=8)
    found = chosen.run(x, progress=False).predict()["all"]
    assert error(found, evaluate(model, {"x": x})["all"]) < 0.08
    again = sw.convert(model, **chosen.resolved)
    np.testing.assert_array_equal(again.run(x, progress=False).predict()["all"], found)


def test_a_budget_is_that_of_one_step() -> None:
    """Of sequences of whatever length: what a step of them sends, on average, is the budget."""
    short, long = X[:20, : TIME - 2], X[20:]
    rule = sw.EnergyBudget(64, spikes=400.0)
    expected = converted(
        "lstm",
        spiking=True,
        scale_firing_rates=rule,
        calibration=converted("lstm").calibrate([short, long], progress=False),
    )
    found = converted("lstm", spiking=True, scale_firing_rates=rule, calibration=[short, long])

    def sent(conversion: sw.Conversion) -> float:
        total = sum(
            float(counts.sum())
            for x in (short, long)
            for counts in conversion.run(x, progress=False).spike_counts().values()
        )
        return total / (short.shape[0] * short.shape[1] + long.shape[0] * long.shape[1])

    def said(conversion: sw.Conversion) -> list[str]:
        return [e.text for e in conversion.trace if e.stage == "calibrate"]

    assert sent(found) == pytest.approx(400.0, rel=0.05)
    assert sent(expected) > 400.0 * 1.06  # behind the first of its layers input comes unevenly
    assert all("measured on 40 samples" in text for text in said(found))
    assert all("expected and not measured" in text for text in said(expected))


def test_mistakes_say_what_to_do() -> None:
    """Shapes, no steps, values, statistics of the other form, corrections."""
    conversion = converted("tanh")
    with pytest.raises(ConversionError, match=r"must be \(batch, time, 3\), got shape \(40, 3\)"):
        conversion.calibrate(X[:, 0], progress=False)
    with pytest.raises(ConversionError, match=r"\(batch, time, 3\), got shape \(40, 0, 3\)"):
        conversion.calibrate(X[:, :0], progress=False)
    with pytest.raises(ConversionError, match="of 720 values are NaN"):
        conversion.calibrate(np.where(X > 2, np.nan, X), progress=False)
    beside = sw.convert(graph_of(cell_of("tanh"), kept=False)).calibrate(X, progress=False)
    with pytest.raises(ConversionError, match="of another model"):
        converted("tanh", spiking=True, scale_firing_rates=sw.Percentile(), calibration=beside)
    with pytest.raises(ConversionError, match=r"best_rule.*those of a sequence"):
        sw.best_rule(conversion, X, 64, progress=False)
    with pytest.raises(ConversionError, match=r"sequence_step.*corrections make up"):
        converted("tanh", initial_voltage=sw.VoltageCorrection(8), calibration=X)
