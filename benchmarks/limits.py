"""This machine's limits: weights read a second, and multiply-adds of dense products.

    python -m benchmarks.limits

One thread. The cost of a spike is that of reading the weights that it meets and adding them up, so
the first limit is the rate at which whole numbers of 32 bits are read and combined, from a cache
and from memory. Many spikes are better multiplied densely: the other limits.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.peer.base import clocked
from benchmarks.results import markdown_table
from benchmarks.timing import MIN_ROUNDS, repeats_for, with_threads

WEIGHTS = "second-level cache"
"""The place of a layer's weights while its events are added up."""
KIB = {WEIGHTS: 512, "memory": 2**18}
SIDE = 1024  # of the matrices


def rate(work: Callable[[], object], amount: float) -> float:
    """`amount` a second, by the median of some runs."""
    once = min(clocked(work)[0] for _ in range(3))
    repeats = repeats_for(once)
    return amount / statistics.median(clocked(work, repeats)[0] for _ in range(MIN_ROUNDS))


def reading() -> dict[str, float]:
    """Numbers of 32 bits that are read and combined a second, by where they lie."""
    found = {}
    for place, kib in KIB.items():
        numbers = np.ones(kib * 256, np.int32)
        found[place] = rate(lambda n=numbers: np.maximum.reduce(n), numbers.size)  # type: ignore[misc]
    return found


def products() -> dict[str, float]:
    """Multiply-adds a second of dense products, by the type of number."""
    import torch

    types = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    found = {}
    for name, dtype in types.items():
        matrix = torch.ones(SIDE, SIDE, dtype=dtype)
        found[name] = rate(lambda m=matrix: m @ m, SIDE**3)  # type: ignore[misc]
    return found


def measured() -> dict[str, dict[str, float]]:
    """The rates of reading and of dense products."""
    return {"reading": reading(), "products": products()}


def table(limits: Mapping[str, Mapping[str, float]]) -> str:
    """The limits as a table, in thousand millions a second."""
    rows = [
        [f"weights of 32 bits from {place}", f"{value / 1e9:.1f}"]
        for place, value in limits["reading"].items()
    ]
    rows += [
        [f"multiply-adds of dense products, {name}", f"{value / 1e9:.0f}"]
        for name, value in limits["products"].items()
    ]
    return markdown_table(["at most, one thread", "10^9 a second"], rows)


if __name__ == "__main__":
    with_threads(1)
    print(table(measured()))
