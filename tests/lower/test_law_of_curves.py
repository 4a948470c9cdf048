"""The law of every curve on values of three decades, those near its steepest place among them."""

from __future__ import annotations

import numpy as np
import pytest
from layer_graphs import SCALE, STEPS, errors_over_time, slope

import spikewright as sw
from spikewright._base.equations import CURVES
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.testing.layers import CURVE_PARAMETERS

VALUES = np.geomspace(0.001, 1.0, 240)
PARAMETERS = {**CURVE_PARAMETERS, "power": {"exponent": 0.25}}
ORDERS = {
    name: curve.order_with(PARAMETERS.get(name, {}))
    for name, curve in CURVES.items()
    if not curve.jumps and name != "linear"
}
POLES = [name for name, order in ORDERS.items() if order == 0]


def _graph(name: str, size: int) -> Graph:
    """A curve behind neurons that send its values."""
    nodes = (
        GraphNode("x", Input((size,))),
        GraphNode("cells", Activation("relu"), ("x",)),
        GraphNode("layer", Activation(name, PARAMETERS.get(name, {})), ("cells",)),
        GraphNode("end", Affine(np.eye(size)), ("layer",)),
    )
    return Graph(nodes, {"y": "end"})


def _measured(name: str, values: np.ndarray) -> float:
    """The slope of the error of a curve of these values; it is sent finely itself."""
    scales = {"cells": SCALE, "layer": 1e5}
    conversion = sw.convert(_graph(name, len(values)), spiking=True, scale_firing_rates=scales)
    return slope(errors_over_time(conversion, {"x": values[None]}))


@pytest.mark.parametrize("name", [name for name, order in ORDERS.items() if order > 0])
def test_the_error_falls_as_the_curve_changes(name: str) -> None:
    """An error e in what arrives is one of e to the power of the curve's order, at most."""
    order, found = ORDERS[name], _measured(name, VALUES)

    assert found < 0.15 - order
    assert order == 1 or found > -0.15 - order, "the steep place was not met"


@pytest.mark.parametrize("name", [name for name, order in ORDERS.items() if order < 1])
def test_away_from_its_steep_place_every_curve_has_the_usual_law(name: str) -> None:
    """Values that spikes tell from 0 after the first steps are where slopes are bounded."""
    assert 1 / (SCALE * 0.001 * STEPS[0]) < 0.5
    assert _measured(name, np.linspace(0.5, 1.5, 60)) < -0.85


@pytest.mark.parametrize("name", POLES)
def test_at_a_pole_errors_hardly_fall_with_the_steps(name: str) -> None:
    """Values that spikes do not tell from 0 have no law, and the note on the layer says so."""
    found = sw.convert(_graph(name, 1), spiking=True, scale_firing_rates=SCALE)

    assert _measured(name, VALUES) > -0.3
    assert "save at 0" in str(found.trace)


def test_the_trace_tells_the_order_of_a_root() -> None:
    """Where it is below 1 and above 0, the power that the error falls with is in the trace."""
    found = sw.convert(_graph("sqrt", 1), spiking=True, scale_firing_rates=SCALE)

    assert "at 0 with its error to the power 0.5" in str(found.trace)
