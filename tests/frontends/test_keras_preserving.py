"""A Keras model is afterwards what it was, whatever read it, called it or failed in between."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from keras_helpers import inputs_of, keras, randomise
from onnx import TensorProto, helper, numpy_helper

import spikewright as sw
from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends import live, read
from spikewright.frontends.preserving import preserved
from spikewright.testing.states import differences, left_as_it_was, state_of, state_of_process

L, ops = keras.layers, keras.ops
X = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
Change = Callable[[Any], None]


class Changing(L.Layer):
    """`relu(x)`, after a change of its own in every call."""

    def __init__(self, change: Change, end: Callable[[Any], Any] = ops.relu, **more: Any) -> None:
        super().__init__(**more)
        self.change, self.end = change, end
        self.calls, self.seen, self.items = 0, {"x": [0]}, [1]
        self.inner = L.Dense(3, name="inner")
        self.inner.build((None, 5))
        self.count = self.add_weight(name="count", trainable=False, initializer="zeros")
        self.seed = keras.random.SeedGenerator(3)
        self.mean = keras.metrics.Mean()

    def call(self, x: Any) -> Any:
        """As the class says."""
        if not isinstance(x, keras.KerasTensor):
            self.change(self)
        return self.end(x)

    def compute_output_shape(self, shape: Any) -> Any:
        """That of the input."""
        return shape


def _attributes(layer: Changing) -> None:
    layer.calls += 1
    layer.seen["x"].append(1)
    layer.items.append(2)
    layer.more = 1


def _parts(layer: Changing) -> None:
    layer.inner.trainable = False
    layer.inner.units = 7
    layer.inner.register_forward_hook(lambda *call: None)
    layer.inner.training = False
    layer.inner.bias.assign(np.ones(3))


def _variables(layer: Changing) -> None:
    layer.count.assign(layer.count + 1)
    layer.add_loss(ops.sum(layer.count))


def _metrics(layer: Changing) -> None:
    layer.mean.update_state([1.0])


def _draws(layer: Changing) -> None:
    keras.random.uniform((2,), seed=layer.seed)
    keras.random.uniform((2,))
    torch.rand(2)
    np.random.rand(2)
    random.random()


CHANGES = {
    "attributes": _attributes,
    "parts": _parts,
    "variables": _variables,
    "metrics": _metrics,
    "random numbers": _draws,
}


def _model(change: Change, end: Callable[[Any], Any] = ops.relu, compiled: bool = True) -> Any:
    x = keras.Input((5,), name="x")
    y = Changing(change, end, name="odd")(L.Dense(5, name="first")(x))
    model = randomise(keras.Model(x, L.Dense(2, name="last")(L.Dropout(0.5)(y))))
    if compiled:
        model.compile("adam", "mse", metrics=["mae"])
        model.optimizer.build(model.trainable_variables)
    return model


@pytest.mark.parametrize("kind", CHANGES)
def test_every_change_is_seen_by_the_description(kind: str) -> None:
    """The comparison of these tests sees each of the changes, so that the laws below can fail."""
    model = _model(CHANGES[kind])
    before = state_of(model) | state_of_process()
    model(X)
    assert differences(before, state_of(model) | state_of_process())


@pytest.mark.parametrize(
    ("kind", "fallback"),
    [*zip(CHANGES, cycle(["python", None]), strict=False), ("parts", "python")],
)
def test_reading_and_calling_leave_a_model_as_it_was(kind: str, fallback: str | None) -> None:
    """Whatever a layer's code changes, and whether it is read, called as it is, or refused."""
    model = _model(CHANGES[kind])
    with left_as_it_was(model):
        try:
            source = read(model, fallback=fallback)
        except ReadError:
            assert fallback is None and kind in ("parts", "variables", "metrics", "random numbers")
            return
    with left_as_it_was(model):
        source.call(inputs_of(source))
    with left_as_it_was(model):
        source.activations(inputs_of(source))


class VariableOfTensorFlow:
    """What the guard uses of `tf.Variable`, whose `assign` writes into the variable itself."""

    __module__ = "tensorflow.python.ops.resource_variable_ops"

    def __init__(self, value: float) -> None:
        self.value = value

    def read_value(self) -> float:
        """Its value now."""
        return self.value

    def assign(self, value: float) -> None:
        """Another value from now on."""
        self.value = value


def test_what_keras_holds_on_other_backends_is_put_back() -> None:
    """JAX and NumPy give a variable another array, TensorFlow writes into the one that it has."""
    array, variable = np.ones(3), VariableOfTensorFlow(1.0)
    held = {"layer": L.Layer(), "variable": variable}
    held["layer"].array = array
    with preserved(held):
        held["layer"].array = np.zeros(3)
        variable.assign(2.0)
    assert held["layer"].array is array and variable.value == 1.0


ENDS = {
    UnsupportedLayerError: lambda x: torch.special.bessel_j0(x),
    KeyboardInterrupt: lambda x: (_ for _ in ()).throw(KeyboardInterrupt),
}


@pytest.mark.parametrize(("kind", "error"), list(zip(CHANGES, cycle(ENDS), strict=False)))
def test_a_model_that_is_not_read_is_left_as_it_was(kind: str, error: Any) -> None:
    """A refusal in the middle and an interrupt: whatever had changed by then."""

    def ending(x: Any) -> Any:
        return x if isinstance(x, keras.KerasTensor) else ENDS[error](x)

    model = _model(CHANGES[kind], ending)
    with left_as_it_was(model), pytest.raises((error, ReadError)):
        read(model)


def _flipped(x: Any) -> Any:
    """Rows whose sum is below zero change their sign, which looks at values."""
    if isinstance(x, keras.KerasTensor):
        return x
    return ops.stack([row if float(ops.sum(row)) > 0 else -row for row in x])


@pytest.mark.filterwarnings("ignore")
def test_running_and_training_leave_a_model_as_it_was() -> None:
    """With a layer that is called as it is, by `fallback`, in every step; and its optimizer."""
    model = _model(_attributes, _flipped)
    plain = randomise(keras.Sequential([keras.Input((5,)), L.Dense(8, "relu"), L.Dense(2)]))
    plain.compile("adam", "mse")
    plain.fit(X, X[:, :2], verbose=0)
    labels = np.arange(len(X)) % 2
    with left_as_it_was(model):
        called = sw.convert(model, fallback="python")
    with left_as_it_was(model):
        called.verify(X)
        called.run(X, 3, progress=False)
    with left_as_it_was(plain):
        conversion = sw.convert(plain, spiking=True, scale_firing_rates=10)
        conversion.run(X, 4, progress=False)
    with left_as_it_was(plain):
        trained = conversion.train(X, labels, steps=4, epochs=1, progress=False)
    with left_as_it_was(plain):
        trained.source_state()


def test_reading_a_file_leaves_random_states_as_they_were(tmp_path: Any) -> None:
    """A model is built to read its file, which draws initial weights."""
    keras.Sequential([keras.Input((5,)), L.Dense(3), L.Dropout(0.5)]).save(tmp_path / "m.keras")
    for load in (read, live.live):
        with left_as_it_was(None):
            load(tmp_path / "m.keras")


def _proto(end: str, dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node(end, ["b"], ["y"], "end"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, ["n", 5])],
        [helper.make_tensor_value_info("y", dtype, ["n", 6])],
        [numpy_helper.from_array(rng.normal(size=(5, 6)).astype(kind), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_an_onnx_model_is_left_as_it_was() -> None:
    """Read, cut, called, verified, trained or refused: the user's object has the same bytes."""
    proto = _proto("Tanh")
    with left_as_it_was(proto):
        conversion = sw.convert(proto, spiking=True, scale_firing_rates=10)
        conversion.verify()
        read(proto, outputs=["first"])
    with left_as_it_was(proto):
        labels = np.arange(len(X)) % 6
        trained = conversion.train(X, labels, steps=4, epochs=1, progress=False)
        trained.source_state()
        trained.write_back(proto)
    refused = _proto("Det", TensorProto.FLOAT16)
    with left_as_it_was(refused), pytest.raises(ReadError):
        read(refused)
