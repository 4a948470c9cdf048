"""Processes: run as they are, with the random numbers that Nengo would give them."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.frontends.nengo.kinds import own_kind
from spikewright.network.processes import PresentInput, Process, Step


class Called(Process):
    """A process as Nengo runs one: its `make_state` and `make_step`, with a `RandomState`.

    `seed` is what the generator begins with, unless the process has one of its own.
    """

    def __init__(self, theirs: Any, seed: int) -> None:
        self.theirs, self.seed = theirs, seed
        self.default_size_in = int(theirs.default_size_in)  # type: ignore[misc]

    @property
    def default_size_out(self) -> int:
        return int(self.theirs.default_size_out)

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: Any) -> Step:
        """The step function; what it returns is copied, as it may be one array at every step."""
        theirs = self.theirs
        own = getattr(theirs, "seed", None)
        drawn = np.random.RandomState(self.seed if own is None else own)
        kept = theirs.make_state(shape_in, shape_out, dt)
        function = theirs.make_step(shape_in, shape_out, dt, drawn, kept)
        return lambda *arguments: np.array(function(*arguments), np.float64)

    def __repr__(self) -> str:
        return f"Called({self.theirs!r})"


def process_of(theirs: Any, seed: int) -> Process:
    """The process; `seed` is for what it draws."""
    if own_kind(theirs) == "PresentInput":
        inputs = np.asarray(theirs.inputs, np.float64)
        return PresentInput(inputs.reshape(len(inputs), -1), float(theirs.presentation_time))
    return Called(theirs, seed)


def is_seeded(theirs: Any) -> bool:
    """Whether a process has a seed of its own, so that it takes none from the simulator."""
    return getattr(theirs, "seed", None) is not None
