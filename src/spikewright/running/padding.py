"""The positions of a run's samples that are no padding."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.masks import Real
from spikewright.lower import Lowered
from spikewright.network import Node
from spikewright.running.encoding import Encoded


def real_of(
    lowered: Lowered, feeds: Mapping[Node, NDArray | Encoded], samples: slice
) -> Real | None:
    """The positions of some samples that count; None where all do.

    Of a mask that changes over the steps those that it leaves at some step.
    """
    masks = lowered.masks
    if masks is None:
        return None
    nodes = {name: lowered.inputs[name] for name in masks.read}
    if any(node not in feeds for node in nodes.values()):
        return None  # the part of the network that is run reads no mask
    return masks.real_at_some_step({n: _values(feeds[node], samples) for n, node in nodes.items()})


def _values(fed: NDArray | Encoded, samples: slice) -> NDArray:
    """The values of an input before they are encoded, `(samples, steps or 1, *shape)`."""
    if isinstance(fed, Encoded) and fed.plain:
        return np.asarray(fed.samples[samples], np.float64)[:, None]
    return np.asarray(fed[samples], np.float64)
