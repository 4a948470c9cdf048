"""Operators that go by windows of steps: what they pass on is known when a window begins."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from spikewright.engines.operators import Delay, Operator, SignalShapes


@dataclass(frozen=True, eq=False)
class Average(Operator):
    """A synapse: the mean of every `steps` steps, passed on in the `steps` steps after them.

    In the first window it passes on `initial`, which broadcasts to the signal.
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
    """A delay by a whole window of `steps` steps, of which each is known when it begins."""

    has_state = False
    changes = True
    by_window = True
