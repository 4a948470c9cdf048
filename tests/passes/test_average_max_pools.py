"""Average pooling on request: which maxima it replaces, and that it never claims to be exact."""

from __future__ import annotations

import numpy as np
import pytest
from pass_graphs import assert_names_lead_somewhere, chain, inputs_of, kinds

from spikewright.graph import evaluate
from spikewright.graph.layers import Activation, AveragePool, GlobalMaxPool, Layer, MaxPool
from spikewright.passes import AverageMaxPools

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


def test_other_pools_are_left_alone() -> None:
    """A dilated maximum has no average of its kind, an average is one already."""
    dilated = MaxPool((2, 2), (1, 1), ((0, 0), (0, 0)), (2, 2))
    average = AveragePool((2, 2), (1, 1), ((0, 0), (0, 0)))
    result = AverageMaxPools()(chain(IMAGE, ("a", dilated), ("b", average)))

    assert kinds(result.graph) == {"a": "MaxPool", "b": "AveragePool"}
    assert result.notes == ()
