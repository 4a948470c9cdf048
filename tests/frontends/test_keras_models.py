"""Whole Keras models, blocks of them, and published ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_helpers import (
    assert_agrees,
    assert_close,
    functional,
    inputs_of,
    keras,
    layers,
    randomise,
)

import spikewright as sw
from spikewright.errors import GraphError, ReadError, UnsupportedLayerError
from spikewright.frontends.keras import read
from spikewright.graph import evaluate, evaluate_all


@pytest.mark.slow
def test_a_well_known_network_agrees_at_every_layer_and_converts() -> None:
    """MobileNetV3: inverted bottlenecks with squeeze and excitation, with initial weights."""
    model = keras.applications.MobileNetV3Small(weights=None, input_shape=(32, 32, 3), classes=5)
    source = assert_agrees(model)
    assert {layer.name for layer in model.layers} <= {node.source for node in source.graph}
    images = np.random.default_rng(0).uniform(0, 1, (1, 32, 32, 3)).astype(np.float32)
    assert max(sw.convert(model, spiking=True).verify(images, rtol=1e-3).values()) < 1e-3


L, ops = layers, keras.ops

STEPS, WIDTH, TOKENS = 6, 8, 11


class Weight(L.Layer):
    """A layer that returns nothing but its weight."""

    def __init__(self, shape: tuple[int, ...], repeats: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.shape, self.repeats = shape, repeats

    def build(self, shape: Any) -> None:
        """Make the weight."""
        self.weight = self.add_weight(shape=self.shape, name="weight")

    def call(self, x: Any) -> Any:
        """The weight, repeated over the batch if asked so."""
        if not self.repeats:
            return ops.convert_to_tensor(self.weight)
        return ops.broadcast_to(self.weight, (ops.shape(x)[0], *self.shape))


class ClassToken(L.Layer):
    """A learned token in front of a sequence."""

    def build(self, shape: Any) -> None:
        """Make the token."""
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")

    def call(self, x: Any) -> Any:
        """The sequence behind the token."""
        token = ops.tile(self.token, (ops.shape(x)[0], 1, 1))
        return ops.concatenate([token, x], axis=1)


def rows(behind: Callable[[Any], Any]) -> Any:
    """A model of a sequence of vectors."""
    return functional(behind, (STEPS, WIDTH))


CONSTANTS: dict[str, Callable[[Any], Any]] = {
    "a weight": lambda x: x + Weight((STEPS, WIDTH))(x),
    "a repeated weight": lambda x: x * Weight((STEPS, WIDTH), repeats=True)(x),
    "a weight behind a layer": lambda x: x + L.Dense(WIDTH)(Weight((STEPS, WIDTH), True)(x)),
    "a weight that is joined": lambda x: L.Concatenate(1)([Weight((2, WIDTH), True)(x), x]),
    "a class token": ClassToken(),
    "an attention of queries that are learned": lambda x: L.MultiHeadAttention(2, 3)(
        Weight((2, WIDTH), True)(x), x
    ),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_are_constants(name: str) -> None:
    """What depends on no input has no batch of its own, wherever it is used."""
    assert_agrees(rows(CONSTANTS[name]))


def test_an_output_that_is_a_constant_is_refused() -> None:
    """With the model to give instead, which is read."""
    x = keras.Input((STEPS, WIDTH), name="x")
    y = L.Dense(2, name="y")(x)
    constant = Weight((STEPS, WIDTH), True, name="constant")(x)
    with pytest.raises(UnsupportedLayerError, match=r"same for every input.*keras.Model\(inp"):
        read(keras.Model(x, [y, constant]))
    assert_agrees(keras.Model(x, y))


L, ops = layers, keras.ops


def residual_network() -> Any:
    """Convolutions, batch normalisation on either side of ReLU, a shortcut, branches, pooling."""
    x = image = keras.Input((12, 12, 3), name="image")
    x = L.Rescaling(2.0, offset=-0.5, name="scale")(x)
    x = L.Conv2D(6, 3, padding="same", use_bias=False, name="conv1")(x)
    x = L.BatchNormalization(name="before")(x)
    x = shortcut = L.ReLU(name="relu1")(x)
    x = L.SeparableConv2D(6, 3, padding="same", activation="relu", name="separable")(x)
    x = L.BatchNormalization(name="after")(x)
    x = L.Add(name="join")([x, shortcut])
    left = L.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="left")(x)
    right = L.AveragePooling2D(2, name="right")(x)
    x = L.Concatenate(name="branches")([left, right])
    x = L.Dropout(0.5, name="drop")(x)
    x = L.GlobalAveragePooling2D(name="pool")(x)
    return randomise(keras.Model(image, L.Dense(4, activation="softmax", name="classes")(x)))


def block(name: str, activation: str = "relu") -> Any:
    """A Sequential model that maps six values to six."""
    inner = [
        keras.Input((6,)),
        L.Dense(4, activation=activation, name="up"),
        L.Dense(6, name="down"),
    ]
    return keras.Sequential(inner, name=name)


def test_a_residual_network_agrees_at_every_layer() -> None:
    """All kinds of layer in one network, observed one by one under their Keras names."""
    model = residual_network()
    source = assert_agrees(model)
    observed = source.activations(inputs_of(source))
    assert set(observed) == {layer.name for layer in model.layers}
    assert source.framework == "keras"
    assert source.graph.inputs == ("image",)
    assert dict(source.graph.outputs) == {"classes": "classes"}


def test_a_sequential_model_built_by_data_is_read_with_a_free_batch() -> None:
    """The batch size that it was built with is not held against other batches."""
    model = keras.Sequential([L.Conv2D(3, 3), L.Flatten(), L.Reshape((-1, 3)), L.Dense(2)])
    model(np.zeros((7, 6, 6, 2), np.float32))
    source = assert_agrees(randomise(model))
    assert source.graph.shapes[source.graph.inputs[0]] == (6, 6, 2)


def test_nested_models_have_path_names() -> None:
    """A layer inside is `outer/inner`; the nested model's own name has its output."""
    x = image = keras.Input((6,), name="x")
    inner = block("inner")
    middle_in = keras.Input((6,))
    middle = keras.Model(middle_in, L.ReLU(name="relu")(inner(middle_in)), name="middle")
    model = randomise(keras.Model(image, L.Dense(2, name="out")(middle(x))))
    source = assert_agrees(model)
    assert [node.name for node in source.graph] == [
        "x",
        "middle/inner/up/linear",
        "middle/inner/up",
        "middle/inner/down",
        "middle/inner",
        "middle/relu",
        "middle",
        "out",
    ]
    assert source.graph["middle/inner/up"].source == "middle/inner/up"
    observed = source.activations(inputs_of(source))
    assert set(observed) == {n.name for n in source.graph} - {"middle/inner/up/linear"}


def test_shared_layers_are_numbered_in_the_order_of_their_calls() -> None:
    """The second call of a layer is `name_1`, and each has the weights."""
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    shared = L.Dense(6, activation="relu", name="shared")
    first, second = shared(a), shared(b)
    deeper = L.Dense(6, name="deep2")(L.Dense(6, name="deep1")(second))
    graph = assert_agrees(randomise(keras.Model([a, b], L.Add()([first, deeper])))).graph
    assert graph["shared/linear"].inputs == ("a",) and graph["shared_1/linear"].inputs == ("b",)
    assert graph["shared_1"].source == "shared"
    np.testing.assert_array_equal(
        graph["shared/linear"].layer.weight, graph["shared_1/linear"].layer.weight
    )


def test_a_shared_layer_takes_no_other_layers_name() -> None:
    """A second call is not named like a layer that exists, wherever that one comes."""
    x = keras.Input((6,), name="x")
    shared = L.Dense(6, name="dense")
    y = L.Dense(6, name="dense_1")(shared(shared(x)))
    graph = assert_agrees(randomise(keras.Model(x, y))).graph
    assert [(node.name, node.source) for node in graph][1:] == [
        ("dense", "dense"),
        ("dense_2", "dense"),
        ("dense_1", "dense_1"),
    ]


def test_a_shared_nested_model() -> None:
    """Each call of a nested model has its own nodes."""
    x = keras.Input((6,), name="x")
    inner = block("inner")
    graph = assert_agrees(randomise(keras.Model(x, inner(inner(x))))).graph
    assert {"inner/up", "inner", "inner_1/up", "inner_1"} <= {node.name for node in graph}
    assert graph["inner_1/up"].source == "inner/up"


def test_several_inputs_and_outputs() -> None:
    """Inputs and outputs have their layers' names, in Keras's order."""
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    x = L.Concatenate(name="both")([b, a])
    outputs = [L.Dense(2, name="first")(x), x, L.Dense(1, activation="tanh", name="second")(x)]
    source = assert_agrees(randomise(keras.Model([a, b], outputs)))
    assert source.graph.inputs == ("a", "b")
    assert list(source.graph.outputs) == ["first", "both", "second"]


def test_dicts_of_inputs_and_outputs_keep_their_keys() -> None:
    """Where Keras has keys, they are the names."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    y = L.Dense(2, name="dense")(L.Add(name="add")([a, b]))
    model = randomise(keras.Model({"b": b, "a": a}, {"logits": y, "features": L.ReLU()(y)}))
    source = read(model)
    inputs = inputs_of(source)
    result = model(inputs)
    values = evaluate(source.graph, inputs)
    assert set(source.graph.inputs) == {"a", "b"} and set(values) == {"logits", "features"}
    for key in values:
        assert_close(values[key], keras.ops.convert_to_numpy(result[key]), key)


def test_a_nested_model_with_several_inputs_and_outputs() -> None:
    """Its outputs are named after it, and its inputs found by name where it has a dict of them."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    inside = L.Dense(4, name="d")(a)
    inner = keras.Model({"b": b, "a": a}, [L.Subtract()([inside, b]), inside], name="inner")
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    first, second = inner({"a": x, "b": y})
    graph = assert_agrees(randomise(keras.Model([x, y], [first, L.ReLU(name="r")(second)]))).graph
    assert graph["inner_1"].source == "inner" and graph["r"].inputs == ("inner_1",)
    assert graph["inner/d"].inputs == ("x",)


def test_one_layer_with_two_outputs_of_the_model() -> None:
    """Outputs of one layer are told apart."""
    x = keras.Input((4,), name="x")
    shared = L.Dense(4, name="dense")
    y = shared(x)
    graph = assert_agrees(randomise(keras.Model(x, [y, shared(y)]))).graph
    assert dict(graph.outputs) == {"dense": "dense", "dense_1": "dense_1"}


def test_part_of_a_model_is_a_model() -> None:
    """Feature extractors, cut at either end, are read."""
    model = residual_network()
    cut = keras.Model(model.input, model.get_layer("join").output)
    assert dict(assert_agrees(cut).graph.outputs) == {"join": "join"}
    tail = keras.Model(model.get_layer("join").output, model.output)
    assert assert_agrees(tail).graph.shapes["pool"] == (10,)


def test_open_extents_come_from_the_example() -> None:
    """With an example the extents are the example's; the batch size stays free."""
    x = keras.Input((None, None, 2), name="x")
    y = L.Conv2D(3, 3, strides=2, padding="same", activation="relu")(x)
    model = randomise(keras.Model(x, L.GlobalMaxPooling2D()(y)))
    for example in (
        np.zeros((1, 7, 6, 2)),
        {"x": np.zeros((2, 7, 6, 2))},
        [np.zeros((1, 7, 6, 2))],
    ):
        assert assert_agrees(model, example).graph.shapes["x"] == (7, 6, 2)


def test_open_extents_without_an_example_are_refused() -> None:
    """The refusal names the input and what to do, and other refusals are listed with it."""
    x = keras.Input((None, 2), name="x")
    y = L.Activation("sparsemax", name="odd")(L.Conv1D(3, 3, padding="same", name="conv")(x))
    with pytest.raises(UnsupportedLayerError) as info:
        read(keras.Model(x, y))
    assert [refusal.layer for refusal in info.value.refusals] == ["x", "odd"]
    assert "example_input" in info.value.refusals[0].options


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (np.zeros((1, 7, 6, 3)), "does not fit"),
        (np.zeros((1, 7, 6)), "does not fit"),
        ({"y": np.zeros((1, 7, 6, 2))}, r"inputs are \['x'\], got \['y'\]"),
        ([np.zeros((1, 7, 6, 2))] * 2, "holds 2 arrays"),
    ],
)
def test_an_example_that_does_not_fit_is_refused(example: Any, message: str) -> None:
    """The message says what the input's shape or name is."""
    model = keras.Sequential([keras.Input((None, None, 2), name="x"), L.Conv2D(3, 3)])
    with pytest.raises(ReadError, match=message):
        read(model, example)


def test_activations_check_their_inputs() -> None:
    """Missing, unknown and misshapen inputs are named."""
    source = read(residual_network())
    good = inputs_of(source)["image"]
    with pytest.raises(GraphError, match=r"missing .'image'., unknown .'picture'."):
        source.activations({"picture": good})
    with pytest.raises(GraphError, match="'image' must be"):
        source.activations({"image": good[:, 1:]})


def test_integer_images_are_read_as_numbers() -> None:
    """An input declared as bytes takes the same values as a float input."""
    x = keras.Input((4, 4, 1), name="x", dtype="uint8")
    source = read(randomise(keras.Model(x, L.Dense(2)(L.Flatten()(L.Rescaling(1 / 255)(x))))))
    image = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), np.uint8)
    for name, value in source.activations({"x": image}).items():
        assert_close(evaluate_all(source.graph, {"x": image})[name], value, name)


def test_double_precision_weights_are_kept() -> None:
    """A model in float64, where the backend has it, is read and run in float64."""
    x = keras.Input((5,), name="x", dtype="float64")
    model = keras.Model(x, L.Dense(3, activation="tanh", dtype="float64", name="d")(x))
    source = assert_agrees(randomise(model))
    held = keras.ops.convert_to_numpy(model.get_layer("d").kernel).dtype
    assert source.graph["d/linear"].layer.weight.dtype == held
    assert source.activations(inputs_of(source))["d"].dtype == held


def test_not_a_number_names_the_layer() -> None:
    """Weights that are not finite are refused with the layer's name."""
    model = residual_network()
    layer = model.get_layer("separable")
    kernel = keras.ops.convert_to_numpy(layer.pointwise_kernel).copy()
    kernel[0, 0, 1, 2] = np.nan
    layer.pointwise_kernel.assign(kernel)
    with pytest.raises(GraphError, match=r"'separable/linear'.*1 of .* NaN or infinite"):
        read(model)
