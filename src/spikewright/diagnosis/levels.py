"""The factor by which an uncapped layer's firing-rate scale should move, on the first samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikewright.diagnosis.samples import Samples
from spikewright.diagnosis.survey import LayerLoss
from spikewright.diagnosis.what_if import change_alone

_LARGEST = 2.0**14


def level_with_others(samples: Samples, layers: Sequence[LayerLoss], layer: LayerLoss) -> float:
    """The least power of two at which the layer alone changes the output as others do.

    That is the median of the other layers that have neurons; 1 where it changes it by no more.
    """
    others = [
        other.loss.change
        for other in layers
        if other.name != layer.name and other.spikes is not None
    ]
    level = max(float(np.median(others)) if others else 0.0, layer.loss.change / 64)
    factor, change = 1.0, layer.loss.change
    while change > level and factor < _LARGEST:
        # the change falls about as one over the factor, later only where the layer was silent
        factor *= 2.0 ** max(1.0, np.floor(np.log2(change / level)))
        change = change_alone(samples, layer.name, factor)
    return float(factor)
