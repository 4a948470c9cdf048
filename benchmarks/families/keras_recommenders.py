"""Recommenders and tables as functional Keras models, with ids of one number a sample.

Inputs are named, and given as a dict. Papers stand beside the same networks in `recommenders.py`.
"""

from __future__ import annotations

from typing import Any

from spikewright.frontends.keras.loading import import_keras

keras = import_keras()
layers, ops = keras.layers, keras.ops
USERS, ITEMS, WIDTH = 30, 40, 8


def _id(name: str) -> Any:
    return keras.Input((), name=name, dtype="int32")


def _model(inputs: list[Any], outputs: Any) -> Any:
    return keras.Model({one.name: one for one in inputs}, outputs)


def _perceptron(x: Any, *widths: int) -> Any:
    for width in widths:
        x = layers.Dense(width, activation="relu")(x)
    return x


def matrix_factorization() -> Any:
    """Ratings `(batch, 1)`: products of factors, with biases."""
    user, item = _id("user"), _id("item")
    product = layers.Dot(axes=1)(
        [layers.Embedding(USERS, WIDTH)(user), layers.Embedding(ITEMS, WIDTH)(item)]
    )
    biases = [layers.Embedding(USERS, 1)(user), layers.Embedding(ITEMS, 1)(item)]
    return _model([user, item], layers.Add()([product, *biases]))


def neumf() -> Any:
    """Factors and a perceptron side by side."""
    user, item = _id("user"), _id("item")
    factors = layers.Multiply()(
        [layers.Embedding(USERS, WIDTH)(user), layers.Embedding(ITEMS, WIDTH)(item)]
    )
    values = [layers.Embedding(USERS, WIDTH)(user), layers.Embedding(ITEMS, WIDTH)(item)]
    deep = _perceptron(layers.Concatenate()(values), 16, 8)
    x = layers.Concatenate()([factors, deep])
    return _model([user, item], layers.Dense(1, activation="sigmoid")(x))


def wide_and_deep() -> Any:
    """A linear model of one-hot ids and numbers, beside a perceptron of embeddings."""
    numbers, user, weekday = keras.Input((4,), name="numbers"), _id("user"), _id("weekday")
    wide = layers.Concatenate()([numbers, layers.CategoryEncoding(7, "one_hot")(weekday)])
    values = [numbers, layers.Embedding(USERS, WIDTH)(user), layers.Embedding(7, WIDTH)(weekday)]
    deep = _perceptron(layers.Concatenate()(values), 24, 12)
    logits = layers.Add()([layers.Dense(1)(wide), layers.Dense(1)(deep)])
    return _model([numbers, user, weekday], layers.Activation("sigmoid")(logits))


def deepfm() -> Any:
    """A factorisation machine and a perceptron on the same embeddings."""
    sizes = {"user": USERS, "item": ITEMS, "weekday": 7}
    given = {name: _id(name) for name in sizes}
    factors = [layers.Embedding(size, WIDTH)(given[name]) for name, size in sizes.items()]
    linear = layers.Add()([layers.Embedding(size, 1)(given[name]) for name, size in sizes.items()])
    stacked = ops.stack(factors, axis=1)
    pairs = ops.square(ops.sum(stacked, axis=1)) - ops.sum(ops.square(stacked), axis=1)
    deep = layers.Dense(1)(_perceptron(layers.Concatenate()(factors), 24))
    logits = linear + 0.5 * ops.sum(pairs, axis=1, keepdims=True) + deep
    return _model(list(given.values()), ops.sigmoid(logits))


def dcn() -> Any:
    """Layers of x0 * (W x + b) + x, and a perceptron behind them."""
    numbers, user, item = keras.Input((4,), name="numbers"), _id("user"), _id("item")
    values = [numbers, layers.Embedding(USERS, WIDTH)(user), layers.Embedding(ITEMS, WIDTH)(item)]
    first = x = layers.Concatenate()(values)
    for _ in range(2):
        x = layers.Add()([layers.Multiply()([first, layers.Dense(2 * WIDTH + 4)(x)]), x])
    return _model([numbers, user, item], layers.Dense(1)(_perceptron(x, 16)))


def dlrm() -> Any:
    """Products of all pairs of embeddings and of embedded numbers."""
    numbers, user, item = keras.Input((4,), name="numbers"), _id("user"), _id("item")
    bottom = _perceptron(numbers, 16, WIDTH)
    parts = [bottom, layers.Embedding(USERS, WIDTH)(user), layers.Embedding(ITEMS, WIDTH)(item)]
    pairs = [layers.Dot(axes=1)([parts[k], parts[j]]) for k in range(3) for j in range(k)]
    x = _perceptron(layers.Concatenate()([bottom, *pairs]), 16)
    return _model([numbers, user, item], layers.Dense(1, activation="sigmoid")(x))


def two_towers() -> Any:
    """Cosines `(batch,)` of a user's and an item's vector."""
    user, item = _id("user"), _id("item")
    towers = [
        layers.UnitNormalization()(layers.Dense(WIDTH)(_perceptron(layers.Embedding(n, 8)(x), 16)))
        for n, x in ((USERS, user), (ITEMS, item))
    ]
    return _model([user, item], ops.sum(towers[0] * towers[1], axis=-1))


def categories() -> Any:
    """A table: normalised numbers, and a category as one-hot numbers."""
    numbers, weekday = keras.Input((4,), name="numbers"), _id("weekday")
    coded = layers.CategoryEncoding(7, "one_hot")(weekday)
    normalised = layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[4.0, 1.0, 2.0, 9.0])
    x = _perceptron(layers.Concatenate()([normalised(numbers), coded]), 16, 16)
    return _model([numbers, weekday], layers.Dense(3, activation="softmax")(x))
