"""HDF5 files of Keras 2: what it wrote differently is put right, or explained.

The descriptions below are in the form in which Keras 2.15 wrote them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras_helpers import assert_close, inputs_of, keras, layers, randomise

from spikewright.errors import DamagedFileError, ReadError, UnsupportedLayerError
from spikewright.frontends.keras import read
from spikewright.frontends.keras.legacy import repaired
from spikewright.graph import evaluate

L = layers

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, about the names of arguments


def entry(kind: str, name: str, *calls: list[Any], **config: Any) -> dict[str, Any]:
    """A layer of a Functional model: each call is a list of `[layer, call, tensor]`."""
    inbound = [[[*use, {}] for use in call] for call in calls]
    return {
        "class_name": kind,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
        "name": name,
        "inbound_nodes": inbound,
    }


def input_entry(name: str, *shape: int) -> dict[str, Any]:
    """An input layer."""
    config = {"batch_input_shape": [None, *shape], "dtype": "float32", "sparse": False}
    layer = {"class_name": "InputLayer", "config": {**config, "ragged": False, "name": name}}
    return {**layer, "name": name, "inbound_nodes": []}


def graph_config(name: str, inputs: str, output: list[Any], *entries: Any) -> dict[str, Any]:
    """The description of a Functional model."""
    return {
        "name": name,
        "trainable": True,
        "layers": list(entries),
        "input_layers": [[inputs, 0, 0]],
        "output_layers": [output],
    }


def keras_2_file(model: Any, config: Mapping[str, Any], folder: Path, kind: str) -> Path:
    """The weights of a model, under a description that Keras 2 wrote."""
    path = folder / "old.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["model_config"] = json.dumps({"class_name": kind, "config": config})
    return path


def assert_same(path: Path, model: Any) -> None:
    """The file and the live model compute the same."""
    source, live = read(path), read(model)
    values = list(inputs_of(live).values())
    found, wanted = (
        evaluate(one.graph, dict(zip(one.graph.inputs, values, strict=True)))
        for one in (source, live)
    )
    for a, b in zip(found.values(), wanted.values(), strict=True):
        assert_close(a, b)


def test_depthwise_and_separable_convolutions(tmp_path: Path) -> None:
    """Their arguments `groups` and `kernel_...`, an axis in a list, and `alpha` are understood."""
    x = keras.Input((6, 6, 3), name="x")
    y = L.DepthwiseConv2D(3, depth_multiplier=2, name="deep")(x)
    y = L.BatchNormalization(name="norm")(L.SeparableConv2D(4, 2, name="separable")(y))
    model = randomise(keras.Model(x, L.LeakyReLU(0.1, name="leaky")(y)))
    policy = {
        "module": "keras.mixed_precision",
        "class_name": "Policy",
        "config": {"name": "float32"},
        "registered_name": None,
    }
    kernels = {f"kernel_{what}": None for what in ("initializer", "regularizer", "constraint")}
    config = graph_config(
        "old",
        "x",
        ["leaky", 0, 0],
        input_entry("x", 6, 6, 3),
        entry(
            "DepthwiseConv2D", "deep", [["x", 0, 0]], kernel_size=[3, 3], strides=[1, 1],
            padding="valid", groups=1, depth_multiplier=2, activation="linear",
        ),
        entry(
            "SeparableConv2D", "separable", [["deep", 0, 0]], kernel_size=[2, 2], filters=4,
            groups=1, dtype=policy, activation="linear", **kernels,
        ),
        entry("BatchNormalization", "norm", [["separable", 0, 0]], axis=[3], epsilon=0.001),
        entry("LeakyReLU", "leaky", [["norm", 0, 0]], alpha=0.1),
    )  # fmt: skip
    assert_same(keras_2_file(model, config, tmp_path, "Functional"), model)


def test_calls_of_nested_models_are_counted_as_keras_2_did(tmp_path: Path) -> None:
    """There a nested model's first call has the number 1."""
    inside = keras.Input((4,), name="inside")
    graph = keras.Model(inside, L.Dense(4, activation="tanh", name="a")(inside), name="graph")
    chain = keras.Sequential([keras.Input((4,)), L.Dense(4, name="b")], name="chain")
    x = keras.Input((4,), name="x")
    y = chain(graph(graph(x)))
    model = randomise(keras.Model(x, chain(L.Add(name="sum")([y, x]))))
    inner = graph_config(
        "graph",
        "inside",
        ["a", 0, 0],
        input_entry("inside", 4),
        entry("Dense", "a", [["inside", 0, 0]], units=4, activation="tanh"),
    )
    first = input_entry("b_input", 4)
    old_chain = {
        "class_name": "Sequential",
        "config": {
            "name": "chain",
            "layers": [
                {key: first[key] for key in ("class_name", "config")},
                {
                    "class_name": "Dense",
                    "config": {"name": "b", "units": 4, "batch_input_shape": [None, 4]},
                },
            ],
        },
        "name": "chain",
        "inbound_nodes": [[["graph", 2, 0, {}]], [["sum", 0, 0, {}]]],
    }
    old_graph = entry("Functional", "graph", [["x", 0, 0]], [["graph", 1, 0]])
    old_graph["config"] = inner
    config = graph_config(
        "old",
        "x",
        ["chain", 2, 0],
        input_entry("x", 4),
        old_graph,
        old_chain,
        entry("Add", "sum", [["chain", 1, 0], ["x", 0, 0]]),
    )
    assert_same(keras_2_file(model, config, tmp_path, "Functional"), model)


def dense_model() -> Any:
    """One dense layer."""
    return randomise(keras.Sequential([keras.Input((3,), name="x"), L.Dense(3, name="dense")]))


def dense_config(**more: Any) -> dict[str, Any]:
    """Its description."""
    dense = entry("Dense", "dense", [["x", 0, 0]], units=3, activation="linear", **more)
    return graph_config("old", "x", ["dense", 0, 0], input_entry("x", 3), dense)


def test_repairing_leaves_the_description_alone() -> None:
    """`repaired` returns a copy, and what needs no repair comes back equal."""
    description = {"class_name": "Functional", "config": dense_config()}
    text = json.dumps(description)
    assert repaired(description) == description == json.loads(text)
    assert repaired(description) is not description


def test_unknown_tensorflow_functions_are_refused(tmp_path: Path) -> None:
    """Keras 2 could apply any to tensors; each is named."""
    refused(tmp_path, "odd", "signal.fft")


def refused(tmp_path: Path, name: str, function: str, **arguments: Any) -> None:
    """A TensorFlow function behind a dense layer is refused by name."""
    config = dense_config()
    config["layers"].append(lambda_entry(name, function, ["dense", 0, 0, arguments]))
    path = keras_2_file(dense_model(), config, tmp_path, "Functional")
    with pytest.raises(UnsupportedLayerError, match=rf"'{name}' \(TFOpLambda\).*TensorFlow"):
        read(path)


def lambda_entry(name: str, function: str, *calls: list[Any]) -> dict[str, Any]:
    """A TensorFlow function on tensors: one call is not put in a list of its own."""
    return {
        "class_name": "TFOpLambda",
        "config": {"name": name, "trainable": True, "dtype": "float32", "function": function},
        "name": name,
        "inbound_nodes": list(calls),
    }


def test_tensorflow_functions_with_other_arguments_are_refused(tmp_path: Path) -> None:
    """An argument that the operation of Keras 3 has not is not left out."""
    refused(tmp_path, "product", "linalg.matmul", b=["dense", 0, 0], transpose_b=True)


def test_tensorflow_functions_become_operations(tmp_path: Path) -> None:
    """With tensors and constants, on either side; `x * relu6(x + 3) / 6` is in MobileNetV3."""
    x = keras.Input((3,), name="x")
    y = L.Dense(3, name="dense")(x)
    gate = L.ReLU(6.0, name="gate")(y + 3.0)
    z = keras.ops.concatenate([y * (gate * (1.0 / 6.0)), 1.0 - y], axis=-1)
    z = keras.ops.mean(keras.ops.reshape(z, (-1, 2, 3)), axis=1)
    z = keras.ops.leaky_relu(z / np.array([1.0, 2.0, 4.0], np.float32), negative_slope=0.2)
    model = randomise(keras.Model(x, L.Dense(2, name="last")(z)))
    config = graph_config(
        "old",
        "x",
        ["last", 0, 0],
        input_entry("x", 3),
        entry("Dense", "dense", [["x", 0, 0]], units=3, activation="linear"),
        lambda_entry("add", "__operators__.add", ["dense", 0, 0, {"y": 3.0, "name": None}]),
        entry("ReLU", "gate", [["add", 0, 0]], max_value=6.0, negative_slope=0.0, threshold=0.0),
        lambda_entry("sixth", "math.multiply", ["gate", 0, 0, {"y": 1.0 / 6.0, "name": None}]),
        lambda_entry("gated", "math.multiply", ["dense", 0, 0, {"y": ["sixth", 0, 0]}]),
        lambda_entry("rest", "math.subtract", ["_CONSTANT_VALUE", -1, 1.0, {"y": ["dense", 0, 0]}]),
        lambda_entry(
            "both", "concat", [["gated", 0, 0, {"axis": -1}], ["rest", 0, 0, {"axis": -1}]]
        ),
        lambda_entry("rows", "reshape", ["both", 0, 0, {"shape": [-1, 2, 3]}]),
        lambda_entry("mean", "math.reduce_mean", ["rows", 0, 0, {"axis": 1}]),
        lambda_entry("divided", "math.truediv", ["mean", 0, 0, {"y": [1.0, 2.0, 4.0]}]),
        lambda_entry("leaky", "nn.leaky_relu", ["divided", 0, 0, {}]),
        entry("Dense", "last", [["leaky", 0, 0]], units=2, activation="linear"),
    )
    assert_same(keras_2_file(model, config, tmp_path, "Functional"), model)


def test_attention_takes_tensors_by_name(tmp_path: Path) -> None:
    """Keras 2 wrote the value among the call's arguments, and shapes that it did not need."""
    x = keras.Input((4, 6), name="x")
    y = L.MultiHeadAttention(2, 3, name="heads")(x, x)
    model = randomise(keras.Model(x, L.Attention(name="plain")([y, x])))
    shapes = {f"{name}_shape": [None, 4, 6] for name in ("query", "key", "value")}
    heads = entry("MultiHeadAttention", "heads", num_heads=2, key_dim=3, value_dim=3, dropout=0.0,
                  use_bias=True, output_shape=None, attention_axes=[1], **shapes)  # fmt: skip
    heads["inbound_nodes"] = [[["x", 0, 0, {"value": ["x", 0, 0], "key": None}]]]
    plain = entry(
        "Attention", "plain", [["heads", 0, 0], ["x", 0, 0]], use_scale=False, score_mode="dot"
    )
    config = graph_config("old", "x", ["plain", 0, 0], input_entry("x", 4, 6), heads, plain)
    assert_same(keras_2_file(model, config, tmp_path, "Functional"), model)


def test_layers_with_arguments_that_keras_3_has_not(tmp_path: Path) -> None:
    """Transposed convolutions, spatial dropout, normalisation of Keras 1, thresholds."""
    x = keras.Input((5, 5, 2), name="x")
    y = L.Conv2DTranspose(3, 3, strides=2, padding="same", name="up")(x)
    y = L.SpatialDropout2D(0.5, name="drop")(L.BatchNormalization(name="norm")(y))
    model = randomise(keras.Model(x, L.ReLU(threshold=0.4, name="above")(y)))
    config = graph_config(
        "old",
        "x",
        ["above", 0, 0],
        input_entry("x", 5, 5, 2),
        entry(
            "Conv2DTranspose", "up", [["x", 0, 0]], filters=3, kernel_size=[3, 3], strides=[2, 2],
            padding="same", groups=1, dilation_rate=[1, 1], activation="linear",
            output_padding=None,
        ),
        entry("BatchNormalization", "norm", [["up", 0, 0]], axis=[3], epsilon=0.001, fused=True,
              renorm=False),
        entry("SpatialDropout2D", "drop", [["norm", 0, 0]], rate=0.5, noise_shape=None, seed=None),
        entry("ThresholdedReLU", "above", [["drop", 0, 0]], theta=0.4),
    )  # fmt: skip
    assert_same(keras_2_file(model, config, tmp_path, "Functional"), model)


def test_what_keras_3_cannot_rebuild_is_explained(tmp_path: Path) -> None:
    """The error names both versions and the way out, and does not call the file damaged."""
    path = keras_2_file(dense_model(), dense_config(implementation=7), tmp_path, "Functional")
    with pytest.raises(ReadError, match=r"old\.h5: Keras 3\..* what Keras 2\.15\.0 wrote") as info:
        read(path)
    assert not isinstance(info.value, DamagedFileError)


def test_a_senseless_description_of_keras_2_is_damage(tmp_path: Path) -> None:
    """Putting it right must not fall over it."""
    config = dense_config()
    config["layers"][1].pop("class_name")
    path = keras_2_file(dense_model(), config, tmp_path, "Functional")
    with pytest.raises(DamagedFileError, match=r"old\.h5"):
        read(path)
