"""Networks whose time is that of a sequence: what goes from one of its steps to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from numpy.typing import NDArray

from spikewright.graph import Graph


class Carried(NamedTuple):
    """The input `read` has at one step of a sequence what the output `made` was at the last.

    `initial` is its value at the first.
    """

    read: str
    made: str
    initial: NDArray


@dataclass(frozen=True, eq=False)
class Stepping:
    """Every step of a sequence takes `steps` steps of the simulation.

    `carried` are the states. `inputs` and `outputs` name those of the source with the axis of time
    that they have there, or None for what has no time; `values` does so for all nodes whose values
    the source's graph has under the same name.
    """

    steps: int
    carried: tuple[Carried, ...]
    inputs: Mapping[str, int | None]
    outputs: Mapping[str, int | None]
    values: Mapping[str, int | None]

    @cached_property
    def read(self) -> frozenset[str]:
        """Inputs that are states."""
        return frozenset(state.read for state in self.carried)

    @cached_property
    def made(self) -> frozenset[str]:
        """Outputs that are states."""
        return frozenset(state.made for state in self.carried)

    def later(self, graph: Graph) -> dict[str, list[str]]:
        """The inputs by which the next step reads a node, by the node's name."""
        found: dict[str, list[str]] = {}
        for state in self.carried:
            found.setdefault(graph.outputs[state.made], []).append(state.read)
        return found
