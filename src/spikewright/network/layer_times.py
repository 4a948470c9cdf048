"""Layers in time: each works in steps of its own, behind those of the layers that it reads.

A population of signed digits that reads others starts some silent steps after them, so that in its
own step k it knows the first k + silent digits of its inputs. Connections are delayed so that the
first digits of all inputs of a layer, or of a sum, arrive in the same step. What is held comes in
the first step of all; a population that reads nothing else starts there.

Rows of a sequence follow each other: all begins anew with each of them, once every layer has said
all. A state, a junction that restarts, has what a layer said in the row before: its digits arrive
in the first steps of the next one, by a delay that makes up a row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from operator import attrgetter, is_
from typing import NamedTuple
from weakref import WeakKeyDictionary

from spikewright.errors import NetworkError
from spikewright.network.connection import Connection, Object, object_of
from spikewright.network.ensemble import Ensemble
from spikewright.network.functions import NodeFunction
from spikewright.network.network import Network
from spikewright.network.node import Node


class OwnStepsDone(NamedTuple):
    """Steps that a layer has done: those in which it sends, and all in which its state changes."""

    sending: int
    updates: int


@dataclass(frozen=True, eq=False)
class LayerTimes:
    """The steps of a network whose layers start one after the other.

    Every layer works in `steps` steps of its own. `starts` is the number of steps before the first
    of them, of each ensemble and node that sends digits or reads them, and `begins` the number
    before the first digit that it reads arrives. `row` is None, or the steps of the network from
    which on all of them do it again, for the next row of a sequence.
    """

    steps: int
    starts: Mapping[Object, int]
    begins: Mapping[Object, int]
    row: int | None = None

    def silent_steps(self, place: Object) -> int:
        """The number of steps from the first one that brings input to the first own step."""
        return self.starts[place] - self.begins[place]

    def done(self, place: Object, step: int) -> OwnStepsDone:
        """The steps that a layer has done up to a step of the network, silent ones as updates."""
        if place not in self.starts:
            return OwnStepsDone(step, step)
        rows, now = (0, step) if self.row is None else divmod(step, self.row)
        all_updates = self.steps + self.silent_steps(place)
        updates = min(max(now - self.begins[place], 0), all_updates)
        sending = min(max(now - self.starts[place], 0), self.steps)
        return OwnStepsDone(sending + rows * self.steps, updates + rows * all_updates)

    @property
    def network_steps(self) -> int:
        """The steps of the network until the last layer has said all, of one row of a sequence."""
        return self.row or self.steps + max(self.starts.values())

    @property
    def pace(self) -> int:
        """The steps of the network from one sample, or row, to the next that follows it."""
        return self.row or self.steps + max(map(self.silent_steps, self.begins))


def is_state(place: Object) -> bool:
    """Whether a place, a junction that restarts, has what was said in the row before."""
    return isinstance(place, Node) and place.output is None and place.restart_every is not None


def is_carried(connection: Connection) -> bool:
    """Whether a connection brings a state from the row before, and not what it begins with."""
    return is_state(object_of(connection.post_obj)) and bool(connection.delay)


def set_times(network: Network, silent: Mapping[Ensemble, int], dt: float) -> None:
    """Start each ensemble of digits so many steps behind its inputs, and delay what is early.

    Steps last `dt` seconds from then on. What restarts does so as soon as all layers have said all.
    `network` has no loops but by states; it is changed in place.
    """
    network.dt = dt
    arriving, starts = _arriving(network), dict[Object, int]()
    for place in _in_order(network, arriving):
        coming = [c for c in arriving[place] if object_of(c.pre_obj) in starts]
        begin = max((starts[object_of(c.pre_obj)] for c in coming), default=0)
        for connection in coming:
            connection.delay = (begin - starts[object_of(connection.pre_obj)]) * dt
        if isinstance(place, Ensemble):
            starts[place] = begin + silent[place] if coming else 0
            place.neuron_type = replace(place.neuron_type, start=starts[place])  # type: ignore[call-arg]
        elif coming or is_state(place):
            starts[place] = begin
    _set_rows(network, starts)


def _set_rows(network: Network, starts: Mapping[Object, int]) -> None:
    """Let all that restarts do so after a row, and states get what was said in the row before."""
    assert network.dt is not None
    steps = max((len(e.neuron_type.spike_heights) for e in network.all_ensembles), default=0)
    row = steps + max(starts.values(), default=0)
    places: tuple[Ensemble | Node, ...] = (*network.all_ensembles, *network.all_nodes)
    for place in places:
        if place.restart_every is not None:
            place.restart_every = row
    for connection in filter(is_carried, network.all_connections):
        connection.delay = (row - starts.get(object_of(connection.pre_obj), 0)) * network.dt


def times_of(network: Network) -> LayerTimes | None:
    """The steps of the layers of a network of signed digits; None of any other.

    They are found again where the network has changed. Raises `NetworkError` for loops, for layers
    of several numbers of steps, and for rows that end before a layer has said all.
    """
    connections = network.all_connections
    kinds = [ensemble.neuron_type for ensemble in network.all_ensembles]
    now: list[object] = [
        network.dt,
        *network.all_nodes,
        *kinds,
        *connections,
        *map(attrgetter("delay"), connections),
        *map(attrgetter("restart_every"), [*network.all_nodes, *network.all_ensembles]),
    ]
    known, times = _known.get(network, ([], None))
    if len(known) != len(now) or not all(map(is_, known, now)):
        times = _found_times(network)
        _known[network] = now, times
    return times


_known: WeakKeyDictionary[Network, tuple[list[object], LayerTimes | None]] = WeakKeyDictionary()


def _found_times(network: Network) -> LayerTimes | None:
    kinds = [e.neuron_type for e in network.all_ensembles if e.neuron_type.sends_digits]
    if not kinds:
        return None
    lengths = {len(kind.spike_heights) for kind in kinds}
    steps = max(lengths)
    if len(lengths) > 1:
        raise NetworkError(
            f"{network!r}: layers send digits in different numbers of steps, {sorted(lengths)}; "
            "give all of them as many spike_heights"
        )
    arriving = _arriving(network)
    starts, begins = dict[Object, int](), dict[Object, int]()
    for place in _in_order(network, arriving):
        coming = [c for c in arriving[place] if object_of(c.pre_obj) in starts]
        arrivals = [starts[object_of(c.pre_obj)] + _steps_of(c, network) for c in coming]
        own = place.neuron_type.start if isinstance(place, Ensemble) else None
        if arrivals or own is not None or is_state(place):
            begins[place] = max(arrivals, default=0)
            starts[place] = begins[place] if own is None else own
    return LayerTimes(steps, starts, begins, _row(network, starts, steps))


def _row(network: Network, starts: Mapping[Object, int], steps: int) -> int | None:
    """The steps of a row of a sequence; None of networks that take a sample as a whole."""
    ensembles, needed = network.all_ensembles, steps + max(starts.values())
    rows = {e.restart_every for e in ensembles if e.neuron_type.sends_digits}
    carried = filter(is_carried, network.all_connections)
    comes = {starts.get(object_of(c.pre_obj), 0) + _steps_of(c, network) for c in carried}
    if rows == {None} and not comes:
        return None
    row = max(rows, key=lambda every: every or 0)
    if len({*rows, *comes}) > 1 or row is None or row < needed:
        raise NetworkError(
            f"{network!r}: rows of a sequence follow each other after one number of steps, from "
            f"{needed}; got layers that begin anew after {rows} steps and states that come after "
            f"{comes}. Convert with sequence_step={steps}, which sets restart_every and delays"
        )
    return row


def waits_of(
    network: Network, times: LayerTimes, recorded: Collection[object]
) -> dict[Connection, int]:
    """The steps that each connection looks ahead where every layer counts steps of its own.

    The readers of digits wait for silent steps. What a node computes of several values waits with
    them, as long as all do that read it, none of these is `recorded` and the next row of a sequence
    does not read it: what is not read before then is not computed.
    """
    arriving = _arriving(network)
    wait = _waiting(network, times, arriving, recorded)
    return {
        connection: wait.get(place, 0) - (wait.get(pre, 0) if isinstance(pre, Node) else 0)
        for place, connections in arriving.items()
        for connection in connections
        if (pre := object_of(connection.pre_obj)) in times.starts
    }


def _waiting(
    network: Network,
    times: LayerTimes,
    arriving: Mapping[Object, list[Connection]],
    recorded: Collection[object] = (),
) -> dict[Object, int]:
    """The steps that ensembles, and nodes that compute something or feed it, wait for digits."""
    carries = {object_of(c.pre_obj) for c in network.all_connections if is_carried(c)}
    reading = _reading(arriving)
    wait: dict[Object, int] = {
        e: times.silent_steps(e) for e in network.all_ensembles if e in times.starts
    }
    computing = set[Object]()
    for place in reversed(_in_order(network, arriving)):
        if is_state(place) or not isinstance(place, Node):
            continue
        if _computes(place) or computing & {*reading[place]}:
            computing.add(place)
            now = place in recorded or place in carries
            after = () if now else [wait.get(reader, 0) for reader in reading[place]]
            wait[place] = min(after, default=0)
    return wait


def _computes(node: Node) -> bool:
    """Whether a node computes something other than a maximum, which takes digits as they come."""
    function = node.output
    return isinstance(function, NodeFunction) and function.accumulate and not function.homogeneous


def evaluations(network: Network, times: LayerTimes) -> dict[Object, int]:
    """The number of times that each ensemble and node is computed, where nothing is recorded.

    A layer uses nothing of its silent steps but the last: with d of them it reads what the first
    d + 1 digits say, and then each digit more. What follows from held input is computed once, and
    what is read out, or by the next row of a sequence, in every step.
    """
    wait = _waiting(network, times, _arriving(network))
    places: tuple[Object, ...] = (*network.all_nodes, *network.all_ensembles)
    return {
        place: max(1, times.steps - wait.get(place, 0)) if place in times.starts else 1
        for place in places
    }


def _arriving(network: Network) -> dict[Object, list[Connection]]:
    """The connections to each ensemble and node, but for those from the row before."""
    places: list[Object] = [*network.all_nodes, *network.all_ensembles]
    found: dict[Object, list[Connection]] = {place: [] for place in places}
    for connection in network.all_connections:
        if not is_carried(connection):
            found[object_of(connection.post_obj)].append(connection)
    return found


def _reading(arriving: Mapping[Object, list[Connection]]) -> dict[Object, list[Object]]:
    """The places that read each ensemble and node."""
    found: dict[Object, list[Object]] = {place: [] for place in arriving}
    for place, connections in arriving.items():
        for connection in connections:
            found[object_of(connection.pre_obj)].append(place)
    return found


def _in_order(network: Network, arriving: Mapping[Object, list[Connection]]) -> list[Object]:
    """Ensembles and nodes, each behind all that it reads."""
    reads = {place: [object_of(c.pre_obj) for c in found] for place, found in arriving.items()}
    try:
        return list(TopologicalSorter(reads).static_order())
    except CycleError as error:
        raise NetworkError(
            f"{network!r}: layers of signed digits start one after the other, and {error.args[1]} "
            "are a loop"
        ) from None


def _steps_of(connection: Connection, network: Network) -> int:
    delay = connection.delay
    if not isinstance(delay, float) or (delay and network.dt is None):
        raise NetworkError(
            f"{connection!r}: between layers of signed digits a delay is one number of seconds, of "
            f"steps that the network states; got delay={delay!r} and dt={network.dt!r}"
        )
    return round(delay / network.dt) if network.dt else 0
