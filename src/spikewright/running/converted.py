"""The protocol of a conversion for code that measures and corrects it without making it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from spikewright.graph import Graph
from spikewright.lower import Lowered
from spikewright.lower.trace import Trace
from spikewright.network import Ensemble, Node


class Converted(Protocol):
    """A network that was made from a graph, as `Conversion` is one."""

    lowered: Lowered
    canonical: Graph
    trace: Trace

    @property
    def inputs(self) -> Mapping[str, Node]:
        """The nodes that take the inputs, by name."""

    def populations(self) -> dict[str, Ensemble]:
        """The ensemble of every layer that sends spikes, in order."""
