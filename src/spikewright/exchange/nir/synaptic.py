"""Filters directly in front of leaky neurons, which are one node with them: CubaLIF and CubaLI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.exchange.nir.dialects import Dialect
from spikewright.exchange.nir.neurons import Cell, as_held, cell_of
from spikewright.exchange.nir.refusal import NoForm
from spikewright.exchange.nir.waits import Object, object_of, waits
from spikewright.network import Connection, Ensemble
from spikewright.network import transforms as t
from spikewright.network.synapses import Lowpass

_BEHIND = {"LIF": "CubaLIF", "LI": "CubaLI"}
"""The node of neurons behind a synapse, by that of the neurons alone."""


@dataclass(frozen=True, eq=False)
class Synapse:
    """The current of some neurons: what arrives, filtered neuron by neuron.

    `tau` are time constants in steps. `front` is the population that the current is, whose value
    counts `worth` in the node's current; None where all connections to the neurons have the filter.
    """

    tau: NDArray | float
    front: Ensemble | None = None
    worth: NDArray | float = 1.0


def behind(cell: Cell, synapse: Synapse, rest: NDArray | float) -> Cell:
    """Neurons and their synapse as one node; `rest` is the current beside that of the synapse.

    `tau_syn dI/dt = w_in S - I` and `tau_mem dv/dt = v_leak - v + r I`. As readers of such nodes
    want it, `w_in = tau_syn` and `r = tau_mem`, in steps: by Euler's rule an `S` of 1 adds 1 to `I`
    and that to `v`. The worth of a current is in the weights, what is not filtered in `v_leak`:
    the `unit` is the part of an arriving sum that goes into the weights.
    """
    given = dict(cell.parameters)
    slow, fast = as_held(given.pop("tau")), as_held(synapse.tau)
    fields = {**given, "tau_syn": fast, "w_in": fast, "tau_mem": slow, "r": slow, "v_leak": rest}
    unit = np.asarray(1.0 / (fast * slow))
    return replace(cell, kind=_BEHIND[cell.kind], parameters=fields, unit=unit)


def synapses_of(
    objects: Sequence[Object],
    moving: Mapping[int, Sequence[Connection]],
    readers: Mapping[int, int],
    dialect: Dialect,
    dt: float,
) -> dict[int, Synapse]:
    """The synapses of a network's ensembles, by identity, where the dialect has a node for both.

    `moving` are the connections to each object that bring no constant, `readers` the number of what
    reads it.
    """
    found: dict[int, Synapse] = {}
    fronts: set[int] = set()
    for item in reversed(objects):  # a current that has one is the last of a chain
        cell = _cell(item, dt)
        if cell is None or cell.kind not in _BEHIND or id(item) in fronts:
            continue
        if _BEHIND[cell.kind] in dialect.lacks:
            continue
        assert isinstance(item, Ensemble)
        arriving = moving[id(item)]
        synapse = _population(item, cell, arriving, readers, dt) or _filter(arriving, dt)
        if synapse is not None:
            found[id(item)] = synapse
            fronts.add(id(synapse.front))
    return found


def _cell(item: Object, dt: float) -> Cell | None:
    """The node of an ensemble, or None where it has none."""
    try:
        return cell_of(item, dt) if isinstance(item, Ensemble) else None
    except NoForm:
        return None


def _population(
    item: Ensemble,
    cell: Cell,
    arriving: Sequence[Connection],
    readers: Mapping[int, int],
    dt: float,
) -> Synapse | None:
    """A population that nothing else reads, neuron by neuron in front of `item`, in its step."""
    if len(arriving) != 1:
        return None
    (connection,) = arriving
    front, chain = object_of(connection.pre_obj), connection.chain()
    plain = not (waits(connection) or connection.function or connection.learning_rules)
    alone = isinstance(front, Ensemble) and front.shape == item.shape and readers[id(front)] == 1
    if not (plain and alone and all(isinstance(part, t.Scale) for part in chain)):
        return None
    own = _cell(front, dt)
    if own is None or own.kind != "LI":
        return None
    factor = np.asarray(item.gain) * cell.unit * own.factor
    for part in chain:
        factor = factor * part.factor  # type: ignore[attr-defined]
    assert isinstance(front, Ensemble)
    return Synapse(own.parameters["tau"], front, factor * own.unit)


def _filter(arriving: Sequence[Connection], dt: float) -> Synapse | None:
    """The one filter that all connections have: behind their weights it does the same."""
    synapses = {connection.synapse for connection in arriving}
    if len(synapses) != 1:
        return None
    (synapse,) = synapses
    if not isinstance(synapse, Lowpass) or isinstance(synapse.tau, np.ndarray):
        return None
    return Synapse(synapse.tau / dt) if synapse.tau else None
