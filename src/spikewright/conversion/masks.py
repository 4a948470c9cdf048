"""Masks of padding in the trace of a conversion."""

from __future__ import annotations

from spikewright.errors import listed
from spikewright.graph.masks import Mask
from spikewright.lower import Lowered
from spikewright.lower.trace import Trace

_STAGE = "padding"


def tell_of_masks(trace: Trace, lowered: Lowered) -> None:
    """Trace which positions are padding; warn where inputs that are called masks hide nothing."""
    found = () if lowered.masks is None else lowered.masks.found
    for mask in found:
        trace.add(_STAGE, mask.node, _text(mask), "exact")
        if mask.reached:
            names = listed([name for name in mask.reached if name in lowered.layers])
            text = f"{names} depends on padding all the same, as in the source, and counts"
            trace.add(_STAGE, mask.node, text, "warning")
    known = {mask.node for mask in found}
    for name in lowered.inputs:
        if "mask" in name.lower() and name not in known:
            text = "neither zero nor one in it hides positions of other inputs: all of them count"
            trace.add(_STAGE, name, text, "warning")


def _text(mask: Mask) -> str:
    inputs = ", ".join(mask.axes)
    return (
        f"positions of {inputs} at which it is {mask.hides:g} are padding, which counts in no "
        "statistic, threshold, spike count, energy or error"
    )
