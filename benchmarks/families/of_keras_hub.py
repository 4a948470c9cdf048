"""keras-hub: layers of text models, and backbones with their dicts of inputs.

It is installed without its dependencies, since those for preprocessing text bring TensorFlow:
`pip install --no-deps keras-hub kagglehub kagglesdk`.
"""

from __future__ import annotations

from typing import Any

from benchmarks.families.exporting import keras_file
from benchmarks.families.inputs import ids, mask, padded_ids
from benchmarks.families.member import Member, Origin
from benchmarks.families.warming import warm_keras

LENGTH, WORDS = 8, 40
TOKENS = padded_ids(LENGTH, WORDS, dtype="int32")
FREE = padded_ids(LENGTH, WORDS, free=True, dtype="int32")
MASK = mask(LENGTH, dtype="int32")
TEXT = {"token_ids": FREE, "padding_mask": MASK}
SEGMENTS = {"segment_ids": ids(LENGTH, below=2, dtype="int32")}
SMALL = {
    "vocabulary_size": WORDS, "num_layers": 2, "num_heads": 4, "hidden_dim": 32,
    "intermediate_dim": 48,
}  # fmt: skip
PLACES = {**SMALL, "max_sequence_length": 16}
GROUPED = {
    "vocabulary_size": WORDS, "num_layers": 2, "num_query_heads": 4, "num_key_value_heads": 2,
    "hidden_dim": 32, "intermediate_dim": 48,
}  # fmt: skip
BLOCK = {"tokens": FREE, "padding_mask": MASK}

BLOCKS = {
    "TokenAndPositionEmbedding": Member("mean of embedded tokens", {"tokens": TOKENS}),
    "SinePositionEncoding": Member("sine positions", {"tokens": TOKENS}),
    "TransformerEncoder": Member("transformer encoder", BLOCK),
    "TransformerDecoder": Member("transformer decoder", BLOCK),
}
"""Layers of keras-hub, in models of `keras_blocks.py`."""

BACKBONES = {
    "BertBackbone": Member("BERT", TEXT | SEGMENTS, PLACES),
    "RobertaTextClassifier": Member("RoBERTa", TEXT, PLACES),
    "DistilBertBackbone": Member("DistilBERT", TEXT, PLACES),
    "AlbertBackbone": Member("ALBERT", TEXT | SEGMENTS, {**PLACES, "embedding_dim": 16}),
    "GPT2Backbone": Member("GPT-2", TEXT, PLACES),
    "OPTBackbone": Member("OPT", TEXT, PLACES),
    "LlamaBackbone": Member("Llama", TEXT, GROUPED),
    "T5Backbone": Member(
        "T5",
        {"encoder_token_ids": FREE, "encoder_padding_mask": MASK,
         "decoder_token_ids": FREE, "decoder_padding_mask": MASK},
        SMALL,
    ),
}  # fmt: skip
"""Members by their classes in `keras_hub.models`."""


def network(name: str, member: Member) -> Any:
    """A model with initial weights."""
    from benchmarks.families import keras_blocks

    keras_blocks.keras.utils.set_random_seed(0)
    if name in BLOCKS:
        return getattr(keras_blocks, _function(name))()
    import keras_hub

    if name == "RobertaTextClassifier":
        backbone = keras_hub.models.RobertaBackbone(**member.options)
        return keras_hub.models.RobertaTextClassifier(backbone, 3)
    return getattr(keras_hub.models, name)(**member.options)


def _function(name: str) -> str:
    """The name of a block's function: that of its class in small letters."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).removeprefix("_")


ORIGIN = Origin("keras-hub", BLOCKS | BACKBONES, network, warm_keras, keras_file, keras=True)
