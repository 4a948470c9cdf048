"""Layouts of networks on chips: the cores that each layer takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spikewright.chips.case import Case, Placed
from spikewright.chips.chip import Placement
from spikewright.chips.placing.cutting import cut
from spikewright.chips.placing.matching import matched
from spikewright.chips.placing.whole import whole

_PLACEMENTS: Mapping[Placement, Callable[[Case], Mapping[str, Placed]]] = {
    "one layer a core": matched,
    "cut": cut,
    "crossbar": cut,
    "whole": whole,
}


def place(case: Case) -> Mapping[str, Placed]:
    """Every layer of the network on the chip, whether it fits or not."""
    return _PLACEMENTS[case.chip.placement](case)


__all__ = ["place"]
