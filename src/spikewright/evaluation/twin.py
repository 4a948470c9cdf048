"""The quantised twin, for comparison: which thresholds it has, and its outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing import Statistics
from spikewright.choosing.rules.case import SpikeCode
from spikewright.choosing.rules.minimum_error import best_threshold
from spikewright.errors import SimulationError
from spikewright.graph import Graph
from spikewright.measure.energy import twin_bits
from spikewright.measure.twin import quantised_twin
from spikewright.network import Node
from spikewright.passes.standard import run as run_passes
from spikewright.running.inputs import Feeds
from spikewright.running.still import held

Thresholds = Mapping[str, NDArray]


def thresholds_of(given: Any, steps: int) -> Thresholds | None:
    """Thresholds of a twin for `steps` steps, from statistics or as a user gave them.

    From statistics they are those of smallest error at the twin's bits, one a channel. Raises
    `SimulationError` for anything else.
    """
    if given is None:
        return None
    if isinstance(given, Statistics):
        code = SpikeCode(2 ** twin_bits(steps) - 1, 1, 0.5)
        return {
            name: layer.spread(_above_zero(best_threshold(layer.magnitudes, code)))
            for name, layer in given.layers.items()
        }
    if isinstance(given, Mapping):
        return {name: np.asarray(value, np.float64) for name, value in given.items()}
    raise SimulationError(
        f"twin is statistics of the model's layers or {{layer: threshold}}, got {given!r}"
    )


def _above_zero(thresholds: NDArray) -> NDArray:
    """Channels that are silent in the data get any threshold."""
    return np.where(thresholds > 0, thresholds, 1.0)


def digest_of(thresholds: Thresholds | None) -> str | None:
    """The digest of thresholds."""
    if thresholds is None:
        return None
    digest = hashlib.sha256()
    for name in sorted(thresholds):
        value = np.ascontiguousarray(thresholds[name])
        digest.update(f"{name} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


class TwinNetwork:
    """The quantised twin of a graph that was read, with weights of 8 bits."""

    def __init__(self, graph: Graph, thresholds: Thresholds, steps: int) -> None:
        canonical, _ = run_passes(graph)
        self._twin = quantised_twin(canonical, thresholds, twin_bits(steps))

    def outputs(self, feeds: Feeds, names: Mapping[Node, str]) -> dict[str, NDArray]:
        """Values `{output: (samples, *shape)}` of the feeds, as a source model takes them."""
        return self._twin.evaluate(
            {names[node]: held(value)[:, 0] for node, value in feeds.values.items()}
        )
