"""The settings of a sweep: every combination of scales, synapses and neurons, each with a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from spikewright._base.arguments import is_number
from spikewright.choosing import ScaleRule
from spikewright.choosing.correction import looks_at_data
from spikewright.choosing.rules.rule import brief
from spikewright.errors import SimulationError
from spikewright.measure import EveryStep
from spikewright.network.neurons import NeuronType
from spikewright.report.sweeps import synapse_text
from spikewright.study.setting import Plain, StudySetting


def settings_of(
    scales: Any,
    synapse: Any,
    neurons: Any,
    common: Mapping[str, Any],
    readouts: Sequence[EveryStep],
) -> list[StudySetting]:
    """All combinations, scales in turn first; `common` are arguments that all of them share.

    Raises `SimulationError` where there is nothing of one.
    """
    choices = [
        _named("neurons", neurons, _neurons_text),
        _named("synapse", synapse, _text),
        _named("scales", scales, _text),
    ]
    found = []
    for (cells, type_), (filtered, tau), (scaled, scale) in product(*choices):
        given = {"spiking": type_, "synapse": tau, "scale_firing_rates": scale}
        how = {"scale": scaled, "synapse": filtered, "neurons": cells}
        arguments = {**_with_data(common, scale), **given}
        found.append(StudySetting(_name(how), arguments, readouts, how=how))
    return found


def _name(how: Mapping[str, Plain]) -> str:
    """A setting in words, such as `scale 5, synapse 5 ms`."""
    scale, synapse, neurons = (how[name] for name in ("scale", "synapse", "neurons"))
    told = [f"scale {scale:g}" if isinstance(scale, float) else str(scale)]
    told += [] if synapse is None else [f"synapse {synapse_text(synapse)}"]
    told += [] if neurons == "default" else [f"neurons {neurons}"]
    return ", ".join(told)


def _with_data(common: Mapping[str, Any], scale: Any) -> dict[str, Any]:
    """The shared arguments; calibration data only where something looks at it."""
    wanted = looks_at_data({**common, "scale_firing_rates": scale})
    return {n: v for n, v in common.items() if n != "calibration" or wanted}


def _named(what: str, given: Any, text: Any) -> list[tuple[Plain, Any]]:
    """One value or several, each with the text that tells it from the others."""
    several = isinstance(given, list | tuple | range | np.ndarray)
    values = list(given) if several else [given]
    if not values:
        raise SimulationError(f"{what} holds nothing to try: give one value or several")
    found: list[tuple[Plain, Any]] = []
    for value in values:
        name = text(value)
        if is_number(value) and name in [known for known, _ in found]:
            continue
        names = [known for known, _ in found]
        number = sum(str(known).partition(" #")[0] == name for known in names)
        found.append((f"{name} #{number + 1}" if number else name, value))
    return found


def _text(value: Any) -> Plain:
    """A value as plain data: numbers as they are, rules and layers' values as one writes them."""
    if value is None or is_number(value):
        return None if value is None else float(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_part(item)}" for name, item in value.items()) + "}"
    return _part(value)


def _part(value: Any) -> str:
    if isinstance(value, ScaleRule):
        return str(value)
    if isinstance(value, NeuronType):
        return brief(value)
    if isinstance(value, np.ndarray) and value.ndim:
        return f"{value.size} values"
    return f"{value:g}" if is_number(value) else str(value)


def _neurons_text(value: Any) -> str:
    """The value of `spiking=`, in words."""
    if isinstance(value, bool):
        return "default" if value else "rate"
    return str(_text(value))
