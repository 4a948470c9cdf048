"""Layers that round by themselves: what their neurons stand for, and the choices that they bring.

Neurons that take spikes back have sent, after T steps of a mean current J clipped to theta,
`floor(v0 + T s dt J)` spikes. With `s = 1 / (theta dt)`, and T the layer's number of levels, that
is the number that the layer rounds to. So the layer says which scale and start its neurons have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple

import numpy as np

from spikewright._base.schema import Where
from spikewright.graph.layers import Activation, Layer
from spikewright.network import Ensemble
from spikewright.network.ensemble import NAMED_VOLTAGES

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


def seconds_until_exact(layer: Layer, ensemble: Ensemble) -> float | None:
    """The time after which neurons have sent what a layer rounds to; None where they never have.

    In T seconds neurons that answer the values before they are rounded, in spikes whose number
    follows the sum of their currents alone, have sent `floor(v0 + T s J / amplitude)` of them. With
    the layer's start that is its number of levels, `floor(start + L J / theta)`, at
    `T = L amplitude / (s theta)` alone. So it is one time for neurons of one scale.
    """
    found, kind = rounded(layer), ensemble.neuron_type
    held = kind.most_spikes is not None or kind.rounds_charge or len(kind.spike_heights) > 0
    if found is None or held or not (kind.spiking and kind.follows_sum):
        return None
    start: Any = ensemble.initial_voltage
    if isinstance(start, str):
        start = NAMED_VOLTAGES.get(start, np.nan)
    scales = np.unique(ensemble.rate_scale)
    if len(scales) > 1 or not np.all(start == found.parameters.get("start", 0.5)):
        return None
    levels, threshold = float(found.parameters["levels"]), float(found.parameters["threshold"])
    return levels * kind.amplitude / (float(scales[0]) * threshold)


def in_numbers(given: Any, found: Mapping[str, Any], usual: Any) -> Any:
    """A choice in numbers: by layer if it was given so, or layers brought their own along."""
    if given is not None and not isinstance(given, Mapping):
        return given
    plain = {name: _plain(value) for name, value in found.items()}
    if given is None and all(isinstance(v, str | float) and v == usual for v in plain.values()):
        return usual
    return plain


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, np.ndarray) and value.ndim == 0 else value


KINDS = ("refused", "", "approximated", "exact after", "convergent", "exact")
"""All kinds of guarantees, the weakest first; "" is one that is not known."""

_AFTER = re.compile(r"exact after (different numbers of steps \(.+\)|\d+ steps?)")
_WHOLE = 1e-6  # of a step: numbers of steps that differ by less are one


def steps_in(seconds: float, dt: float) -> int | None:
    """The whole number of steps of `dt` seconds that lasts so long, or None."""
    number = round(seconds / dt)
    return number if number >= 1 and abs(seconds / dt - number) <= _WHOLE * number else None


def exact_after(seconds: float) -> str | None:
    """The guarantee of a layer that has its source's value after so many seconds alone.

    None where no whole number of steps of 1 ms lasts so long.
    """
    steps = steps_in(seconds, STEP)
    return None if steps is None else f"exact after {steps} step{'s' * (steps != 1)}"


def kind_of(status: str) -> str:
    """The kind of a guarantee: "exact after 4 steps" is "exact after"; others are their own."""
    return "exact after" if _AFTER.fullmatch(status) else status


def _is_status(text: str) -> bool:
    return kind_of(text) in (*KINDS, "warning")


Status = Annotated[str, Where(_is_status, f"one of {', '.join(filter(None, KINDS))}, warning")]
"""A guarantee in words, or "warning"."""


def weakest(statuses: Iterable[str]) -> str:
    """The guarantee of a whole, from those of its parts: the weakest of them.

    Parts that are exact after a number of steps do not tend to their source with more of them. So
    beside a convergent part, which has an error then, the whole is approximated; and where their
    numbers differ, it is exact after none.
    """
    found = dict.fromkeys(statuses)
    kind = next((kind for kind in KINDS if any(kind_of(s) == kind for s in found)), "exact")
    if kind != "exact after":
        return kind
    if "convergent" in found:
        return "approximated"
    lengths = [status for status in found if kind_of(status) == kind]
    if len(lengths) == 1:
        return lengths[0]
    numbers = sorted({int(number) for status in lengths for number in re.findall(r"\d+", status)})
    return f"exact after different numbers of steps ({', '.join(map(str, numbers))})"
