"""Trained weights go home: into models of every framework, whose own forward pass is compared."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx.numpy_helper import to_array

sys.path.insert(0, str(Path(__file__).parents[1] / "frontends"))

from same_models import READERS, Same
from test_same_model import MODELS

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.frontends import read
from spikewright.graph import evaluate

NAMES = ("perceptron", "lenet", "residual block")


def live(name: str, kind: str) -> tuple[Any, Any]:
    """A model of the suite in one framework, and its example input."""
    model: Same = MODELS[name]
    if kind == "pytorch":
        return model.of_torch(), model.example()
    return (model.of_keras() if kind == "keras" else model.of_onnx()), None


def trained(name: str, kind: str, **how: Any) -> tuple[Any, Any, Any]:
    """A model, a short training of it, and its inputs."""
    model, example = live(name, kind)
    conversion = sw.convert(model, spiking=True, example_input=example)
    same = MODELS[name]
    x = [v if kind == "keras" else same.moved(v) for v in same.inputs()]
    inputs = dict(zip(conversion.graph.inputs, x, strict=True))
    usual = {"steps": 4, "epochs": 2, "validation": 0.0, "batch_size": 2, "progress": False}
    return model, conversion.train(inputs, **{**usual, **how}), inputs


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", NAMES)
def test_the_model_has_the_trained_weights(name: str, kind: str) -> None:
    """Read again it is the trained graph, and converted with the same scales it sends the same."""
    model, result, inputs = trained(name, kind)
    made = result.write_back(model)
    assert (made is model) == (kind != "onnx")
    example = MODELS[name].example() if kind == "pytorch" else None
    source = read(made, example)
    for node in result.conversion.graph:
        for field, array in node.layer.arrays().items():
            np.testing.assert_array_equal(source.graph[node.name].layer.arrays()[field], array)
    again = sw.convert(made, example_input=example, **result.conversion.resolved)
    runs = [c.run(inputs, steps=4, progress=False) for c in (result.conversion, again)]
    for layer, counts in runs[0].spike_counts().items():
        np.testing.assert_array_equal(counts, runs[1].spike_counts()[layer])
    assert any(counts.any() for counts in runs[0].spike_counts().values())


@pytest.mark.parametrize("kind", READERS)
def test_the_state_has_the_names_of_the_source(kind: str) -> None:
    """It holds every parameter; what was not trained has the values that it had."""
    model, result, _ = trained("lenet", kind, trainable=("biases",))
    state = result.source_state()
    before = {
        "pytorch": lambda: {n: v.numpy() for n, v in model.state_dict().items()},
        "keras": lambda: {w.path: np.asarray(w.numpy()) for w in model.weights},
        "onnx": lambda: {t.name: to_array(t) for t in model.graph.initializer},
    }[kind]()
    assert before.keys() <= state.keys()
    changed = {name for name, value in before.items() if np.any(state[name] != value)}
    assert all("bias" in name or "beta" in name for name in changed)
    assert changed


def test_a_keras_model_that_was_written_to_is_saved_as_any_other(tmp_path: Path) -> None:
    """Saved, loaded and converted again, it gives the same spikes."""
    import keras

    model, result, inputs = trained("lenet", "keras")
    result.write_back(model)
    model.save(tmp_path / "trained.keras")
    loaded = keras.saving.load_model(tmp_path / "trained.keras")
    again = sw.convert(loaded, **result.conversion.resolved)
    x = next(iter(inputs.values()))
    runs = [c.run(x, steps=4, progress=False).predict() for c in (result.conversion, again)]
    np.testing.assert_array_equal(*runs)


def test_another_model_is_left_as_it_is() -> None:
    """A model with other weights than those that were converted is refused by a layer's name."""
    import torch

    model, result, _ = trained("perceptron", "pytorch")
    other = copy.deepcopy(model)
    with torch.no_grad():
        next(iter(other.parameters())).mul_(2.0)
    kept = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(TrainingError, match=r"is not the model.*weight of layer"):
        result.write_back(other)
    assert all(torch.equal(value, kept[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize("kind", READERS)
def test_a_model_that_was_written_to_is_trained_again(kind: str) -> None:
    """The conversion begins once more with the weights that it read, and all of them move."""
    model, example = live("perceptron", kind)
    conversion = sw.convert(model, spiking=True, example_input=example)
    x = MODELS["perceptron"].inputs()
    inputs = x[0] if kind == "keras" else MODELS["perceptron"].moved(x[0])
    usual = {"steps": 4, "epochs": 2, "validation": 0.0, "batch_size": 2, "progress": False}
    first = conversion.train(inputs, **usual)
    first.write_back(model)
    second = conversion.train(inputs, **usual)
    for node in first.conversion.graph:
        for field, array in node.layer.arrays().items():
            same = second.conversion.graph[node.name].layer.arrays()[field]
            np.testing.assert_array_equal(same, array)
            assert not np.array_equal(array, conversion.graph[node.name].layer.arrays()[field])


def test_of_a_graph_nothing_goes_home() -> None:
    """A conversion without a live model trains all the same, and says why it has no home."""
    graph = MODELS["perceptron"].graph("keras")
    conversion = sw.convert(graph, spiking=True)
    x = MODELS["perceptron"].inputs()[0]
    result = conversion.train(x, steps=2, epochs=1, validation=0.0, progress=False)
    assert evaluate(result.conversion.graph, {graph.inputs[0]: x})
    with pytest.raises(TrainingError, match="Load the model, and convert that"):
        result.source_state()


def twice(kind: str) -> tuple[Any, Any]:
    """A model that calls one layer twice, and its example input."""
    if kind == "pytorch":
        import torch
        from trainings import Twice

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
    x = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    conversion = sw.convert(model, spiking=True, example_input=example)
    result = conversion.train(x, steps=2, epochs=2, learning_rate=1e-2, progress=False)
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


@pytest.mark.parametrize("how", [{"epochs": 2}, {"epochs": 0, "refit": True}], ids=str)
def test_a_weight_and_its_transpose_go_home(how: dict[str, Any]) -> None:
    """Trained apart they could not: such a weight stays, and the rest is trained."""
    import torch
    from trainings import Transposed

    torch.manual_seed(0)
    model = Transposed().eval()
    x = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = sw.convert(model, spiking=True, example_input=x[:1]).train(
        x, steps=2, learning_rate=1e-2, keep="last", progress=False, **how
    )
    made = result.write_back(model)
    assert torch.equal(made.weight, before["weight"])
    if "refit" not in how:
        assert not torch.equal(made.last.weight, before["last.weight"])
    rates = result.conversion.again(spiking=False, max_spikes_per_step=None)
    found = rates.run(x, steps=1, progress=False).predict()
    np.testing.assert_allclose(made(torch.from_numpy(x)).detach(), found, atol=1e-5)


def test_all_names_of_a_shared_tensor_are_trained() -> None:
    """The state of modules that share a weight has it, as trained, by both names."""
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 6), torch.nn.ReLU(), torch.nn.Linear(6, 6), torch.nn.ReLU(),
        torch.nn.Linear(6, 3),
    ).eval()  # fmt: skip
    model[2].weight = model[0].weight
    x = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    result = sw.convert(model, spiking=True, example_input=x[:1]).train(
        x, steps=2, epochs=2, learning_rate=1e-2, keep="last", progress=False
    )
    state = result.source_state()
    np.testing.assert_array_equal(state["0.weight"], state["2.weight"])
    assert not np.array_equal(state["0.weight"], model[0].weight.detach())


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
    result = sw.convert(model, spiking=True).train(
        x, steps=2, epochs=2, learning_rate=1e-2, keep="last", trainable=("weights",),
        progress=False,
    )  # fmt: skip
    assert {value.dtype for value in result.source_state().values()} == {np.dtype(np.float64)}
    assert result.write_back(model) is model


def of_precision(kind: str, precision: str) -> tuple[Any, Any]:
    """A perceptron with normalisation whose parameters are of a precision, and its example."""
    if kind == "pytorch":
        import torch

        torch.manual_seed(0)
        layers = [torch.nn.Linear(20, 32), torch.nn.BatchNorm1d(32), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers, torch.nn.Linear(32, 5)).eval()
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


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["keras", "pytorch"])
def test_weights_of_few_digits_go_home(kind: str, precision: str) -> None:
    """The trained network has the weights that the model can hold, so that it sends the same."""
    model, example = of_precision(kind, precision)
    x = np.random.default_rng(0).normal(size=(100, 20)).astype(np.float32)
    conversion = sw.convert(model, spiking=True, example_input=example)
    before = conversion.graph
    result = conversion.train(x, steps=4, epochs=2, learning_rate=1e-2, keep="last", progress=False)
    moved = [
        (node.name, field)
        for node in result.conversion.graph
        for field, array in node.layer.arrays().items()
        if not np.array_equal(array, before[node.name].layer.arrays()[field])
    ]
    assert {field for _, field in moved} >= {"weight", "bias"}
    made = result.write_back(model)
    assert made is model
    again = sw.convert(made, example_input=example, **result.conversion.resolved)
    found = [c.run(x, steps=4, progress=False).predict() for c in (result.conversion, again)]
    np.testing.assert_array_equal(*found)
