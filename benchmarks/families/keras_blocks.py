"""Networks of keras-hub: its layers in small models, and small backbones."""

from __future__ import annotations

from typing import Any

from spikewright.frontends.keras.loading import import_keras

keras = import_keras()
layers = keras.layers
LENGTH, WORDS, WIDTH = 8, 40, 16


def _embedded() -> tuple[Any, Any]:
    from keras_hub.layers import TokenAndPositionEmbedding

    tokens = keras.Input((LENGTH,), name="tokens", dtype="int32")
    return tokens, TokenAndPositionEmbedding(WORDS, LENGTH, WIDTH)(tokens)


def _mask() -> Any:
    return keras.Input((LENGTH,), name="padding_mask", dtype="int32")


def token_and_position_embedding() -> Any:
    """The mean of embedded tokens, padding left out by the embedding's mask."""
    from keras_hub.layers import TokenAndPositionEmbedding

    tokens = keras.Input((LENGTH,), name="tokens", dtype="int32")
    x = TokenAndPositionEmbedding(WORDS, LENGTH, WIDTH, mask_zero=True)(tokens)
    x = layers.GlobalAveragePooling1D()(layers.Dense(16, "relu")(x))
    return keras.Model({"tokens": tokens}, layers.Dense(3)(x))


def sine_position_encoding() -> Any:
    """Embedded tokens and sines of their places, then dense layers."""
    from keras_hub.layers import SinePositionEncoding

    tokens = keras.Input((LENGTH,), name="tokens", dtype="int32")
    x = layers.Embedding(WORDS, WIDTH)(tokens)
    x = layers.Dense(16, "relu")(x + SinePositionEncoding()(x))
    return keras.Model({"tokens": tokens}, layers.Dense(3)(layers.GlobalMaxPooling1D()(x)))


def transformer_encoder() -> Any:
    """Two encoders with a padding mask."""
    from keras_hub.layers import TransformerEncoder

    tokens, x = _embedded()
    mask = _mask()
    for first in (False, True):
        x = TransformerEncoder(24, 2, normalize_first=first)(x, padding_mask=mask)
    return keras.Model({"tokens": tokens, "padding_mask": mask}, layers.Dense(3)(x))


def transformer_decoder() -> Any:
    """Two causal decoders with a padding mask."""
    from keras_hub.layers import TransformerDecoder

    tokens, x = _embedded()
    mask = _mask()
    for first in (False, True):
        x = TransformerDecoder(24, 2, normalize_first=first)(x, decoder_padding_mask=mask)
    return keras.Model({"tokens": tokens, "padding_mask": mask}, layers.Dense(WORDS)(x))
