"""Keras models for padded batches: masks come from `Embedding(mask_zero=True)` or `Masking`."""

from __future__ import annotations

from typing import Any

from spikewright.frontends.keras.loading import import_keras

keras = import_keras()
layers = keras.layers
LENGTH, WORDS, WIDTH = 8, 40, 16


def _embedded() -> tuple[Any, Any]:
    tokens = keras.Input((LENGTH,), name="tokens", dtype="int32")
    return tokens, layers.Embedding(WORDS, WIDTH, mask_zero=True)(tokens)


def sasrec() -> Any:
    """Causal attention over a history of items; logits of the next item at each position."""
    tokens, x = _embedded()
    places = layers.Embedding(LENGTH, WIDTH)(keras.ops.arange(LENGTH))
    x = x + places
    attended = layers.MultiHeadAttention(2, WIDTH // 2)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization()(x + attended)
    x = layers.LayerNormalization()(x + layers.Dense(WIDTH)(layers.Dense(24, "relu")(x)))
    return keras.Model({"tokens": tokens}, layers.Dense(WORDS)(x))


def embedding_lstm() -> Any:
    """Classes of texts."""
    tokens, x = _embedded()
    return keras.Model({"tokens": tokens}, layers.Dense(3)(layers.LSTM(12)(x)))


def embedding_gru() -> Any:
    """Classes of tokens, read in both directions."""
    tokens, x = _embedded()
    x = layers.Bidirectional(layers.GRU(8, return_sequences=True))(x)
    return keras.Model({"tokens": tokens}, layers.Dense(3)(x))


def embedding_pooling() -> Any:
    """The mean of the embedded tokens, then dense layers."""
    tokens, x = _embedded()
    x = layers.Dense(16, "relu")(layers.GlobalAveragePooling1D()(x))
    return keras.Model({"tokens": tokens}, layers.Dense(3)(x))


def embedding_attention() -> Any:
    """Attention that leaves padding out, and the mean of what it gives."""
    tokens, x = _embedded()
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8)(x, x))
    return keras.Model({"tokens": tokens}, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def masking_lstm() -> Any:
    """Classes of recordings, whose padding is frames of zeros."""
    frames = keras.Input((LENGTH, 12), name="frames")
    x = layers.LSTM(12, return_sequences=True)(layers.Masking(0.0)(frames))
    return keras.Model({"frames": frames}, layers.Dense(5)(layers.LSTM(8)(x)))
