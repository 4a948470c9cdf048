"""Ratings made by a rule with noise: who likes which item, from tastes that nobody is told.

A user has a taste, an item properties and a popularity. The rule likes the items whose properties
suit the taste; a tenth of what users say is noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

USERS, ITEMS, TASTES = 400, 300, 4
RATINGS, TESTED = 60_000, 5  # of so many ratings one is a test
NOISE = 0.1


@dataclass(frozen=True)
class Ratings:
    """Ids of users and of items, one number a sample, and whether they were liked."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    liked: NDArray[np.int64]

    def at(self, some: NDArray) -> Ratings:
        """Some of them."""
        return Ratings(self.users[some], self.items[some], self.liked[some])

    @property
    def given(self) -> dict[str, NDArray]:
        """The arguments of the network, by name."""
        return {"user": self.users, "item": self.items}


def ratings() -> tuple[Ratings, Ratings]:
    """Ratings to train on and ratings to test with: pairs of a user and an item, none twice."""
    rng = np.random.default_rng(0)
    tastes = rng.standard_normal((USERS, TASTES))
    properties = rng.standard_normal((ITEMS, TASTES))
    popularity = rng.standard_normal(ITEMS)
    suits = tastes @ properties.T + popularity + np.maximum(tastes[:, :1], 0)
    liked = (suits > 0) ^ (rng.random((USERS, ITEMS)) < NOISE)
    pairs = rng.permutation(USERS * ITEMS)[:RATINGS]
    users, items = np.divmod(pairs, ITEMS)
    found = Ratings(users, items, liked[users, items].astype(np.int64))
    order = np.arange(RATINGS)
    return found.at(order[RATINGS // TESTED :]), found.at(order[: RATINGS // TESTED])
