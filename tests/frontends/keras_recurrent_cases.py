"""Recurrent layers with each of their options, for `test_keras_layers.py`."""

from __future__ import annotations

from typing import Any

from keras_cases import CASES
from keras_helpers import layers

L = layers
SEQUENCE = (4, 3)


def with_states(layer: Any) -> Any:
    """The layer called with a sequence and its initial states."""
    return lambda inputs: layer(inputs[0], initial_state=inputs[1:])


def of_kind(kind: Any, states: int, **more: Any) -> list[Any]:
    """What all three kinds have in common."""
    given = [SEQUENCE, *[(5,)] * states]
    return [
        (kind(5), [SEQUENCE]),
        (kind(5), [(1, 3)]),
        (kind(5, use_bias=False, activation="relu"), [SEQUENCE]),
        (kind(5, return_sequences=True, activation="softsign"), [SEQUENCE]),
        (kind(5, return_sequences=True, go_backwards=True), [SEQUENCE]),
        (kind(5, go_backwards=True, return_state=True, dropout=0.3), [SEQUENCE]),
        (with_states(kind(5, return_sequences=True, return_state=True)), given),
        *((kind(5, **options), [SEQUENCE]) for options in more.get("options", ())),
    ]


def cells() -> list[Any]:
    """Cells of one kind each, and a stack of all of them."""
    return [L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(5)]


CASES["SimpleRNN"] = of_kind(L.SimpleRNN, 1, options=[{"activation": "softmax"}])
CASES["LSTM"] = of_kind(
    L.LSTM, 2, options=[{"recurrent_activation": "hard_sigmoid"}, {"unroll": True}]
)
CASES["GRU"] = of_kind(
    L.GRU, 1, options=[{"reset_after": False}, {"reset_after": False, "use_bias": False}]
)
CASES["RNN"] = [
    *((L.RNN(cell, return_sequences=True), [SEQUENCE]) for cell in cells()),
    (L.RNN(cells(), return_sequences=True), [SEQUENCE]),
    (L.RNN(cells(), go_backwards=True), [SEQUENCE]),
    (L.RNN(L.GRUCell(3, reset_after=False)), [SEQUENCE]),
]
CASES["Bidirectional"] = [
    *(
        (L.Bidirectional(L.LSTM(3, return_sequences=sequences), merge_mode=mode), [SEQUENCE])
        for mode in ("concat", "sum", "mul", "ave", None)
        for sequences in (True, False)
    ),
    (L.Bidirectional(L.GRU(3, return_state=True, return_sequences=True)), [SEQUENCE]),
    (
        L.Bidirectional(
            L.SimpleRNN(3), backward_layer=L.GRU(3, go_backwards=True), merge_mode="concat"
        ),
        [SEQUENCE],
    ),
    (with_states(L.Bidirectional(L.LSTM(3))), [SEQUENCE, (3,), (3,), (3,), (3,)]),
]
CASES["TimeDistributed"] = [
    *CASES.get("TimeDistributed", []),
    (L.TimeDistributed(L.LSTM(3)), [(2, *SEQUENCE)]),
    (L.TimeDistributed(L.Bidirectional(L.GRU(3, return_sequences=True))), [(2, *SEQUENCE)]),
]
