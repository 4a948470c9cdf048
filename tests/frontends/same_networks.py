"""Blocks and small networks that Keras, PyTorch and ONNX have alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from same_models import IMAGE, SERIES, WORDS, K, L, Same, alone, chain, of
from same_sequences import SEQUENCE, attention
from torch import nn

conv = partial(partial, nn.Conv2d)
linear = partial(partial, nn.Linear)


def _norm() -> Any:
    return L.BatchNormalization()


norm = partial(partial, nn.BatchNorm2d, eps=1e-3)


def _residual(x: Any) -> Any:
    y = L.ReLU()(_norm()(L.Conv2D(3, 3, padding="same", use_bias=False)(x)))
    y = _norm()(L.Conv2D(3, 3, padding="same", use_bias=False)(y))
    return L.ReLU()(L.Add()([x, y]))


def _inception(x: Any) -> Any:
    first = L.Conv2D(2, 1, activation="relu")(x)
    second = L.Conv2D(3, 3, padding="same", activation="relu")(x)
    third = L.MaxPooling2D(3, 1, padding="same")(x)
    return L.Concatenate()([first, second, third])


def _squeeze(x: Any) -> Any:
    """Channels weighted by what is in all of them (Hu et al. 2018)."""
    gate = L.GlobalAveragePooling2D(keepdims=True)(x)
    gate = L.Conv2D(3, 1, activation="sigmoid")(L.Conv2D(2, 1, activation="relu")(gate))
    return L.Multiply()([x, gate])


def _transformer(x: Any) -> Any:
    """An encoder block that normalises first."""
    y = L.LayerNormalization(epsilon=1e-5)(x)
    x = L.Add()([x, L.MultiHeadAttention(2, 2)(y, y)])
    y = L.LayerNormalization(epsilon=1e-5)(x)
    return L.Add()([x, L.Dense(4)(L.Dense(8, activation="gelu")(y))])


def _encoder(m: Any, x: torch.Tensor) -> torch.Tensor:
    y = m.norm1(x)
    x = x + m.attention(y, y, y, need_weights=False)[0]
    made: torch.Tensor = x + m.second(F.gelu(m.first(m.norm2(x))))
    return made


def _gated(x: Any) -> Any:
    """Half of the features gate the others (Dauphin et al. 2017)."""
    kept, gate = K.split(L.Dense(6)(x), 2, axis=-1)
    return L.Multiply()([kept, K.sigmoid(gate)])


def _parts(m: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.cat([F.relu(m.first(x)), F.relu(m.second(x)), F.max_pool2d(x, 3, 1, 1)], 1)


def _gate(m: Any, x: torch.Tensor) -> torch.Tensor:
    gate = F.relu(m.first(x.mean((2, 3), keepdim=True)))
    made: torch.Tensor = x * torch.sigmoid(m.second(gate))
    return made


same3 = partial(conv, kernel_size=3, padding=1)
BLOCKS: Mapping[str, Same] = {
    "residual block": Same(
        _residual,
        of(
            lambda m, x: F.relu(x + m.norm2(m.second(F.relu(m.norm1(m.first(x)))))),
            first=same3(3, 3, bias=False),
            norm1=norm(3),
            second=same3(3, 3, bias=False),
            norm2=norm(3),
        ),
        (IMAGE,),
        first=True,
    ),
    "inception": Same(
        _inception, of(_parts, first=conv(3, 2, 1), second=same3(3, 3)), (IMAGE,), first=True
    ),
    "squeeze and excitation": Same(
        _squeeze, of(_gate, first=conv(3, 2, 1), second=conv(2, 3, 1)), (IMAGE,), first=True
    ),
    "transformer block": Same(
        _transformer,
        of(
            _encoder,
            norm1=partial(nn.LayerNorm, 4),
            attention=attention,
            norm2=partial(nn.LayerNorm, 4),
            first=linear(4, 8),
            second=linear(8, 4),
        ),
        (SERIES,),
    ),
    "gated linear unit": Same(_gated, chain(linear(5, 6), nn.GLU)),
}

SMALL, LETTERS = (12, 12, 1), (10,)


def _stack(*layers: Any) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return run


def _last(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1).flatten(1)


def _skipping(x: Any) -> Any:
    """Down, up, and beside it what was there before (Ronneberger et al. 2015)."""
    kept = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    low = L.Conv2D(6, 3, padding="same", activation="relu")(L.MaxPooling2D(2)(kept))
    high = L.Conv2DTranspose(4, 2, 2)(low)
    return L.Conv2D(1, 1, activation="sigmoid")(L.Concatenate()([kept, high]))


def _u_net(m: Any, x: torch.Tensor) -> torch.Tensor:
    kept = F.relu(m.first(x))
    high = m.up(F.relu(m.second(F.max_pool2d(kept, 2))))
    return torch.sigmoid(m.end(torch.cat([kept, high], 1)))


def _patches(x: Any) -> Any:
    """A vision transformer: patches as words, one block, their mean."""
    words = L.Reshape((4, 4))(L.Conv2D(4, 4, 4)(x))
    return L.Dense(3)(L.GlobalAveragePooling1D()(_transformer(words)))


def _seen(m: Any, x: torch.Tensor) -> torch.Tensor:
    words = m.patches(x).flatten(2).transpose(1, 2)
    made: torch.Tensor = m.end(_encoder(m, words).mean(1))
    return made


NETWORKS: Mapping[str, Same] = {
    "perceptron": Same(
        _stack(
            L.Dense(8, activation="relu"),
            L.Dropout(0.5),
            L.Dense(6, activation="tanh"),
            L.Dense(3, activation="softmax"),
        ),
        chain(
            linear(5, 8),
            nn.ReLU,
            nn.Dropout,
            linear(8, 6),
            nn.Tanh,
            linear(6, 3),
            partial(nn.Softmax, -1),
        ),
    ),
    "lenet": Same(
        _stack(
            L.Conv2D(3, 3, activation="tanh"),
            L.AveragePooling2D(2),
            L.Conv2D(4, 2, activation="tanh"),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dense(8, activation="tanh"),
            L.Dense(4),
        ),
        chain(
            conv(1, 3, 3),
            nn.Tanh,
            partial(nn.AvgPool2d, 2),
            conv(3, 4, 2),
            nn.Tanh,
            partial(nn.MaxPool2d, 2),
            alone(_last),
            linear(16, 8),
            nn.Tanh,
            linear(8, 4),
        ),
        (SMALL,),
        first=True,
    ),
    "u-net": Same(
        _skipping,
        of(
            _u_net,
            first=same3(1, 4),
            second=same3(4, 6),
            up=partial(nn.ConvTranspose2d, 6, 4, 2, 2),
            end=conv(8, 1, 1),
        ),
        (SMALL,),
        first=True,
    ),
    "text cnn": Same(
        _stack(
            L.Embedding(9, 4), L.Conv1D(5, 3, activation="relu"), L.GlobalMaxPooling1D(), L.Dense(3)
        ),
        chain(
            partial(nn.Embedding, 9, 4),
            alone(lambda x: x.transpose(1, 2)),
            partial(nn.Conv1d, 4, 5, 3),
            nn.ReLU,
            alone(lambda x: x.amax(2)),
            linear(5, 3),
        ),
        (LETTERS,),
        tokens=9,
    ),
    "gru classifier": Same(
        _stack(L.Embedding(9, 4), L.GRU(5), L.Dense(3, activation="softmax")),
        of(
            lambda m, x: torch.softmax(m.end(m.gru(m.words(x))[0][:, -1]), -1),
            words=partial(nn.Embedding, 9, 4),
            gru=partial(nn.GRU, 4, 5, batch_first=True),
            end=linear(5, 3),
        ),
        (WORDS,),
        tokens=9,
    ),
    "lstm tagger": Same(
        _stack(L.Bidirectional(L.LSTM(3, **SEQUENCE)), L.TimeDistributed(L.Dense(2))),
        of(
            lambda m, x: m.end(m.lstm(x)[0]),
            lstm=partial(nn.LSTM, 4, 3, batch_first=True, bidirectional=True),
            end=linear(6, 2),
        ),
        (SERIES,),
    ),
    "vision transformer": Same(
        _patches,
        of(
            _seen,
            patches=conv(1, 4, 4, 4),
            norm1=partial(nn.LayerNorm, 4),
            attention=attention,
            norm2=partial(nn.LayerNorm, 4),
            first=linear(4, 8),
            second=linear(8, 4),
            end=linear(4, 3),
        ),
        ((8, 8, 1),),
        first=True,
    ),
}
