"""Operators over windows of steps, whose output is known for a whole window when it begins."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from spikewright.engines.operators import Delay, Operator, SignalShapes


@dataclass(frozen=True, eq=False)
class Average(Operator):
    """A synapse that gives the mean of every window of `steps` steps during the next window.

    In the first window it gives `initial`, which broadcasts to the signal.
    """

    steps: int
    initial: NDArray
    immediate_inputs = ()
    changes = True
    float64_state = True
    by_window = True

    def state_values(self, program: SignalShapes) -> int:
        return 2 * self.size(program)


@dataclass(frozen=True, eq=False)
class Carry(Delay):
    """A delay by a whole window of `steps` steps; a window's output is known when it begins."""

    has_state = False
    changes = True
    by_window = True
