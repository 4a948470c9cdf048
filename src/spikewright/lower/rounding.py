"""Layers that round by themselves: what their neurons stand for, and the choices that they bring.

Neurons that take spikes back have sent, after T steps of a mean current J clipped to theta,
`floor(v0 + T s dt J)` spikes. With `s = 1 / (theta dt)`, and T the layer's number of levels, that
is the number that the layer rounds to. So the layer says which scale and start its neurons have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from spikewright.graph.layers import Activation, Layer
from spikewright.network import Ensemble

ROUNDED = "rounded_relu"
STEP = 0.001
"""The step of time in seconds for which a layer with a threshold of its own chooses a scale."""


class Own(NamedTuple):
    """The firing-rate scale and the initial voltage that a layer brings along."""

    scale: float = 1.0
    start: Any = "half"


def rounded(layer: Layer) -> Activation | None:
    """The layer, if it rounds to levels by itself."""
    return layer if isinstance(layer, Activation) and layer.function == ROUNDED else None


def unrounded(layer: Layer) -> Layer:
    """The layer, or for one that rounds the values that it rounds."""
    found = rounded(layer)
    if found is None:
        return layer
    return Activation("clip", {"minimum": 0.0, "maximum": found.parameters["threshold"]})


def own(layer: Layer) -> Own:
    """The choices that a layer brings along: those of one that rounds, else the usual ones."""
    found = rounded(layer)
    if found is None:
        return Own()
    start = float(found.parameters.get("start", 0.5))
    scale = 1.0 / (float(found.parameters["threshold"]) * STEP)
    return Own(scale, "half" if start == 0.5 else start)


def has_own_choices(layer: Layer, ensemble: Ensemble) -> bool:
    """Whether neurons have the scale and the start that their layer brings along."""
    scale, start = own(layer)
    same = np.all(ensemble.rate_scale == scale) and np.all(ensemble.initial_voltage == start)
    return bool(same)


def in_numbers(given: Any, found: Mapping[str, Any], usual: Any) -> Any:
    """A choice as it was given, with what layers brought along, `found`, in the place of None."""
    items = given.values() if isinstance(given, Mapping) else [given]
    if all(item is not None for item in items):
        return given
    plain = {name: _plain(value) for name, value in found.items()}
    if all(isinstance(value, str | float) and value == usual for value in plain.values()):
        return usual
    return plain


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, np.ndarray) and value.ndim == 0 else value
