"""Arguments of `convert` as changes to a wish, where a wish can say them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spikewright._base.arguments import is_number
from spikewright.explorer.wish import MOST_STEPS, NEURONS, Wish, fits


def changes_of(arguments: Mapping[str, Any], steps: int, wish: Wish) -> dict[str, Any] | None:
    """The changes to a wish that mean these arguments and steps; None where no wish says them."""
    found: dict[str, Any] = {"steps": steps} if steps != wish.steps else {}
    if steps > MOST_STEPS:
        return None
    for name, value in arguments.items():
        said = change_of(name, value)
        if said is None:
            return None
        found |= said
    return found


def change_of(name: str, value: Any) -> dict[str, Any] | None:
    """The changes to a wish that mean one argument; None where no wish says it."""
    said = _CHANGES[name](value) if name in _CHANGES else None
    return said if said is not None and all(fits(*change) for change in said.items()) else None


def _scales(value: Any) -> dict[str, Any] | None:
    if is_number(value):
        return {"scale": float(value), "layers": {}, "rule": None}
    if isinstance(value, Mapping) and all(map(is_number, value.values())):
        return {"layers": {name: float(scale) for name, scale in value.items()}, "rule": None}
    return None


def _neurons(value: Any) -> dict[str, Any] | None:
    names = (name for name in NEURONS if Wish(neuron=name).spiking == value)
    return next(({"neuron": name} for name in names), None)


def _synapse(value: Any) -> dict[str, Any] | None:
    if value is None:
        return {"synapse": None}
    return {"synapse": float(value)} if is_number(value) else None


_CHANGES: Mapping[str, Callable[[Any], dict[str, Any] | None]] = {
    "scale_firing_rates": _scales,
    "spiking": _neurons,
    "max_spikes_per_step": lambda value: {"cap": value if value is None else int(value)},
    "initial_voltage": lambda value: {"start": value} if isinstance(value, str) else None,
    "synapse": _synapse,
}
