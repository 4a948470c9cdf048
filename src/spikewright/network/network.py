"""Networks: containers of objects, filled inside `with network:`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from numbers import Number
from typing import TYPE_CHECKING, Any

from spikewright._base.arguments import is_number
from spikewright.errors import NetworkError
from spikewright.network.attributes import Checked, Stack
from spikewright.network.config import Config, no_defaults
from spikewright.network.shapes import as_label, as_seed
from spikewright.network.summary import contents

if TYPE_CHECKING:
    from spikewright.network.connection import Connection
    from spikewright.network.ensemble import Ensemble
    from spikewright.network.node import Node
    from spikewright.network.probe import Probe

_KINDS = ("ensembles", "nodes", "connections", "networks", "probes")
_contexts: Stack[Network] = Stack()


class Network(Checked):
    """A container of objects, filled inside `with network:`.

    `seed` fixes every random choice that its objects leave open; `label` names it in messages. A
    network made inside another one becomes part of it. `config` holds defaults for the objects that
    are made inside it: `network.config[sw.Ensemble].radius = 2`. Objects, functions and lists may
    be kept under names of their own, `network.stimulus = sw.Node(...)`; a number or a text under an
    unknown name is an error, as on every modelling object.

    `dt` is the length in seconds of the steps that its parameters hold for, None for any: a loaded
    NIR file has one, since decays and weights of its neurons are those of a step. Simulators take
    it, and refuse another where neurons have a state.
    """

    dt: float | None = None

    def __init__(self, label: str | None = None, seed: int | None = None) -> None:
        self.label = as_label(label, "Network", "seed")
        self.seed = as_seed(seed, f"{self!r}")
        self.nodes: list[Node] = []
        self.ensembles: list[Ensemble] = []
        self.connections: list[Connection] = []
        self.probes: list[Probe] = []
        self.networks: list[Network] = []
        self.config = Config()
        if _contexts.items:
            _contexts.items[-1].add(self)
        self._made = type(self) is Network

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "dt" and value is not None:
            if not (is_number(value) and value > 0):
                raise NetworkError(f"{self!r}: dt must be None or above 0 s, got {value!r}")
            value = float(value)
        if value is None or isinstance(value, str | Number):
            super().__setattr__(name, value)
        else:
            object.__setattr__(self, name, value)

    def __enter__(self) -> Network:
        _contexts.items.append(self)
        self.config.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.config.__exit__()
        _contexts.items.pop()

    def __contains__(self, item: object) -> bool:
        """Whether an object is a part of this network, or of one inside."""
        return any(item is part for part in self.all_objects)

    def copy(self) -> Network:
        """A network like this one, with objects of its own; part of the network being filled.

        Connections of this network to objects outside it lead to copies of those objects. The
        copies are in no network, so that a simulator refuses them.
        """
        made = copy.deepcopy(self)
        if _contexts.items:
            _contexts.items[-1].add(made)
        return made

    def __repr__(self) -> str:
        name, held = repr(self.label) if self.label else f"at {id(self):#x}", contents(self)
        return f"<{type(self).__name__} {name}{held and f' with {held}'}>"

    def add(self, network: Network) -> Network:
        """Make `network` a part of this one; raises `NetworkError` if it is already, or a cycle."""
        if not isinstance(network, Network):
            raise NetworkError(f"{self!r}: only a Network can be added, got {network!r}")
        if network is self or self in network.all_networks:
            raise NetworkError(f"{network!r} cannot be a part of itself")
        if network in self.all_networks:
            raise NetworkError(f"{network!r} is a part of {self!r} already")
        self.networks.append(network)
        return network

    @property
    def all_networks(self) -> list[Network]:
        """Every network inside this one, however deep."""
        return [inner for n in self.networks for inner in (n, *n.all_networks)]

    def _all(self, kind: str) -> list[Any]:
        return [item for net in (self, *self.all_networks) for item in getattr(net, kind)]

    @property
    def all_nodes(self) -> list[Node]:
        """Nodes of this network and of every one inside."""
        return self._all("nodes")

    @property
    def all_ensembles(self) -> list[Ensemble]:
        """Ensembles of this network and of every one inside."""
        return self._all("ensembles")

    @property
    def all_connections(self) -> list[Connection]:
        """Connections of this network and of every one inside."""
        return self._all("connections")

    @property
    def all_probes(self) -> list[Probe]:
        """Probes of this network and of every one inside."""
        return self._all("probes")

    @property
    def all_objects(self) -> list[Any]:
        """All that is in this network and in every one inside, the networks inside included."""
        return [item for kind in _KINDS for item in self._all(kind)]

    @property
    def n_neurons(self) -> int:
        """Number of neurons, inner networks included."""
        return sum(ensemble.n_neurons for ensemble in self.all_ensembles)


def being_filled() -> tuple[Network, ...]:
    """The networks being filled, the innermost last."""
    return tuple(_contexts.items)


def container(what: str) -> Network:
    """The innermost network being filled; raises `NetworkError` outside any."""
    if not _contexts.items:
        raise NetworkError(
            f"no network to put a new {what} into: make it inside `with sw.Network() as net:`"
        )
    return _contexts.items[-1]


def entropy(number: int, seed: int | None = None) -> list[int] | None:
    """Entropy of an object when it is made: its `seed`, else its place in a seeded network.

    `number` is its number in the innermost network; None where no network has a seed.
    """
    if seed is not None:
        return [seed]
    contexts = _contexts.items
    seeded = [i for i, network in enumerate(contexts) if network.seed is not None]
    if not seeded:
        return None
    around = contexts[seeded[-1] :]
    places = [
        next((i for i, one in enumerate(outer.networks) if one is inner), len(outer.networks))
        for outer, inner in pairwise(around)
    ]
    # Zeros at the end would say nothing to NumPy's seeds.
    return [int(around[0].seed or 0), *(place + 1 for place in (*places, number))]


@contextmanager
def detached() -> Iterator[None]:
    """Hide the networks being filled: new objects are in no network and have no defaults."""
    with _contexts.hidden(), no_defaults():
        yield
