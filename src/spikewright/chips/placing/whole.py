"""Chips that hold one network as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from spikewright.chips.case import Case, Placed
from spikewright.chips.layers import Layer


def whole(case: Case) -> Mapping[str, Placed]:
    """All layers on the chip's one core, with the share of its neurons that each takes."""
    return {layer.name: Placed(1, _shares(case, layer)) for layer in case.layers}


def _shares(case: Case, layer: Layer) -> dict[str, float]:
    limits = case.chip.limits
    role = "outputs" if layer.name in case.network.last else "hidden"
    rooms = {"neurons": limits.neurons, role: getattr(limits, role)}
    return {name: layer.neurons / room for name, room in rooms.items() if room is not None}
