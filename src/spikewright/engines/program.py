"""A network compiled for a step: signals, and operators that work on blocks of time steps.

The program decides *what* is computed: operators, their order, the weights' grid, thresholds,
spike heights, random draws. Engines decide how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from spikewright.engines.grid import Precision
from spikewright.engines.operators import Learned, NodeSource, Operator
from spikewright.engines.parameters import Parameters
from spikewright.errors import SimulationError
from spikewright.network import Connection, Ensemble, Node, Probe
from spikewright.network.transforms import Shape


@dataclass(frozen=True)
class Component:
    """Operators that run together: over whole blocks, or step by step where they form a loop.

    Those that are called `in_turn` form one too: they may share something beside the network.
    """

    operators: tuple[Operator, ...]
    loops: bool
    in_turn: bool = False


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording of a probe: a signal times a factor, every `every` steps."""

    probe: Probe
    signal: int
    factor: NDArray
    every: int


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled network, independent of the engine that runs it.

    `shapes` gives each signal's unbatched shape; `components` are in an order in which every
    signal exists before it is read. `learned` are the weights that change: a connection's, or an
    ensemble's encoders; `turned` are encoders over radius that were learned before.
    """

    dt: float
    seed: int
    precision: Precision
    shapes: tuple[Shape, ...]
    components: tuple[Component, ...]
    recordings: tuple[Recording, ...]
    parameters: dict[Ensemble, Parameters]
    weights: Mapping[Connection, NDArray]
    representations: dict[Ensemble, Any] = field(default_factory=dict)
    decodings: dict[Connection, Any] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    learned: dict[Connection | Ensemble, Learned] = field(default_factory=dict)
    turned: dict[Ensemble, NDArray] = field(default_factory=dict)

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """All operators in order."""
        return tuple(op for component in self.components for op in component.operators)

    def up_to(self, ensemble: Ensemble) -> Program:
        """The part of it that runs up to a population, whose output is that in the whole program.

        Nothing is recorded.
        """
        places = [
            place
            for place, component in enumerate(self.components)
            if any(ensemble in op.populations for op in component.operators)
        ]
        return replace(self, components=self.components[: max(places) + 1], recordings=())

    @cached_property
    def sources(self) -> frozenset[Node]:
        """Nodes that take no input: those with a constant output may be fed."""
        return frozenset(op.node for op in self.operators if isinstance(op, NodeSource))

    def check_fed(self, node: Node) -> None:
        """Raise `SimulationError` for a node whose values come along connections."""
        if node not in self.sources:
            raise SimulationError(
                f"{node!r} cannot be fed: connections lead to it, and it passes on their values"
            )

    @cached_property
    def period(self) -> int | None:
        """The number of steps after which all state starts again, if it is the same for all state.

        Means over windows, which carry from one to the next, do not count.
        """
        periods = {op.restart for op in self.operators if op.keeps}
        return periods.pop() if len(periods) == 1 else None
