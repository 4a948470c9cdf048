"""Layouts of networks on chips: the cores that each layer takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spikewright.chips.case import Case, Placed
from spikewright.chips.chip import Placement
from spikewright.chips.layers import Layer
from spikewright.chips.placing.cutting import cut
from spikewright.chips.placing.matching import matched


def whole(case: Case) -> Mapping[str, Placed]:
    """All layers on the chip's one core, with the share of its neurons that each takes."""
    return {layer.name: Placed(1, _shares(case, layer)) for layer in case.layers}


def _shares(case: Case, layer: Layer) -> dict[str, float]:
    limits = case.chip.limits
    role = "outputs" if layer.name in case.network.last else "hidden"
    rooms = {"neurons": limits.neurons, role: getattr(limits, role)}
    return {name: layer.neurons / room for name, room in rooms.items() if room is not None}


_PLACEMENTS: Mapping[Placement, Callable[[Case], Mapping[str, Placed]]] = {
    "one layer a core": matched,
    "cut": cut,
    "crossbar": cut,
    "whole": whole,
}


def place(case: Case) -> Mapping[str, Placed]:
    """Every layer of the network on the chip, whether it fits or not."""
    return _PLACEMENTS[case.chip.placement](case)
