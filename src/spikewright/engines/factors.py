"""Factors beside signals: counts of spikes stay counts where what follows only moves and adds them.

The height of a population's spikes, `amplitude / (s dt)`, and the means of pooling are factors of
the operator that first has to know the values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.network import Connection, Ensemble, Network, Node
from spikewright.network import Neurons as NeuronsView
from spikewright.network.transforms import (
    Permute,
    Place,
    Reshape,
    Slice,
    SumPool,
    Take,
    Transform,
)


class Scaled(NamedTuple):
    """A signal and the factor that makes its values: counts of spikes keep theirs to the side."""

    signal: int
    factor: float


def carries(transform: Transform) -> float | None:
    """What a transform multiplies a count's factor by if it only moves and adds values, or None."""
    if isinstance(transform, Reshape | Permute | Slice | Place | Take):
        return 1.0
    if isinstance(transform, SumPool) and transform.factor.ndim == 0 and transform.factor != 0:
        return float(transform.factor)
    return None


def plain(transform: Transform) -> Transform:
    """A transform that carries, without its own factor."""
    return replace(transform, factor=np.array(1.0)) if isinstance(transform, SumPool) else transform


def carried_factors(
    network: Network, junctions: Collection[Node], heights: Mapping[NeuronsView, NDArray]
) -> dict[Node, float]:
    """The factor of every junction all of whose inputs have the same one.

    So what is pooled, reshaped, concatenated or added between populations of one spike height
    stays a count of spikes. Junctions within loops have values. `heights` are those of spikes.
    """
    arriving: dict[Node, list[Connection]] = {node: [] for node in junctions}
    for connection in network.all_connections:
        if isinstance(connection.post_obj, Node) and connection.post_obj in arriving:
            arriving[connection.post_obj].append(connection)
    known: dict[Node, float] = {}
    while True:
        ready = [
            node
            for node, connections in arriving.items()
            if node not in known
            and not any(c.pre_obj in arriving and c.pre_obj not in known for c in connections)
        ]
        if not ready:
            return known
        for node in ready:
            factors = {_factor_after(c, known, heights) for c in arriving[node]}
            known[node] = factors.pop() if len(factors) == 1 else 1.0


def _factor_after(
    connection: Connection,
    known: Mapping[Node, float],
    heights: Mapping[NeuronsView, NDArray],
) -> float:
    """The factor of what a connection delivers."""
    pre = connection.pre_obj
    if isinstance(pre, Ensemble) or connection.function is not None:
        factor = 1.0
    elif isinstance(pre, Node):
        factor = known.get(pre, 1.0)
    else:
        height = heights.get(pre, np.ones(1))
        factor = float(height) if height.ndim == 0 else 1.0
    for transform in connection.chain():
        carried = carries(transform)
        factor = 1.0 if carried is None else factor * carried
    return factor
