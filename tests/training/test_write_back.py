"""Trained weights are written into models of every framework, whose forward pass is compared."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import MODELS, READERS, Transposed, Twice, assert_same_run, moved_arrays, same_model

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.frontends import read
from spikewright.frontends.provenance import parameters_of
from spikewright.graph import evaluate


def trained(conversion: sw.Conversion, x: Any, **how: Any) -> Any:
    """A short training whose last epoch is kept."""
    usual = {"steps": 4, "epochs": 2, "learning_rate": 1e-2, "keep": "last", "progress": False}
    return conversion.train(x, **{**usual, **how})


def points(*shape: int) -> Any:
    """A hundred random samples."""
    return np.random.default_rng(0).normal(size=(100, *shape)).astype(np.float32)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", ["lenet", "residual block"])
def test_the_model_has_the_trained_weights(name: str, kind: str) -> None:
    """Read again it is the trained graph, and converted with the same scales it sends the same.

    The conversion begins once more with the weights that it read, and all of them move.
    """
    model, example, conversion, inputs = same_model(name, kind)
    how = {"validation": 0.0, "batch_size": 2}
    result = trained(conversion, inputs, **how)
    assert parameters_of(kind).parameters(model).keys() <= result.source_state().keys()
    made = result.write_back(model)
    assert (made is model) == (kind != "onnx")
    second = trained(conversion, inputs, **how).conversion
    for graph in (read(made, example).graph, second.graph):
        assert not moved_arrays(result.conversion.graph, graph)
    resolved = result.conversion.resolved
    again = sw.convert(made, example_input=example, **resolved)
    assert_same_run(result.conversion, again, inputs, 4)


def test_another_model_is_left_as_it_is() -> None:
    """A model with other weights than those that were converted is refused by a layer's name."""
    model, _, conversion, inputs = same_model("perceptron", "pytorch")
    result, other = trained(conversion, inputs, epochs=1, validation=0.0), copy.deepcopy(model)
    with torch.no_grad():
        next(iter(other.parameters())).mul_(2.0)
    kept = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(TrainingError, match=r"is not the model.*weight of layer"):
        result.write_back(other)
    assert all(torch.equal(value, kept[name]) for name, value in other.state_dict().items())


def test_of_a_graph_nothing_goes_home() -> None:
    """A conversion without a live model trains all the same, and says why it has no home."""
    graph = MODELS["perceptron"].graph("keras")
    conversion = sw.convert(graph, spiking=True)
    x = MODELS["perceptron"].inputs()[0]
    result = trained(conversion, x, epochs=1, validation=0.0)
    assert evaluate(result.conversion.graph, {graph.inputs[0]: x})
    with pytest.raises(TrainingError, match="Load the model, and convert that"):
        result.source_state()


def twice(kind: str) -> tuple[Any, Any]:
    """A model that calls one layer twice, and its example input."""
    if kind == "pytorch":
        torch.manual_seed(0)
        return Twice().eval(), np.zeros((1, 6), np.float32)
    import keras

    keras.utils.set_random_seed(0)
    layer = keras.layers.Dense(6, activation="relu")
    given = keras.Input((6,))
    return keras.Model(given, keras.layers.Dense(3)(layer(layer(given)))), None


@pytest.mark.parametrize("kind", ["keras", "pytorch"])
def test_a_layer_that_is_called_twice_is_trained_as_one(kind: str) -> None:
    """Both of its nodes have the same weights after a training, and so the model takes them."""
    model, example = twice(kind)
    x = points(6)
    result = trained(sw.convert(model, spiking=True, example_input=example), x)
    weights = [
        node.layer.arrays()["weight"]
        for node in result.conversion.graph
        if node.layer.arrays().get("weight", x).shape == (6, 6)
    ]
    assert len(weights) == 2
    np.testing.assert_array_equal(*weights)
    made = result.write_back(model)
    graph = read(made, example).graph
    (given,) = graph.inputs
    for name, values in evaluate(result.conversion.graph, {given: x}).items():
        np.testing.assert_allclose(evaluate(graph, {given: x})[name], values, atol=1e-6)


def test_a_weight_and_its_transpose_go_home() -> None:
    """Trained apart they could not: such a weight stays, and the rest is trained."""
    torch.manual_seed(0)
    model = Transposed().eval()
    x = points(6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = trained(sw.convert(model, spiking=True, example_input=x[:1]), x, epochs=2)
    made = result.write_back(model)
    assert torch.equal(made.weight, before["weight"])
    assert not torch.equal(made.last.weight, before["last.weight"])
    rates = result.conversion.replace(spiking=False, max_spikes_per_step=None)
    found = rates.run(x, steps=1, progress=False).predict()
    np.testing.assert_allclose(made(torch.from_numpy(x)).detach(), found, atol=1e-5)


def test_weights_in_float64_go_home() -> None:
    """Those of a Keras model that did not change are not rounded on the way."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((6,), dtype="float64"),
        keras.layers.Dense(8, activation="relu", dtype="float64", bias_initializer="normal"),
        keras.layers.Dense(3, dtype="float64", bias_initializer="normal"),
    ])  # fmt: skip
    x = np.random.default_rng(0).normal(size=(100, 6))
    result = trained(sw.convert(model, spiking=True), x, trainable=("weights",))
    assert {value.dtype for value in result.source_state().values()} == {np.dtype(np.float64)}
    assert result.write_back(model) is model


def of_precision(kind: str, precision: str) -> tuple[Any, Any]:
    """A perceptron with normalisation whose parameters are of a precision, and its example."""
    if kind == "pytorch":
        torch.manual_seed(0)
        layers = [nn.Linear(20, 32), nn.BatchNorm1d(32), nn.ReLU()]
        model = nn.Sequential(*layers, nn.Linear(32, 5)).eval()
        dtype = getattr(torch, precision)
        return model.to(dtype), torch.zeros(1, 20, dtype=dtype)
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential([
        keras.Input((20,)),
        keras.layers.Dense(32, dtype=precision),
        keras.layers.BatchNormalization(dtype=precision),
        keras.layers.ReLU(dtype=precision),
        keras.layers.Dense(5, dtype=precision),
    ]), None  # fmt: skip


@pytest.mark.parametrize(("kind", "precision"), [("keras", "bfloat16"), ("pytorch", "float16")])
def test_weights_of_few_digits_go_home(kind: str, precision: str) -> None:
    """The trained network has the weights that the model can hold, so that it sends the same."""
    model, example = of_precision(kind, precision)
    x = points(20)
    conversion = sw.convert(model, spiking=True, example_input=example)
    result = trained(conversion, x)
    moved = moved_arrays(conversion.graph, result.conversion.graph)
    assert {field for _, field in moved} >= {"weight", "bias"}
    made = result.write_back(model)
    assert made is model
    resolved = result.conversion.resolved
    again = sw.convert(made, example_input=example, **resolved)
    assert_same_run(result.conversion, again, x, 4)
