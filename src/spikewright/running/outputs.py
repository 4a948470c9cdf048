"""The outputs of a network, as measures see them."""

from __future__ import annotations

from spikewright.lower import Lowered
from spikewright.measure.truth import Output
from spikewright.network import Ensemble


def outputs_of(lowered: Lowered) -> dict[str, Output]:
    """The outputs of a lowered network by name, with the activations on their readouts."""
    found = {}
    for name, item in lowered.outputs.items():
        shape = item.shape if isinstance(item, Ensemble) else item.shape_out
        found[name] = Output(name, shape, lowered.readouts.get(name))
    return found
