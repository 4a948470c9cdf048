"""Constants in Keras code: weights, class tokens and positions, which depend on no input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from keras_helpers import assert_agrees, functional, keras, layers

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.keras import read

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
