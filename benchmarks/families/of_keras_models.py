"""Keras models as users write them: recommenders, tables, padded sequences."""

from __future__ import annotations

from typing import Any

from benchmarks.families.exporting import keras_file
from benchmarks.families.inputs import Input, ids, padded_ids, values
from benchmarks.families.member import Member, Origin
from benchmarks.families.warming import warm_keras

WEEKDAY = ids(below=7, dtype="int32")
PAIR = {"user": ids(below=30, dtype="int32"), "item": ids(below=40, dtype="int32")}
NUMBERS = {"numbers": values(4)}
TOKENS: dict[str, Input] = {"tokens": padded_ids(8, 40, dtype="int32")}

RECOMMENDERS = {
    "matrix_factorization": Member("matrix factorisation", PAIR),
    "neumf": Member("neural collaborative filtering", PAIR),
    "wide_and_deep": Member("wide and deep", {**NUMBERS, "user": PAIR["user"], "weekday": WEEKDAY}),
    "deepfm": Member("DeepFM", {**PAIR, "weekday": WEEKDAY}),
    "dcn": Member("deep and cross", NUMBERS | PAIR),
    "dlrm": Member("DLRM", NUMBERS | PAIR),
    "two_towers": Member("two towers", PAIR),
    "categories": Member("table with categories", {**NUMBERS, "weekday": WEEKDAY}),
}
"""Functions of `keras_recommenders.py`."""

PADDED = {
    "sasrec": Member("SASRec", TOKENS),
    "embedding_lstm": Member("LSTM of tokens", TOKENS),
    "embedding_gru": Member("bidirectional GRU of tokens", TOKENS),
    "embedding_pooling": Member("mean of tokens", TOKENS),
    "embedding_attention": Member("attention of tokens", TOKENS),
    "masking_lstm": Member("LSTM of frames", {"frames": values(8, 12, padded=True)}),
}
"""Functions of `keras_padded.py`."""


def network(name: str, member: Member) -> Any:
    """A model with initial weights."""
    from benchmarks.families import keras_padded, keras_recommenders

    keras_padded.keras.utils.set_random_seed(0)
    return getattr(keras_padded if name in PADDED else keras_recommenders, name)()


ORIGIN = Origin(
    "Keras models of users",
    RECOMMENDERS | PADDED,
    network,
    warm_keras,
    keras_file,
    keras=True,
    example=False,
)
