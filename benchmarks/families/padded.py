"""PyTorch modules for padded batches of sequences: histories of ids, speech, frames of a video."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

LENGTH, ITEMS, WIDTH = 8, 40, 16


class SASRec(nn.Module):
    """Causal attention over a history of items, 0 for padding (Kang and McAuley 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS, WIDTH, padding_idx=0)
        self.places = nn.Embedding(LENGTH, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.layers = nn.Sequential(nn.Linear(WIDTH, 24), nn.ReLU(), nn.Linear(24, WIDTH))
        self.last = nn.LayerNorm(WIDTH)

    def forward(self, history: Tensor, item: Tensor) -> Tensor:
        """The logit `(batch,)` that an item comes next; histories are padded on the left."""
        real = (history != 0).unsqueeze(-1)
        places = torch.arange(history.shape[1], device=history.device)
        x = (self.items(history) * WIDTH**0.5 + self.places(places)) * real
        later = torch.ones(LENGTH, LENGTH, dtype=torch.bool, device=x.device).triu(1)
        query = self.norms[0](x)
        x = query + self.attention(query, x, x, attn_mask=later, need_weights=False)[0]
        x = self.norms[1](x)
        x = (x + self.layers(x)) * real
        return (self.last(x)[:, -1] * self.items(item)).sum(-1)


class GRU4Rec(nn.Module):
    """A GRU over a history of items; its state behind the last one (Hidasi et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS, WIDTH, padding_idx=0)
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, ITEMS)

    def forward(self, history: Tensor, length: Tensor) -> Tensor:
        """Logits of the next item `(batch, items)`."""
        states = self.gru(self.items(history))[0]
        last = (length - 1).view(-1, 1, 1).expand(-1, 1, states.shape[-1])
        return self.head(states.gather(1, last).squeeze(1))


class DIN(nn.Module):
    """A history weighted by what it has to do with an item, a deep interest network (Zhou 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS, WIDTH)
        self.activation = nn.Sequential(nn.Linear(4 * WIDTH, 16), nn.Sigmoid(), nn.Linear(16, 1))
        self.layers = nn.Sequential(nn.Linear(2 * WIDTH, 24), nn.PReLU(), nn.Linear(24, 1))

    def forward(self, history: Tensor, mask: Tensor, item: Tensor) -> Tensor:
        """Logits `(batch,)`."""
        keys, query = self.items(history), self.items(item)
        queries = query.unsqueeze(1).expand_as(keys)
        pairs = torch.cat([queries, keys, queries - keys, queries * keys], -1)
        scores = self.activation(pairs).squeeze(-1) / WIDTH**0.5
        weights = scores.masked_fill(mask == 0, float("-inf")).softmax(-1)
        interest = (weights.unsqueeze(-1) * keys).sum(1)
        return self.layers(torch.cat([interest, query], -1)).squeeze(-1)


class PackedLSTM(nn.Module):
    """An LSTM over packed frames; the state behind the last frame of each."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(12, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, frames: Tensor, length: Tensor) -> Tensor:
        """Logits `(batch, 5)`."""
        packed = pack_padded_sequence(frames, length, batch_first=True, enforce_sorted=False)
        return self.head(self.lstm(packed)[1][0][-1])


class MaskedVideo(nn.Module):
    """Convolutions of each frame, and the mean of the frames that a mask leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, WIDTH, 3, 2, 1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, video: Tensor, mask: Tensor) -> Tensor:
        """Logits `(batch, 5)` of a video `(batch, frames, 3, height, width)`."""
        batch, frames = video.shape[:2]
        x = self.frames(video.flatten(0, 1)).reshape(batch, frames, -1)
        shares = mask.float().unsqueeze(-1)
        return self.head((x * shares).sum(1) / shares.sum(1).clamp(min=1))
