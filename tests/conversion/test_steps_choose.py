"""The choice that `convert(steps=...)` makes on samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright.errors import ConversionError
from spikewright.graph import Graph, GraphNode, evaluate_all
from spikewright.graph.layers import Activation, Affine, Input

GRAPHS = {"mlp": models.mlp(seed=3), "attention": models.attention(), "pool": models.residual(4)}


def rounding() -> Graph:
    """A layer that rounds to levels of its own, which digits have no place for."""
    weights = np.random.default_rng(0).normal(size=(3, 6))
    nodes = (
        GraphNode("x", Input((6,))),
        GraphNode("a", Activation("rounded_relu", {"threshold": 2.0, "levels": 4.0}), ("x",)),
        GraphNode("fc", Affine(weights), ("a",)),
    )
    return Graph(nodes, {"output": "fc"})


def chosen(graph: Graph, steps: int, **given: Any) -> tuple[sw.Conversion, Any]:
    """A conversion for so many steps, and the samples that it has seen."""
    x = models.inputs(graph, batch=40, seed=6)
    return sw.convert(graph, **{"spiking": True, "calibration": x, "steps": steps, **given}), x


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_signed_digits_come_first(graph: Graph) -> None:
    """They are what coding= gives, in numbers too; runs take the steps, and are near the source."""
    conversion, x = chosen(graph, 8)
    by_code = sw.convert(graph, spiking=True, calibration=x, coding=sw.SignedDigits(8))
    assert conversion.coding == by_code.coding and conversion.resolved["coding"].steps == 8
    run = conversion.run(x, progress=False)
    assert run.steps == 8
    np.testing.assert_array_equal(run.predict(), by_code.run(x, progress=False).predict())
    source = evaluate_all(conversion.canonical, conversion.as_inputs(x))
    output = source[conversion.canonical.outputs["output"]]
    assert np.sqrt(np.square(run.predict() - output).mean()) < 0.02 * output.std()
    (entry,) = (entry for entry in conversion.trace if entry.stage == "steps")
    assert f"8 steps of a layer and {run.network_steps} of the network" in entry.text
    again = sw.convert(graph, **conversion.resolved)
    np.testing.assert_array_equal(again.run(x, progress=False).predict(), run.predict())


@pytest.mark.parametrize(
    ("graph", "given", "why"),
    [
        (rounding(), {}, "rounds its values"),
        (GRAPHS["mlp"], {"weights": sw.Quantised(bits=8)}, "whole numbers"),
        (GRAPHS["mlp"], {"max_spikes_per_step": 3}, "one spike of either sign"),
        (GRAPHS["mlp"], {"spiking": {"relu": sw.IntegrateAndFire()}}, "choose the neurons"),
    ],
    ids=["layer", "weights", "cap", "neurons"],
)
def test_what_has_no_place_in_digits_is_sent_as_rates(
    graph: Graph, given: dict[str, Any], why: str
) -> None:
    """The trace says why; what was given is kept, and all else is for the steps."""
    conversion, x = chosen(graph, 8, **given)
    assert conversion.coding == sw.RateCode(8)
    (entry,) = (entry for entry in conversion.trace if entry.stage == "steps")
    assert "firing rates" in entry.text and why in entry.text
    cells = {e.neuron_type.most_spikes for e in conversion.populations().values()}
    assert cells == {given.get("max_spikes_per_step", 1)}
    assert conversion.run(x, progress=False).steps == 8


def test_more_steps_than_digits_have_are_rates() -> None:
    """Of 16 digits at most."""
    assert chosen(GRAPHS["mlp"], 17)[0].coding == sw.RateCode(17)


def test_a_choice_needs_samples_and_spikes_and_no_code() -> None:
    """Each error names `steps` and the next move."""
    graph = GRAPHS["mlp"]
    x = models.inputs(graph)
    for given, wanted in (
        ({"spiking": True, "steps": 8}, "calibration=x"),
        ({"spiking": True, "steps": 8, "calibration": x, "coding": sw.RateCode(4)}, "Leave one"),
        ({"steps": 8, "calibration": x}, "Give spiking=True"),
        ({"spiking": True, "steps": 0, "calibration": x}, "whole number from 1"),
    ):
        with pytest.raises(ConversionError, match=wanted) as caught:
            sw.convert(graph, **given)
        assert "'steps'" in str(caught.value)


def test_the_choice_is_kept_in_files(tmp_path: Path) -> None:
    """A saved choice runs the same steps, and is made again with other arguments."""
    conversion, x = chosen(GRAPHS["mlp"], 6)
    conversion.save(tmp_path / "made.sw")
    loaded = sw.load(tmp_path / "made.sw")
    found, wanted = (one.run(x, progress=False) for one in (loaded, conversion))
    np.testing.assert_array_equal(found.predict(), wanted.predict())
    assert loaded.replace(coding=sw.RateCode(9), scale_firing_rates=100.0).coding.steps == 9
