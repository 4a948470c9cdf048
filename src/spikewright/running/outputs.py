"""The outputs of a network, as measures see them."""

from __future__ import annotations

from typing import Any

from spikewright.lower import Lowered
from spikewright.measure.truth import Output, Truth, truth_of
from spikewright.network import Ensemble


def outputs_of(lowered: Lowered) -> dict[str, Output]:
    """The outputs of a lowered network by name, with the activations on their readouts."""
    found = {}
    for name, item in lowered.outputs.items():
        shape = item.shape if isinstance(item, Ensemble) else item.shape_out
        found[name] = Output(name, shape, lowered.readouts.get(name))
    return found


def truth_of_only(lowered: Lowered, y: Any, samples: int) -> Truth | None:
    """Labels or targets of the only output; None where there are none, and of several outputs.

    Raises as `truth_of` does.
    """
    outputs = list(outputs_of(lowered).values())
    judged = y is not None and len(outputs) == 1
    return truth_of(y, outputs[0], samples) if judged else None
