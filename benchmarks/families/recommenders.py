"""Recommenders and networks for tables as PyTorch modules, written from their papers.

Ids are one number a sample, as users, items and categories are, unless a paper has a matrix of
fields. Logits are `(batch,)`, as training with a binary cross-entropy wants them.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTH, USERS, ITEMS = 8, 30, 40


class Perceptron(nn.Sequential):
    """Dense layers with ReLU between them."""

    def __init__(self, *widths: int) -> None:
        layers: list[nn.Module] = []
        for one, other in pairwise(widths):
            layers += [nn.Linear(one, other), nn.ReLU()]
        super().__init__(*layers[:-1])


class MatrixFactorization(nn.Module):
    """Products of users' and items' factors, with biases (Koren, Bell and Volinsky 2009)."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(USERS, WIDTH), nn.Embedding(ITEMS, WIDTH)
        self.user_bias, self.item_bias = nn.Embedding(USERS, 1), nn.Embedding(ITEMS, 1)
        self.mean = nn.Parameter(torch.tensor(3.5))

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Ratings `(batch,)`."""
        product = (self.users(user) * self.items(item)).sum(-1)
        biases = self.user_bias(user).squeeze(-1) + self.item_bias(item).squeeze(-1)
        return product + biases + self.mean


class FactorizationMachine(nn.Module):
    """Products of all pairs of fields, by the square of their sum (Rendle 2010)."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"user": USERS, "item": ITEMS, "weekday": 7}
        self.factors = nn.ModuleDict({n: nn.Embedding(size, WIDTH) for n, size in sizes.items()})
        self.weights = nn.ModuleDict({n: nn.Embedding(size, 1) for n, size in sizes.items()})
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, user: Tensor, item: Tensor, weekday: Tensor) -> Tensor:
        """Logits `(batch, 1)`."""
        ids = {"user": user, "item": item, "weekday": weekday}
        factors = torch.stack([self.factors[name](x) for name, x in ids.items()], 1)
        linear = sum(self.weights[name](x) for name, x in ids.items())
        pairs = factors.sum(1).square() - factors.square().sum(1)
        return linear + 0.5 * pairs.sum(1, keepdim=True) + self.bias


class NeuMF(nn.Module):
    """Neural collaborative filtering: factors and a perceptron side by side (He et al. 2017)."""

    def __init__(self, users: int = USERS, items: int = ITEMS, width: int = WIDTH) -> None:
        super().__init__()
        self.user_factors, self.item_factors = (
            nn.Embedding(users, width),
            nn.Embedding(items, width),
        )
        self.user_values, self.item_values = nn.Embedding(users, width), nn.Embedding(items, width)
        self.layers = Perceptron(2 * width, 2 * width, width)
        self.head = nn.Linear(2 * width, 1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Logits `(batch,)`."""
        product = self.user_factors(user) * self.item_factors(item)
        values = self.layers(torch.cat([self.user_values(user), self.item_values(item)], -1))
        return self.head(torch.cat([product, torch.relu(values)], -1)).squeeze(-1)


class WideAndDeep(nn.Module):
    """A linear model with crossed fields, beside a perceptron (Cheng et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Embedding(USERS * 7, 1)
        self.users, self.weekdays = nn.Embedding(USERS, WIDTH), nn.Embedding(7, WIDTH)
        self.deep = Perceptron(2 * WIDTH + 4, 24, 12, 1)

    def forward(self, numbers: Tensor, user: Tensor, weekday: Tensor) -> Tensor:
        """Probabilities `(batch, 1)`."""
        crossed = self.wide(user * 7 + weekday)
        deep = self.deep(torch.cat([numbers, self.users(user), self.weekdays(weekday)], 1))
        return torch.sigmoid(crossed + deep)


class DeepFM(nn.Module):
    """A factorisation machine and a perceptron on the same embeddings (Guo et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = FactorizationMachine()
        self.deep = Perceptron(3 * WIDTH, 24, 1)

    def forward(self, user: Tensor, item: Tensor, weekday: Tensor) -> Tensor:
        """Probabilities `(batch,)`."""
        factors = self.machine.factors
        ids = {"user": user, "item": item, "weekday": weekday}
        flat = torch.cat([factors[name](x) for name, x in ids.items()], 1)
        return torch.sigmoid(self.machine(**ids) + self.deep(flat)).squeeze(1)


class DCN(nn.Module):
    """Deep and cross, version 2: layers of x0 * (W x + b) + x, and a perceptron (Wang 2021)."""

    def __init__(self) -> None:
        super().__init__()
        width = 2 * WIDTH + 4
        self.users, self.items = nn.Embedding(USERS, WIDTH), nn.Embedding(ITEMS, WIDTH)
        self.cross = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.deep = Perceptron(width, 24, 12)
        self.head = nn.Linear(width + 12, 1)

    def forward(self, numbers: Tensor, user: Tensor, item: Tensor) -> Tensor:
        """Logits `(batch,)`."""
        first = x = torch.cat([numbers, self.users(user), self.items(item)], dim=-1)
        for layer in self.cross:
            x = first * layer(x) + x
        return self.head(torch.cat([x, self.deep(first)], -1))[:, 0]


class Fields(nn.Module):
    """Embeddings of fields `(batch, fields)`, all in one table behind each other."""

    def __init__(self, sizes: tuple[int, ...] = (USERS, ITEMS, 7), width: int = WIDTH) -> None:
        super().__init__()
        self.table = nn.Embedding(sum(sizes), width)
        offsets = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.register_buffer("offsets", offsets)

    def forward(self, fields: Tensor) -> Tensor:
        """`(batch, fields, width)`."""
        return self.table(fields + self.offsets)


class XDeepFM(nn.Module):
    """Compressed interactions beside a perceptron (Lian et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.fields, self.weights = Fields(), Fields(width=1)
        self.compress = nn.ModuleList([nn.Conv1d(9, 6, 1), nn.Conv1d(18, 6, 1)])
        self.head, self.deep = nn.Linear(12, 1), Perceptron(3 * WIDTH, 24, 1)

    def forward(self, fields: Tensor) -> Tensor:
        """Probabilities `(batch,)`."""
        first = x = self.fields(fields)
        pooled = []
        for layer in self.compress:
            pairs = first.unsqueeze(2) * x.unsqueeze(1)
            x = torch.relu(layer(pairs.flatten(1, 2)))
            pooled.append(x.sum(-1))
        linear = self.weights(fields).sum(1)
        deep = self.deep(first.flatten(1))
        return torch.sigmoid(linear + self.head(torch.cat(pooled, 1)) + deep).squeeze(1)


class AutoInt(nn.Module):
    """Attention of fields to each other (Song et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.fields = Fields()
        self.layers = nn.ModuleList(
            nn.MultiheadAttention(WIDTH, 2, batch_first=True) for _ in range(2)
        )
        self.shortcuts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.head = nn.Linear(3 * WIDTH, 1)

    def forward(self, fields: Tensor) -> Tensor:
        """Logits `(batch, 1)`."""
        x = self.fields(fields)
        for layer, shortcut in zip(self.layers, self.shortcuts, strict=True):
            x = torch.relu(layer(x, x, x, need_weights=False)[0] + shortcut(x))
        return self.head(x.flatten(1))


class DLRM(nn.Module):
    """Products of all pairs of embeddings and of embedded numbers (Naumov et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(USERS, WIDTH), nn.Embedding(ITEMS, WIDTH)
        self.bottom, self.top = Perceptron(4, 16, WIDTH), Perceptron(WIDTH + 3, 16, 1)
        rows, columns = torch.tril_indices(3, 3, -1)
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)

    def forward(self, numbers: Tensor, user: Tensor, item: Tensor) -> Tensor:
        """Probabilities `(batch, 1)`."""
        x = torch.relu(self.bottom(numbers))
        parts = torch.stack([x, self.users(user), self.items(item)], 1)
        products = torch.bmm(parts, parts.transpose(1, 2))
        return torch.sigmoid(self.top(torch.cat([x, products[:, self.rows, self.columns]], 1)))


class TwoTowers(nn.Module):
    """The cosine of a user's and an item's vector, over a temperature (Yi et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.user_tower = nn.Sequential(nn.Embedding(USERS, WIDTH), Perceptron(WIDTH, 16, WIDTH))
        self.item_tower = nn.Sequential(nn.Embedding(ITEMS, WIDTH), Perceptron(WIDTH, 16, WIDTH))

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Logits `(batch,)`."""
        one = nn.functional.normalize(self.user_tower(user), dim=-1)
        other = nn.functional.normalize(self.item_tower(item), dim=-1)
        return (one * other).sum(-1) / 0.1


class EntityEmbeddings(nn.Module):
    """Embeddings of categories beside normalised numbers (Guo and Berkhahn 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.shop, self.weekday = nn.Embedding(20, 6), nn.Embedding(7, 3)
        self.norm = nn.BatchNorm1d(4)
        self.layers = nn.Sequential(
            nn.Linear(13, 24), nn.ReLU(), nn.BatchNorm1d(24), nn.Dropout(0.2), nn.Linear(24, 1)
        )

    def forward(self, numbers: Tensor, shop: Tensor, weekday: Tensor) -> Tensor:
        """Numbers `(batch,)`."""
        x = torch.cat([self.norm(numbers), self.shop(shop), self.weekday(weekday)], 1)
        return self.layers(x).flatten()


class FTTransformer(nn.Module):
    """A transformer of numbers and categories as tokens (Gorishniy et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.randn(4, 16))
        self.shifts = nn.Parameter(torch.randn(4, 16))
        self.label = nn.Parameter(torch.randn(1, 1, 16))
        self.categories = Fields((20, 7), 16)
        layer = nn.TransformerEncoderLayer(
            16, 4, 24, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """Logits `(batch, 2)`."""
        tokens = numbers.unsqueeze(-1) * self.scales + self.shifts
        label = self.label.expand(len(numbers), -1, -1)
        x = torch.cat([label, tokens, self.categories(categories)], 1)
        return self.head(self.encoder(x)[:, 0])
