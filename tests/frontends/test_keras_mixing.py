"""Keras code that mixes the samples of a batch is refused; what only looks like it is read.

Each is a function of `(batch, 4, 6)`, in a Lambda behind a layer and as a whole model in code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_helpers import assert_close, keras, layers, randomise

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.keras import read
from spikewright.graph import evaluate

L, ops = layers, keras.ops
ROWS, WIDTH = 4, 6
Function = Callable[[Any], Any]


class Whole(keras.Model):
    """A whole model that is code."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function, self.dense = function, L.Dense(WIDTH, activation="relu")

    def call(self, x: Any) -> Any:
        """The function behind a layer."""
        return self.function(self.dense(x))


def in_layer(function: Function) -> Any:
    """A functional model with the function in a layer of its own."""
    x = keras.Input((ROWS, WIDTH), name="x")
    y = L.Dense(WIDTH, activation="relu")(x)
    made = function(ops.ones((2, ROWS, WIDTH)))
    return randomise(keras.Model(x, L.Lambda(function, output_shape=made.shape[1:], name="odd")(y)))


def whole(function: Function) -> Any:
    """A model that is code, called once."""
    model = Whole(function)
    model(ops.ones((2, ROWS, WIDTH)))
    return randomise(model)


def _torch(name: str, *args: Any) -> Function:
    """A method of PyTorch's tensors, which Keras does not record."""
    return lambda x: getattr(ops.convert_to_tensor(x), name)(*args)


def _windows(x: Any) -> Any:
    """Windows of two rows that become samples and come back."""
    parts = ops.reshape(x, (-1, 2, WIDTH))
    mixed = parts - ops.mean(parts, axis=1, keepdims=True)
    return ops.reshape(mixed, (-1, ROWS, WIDTH))


MIXING: dict[str, Function] = {
    "less the mean of the batch": lambda x: x - ops.mean(x, axis=0),
    "less the mean of all": lambda x: x - ops.mean(x),
    "over the largest of all": lambda x: x / (1.0 + ops.max(x)),
    "rows of all samples": lambda x: x + ops.mean(ops.reshape(x, (1, -1, WIDTH)), axis=1),
    "softmax over the batch": lambda x: ops.softmax(x, axis=0),
    "the batch turned round": lambda x: ops.flip(x, axis=0),
    "the batch moved": lambda x: ops.roll(x, 1, axis=0),
    "running sums": lambda x: ops.cumsum(x, axis=0),
    "running sums of all": lambda x: ops.reshape(
        ops.cumsum(ops.reshape(x, (-1,)), axis=0), (-1, ROWS, WIDTH)
    ),
    "the first sample's rows": lambda x: x + x[:1],
    "the last sample": lambda x: x * x[-1:],
    "products of samples": lambda x: ops.einsum("bij,cij->bij", x, x),
    "norm of all": lambda x: x / (1.0 + ops.norm(x)),
    "windows over samples": lambda x: ops.reshape(
        ops.softmax(ops.reshape(x, (1, -1, WIDTH)), axis=1), (-1, ROWS, WIDTH)
    ),
    "a code of torch": lambda x: x - _torch("mean", 0)(x),
    "a sum of torch": lambda x: x + _torch("sum")(x),
    "rows of torch": lambda x: x + _torch("reshape", 1, -1, WIDTH)(x).mean(1),
    "the variance of the batch": lambda x: x * ops.var(x, axis=(0, 1)),
    "the number of samples": lambda x: x * ops.cast(ops.shape(x)[0] or 0, "float32"),
    "the mean by the number": lambda x: x / (ops.shape(x)[0] or 1),
}

LOOKALIKES: dict[str, Function] = {
    "windows": _windows,
    "the size of the batch kept": lambda x: ops.reshape(x, (ops.shape(x)[0], -1)),
    "samples by number": lambda x: ops.reshape(x, (ops.shape(x)[0], WIDTH, ROWS)),
    "rows as samples": lambda x: ops.reshape(
        ops.tanh(ops.reshape(x, (-1, WIDTH))), (-1, ROWS, WIDTH)
    ),
    "heads": lambda x: ops.reshape(
        ops.softmax(ops.reshape(x, (-1, ROWS, 2, 3)), axis=-1), (ops.shape(x)[0], ROWS, WIDTH)
    ),
    "squeezed": lambda x: ops.squeeze(ops.expand_dims(x, axis=1)),
    "the batch to the end and back": lambda x: ops.transpose(
        ops.relu(ops.transpose(x, (1, 2, 0)) - 0.3), (2, 0, 1)
    ),
    "a token for each": lambda x: ops.concatenate(
        [ops.zeros((ops.shape(x)[0], 1, WIDTH)), x], axis=1
    ),
    "a repeated constant": lambda x: x + ops.broadcast_to(np.float32(0.5), ops.shape(x)),
    "ones for each": lambda x: x * ops.ones_like(x),
    "rows of torch": lambda x: _torch("flatten", 1)(x),
    "rows as samples of torch": lambda x: _torch("view", -1, WIDTH)(x).tanh().view(-1, ROWS, WIDTH),
    "split by axis": lambda x: ops.concatenate(ops.split(x, 2, axis=1)[::-1], axis=1),
    "the mean of each": lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True),
    "a matrix of each": lambda x: ops.matmul(x, ops.swapaxes(x, 1, 2)),
    "the first row": lambda x: x[:, 0],
    "rolled rows": lambda x: ops.roll(x, 1, axis=1),
    "a product by sample": lambda x: ops.einsum("bij,bkj->bik", x, x),
    "flat and back": lambda x: ops.reshape(ops.reshape(x, (-1,)) * 2.0, ops.shape(x)),
    "sums of rows": lambda x: ops.sum(x, axis=-1),
}

FORMS: dict[str, Callable[[Function], Any]] = {"layer": in_layer, "whole": whole}


@pytest.mark.slow
@pytest.mark.parametrize("name", MIXING)
@pytest.mark.parametrize("form", FORMS)
def test_code_that_mixes_samples_is_refused(form: str, name: str) -> None:
    """By the readers, or because two samples together give something else than each alone."""
    model = FORMS[form](MIXING[name])
    with pytest.raises(UnsupportedLayerError) as caught:
        read(model)
    assert form == "whole" or any(why.layer.startswith("odd") for why in caught.value.refusals)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOKALIKES)
@pytest.mark.parametrize("form", FORMS)
def test_code_that_keeps_samples_apart_is_read(form: str, name: str) -> None:
    """And computes what Keras does, of several samples."""
    model = FORMS[form](LOOKALIKES[name])
    x = np.random.default_rng(3).normal(size=(3, ROWS, WIDTH)).astype(np.float32)
    graph = read(model).graph
    (found,) = evaluate(graph, {graph.inputs[0]: x}).values()
    assert_close(found, ops.convert_to_numpy(model(x)))
