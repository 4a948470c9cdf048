"""What a layer of a file makes, taken from the file's budget before it is made."""

from __future__ import annotations

import math

from spikewright._base.budget import MORE_BYTES, MORE_NODES, current
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.graph import Graph


def afford(values: float, itemsize: int = 8) -> None:
    """Count so many numbers; raises `Unreadable` where the file's budget has no room for them.

    Nothing is counted while a live model is read: its user made it.
    """
    budget = current()
    if budget is None:
        return
    if reason := budget.spend(int(min(values, 2.0**100)) * itemsize):
        raise Unreadable(f"it makes {int(values)} values, which take {reason}", MORE_BYTES)


def afford_nodes(count: int, what: str) -> None:
    """Count so many nodes of `what`; raises `Unreadable` where the budget has no room for them."""
    budget = current()
    if budget is not None and (reason := budget.spend_nodes(count)):
        raise Unreadable(f"{what}: {reason}", MORE_NODES)


def afford_call(graph: Graph) -> None:
    """Count the largest value that a model of a file has for one sample, before it is called.

    Raises `DamagedFileError` where the file's budget has no room for it.
    """
    budget = current()
    if budget is not None:
        name, shape = max(graph.shapes.items(), key=lambda item: math.prod(item[1]))
        budget.take(4 * math.prod(shape), f"for one sample, the value of {name!r}")
