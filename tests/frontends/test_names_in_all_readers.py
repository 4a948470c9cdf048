"""One table of names: what Keras, PyTorch and ONNX call a function of one value."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from keras_helpers import keras
from onnx_helpers import model, node
from pytorch_helpers import Of

from spikewright._base.equations import CURVES
from spikewright.frontends.keras import read as read_keras
from spikewright.frontends.onnx import read as read_onnx
from spikewright.frontends.pytorch import read as read_pytorch
from spikewright.frontends.reading.arithmetic import function
from spikewright.frontends.reading.names import FUNCTIONS, keras_kinds, names_in
from spikewright.graph import Graph, evaluate

SHAPE = (3, 5)
GIVEN = {
    "negative_slope": 0.1, "threshold": 0.3, "lambd": 0.3, "value": -0.2, "default_value": -0.2,
    "alpha": 0.7, "beta": 0.6, "gamma": 1.2, "b": 2.0,
}  # fmt: skip
"""Parameters by the names that frameworks give them."""

EVERY = [(framework, name) for framework in ("keras", "pytorch", "onnx")
         for name in names_in(framework)]  # fmt: skip


COMPOSED = {"gelu_tanh", "rounded_relu", "round", "power"}
"""Curves that frameworks have as settings of others, or not at all."""


def _settings(framework: Any, name: str) -> dict[str, float]:
    named = names_in(framework)[name].parameters.values()
    own = {"approximate": 0.0} if (framework, name) == ("keras", "gelu") else {}
    return {**own, **{theirs: GIVEN[theirs] for theirs, _ in named}}


def _in_keras(name: str) -> Graph:
    x, settings = keras.Input(SHAPE), _settings("keras", name)
    operation = getattr(keras.ops, name, None)
    if operation is None:
        operation = keras.layers.Activation(partial(getattr(keras.activations, name), **settings))
        settings = {}
    return read_keras(keras.Model(x, operation(x, **settings))).graph


def _in_pytorch(name: str) -> Graph:
    operator, settings = getattr(torch.ops.aten, name).default, _settings("pytorch", name)
    order = [one.name for one in operator._schema.arguments[1:] if one.name in settings]
    given = [settings[one] for one in order]
    return read_pytorch(Of(lambda _, x: operator(x, *given)), torch.ones(2, *SHAPE)).graph


def _in_onnx(name: str) -> Graph:
    made = node(name, "x", "y", "it", **_settings("onnx", name))
    opset = max(onnx.defs.get_schema(name).since_version, 20)
    return read_onnx(model([made], {"x": ["n", *SHAPE]}, ["y"], opset=opset)).graph


READERS = {"keras": _in_keras, "pytorch": _in_pytorch, "onnx": _in_onnx}


@pytest.mark.parametrize(("framework", "name"), EVERY)
def test_every_name_is_read_as_its_equation(framework: Any, name: str) -> None:
    """The framework knows a function of that name, and reading it gives the row's equation."""
    graph, named = READERS[framework](name), names_in(framework)[name]
    steps = function(named.function, **named.values(_settings(framework, name)))
    x = np.random.default_rng(0).uniform(0.1, 2, (2, *SHAPE))
    expected = x
    for _, layer in steps:
        expected = layer.evaluate(expected)
    (found,) = evaluate(graph, {next(iter(graph.inputs)): x}).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_every_curve_has_a_row_of_names() -> None:
    """A function that the graph has is known by name in one framework at least."""
    rows = {name: FUNCTIONS[name] for name in set(CURVES) - COMPOSED}
    named = {
        name for name, r in rows.items() if r.keras or r.keras_functions or r.pytorch or r.onnx
    }
    assert named == set(rows)


def test_kinds_of_keras_exist() -> None:
    """Layers and operations of the table are Keras's own, by the names that it gives them."""
    for kind, name in keras_kinds().items():
        if not kind.startswith("ops."):
            assert hasattr(keras.layers, kind), kind
        assert hasattr(keras.ops, name), name
