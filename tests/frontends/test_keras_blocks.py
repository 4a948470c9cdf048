"""Blocks as people write them in Keras: positions, class tokens, encoders, decoders, backbones.

Written from their public descriptions, with the layers of Keras alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_helpers import assert_agrees, assert_close, functional, keras, layers, randomise

import spikewright as sw
from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.keras import read
from spikewright.graph import evaluate

L, ops = layers, keras.ops

STEPS, WIDTH, TOKENS = 6, 8, 11
IDS = np.array([[3, 1, 4, 1, 0, 0], [2, 7, 1, 8, 2, 8], [0, 0, 0, 0, 0, 0]], np.int32)


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


class SinePositionEncoding(L.Layer):
    """Sines and cosines of the position, of wavelengths up to a largest one."""

    def call(self, inputs: Any, start_index: int = 0) -> Any:
        """The encoding in the shape of the inputs."""
        steps, width = ops.shape(inputs)[-2:]
        positions = ops.cast(ops.arange(steps) + start_index, self.compute_dtype)
        lowest = ops.cast(1 / 10_000, self.compute_dtype)
        index = ops.cast(ops.arange(width), self.compute_dtype)
        rates = ops.power(lowest, 2 * ops.floor(index / 2) / width)
        angles = ops.expand_dims(positions, 1) * ops.expand_dims(rates, 0)
        odd = ops.cast(ops.cast(ops.arange(width), "int32") % 2, self.compute_dtype)
        encoding = ops.sin(angles) * (1 - odd) + ops.cos(angles) * odd
        return ops.broadcast_to(encoding, ops.shape(inputs))


class PositionEmbedding(L.Layer):
    """A learned row for each position."""

    def __init__(self, sequence_length: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.sequence_length = sequence_length

    def build(self, shape: Any) -> None:
        """Make the rows."""
        rows = (self.sequence_length, shape[-1])
        self.position_embeddings = self.add_weight(shape=rows, name="embeddings")

    def call(self, inputs: Any, start_index: int = 0) -> Any:
        """The rows of the inputs' positions, in their shape."""
        shape = ops.shape(inputs)
        rows = ops.convert_to_tensor(self.position_embeddings)
        rows = ops.slice(rows, (start_index, 0), (shape[-2], shape[-1]))
        return ops.broadcast_to(rows, shape)


class TokenAndPositionEmbedding(L.Layer):
    """Rows of tokens plus rows of positions; zeros are padding."""

    def __init__(self, mask_zero: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.token_embedding = L.Embedding(TOKENS, WIDTH, mask_zero=mask_zero)
        self.position_embedding = PositionEmbedding(STEPS)
        self.supports_masking = True

    def build(self, shape: Any) -> None:
        """Make both tables."""
        self.token_embedding.build(shape)
        self.position_embedding.build((*shape, WIDTH))

    def call(self, inputs: Any) -> Any:
        """The sum of both."""
        rows = self.token_embedding(inputs)
        return rows + self.position_embedding(rows)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """That of the tokens."""
        return self.token_embedding.compute_mask(inputs, mask=mask)


def merged(x: Any, padding_mask: Any, attention_mask: Any) -> Any:
    """A mask `(batch, 1 or rows, columns)` of those that are given."""
    mask = None
    if padding_mask is not None:
        mask = ops.expand_dims(ops.cast(padding_mask, "int32"), axis=1)
    if attention_mask is not None:
        own = ops.cast(attention_mask, "int32")
        mask = own if mask is None else ops.minimum(mask, own)
    return mask


class TransformerEncoder(L.Layer):
    """Attention and a feed-forward part, each added and normalised."""

    def __init__(self, inner: int, heads: int, norm_first: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.attention = L.MultiHeadAttention(heads, WIDTH // heads)
        self.norm, self.inner_norm = L.LayerNormalization(), L.LayerNormalization()
        self.inner, self.outer = L.Dense(inner, activation="relu"), L.Dense(WIDTH)
        self.dropout, self.norm_first = L.Dropout(0.1), norm_first
        self.supports_masking = True

    def call(
        self, inputs: Any, padding_mask: Any = None, attention_mask: Any = None,
        training: Any = None,
    ) -> Any:  # fmt: skip
        """The block's output."""
        x = residual = inputs
        mask = merged(inputs, padding_mask, attention_mask)
        x = self.norm(x) if self.norm_first else x
        x = self.attention(query=x, value=x, attention_mask=mask, training=training)
        x = self.dropout(x, training=training) + residual
        x = x if self.norm_first else self.norm(x)
        residual = x
        x = self.outer(self.inner(self.inner_norm(x) if self.norm_first else x))
        x = self.dropout(x, training=training) + residual
        return x if self.norm_first else self.inner_norm(x)


class TransformerDecoder(L.Layer):
    """Causal self-attention, attention to an encoder's sequence if there is one, and the rest."""

    def __init__(self, inner: int, heads: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.own = L.MultiHeadAttention(heads, WIDTH // heads)
        self.cross = L.MultiHeadAttention(heads, WIDTH // heads)
        self.norms = [L.LayerNormalization() for _ in range(3)]
        self.inner, self.outer = L.Dense(inner, activation="gelu"), L.Dense(WIDTH)

    def call(
        self, decoder: Any, encoder: Any = None, padding: Any = None, encoder_padding: Any = None
    ) -> Any:
        """The block's output."""
        steps = ops.shape(decoder)[1]
        causal = ops.arange(steps)[:, None] >= ops.arange(steps)
        mask = merged(decoder, padding, causal[None])
        x = self.norms[0](decoder + self.own(decoder, decoder, attention_mask=mask))
        if encoder is not None:
            mask = merged(encoder, encoder_padding, None)
            x = self.norms[1](x + self.cross(x, encoder, attention_mask=mask))
        return self.norms[2](x + self.outer(self.inner(x)))


def rows(behind: Callable[[Any], Any]) -> Any:
    """A model of a sequence of vectors."""
    return functional(behind, (STEPS, WIDTH))


CONSTANTS: dict[str, Callable[[Any], Any]] = {
    "a weight": lambda x: x + Weight((STEPS, WIDTH))(x),
    "a weight with a batch axis": lambda x: x + Weight((1, STEPS, WIDTH))(x),
    "a weight that a layer adds": lambda x: L.Add()([x, Weight((1, STEPS, WIDTH))(x)]),
    "a repeated weight": lambda x: x * Weight((STEPS, WIDTH), repeats=True)(x),
    "a weight behind a layer": lambda x: x + L.Dense(WIDTH)(Weight((STEPS, WIDTH), True)(x)),
    "a weight behind an operation": lambda x: x - ops.tanh(2 * Weight((STEPS, WIDTH))(x)),
    "a weight that is joined": lambda x: L.Concatenate(1)([Weight((2, WIDTH), True)(x), x]),
    "ones": lambda x: L.Concatenate()([x, ops.ones_like(x)]),
    "a class token": ClassToken(),
    "sines": lambda x: x + SinePositionEncoding()(x),
    "positions": lambda x: x + PositionEmbedding(STEPS + 2)(x),
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


@pytest.mark.parametrize("mask_zero", [False, True])
def test_tokens_and_positions(mask_zero: bool) -> None:
    """Rows of both are added; padding is skipped by the layers behind."""
    x = keras.Input((STEPS,), dtype="int32", name="x")
    y = TokenAndPositionEmbedding(mask_zero)(x)
    model = randomise(keras.Model(x, L.GRU(3)(y)))
    (found,) = evaluate(read(model).graph, {"x": IDS}).values()
    assert_close(found, ops.convert_to_numpy(model(IDS)))


@pytest.mark.parametrize("norm_first", [False, True])
def test_encoders(norm_first: bool) -> None:
    """With and without a padding mask, rows that are all padding included."""
    x, mask = keras.Input((STEPS, WIDTH), name="x"), keras.Input((STEPS,), dtype="bool", name="m")
    encoder = TransformerEncoder(5, 2, norm_first)
    assert_agrees(rows(encoder))
    model = randomise(keras.Model([x, mask], encoder(x, padding_mask=mask)))
    values = np.random.default_rng(0).normal(size=(*IDS.shape, WIDTH)).astype(np.float32)
    given = {"x": values, "m": IDS != 0}
    (found,) = evaluate(read(model).graph, given).values()
    assert_close(found, ops.convert_to_numpy(model([values, IDS != 0])))
    sw.convert(model).verify(given)


def test_decoders() -> None:
    """Alone, and with an encoder's sequence of another length."""
    assert_agrees(rows(TransformerDecoder(5, 2)))
    x, other = keras.Input((STEPS, WIDTH)), keras.Input((4, WIDTH))
    assert_agrees(randomise(keras.Model([x, other], TransformerDecoder(5, 2)(x, encoder=other))))


def backbone() -> Any:
    """A small encoder of text, as BERT's: tokens, segments and a padding mask."""
    tokens = keras.Input((STEPS,), dtype="int32", name="token_ids")
    segments = keras.Input((STEPS,), dtype="int32", name="segment_ids")
    padding = keras.Input((STEPS,), dtype="int32", name="padding_mask")
    table = L.ReversibleEmbedding(TOKENS, WIDTH, name="token_embedding")
    x = L.Add()([
        table(tokens), PositionEmbedding(STEPS)(table(tokens)),
        L.Embedding(2, WIDTH, name="segment_embedding")(segments),
    ])  # fmt: skip
    x = L.Dropout(0.1)(L.LayerNormalization(epsilon=1e-12)(x))
    for index in range(2):
        x = TransformerEncoder(12, 2, name=f"layer_{index}")(x, padding_mask=padding)
    pooled = L.Dense(WIDTH, activation="tanh", name="pooled_dense")(x[:, 0, :])
    inputs = {"token_ids": tokens, "segment_ids": segments, "padding_mask": padding}
    return randomise(keras.Model(inputs, {"sequence_output": x, "pooled_output": pooled}))


def test_a_backbone_for_text() -> None:
    """Dicts of ids and masks go in, a sequence and a vector come out, padded positions included."""
    model, source = (made := backbone()), read(made)
    given = {"token_ids": IDS, "segment_ids": (IDS > 3).astype("int32"), "padding_mask": IDS != 0}
    given["padding_mask"] = given["padding_mask"].astype("int32")
    wanted = model(given)
    for name, found in evaluate(source.graph, given).items():
        assert_close(found, ops.convert_to_numpy(wanted[name]), name)
    sw.convert(model).verify(given)
    assert any(name.startswith("layer_0/") for name in source.graph.shapes)
