"""Recurrent layers and attention that Keras, PyTorch and ONNX have alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from same_models import SERIES, K, L, Same, alone, of
from torch import nn


def _recurrent(keras: Any, kind: type[nn.Module], last: bool = False, **options: Any) -> Same:
    """A recurrent layer over a sequence; `last` for its state at the end."""

    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        values = self.rnn(x)[0]
        return values[:, -1] if last else values

    make = partial(kind, SERIES[-1], 3, batch_first=True, **options)
    return Same(keras, of(run, rnn=make), (SERIES,))


SEQUENCE = {"return_sequences": True}
RECURRENT: Mapping[str, Same] = {
    "simple rnn": _recurrent(L.SimpleRNN(3, **SEQUENCE), nn.RNN),
    "simple rnn, relu": _recurrent(
        L.SimpleRNN(3, activation="relu"), nn.RNN, True, nonlinearity="relu"
    ),
    "lstm": _recurrent(L.LSTM(3, **SEQUENCE), nn.LSTM),
    "lstm, last": _recurrent(L.LSTM(3), nn.LSTM, True),
    "gru": _recurrent(L.GRU(3, **SEQUENCE), nn.GRU),
    "gru, last": _recurrent(L.GRU(3), nn.GRU, True),
    "lstm both ways": _recurrent(
        L.Bidirectional(L.LSTM(3, **SEQUENCE)), nn.LSTM, bidirectional=True
    ),
    "gru both ways": _recurrent(L.Bidirectional(L.GRU(3, **SEQUENCE)), nn.GRU, bidirectional=True),
    "two lstms": Same(
        lambda x: L.LSTM(2)(L.LSTM(3, **SEQUENCE)(x)),
        of(
            lambda m, x: m.second(m.first(x)[0])[0][:, -1],
            first=partial(nn.LSTM, 4, 3, batch_first=True),
            second=partial(nn.LSTM, 3, 2, batch_first=True),
        ),
        (SERIES,),
    ),
}


def _heads(causal: bool = False) -> Callable[..., torch.Tensor]:
    def attend(m: Any, q: torch.Tensor, k: torch.Tensor | None = None) -> torch.Tensor:
        k = q if k is None else k
        mask = torch.ones(q.shape[1], k.shape[1]).tril() == 0 if causal else None
        made: torch.Tensor = m.attention(q, k, k, attn_mask=mask, need_weights=False)[0]
        return made

    return attend


attention = partial(nn.MultiheadAttention, 4, 2, batch_first=True)


def _scaled(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1) @ v


def _heads_first(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Attention over `(batch, steps, heads, features)`."""
    return lambda *parts: function(*(part.transpose(1, 2) for part in parts)).transpose(1, 2)


HEADS = ((6, 2, 4),) * 3
ATTENTION: Mapping[str, Same] = {
    "attention of heads": Same(
        lambda x: L.MultiHeadAttention(2, 2)(x, x), of(_heads(), attention=attention), (SERIES,)
    ),
    "attention of heads, crossed": Same(
        lambda x, y: L.MultiHeadAttention(2, 2)(x, y),
        of(_heads(), attention=attention),
        (SERIES, (3, 4)),
    ),
    "attention of heads, causal": Same(
        lambda x: L.MultiHeadAttention(2, 2)(x, x, use_causal_mask=True),
        of(_heads(True), attention=attention),
        (SERIES,),
    ),
    "attention": Same(
        lambda q, v: L.Attention()([q, v]),
        alone(lambda q, v: torch.softmax(q @ v.transpose(1, 2), -1) @ v),
        (SERIES, (3, 4)),
    ),
    "scaled attention": Same(
        K.dot_product_attention, alone(_heads_first(F.scaled_dot_product_attention)), HEADS
    ),
    "scaled attention, by hand": Same(K.dot_product_attention, alone(_heads_first(_scaled)), HEADS),
    "scaled attention, causal": Same(
        lambda *parts: K.dot_product_attention(*parts, is_causal=True),
        alone(_heads_first(partial(F.scaled_dot_product_attention, is_causal=True))),
        HEADS,
    ),
}
