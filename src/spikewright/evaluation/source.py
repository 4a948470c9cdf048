"""The source model's outputs, for comparison: exact sums, the same on every machine.

They are those of the unscaled rate network of the graph that was read, on an exact engine: unlike a
matrix library's, its results depend neither on the batch nor on processor and threads.
"""

from __future__ import annotations

from spikewright.engines import Precision
from spikewright.graph import Graph
from spikewright.lower import Options, lower
from spikewright.passes.standard import run as run_passes
from spikewright.running.still import StillNetwork


class SourceNetwork(StillNetwork):
    """The rate network of a graph that was read."""

    def __init__(self, graph: Graph, precision: Precision, threads: int | None) -> None:
        canonical, _ = run_passes(graph)
        super().__init__(lower(canonical, Options()), 1.0, 0, precision, threads)
