"""Operations and energy of signed digits: own and silent steps, shifts, rivals of equal bits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input, MatMul, MaxPool, Reshape
from spikewright.measure.energy import integer_multiply_accumulate
from spikewright.records import Record, select
from twins import rounded_values

STEPS, SILENT = 4, 2
GRAPH = models.mlp(seed=3)


def converted(graph: Graph, steps: int = STEPS) -> tuple[sw.Conversion, NDArray]:
    """A conversion of signed digits, and the samples that it has seen."""
    x = models.inputs(graph, batch=12, seed=6)
    coding = sw.SignedDigits(steps, SILENT)
    return sw.convert(graph, spiking=True, coding=coding, calibration=x), x


def told(found: sw.Evaluation, name: str, **how: object) -> Record:
    """The one record of the network with this name and these settings."""
    (record,) = select(found.records, name, **{"layer": None, **how})
    return record


def pooled() -> Graph:
    """Neurons, maxima of four of them each, and neurons that read these."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(5, 8)) / 2
    nodes = (
        GraphNode("x", Input((2, 4, 4))),
        GraphNode("a", Activation("relu"), ("x",)),
        GraphNode("pool", MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), ("a",)),
        GraphNode("flat", Reshape((8,)), ("pool",)),
        GraphNode("fc", Affine(weights, np.zeros(5)), ("flat",)),
        GraphNode("b", Activation("relu"), ("fc",)),
    )
    return Graph(nodes, {"output": "b"})


def test_each_spike_accumulates_once_for_each_weight() -> None:
    """Whatever its digit is worth; the analog input is multiplied once, in whatever count."""
    conversion, x = converted(GRAPH)
    found, run = conversion.evaluate(x, progress=False), conversion.run(x, progress=False)
    layers = list(conversion.populations())
    weights = [node.layer for node in conversion.canonical if isinstance(node.layer, Affine)]
    behind = (np.count_nonzero(layer.weight, axis=0) for layer in weights[1:])
    fan_out = dict(zip(layers, behind, strict=True))
    wanted = sum((run.populations[n].totals * fan_out[n]).sum() for n in layers) / len(x)
    assert told(found, "accumulates").value == pytest.approx(wanted)
    first = np.count_nonzero(weights[0].weight)
    assert np.all(x != 0)
    for name in ("multiply-accumulates", "stepwise multiply-accumulates"):
        assert told(found, name).value == first


def test_neurons_change_in_their_own_steps_and_the_silent_ones_before() -> None:
    """Not in all steps of the network: the first layer waits for nothing."""
    conversion, x = converted(GRAPH)
    found = conversion.evaluate(x, at=[1], progress=False)
    sizes = [e.n_neurons for e in conversion.populations().values()]
    assert len(sizes) > 1
    whole = sizes[0] * STEPS + sum(sizes[1:]) * (STEPS + SILENT)
    assert told(found, "neuron updates", steps=STEPS).value == whole
    # when the last layer has done one own step the others have gone on
    starts = [SILENT * n for n in range(len(sizes))]
    done = [
        min(starts[-1] + 1 - max(0, start - SILENT), STEPS + (SILENT if start else 0))
        for start in starts
    ]
    early = sum(size * steps for size, steps in zip(sizes, done, strict=True))
    assert told(found, "neuron updates", steps=1).value == early < whole
    costs = sw.energy.cost_table("45nm-fp32")
    (part,) = select(found.records, "energy part", table="45nm-fp32", part="neurons", steps=STEPS)
    assert part.value == pytest.approx(costs.neuron_update * whole)


def test_shifts_are_counted_in_both_forms() -> None:
    """One for each weight that a spike meets, or two for each state of a neuron that changes."""
    conversion, x = converted(GRAPH)
    found = conversion.evaluate(x, progress=False)
    weights, states = (told(found, "shifts", of=of).value for of in ("weights", "states"))
    assert weights == told(found, "accumulates").value
    assert states == 2 * told(found, "neuron updates").value
    plain = sw.convert(GRAPH, spiking=True).evaluate(x, steps=4, progress=False)
    assert not select(plain.records, "shifts")


@pytest.mark.parametrize("steps", [3, 4])
def test_the_twin_beside_digits_has_as_many_bits(steps: int) -> None:
    """Digits of T steps tell 2^T values apart; T + 1 spikes of a rate code need fewer bits."""
    conversion, x = converted(GRAPH, steps)
    found = conversion.evaluate(x, progress=False)
    energies = select(found.records, "energy", table="45nm-fp32")
    rivals = {(r.how["network"], r.how["precision"]): r.value for r in energies}
    assert ("source", "int8") in rivals
    twin = rivals["quantised twin", f"int{steps}"]
    ratio = integer_multiply_accumulate(steps) / integer_multiply_accumulate(8)
    assert twin / rivals["source", "int8"] == pytest.approx(ratio)


def test_a_maximum_passes_on_at_most_one_digit_a_step() -> None:
    """No more than its window sent, and no more than there are digits: accumulates, no products."""
    conversion, x = converted(pooled())
    found = conversion.evaluate(x, progress=False)
    sent = conversion.run(x, progress=False).populations["a"].totals
    windows = sent.reshape(-1, 2, 2, 2, 2, 2).sum(axis=(3, 5))
    most = np.minimum(windows, STEPS).sum() / len(x)
    assert told(found, "accumulates", layer="b").value == pytest.approx(5 * most)
    assert told(found, "multiply-accumulates", layer="b").value == 0
    assert 0 < most < windows.sum() / len(x)


@pytest.mark.parametrize("silent", [1, 2, 3, 4])
def test_products_are_computed_for_each_digit_that_is_used(silent: int) -> None:
    """With d silent steps from digit d + 1 on, so once where a layer waits for all but the last.

    There the network is its rounded twin already, whose products are those of one pass.
    """
    rng = np.random.default_rng(4)
    left, right = (Affine(rng.normal(size=(3, 3)), rng.normal(size=3)) for _ in range(2))
    nodes = (
        GraphNode("x", Input((3, 3))),
        GraphNode("a", Activation("tanh"), ("x",)),
        GraphNode("l", left, ("a",)),
        GraphNode("r", right, ("a",)),
        GraphNode("m", MatMul(), ("l", "r")),
        GraphNode("y", Affine(rng.normal(size=(2, 3)), np.zeros(2)), ("m",)),
    )
    graph = Graph(nodes, {"output": "y"})
    x = rng.normal(size=(12, 3, 3))
    coding = sw.SignedDigits(STEPS, {"m": silent, "default": 1})
    conversion = sw.convert(graph, spiking=True, coding=coding, calibration=x)
    found = conversion.evaluate(x, progress=False)
    products = told(found, "multiply-accumulates", layer="m.function").value
    assert products == 27 * max(1, STEPS - silent)
    waiting = conversion.replace(coding=sw.SignedDigits(STEPS, STEPS - 1)).run(x, progress=False)
    np.testing.assert_allclose(waiting.predict(), rounded_values(conversion, x)["y"], atol=1e-6)
