"""Diagnoses of signed digits: what is lost to rounding, what is late, and what helps."""

from __future__ import annotations

from typing import Any

import damage
import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from spikewright.choosing.silent_steps import DigitComparison, digit_unit
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.records import select
from spikewright.report import figures
from spikewright.report.tables import loss_table

STEPS = 4


def deep(layers: int, slope: float | None = None) -> Graph:
    """Layers one after the other, rectified or leaky."""
    rng = np.random.default_rng(5)
    nodes = [GraphNode("x", Input((6,)))]
    for number in range(layers):
        weights = rng.normal(size=(10, 10 if number else 6)) / 2.5
        affine = Affine(weights, rng.normal(size=10) / 2.0)
        nodes.append(GraphNode(f"fc{number}", affine, (nodes[-1].name,)))
        given = {} if slope is None else {"negative_slope": slope}
        function = Activation("relu" if slope is None else "leaky_relu", given)
        nodes.append(GraphNode(f"act{number}", function, (nodes[-1].name,)))
    head = Affine(rng.normal(size=(3, 10)), rng.normal(size=3))
    nodes.append(GraphNode("head", head, (nodes[-1].name,)))
    return Graph(tuple(nodes), {"output": "head"})


def converted(graph: Graph, silent: Any, steps: int = STEPS) -> tuple[sw.Conversion, NDArray]:
    """A conversion of signed digits, and the samples that it has seen."""
    x = models.inputs(graph, batch=40, seed=6)
    coding = sw.SignedDigits(steps, silent)
    return sw.convert(graph, spiking=True, coding=coding, calibration=x), x


@pytest.mark.parametrize("slope", [None, 0.4])
@pytest.mark.parametrize("silent", [0, 1, STEPS])
def test_rounding_and_lateness_are_told_apart(silent: int, slope: float | None) -> None:
    """Parts add up to the gap; rounding is half a unit at most; who waits for all is not late."""
    conversion, x = converted(deep(3, slope), silent)
    found = damage.study(conversion, x, STEPS)
    compared = DigitComparison(conversion, conversion.as_inputs(x))
    late = compared.late(compared.distance()[1])
    told = {layer.name: layer for layer in conversion.diagnose(x, progress=False).layers}
    for name, ensemble in conversion.populations().items():
        parts = found.batch.parts[name]
        gap = found.batch.source[name] - found.run.layer_means()[name]
        np.testing.assert_allclose(sum(parts.values()), gap, rtol=0, atol=1e-6)
        unit = digit_unit(ensemble)
        assert np.all(np.abs(parts["quantisation"]) <= (0.5 + 1e-3) * unit)
        assert not np.any(parts["policy"])
        assert told[name].late == pytest.approx(late[name])
        if silent == STEPS:
            np.testing.assert_allclose(parts["arrival order"], 0.0, atol=1e-6)
    assert not np.any(np.abs(found.batch.parts["act0"]["inherited"]) > 1e-6)
    assert (max(late.values()) > 0) == (silent < STEPS)


def test_biases_of_layers_that_start_after_all_steps_are_counted() -> None:
    """What a layer takes once, in whichever step it begins, is part of its mean current."""
    conversion, x = converted(deep(5), 2, steps=2)
    found = damage.study(conversion, x, 2)
    ensemble = conversion.populations()["act4"]
    assert ensemble.neuron_type.start is not None and ensemble.neuron_type.start > 2
    assert np.abs(found.batch.parts["act4"]["policy"]).max() < 1e-6


def test_more_digits_and_more_silent_steps_are_proposed() -> None:
    """One digit more, and one silent step of the latest layer; what each brings in a run."""
    conversion, x = converted(deep(3), {"act0": 0, "act1": 1, "act2": 0})
    found = conversion.diagnose(x, progress=False)
    late = {layer.name: layer.late or 0.0 for layer in found.layers}
    assert max(late, key=lambda name: late[name]) == "act2"
    by_kind = {proposal.kind: proposal for proposal in found.proposals}
    waits, more = by_kind["silent steps"], by_kind["digits"]
    assert waits.arguments["coding"].silent_steps == {"act0": 0, "act1": 1, "act2": 1}
    assert (more.arguments["coding"].steps, more.steps) == (STEPS + 1, STEPS + 1)
    source = conversion.replace(
        spiking=False, coding=None, scale_firing_rates=1.0, calibration=None
    )
    exact = source.run(x, 1, progress=False).predict()

    def apart(made: sw.Conversion) -> float:
        answers = made.run(x, progress=False).predict()
        return float(np.linalg.norm(answers - exact) / np.linalg.norm(exact))

    for proposal in (waits, more):
        made = conversion.replace(**proposal.arguments)
        assert proposal.predicted == pytest.approx(apart(conversion) - apart(made), abs=1e-5)
        assert proposal.predicted > 0 and proposal.measured is None
    assert not found.causes and not found.failures


def test_what_is_told_names_rounding_and_lateness() -> None:
    """In the table of layers, beside both numbers of steps; records and pages have the share."""
    conversion, x = converted(deep(3), 0)
    found = conversion.diagnose(x, progress=False)
    told = str(found)
    assert "rounding" in told and "lateness" in told and "arrival order" not in told
    assert "if no spike came early or late" in told
    parts = {record.how["part"] for record in select(found.records, "gap")}
    assert {"rounding", "lateness"} < parts and not {"quantisation", "arrival order"} & parts
    assert "lateness: what neurons knew too late" in str(figures.gaps_info(found.records).chart())
    records = select(found.records, "late neurons")
    assert {r.how["layer"] for r in records} == set(conversion.populations())
    assert max(r.value for r in records) > 0
    assert any("late" in heading for heading in loss_table(found.records).as_texts()[0])
    waiting, _ = converted(deep(3), 1)
    assert "4 steps of 1 ms (6 of the network)" in str(waiting.diagnose(x, progress=False))
