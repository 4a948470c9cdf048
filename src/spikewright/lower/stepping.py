"""Networks whose time is that of a sequence."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.graph import Sequences


@dataclass(frozen=True, eq=False)
class Stepping(Sequences):
    """Sequences of which every step takes `steps` steps of the simulation."""

    steps: int
