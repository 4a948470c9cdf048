"""The outputs of a network as measures see them, and the layers that a run may record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikewright.errors import SimulationError, listed
from spikewright.lower import Lowered
from spikewright.measure.truth import Output, Truth, truth_of
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
