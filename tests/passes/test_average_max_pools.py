"""Average pooling on request: which maxima it replaces, and that it never claims to be exact."""

from __future__ import annotations

import numpy as np
import pytest
from pass_graphs import assert_names_lead_somewhere, chain, inputs_of, kinds

from spikewright.graph import evaluate
from spikewright.graph.layers import Activation, AveragePool, GlobalMaxPool, Layer, MaxPool
from spikewright.passes import STANDARD, AverageMaxPools

IMAGE = (3, 7, 6)
PAD = ((1, 0), (0, 1))
relu = Activation("relu")


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), "AveragePool"),
        (MaxPool((3, 2), (2, 1), PAD, (1, 1), ceil_mode=True), "AveragePool"),
        (MaxPool((2, 2), (1, 2), PAD, (1, 1), channels_last=True), "AveragePool"),
        (GlobalMaxPool((1, 2)), "GlobalAveragePool"),
        (GlobalMaxPool((0,), keepdims=True), "GlobalAveragePool"),
    ],
)
def test_a_maximum_becomes_the_mean_over_the_same_windows(layer: Layer, kind: str) -> None:
    """Same name, same shape, a mean over the input that each window covers, noted as inexact."""
    graph = chain(IMAGE, ("pool", layer), ("act", relu))
    result = AverageMaxPools()(graph)

    assert kinds(result.graph) == {"pool": kind, "act": "Activation"}
    assert result.graph.shapes["pool"] == graph.shapes["pool"]
    assert [(note.layer, note.exact) for note in result.notes] == [("pool", False)]
    assert_names_lead_somewhere(graph, result.graph)
    x = inputs_of(graph)
    assert not np.allclose(evaluate(graph, x)["y"], evaluate(result.graph, x)["y"])


def test_a_constant_input_has_one_maximum_and_mean() -> None:
    """Padding counts in neither, so that a constant stays what it is at the edges too."""
    graph = chain(IMAGE, ("pool", MaxPool((3, 2), (2, 1), PAD, (1, 1), ceil_mode=True)))
    outputs = evaluate(AverageMaxPools()(graph).graph, {"x": np.full((1, *IMAGE), 2.5)})

    np.testing.assert_allclose(outputs["y"], 2.5)


def test_other_pools_are_left_alone() -> None:
    """A dilated maximum has no average of its kind, an average is one already."""
    dilated = MaxPool((2, 2), (1, 1), ((0, 0), (0, 0)), (2, 2))
    average = AveragePool((2, 2), (1, 1), ((0, 0), (0, 0)))
    result = AverageMaxPools()(chain(IMAGE, ("a", dilated), ("b", average)))

    assert kinds(result.graph) == {"a": "MaxPool", "b": "AveragePool"}
    assert result.notes == ()


def test_it_is_not_a_standard_pass() -> None:
    """Nothing inexact happens unless it was asked for."""
    assert not any(isinstance(step, AverageMaxPools) for step in STANDARD)
