"""What nodes without input, and Python callables, give: the same for every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import SimulationError
from spikewright.network import Node
from spikewright.network.node import as_value


def constant_value(node: Node, fed: NDArray | None) -> NDArray | None:
    """`(batch or 1, 1, *shape)` where a source does not change during a run, else None."""
    if fed is not None:
        return fed if fed.shape[1] == 1 else None
    return None if callable(node.output) else np.asarray(node.output)[None, None]


def source_block(
    node: Node, fed: NDArray | None, start: int, step: int, count: int, dt: float
) -> NDArray:
    """A changing source's values `(batch or 1, count, *shape)`.

    `start` counts steps within the run (what is fed is indexed by it), `step` those of the whole
    simulation; the first step's time is `dt`.
    """
    if fed is not None:
        return fed[:, start : start + count]
    rows = [call(node, (step + i) * dt) for i in range(1, count + 1)]
    return np.stack(rows)[None]


def apply_callable(node: Node, x: NDArray, step: int, dt: float) -> NDArray:
    """A callable node's values for `(batch, steps, *shape_in)`, one call a sample and step."""
    batch, steps = x.shape[:2]
    y = np.empty((batch, steps, *node.shape_out))
    for t in range(steps):
        for b in range(batch):
            y[b, t] = call(node, (step + t + 1) * dt, np.array(x[b, t]))
    return y


def call(node: Node, *arguments: Any) -> NDArray:
    """One call of a node's function; raises `SimulationError` naming the node if it misbehaves."""
    function = node.output
    if not callable(function):
        raise SimulationError(f"{node!r} has no function to call")
    try:
        value = as_value(function(*arguments))
    except Exception as error:
        raise SimulationError(
            f"{node!r}: its function failed at t = {arguments[0]:g} s "
            f"({type(error).__name__}: {error})"
        ) from error
    if value.shape != node.shape_out:
        raise SimulationError(
            f"{node!r}: its function returned shape {value.shape} at t = {arguments[0]:g} s, "
            f"expected {node.shape_out}"
        )
    if not np.all(np.isfinite(value)):
        raise SimulationError(
            f"{node!r}: its function returned NaN or infinity at t = {arguments[0]:g} s"
        )
    return value
