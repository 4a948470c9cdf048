"""The seed of each object of a model, by Nengo's rule, so that random draws are Nengo's.

Every network draws one seed for each of its objects from its own `RandomState`. Connections come
first, then ensembles, networks, nodes and probes, each in the order in which they were made. An
object's own seed takes the place of the drawn one and moves no other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

MOST = int(np.iinfo(np.int32).max)
_ORDER = ("connections", "ensembles", "networks", "nodes", "probes")

Seeds = dict[Any, int]


def fresh_seed() -> int:
    """A random seed."""
    return int(np.random.SeedSequence().generate_state(1)[0] % MOST)


def seeds_of(model: Any, seed: int) -> Seeds:
    """The seed of every object of `model`, which has `seed` itself."""
    found: Seeds = {model: seed}
    rng = np.random.RandomState(seed)
    for name in _ORDER:
        for item in getattr(model, name):
            drawn = int(rng.randint(MOST))
            own = getattr(item, "seed", None)
            found[item] = drawn if own is None else int(own)
    for inner in model.networks:
        found.update(seeds_of(inner, found[inner]))
    return found


def draw_seed(rng: np.random.RandomState) -> int:
    """The next seed of a simulator's processes."""
    return int(rng.randint(MOST))
