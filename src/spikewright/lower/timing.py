"""Layers in time: each works in steps of its own, behind those of the layers that it reads.

A population of signed digits that reads others starts some silent steps after them, so that in its
own step k it knows the first k + silent digits of its inputs. Connections are delayed so that the
first digits of all inputs of a layer, or of a sum, arrive in the same step. What is held comes in
the first step of all; a population that reads nothing else starts there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from spikewright.errors import NetworkError
from spikewright.lower.choices import STEP
from spikewright.network import Connection, Ensemble, Network, Node

Place = Ensemble | Node


@dataclass(frozen=True, eq=False)
class LayerTimes:
    """The steps of a network whose layers start one after the other.

    Every layer works in `steps` steps of its own. `starts` is the number of steps before the first
    of them, of each ensemble and node that sends digits or reads them. `silent` is the longest that
    one of them waits behind what it reads.
    """

    steps: int
    starts: Mapping[Place, int]
    silent: int

    @property
    def network_steps(self) -> int:
        """The steps of the network until the last layer has said all."""
        return self.steps + max(self.starts.values())

    @property
    def pace(self) -> int:
        """The steps of the network from one sample to the next, where samples follow each other."""
        return self.steps + self.silent


def set_times(network: Network, silent: Mapping[Ensemble, int]) -> None:
    """Start each ensemble of digits so many steps behind its inputs, and delay what is early.

    `network` has no loops; it is changed in place.
    """
    arriving, starts = _arriving(network), dict[Place, int]()
    for place in _in_order(network, arriving):
        coming = [c for c in arriving[place] if _end(c.pre_obj) in starts]
        last = max((starts[_end(c.pre_obj)] for c in coming), default=None)
        for connection in coming:
            assert last is not None
            connection.delay = (last - starts[_end(connection.pre_obj)]) * STEP
        if isinstance(place, Ensemble):
            start = 0 if last is None else last + silent[place]
            place.neuron_type = replace(place.neuron_type, start=start)  # type: ignore[call-arg]
            starts[place] = start
        elif last is not None:
            starts[place] = last


def times_of(network: Network) -> LayerTimes | None:
    """The steps of the layers of a network of signed digits; None of any other.

    Raises `NetworkError` for loops, and for layers of several numbers of steps.
    """
    kinds = [e.neuron_type for e in network.all_ensembles if e.neuron_type.start is not None]
    if not kinds:
        return None
    lengths = {len(kind.spike_heights) for kind in kinds}
    if len(lengths) > 1:
        raise NetworkError(
            f"{network!r}: layers send digits in different numbers of steps, {sorted(lengths)}; "
            "give all of them as many spike_heights"
        )
    arriving, starts, silent = _arriving(network), dict[Place, int](), 0
    for place in _in_order(network, arriving):
        coming = [c for c in arriving[place] if _end(c.pre_obj) in starts]
        begins = [starts[_end(c.pre_obj)] + _steps_of(c) for c in coming]
        own = place.neuron_type.start if isinstance(place, Ensemble) else None
        if begins or own is not None:
            starts[place] = max(begins, default=0) if own is None else own
            silent = max([silent, *(starts[place] - begin for begin in begins)])
    return LayerTimes(lengths.pop(), starts, silent)


def _arriving(network: Network) -> dict[Place, list[Connection]]:
    """The connections to each ensemble and node."""
    places: list[Place] = [*network.all_nodes, *network.all_ensembles]
    found: dict[Place, list[Connection]] = {place: [] for place in places}
    for connection in network.all_connections:
        found[_end(connection.post_obj)].append(connection)
    return found


def _in_order(network: Network, arriving: Mapping[Place, list[Connection]]) -> list[Place]:
    """Ensembles and nodes, each behind all that it reads."""
    reads = {place: [_end(c.pre_obj) for c in found] for place, found in arriving.items()}
    try:
        return list(TopologicalSorter(reads).static_order())
    except CycleError as error:
        raise NetworkError(
            f"{network!r}: layers of signed digits start one after the other, and {error.args[1]} "
            "are a loop"
        ) from None


def _end(item: Any) -> Place:
    """The ensemble or node at an end of a connection."""
    found: Place = getattr(item, "ensemble", item)
    return found


def _steps_of(connection: Connection) -> int:
    return round(float(connection.delay) / STEP)
