"""Laws of origins: arrays that may be trained lead back to the model's own parameters."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import pytest
from same_models import READERS
from test_same_model import MODELS, QUICK

from spikewright.frontends import ModelReader
from spikewright.frontends.provenance import parameters_of
from spikewright.training.trainable import TRAINED

WEIGHTED = {name: model for name, model in MODELS.items() if list(model.torch().parameters())}
CASES = [
    *((name, kind) for name in QUICK if name in WEIGHTED for kind in READERS),
    *zip((name for name in WEIGHTED if name not in QUICK), cycle(READERS), strict=False),
]
"""Of every model one reader, of some all."""


def reading(name: str, kind: str) -> ModelReader:
    """A model of the suite, to be read."""
    model = MODELS[name]
    if kind == "pytorch":
        return ModelReader(model.of_torch(), model.example())
    return ModelReader(model.of_keras() if kind == "keras" else model.of_onnx())


def computed(place: str, field: str, name: str, kind: str) -> bool:
    """Whether an array is the sum of two parameters, or a constant that no one trains.

    The biases of a GRU's gates, and those of PyTorch's and ONNX's cells, are sums; ONNX writes
    normalisations of groups with constants.
    """
    summed = field == "bias" and "input_" in place and ("gru" in name or kind != "keras")
    return summed or (kind == "onnx" and "InstanceNormalization" in place)


@pytest.mark.parametrize(
    ("name", "kind"),
    [*CASES[:6], *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES[6:])],
)
def test_what_may_be_trained_leads_back_to_parameters(name: str, kind: str) -> None:
    """Parameters put together as the origins say are the arrays, to the last bit."""
    read = reading(name, kind)
    graph = read().graph
    wanted = [
        (node.name, field)
        for node in graph
        for field in TRAINED.get(type(node.layer), {})
        if field in node.layer.arrays() and not computed(node.name, field, name, kind)
    ]
    found = read.origins(graph) if wanted else {}
    assert [place for place in wanted if place not in found] == []
    held = parameters_of(kind).parameters(read.model)
    for (node, field), origin in found.items():
        array: Any = graph[node].layer.arrays()[field]
        made = np.empty_like(array)
        for number in np.unique(origin.which):
            here = origin.which == number
            made[here] = held[origin.names[number]].reshape(-1)[origin.index[here]]
        np.testing.assert_array_equal(made, array)
