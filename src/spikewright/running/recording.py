"""Hidden layers over time: which of them a run may record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikewright.errors import SimulationError, listed
from spikewright.lower import Lowered
from spikewright.network import Ensemble, Network, Node, Probe
from spikewright.network.network import detached


def layers_of(lowered: Lowered, record: Any) -> dict[str, Ensemble | Node]:
    """The layers to record, by name, as a user named them.

    Raises `SimulationError` for unknown names, and for layers that have no values of their own.
    """
    names = [record] if isinstance(record, str) else record
    if isinstance(names, Mapping) or not all(isinstance(name, str) for name in _items(names)):
        raise SimulationError(f'record holds names of layers, such as ["conv0"], got {record!r}')
    return {name: _layer(lowered, name) for name in _items(names)}


def probes_of(ends: Mapping[str, Ensemble | Node]) -> list[Probe]:
    """Probes of the values that layers and outputs send, which belong to no network."""
    with detached(), Network():
        return [Probe(e.neurons if isinstance(e, Ensemble) else e) for e in ends.values()]


def _items(names: Any) -> list[Any]:
    try:
        return list(names)
    except TypeError:
        return [names]


def _layer(lowered: Lowered, name: str) -> Ensemble | Node:
    known = [layer for layer in lowered.layers if layer in lowered.exact_values]
    if name in known:
        return lowered.layers[name]
    reason = "is no layer of the network"
    if name in lowered.layers:
        became = next(n for n in known if lowered.layers[n] is lowered.layers[name])
        reason = f"is a part of {became!r}, or was merged into it, and has no values of its own"
    raise SimulationError(f"record: {name!r} {reason}. Layers are {listed(known)}")
