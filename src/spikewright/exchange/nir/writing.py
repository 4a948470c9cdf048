"""A network as a graph of NIR, object by object."""

from __future__ import annotations

import graphlib
import math
import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.engines.matrices import matrix_of
from spikewright.errors import ExchangeError, Refusal
from spikewright.exchange.nir.dialects import Dialect
from spikewright.exchange.nir.ends import Ends, Object
from spikewright.exchange.nir.maps import Map, Shape, diagonal
from spikewright.exchange.nir.neurons import Cell, cell_of
from spikewright.exchange.nir.signals import (
    Follower,
    Signal,
    Unsayable,
    by_channel,
    image_index,
    plain,
)
from spikewright.exchange.nir.windows import squared
from spikewright.network import Connection, Ensemble, MaxPool, Node
from spikewright.network import transforms as t


@dataclass(frozen=True)
class Settings:
    """How a graph is written: for a reader, steps of `dt` seconds, and runs of `steps` steps."""

    dialect: Dialect
    dt: float
    steps: int | None


def graph_of(ends: Ends, settings: Settings) -> Any:
    """The NIR graph of a network; raises `ExchangeError` with everything that NIR cannot say."""
    writing = _Writing(ends, settings)
    writing.write()
    if writing.refusals:
        raise ExchangeError(writing.refusals)
    return require("nir").NIRGraph(writing.nodes, writing.edges, writing.metadata())


@dataclass
class _Writing:
    ends: Ends
    settings: Settings
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    rounded: list[str] = field(default_factory=list)
    values: dict[int, list[Signal] | None] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nir = require("nir")
        network = self.ends.network
        self.objects: list[Object] = _ordered(network.all_connections, self.everything())
        self.incoming: dict[int, list[Connection]] = {id(o): [] for o in self.objects}
        self.readers: dict[int, int] = {id(o): 0 for o in self.objects}
        for connection in network.all_connections:
            self.incoming[id(_object(connection.post_obj))].append(connection)
            self.readers[id(_object(connection.pre_obj))] += 1
        for output in self.ends.outputs.values():
            self.readers[id(output)] += 1
        self.rank = _rank(network.all_connections)

    def everything(self) -> list[Object]:
        """All objects of the network."""
        network = self.ends.network
        return [*network.all_nodes, *network.all_ensembles]

    def metadata(self) -> dict[str, Any]:
        """What the graph says of itself."""
        settings = self.settings
        found: dict[str, Any] = {
            "writer": "spikewright",
            "dialect": settings.dialect.name,
            "dt": 1.0,
            "seconds_per_step": settings.dt,
            "rounded": ", ".join(self.rounded),
        }
        return found if settings.steps is None else {**found, "steps": settings.steps}

    def write(self) -> None:
        """Write every object, and then the outputs."""
        for item in self.objects:
            try:
                self.values[id(item)] = self.value_of(item)
            except Unsayable as error:
                self.refuse(item, error)
        for name, item in self.ends.outputs.items():
            found = self.values.get(id(item))
            if found is not None:
                self.output(name, item, found)

    def refuse(self, item: Object, error: Unsayable) -> None:
        """Keep a refusal; what reads the object is not looked at."""
        self.values[id(item)] = None
        label = item.label or repr(item)
        self.refusals.append(Refusal(label, _kind(item), error.reason, error.help))

    def value_of(self, item: Object) -> list[Signal] | None:
        """The signals whose sum an object sends, or None behind something that was refused."""
        name = next((n for n, node in self.ends.inputs.items() if node is item), None)
        if name is not None:
            return [self.input(name, item)]
        if isinstance(item, Node) and isinstance(item.output, np.ndarray):
            return []  # a constant, part of its readers' bias
        if isinstance(item, Node) and item.output is not None:
            raise Unsayable(*_function_reason(item))
        cell = cell_of(item, self.settings.dt) if isinstance(item, Ensemble) else None
        arriving, bias = self.arriving(item)
        if arriving is None:
            return None
        if isinstance(item, Node):
            return self.junction(item, arriving, bias)
        assert cell is not None
        return [self.population(item, cell, arriving, bias)]

    def input(self, name: str, item: Object) -> Signal:
        """An input, in NIR's order of axes."""
        natural = item.shape_out if isinstance(item, Node) else item.shape
        last = self.layout(item) if len(natural) == self.rank + 1 else None
        shape = self.vector(natural)
        if last is not None:
            shape = (natural[-1], *natural[:-1]) if last else natural
        index = image_index(shape, natural, bool(last))
        given = "input" if len(self.ends.inputs) == 1 else f"input_{name}"
        node = self.add(given, self.nir.Input(np.array(shape)), [])
        return plain((node,), shape, index)

    def vector(self, natural: Shape) -> Shape:
        """The shape of an object as a vector."""
        return (math.prod(natural), *(1,) * self.rank)

    def layout(self, item: Object) -> bool | None:
        """Whether the windows over an object have channels last; None if there are none."""
        for connection in self.ends.network.all_connections:
            if _object(connection.pre_obj) is not item:
                continue
            for part in connection.chain():
                if isinstance(part, t.Convolution | t.SumPool):
                    return part.channels_last
                if not isinstance(part, t.Scale):
                    break
            else:
                post = _object(connection.post_obj)
                found = self.layout(post) if isinstance(post, Node) else None
                if found is not None:
                    return found
        return None

    def arriving(self, item: Object) -> tuple[list[Signal] | None, NDArray | None]:
        """The signals that arrive at an object, and the constants."""
        signals: list[Signal] = []
        bias: NDArray | None = None
        for connection in self.incoming[id(item)]:
            _check(connection)
            pre = _object(connection.pre_obj)
            sent = self.values[id(pre)]
            if sent is None:
                return None, None
            if isinstance(pre, Node) and not sent and isinstance(pre.output, np.ndarray):
                constant = _applied(connection, pre.output)
                bias = constant if bias is None else bias + constant
                continue
            follower = Follower(self.rank, partial(self.emit, name=f"{_name(item)}_part"))
            signals += [follower.through(signal, connection.chain()) for signal in sent]
        return signals, bias

    def junction(self, item: Node, arriving: list[Signal], bias: NDArray | None) -> list[Signal]:
        """A sum; it becomes a node of its own where it has a constant or several readers."""
        if bias is None and self.readers[id(item)] <= 1:
            return arriving
        biased = None if bias is None else np.broadcast_to(bias, item.shape_out)
        return [
            self.emit(signal, _name(item), None if i else biased)
            for i, signal in enumerate(arriving)
        ]

    def population(
        self, item: Ensemble, cell: Cell, arriving: list[Signal], bias: NDArray | None
    ) -> Signal:
        """Neurons, behind nodes that hold their weights and bias."""
        if not arriving:
            raise Unsayable("nothing but constants leads to it", "Leave it out")
        unit = cell.gain * cell.unit
        total = cell.unit * (cell.bias + (0.0 if bias is None else cell.gain * bias))
        total = total + self.start(cell)
        sent = []
        for i, signal in enumerate(arriving):
            constant = total if not i else np.zeros(item.shape)
            sent.append(self.emit(signal, f"{_name(item)}_weights", constant, unit))
        first = sent[0]
        if any(s.shape != first.shape or not np.array_equal(s.index, first.index) for s in sent):
            raise Unsayable("what leads to it is a vector on one way and an image on another")
        ones = np.ones(first.shape)
        made = self.nir.IF(
            r=ones.astype(np.float32),
            v_threshold=ones.astype(np.float32),
            metadata=self.metadata_of(item, cell, first),
        )
        node = self.add(_name(item), made, [name for s in sent for name in s.names])
        heights = _arranged(np.full(item.shape, cell.factor), first)
        return Signal((node,), first.shape, first.index, heights, _arranged(cell.unit, first))

    def start(self, cell: Cell) -> NDArray:
        """The part of the bias that stands for the initial voltage."""
        steps = self.settings.steps
        if not np.any(cell.start):
            return np.zeros(())
        if steps is not None:
            return cell.start / steps
        if self.settings.dialect.start == "bias":
            raise Unsayable(
                f"its voltages start above zero, which {self.settings.dialect.name} does not read",
                "Give steps=, the length of a run: the start is spread over it as a bias; or "
                'convert with initial_voltage="zero"',
            )
        return np.zeros(())

    def metadata_of(self, item: Ensemble, cell: Cell, signal: Signal) -> dict[str, Any]:
        """What NIR cannot say of neurons."""
        start = np.zeros(item.shape) if self.settings.steps is not None else cell.start
        init = _arranged(start, signal).reshape(signal.shape)
        return {**cell.metadata, "layer": _name(item), "v_init": init}

    def emit(
        self,
        signal: Signal,
        name: str,
        bias: NDArray | None = None,
        unit: NDArray | float = 1.0,
    ) -> Signal:
        """A signal in a given unit as a node of its own, or as it is where nothing changes it."""
        natural = signal.index.shape
        units = np.broadcast_to(unit, natural)
        constant = None if bias is None else np.broadcast_to(bias, natural)
        as_it_is = signal.map is None and (constant is None or not np.any(constant))
        if as_it_is and signal.complete and np.all(signal.heights(_arranged(units, signal)) == 1.0):
            return plain(signal.names, signal.shape, signal.index)
        made, index = self.scaled(signal, units, constant)
        flat = np.zeros(math.prod(made.output_shape))
        if constant is not None:
            flat[index.ravel()] = constant.ravel()
        biases = by_channel(flat, made.output_shape)
        assert biases is not None  # scaled() made a matrix otherwise
        node = self.affine(name, made, biases, signal.names)
        return plain((node,), made.output_shape, index)

    def scaled(
        self, signal: Signal, units: NDArray, constant: NDArray | None
    ) -> tuple[Map, NDArray]:
        """The map of a signal in units of its receivers, and where their values are."""
        if signal.complete:
            rows = by_channel(_arranged(units, signal), signal.shape)
            flat = None if constant is None else _arranged(constant, signal)
            biases = rows if flat is None else by_channel(flat, signal.shape)
            heights = by_channel(signal.heights(_arranged(units, signal)), signal.shape)
            if biases is not None and heights is not None and rows is not None:
                if signal.map is not None:
                    return signal.map.times(rows), signal.index
                return diagonal(heights, signal.shape), signal.index
        raise Unsayable("its bias or its scale differs from pixel to pixel")

    def affine(self, name: str, map: Map, bias: NDArray, sources: tuple[str, ...]) -> str:
        """A node with weights and a bias."""
        map = squared(map)
        weight, offset = self.single(name, map.kernel), self.single(name, bias)
        if not map.size:
            made = self.nir.Affine(weight=weight, bias=offset)
        else:
            kind = self.nir.Conv2d if len(map.size) == 2 else self.nir.Conv1d
            pads = tuple(before for before, _ in map.padding)
            shape, stride, padding, dilation = (
                values if len(values) > 1 else values[0]
                for values in (map.shape[1:], map.stride, pads, map.dilation)
            )
            made = kind(shape, weight, stride, padding, dilation, 1, offset)
        return self.add(name, made, sources)

    def single(self, name: str, values: NDArray) -> NDArray:
        """An array in single precision, as readers compute; notes where this rounds."""
        made = values.astype(np.float32)
        if not np.array_equal(made, values) and name not in self.rounded:
            self.rounded.append(name)
        return made

    def add(self, name: str, node: Any, sources: list[str] | tuple[str, ...]) -> str:
        """A node under a name of its own.

        Files list nodes in the order of their names, and some readers need that of the graph.
        """
        name = re.sub(r"[^0-9A-Za-z_]", "_", name)
        if not isinstance(node, self.nir.Input | self.nir.Output):
            name = f"n{len(self.nodes):04}_{name}"
        if name in self.nodes:
            name = f"{name}_{len(self.nodes)}"
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    def output(self, name: str, item: Object, value: list[Signal]) -> None:
        """An output, and the nodes that it is the sum of."""
        sent = [self.emit(signal, f"{_name(item)}_values") for signal in value]
        first = sent[0]
        given = "output" if len(self.ends.outputs) == 1 else f"output_{name}"
        metadata = {"readout": self.ends.readouts[name]} if name in self.ends.readouts else {}
        made = self.nir.Output(np.array(first.shape), metadata=metadata)
        self.add(given, made, [n for s in sent for n in s.names])


def _arranged(values: NDArray, signal: Signal) -> NDArray:
    """Values of an object as a flat array over a signal's shape."""
    flat = np.zeros(math.prod(signal.shape))
    flat[signal.index.ravel()] = np.broadcast_to(values, signal.index.shape).ravel()
    return flat


def _object(end: Any) -> Object:
    found: Object = getattr(end, "ensemble", end)
    return found


def _name(item: Object) -> str:
    return item.label or type(item).__name__.lower()


def _kind(item: Object) -> str:
    return type(item.neuron_type).__name__ if isinstance(item, Ensemble) else "Node"


def _rank(connections: list[Connection]) -> int:
    """The number of spatial axes of a graph's arrays: that of its windows, two at most."""
    parts = [part for c in connections for part in c.chain()]
    ranks = [len(p.windows.size) for p in parts if isinstance(p, t.Convolution | t.SumPool)]
    return min(max(ranks, default=0), 2)


def _ordered(connections: list[Connection], objects: list[Object]) -> list[Object]:
    """All objects, each behind those that it reads."""
    place = {id(item): i for i, item in enumerate(objects)}
    before: dict[int, list[int]] = {i: [] for i in range(len(objects))}
    for connection in connections:
        ends = _object(connection.pre_obj), _object(connection.post_obj)
        pre, post = (place[id(end)] for end in ends)
        before[post].append(pre)
    return [objects[i] for i in graphlib.TopologicalSorter(before).static_order()]


def _check(connection: Connection) -> None:
    """Raise `Unsayable` for what a connection has beside a linear map."""
    if connection.synapse is not None:
        raise Unsayable(
            f"{connection!r} has the synapse {connection.synapse!r}", "Use synapse=None"
        )
    if np.any(connection.delay):
        raise Unsayable(f"{connection!r} has a delay", "Leave it out")
    if connection.learning_rules:
        raise Unsayable(
            f"{connection!r} learns, and weights of NIR are fixed", "Keep what it learned"
        )
    if connection.function is not None or isinstance(connection.pre_obj, Ensemble):
        raise Unsayable(f"{connection!r} decodes a vector, and NIR has neurons alone")


def _applied(connection: Connection, value: NDArray) -> NDArray:
    """A constant behind a connection."""
    maps, shape = connection.chain(), value.shape
    if not maps:
        return value
    flat = matrix_of(maps, shape) @ value.ravel()
    for part in maps:
        shape = part.output_shape(shape)
    return np.asarray(flat.reshape(shape))


def _function_reason(item: Node) -> tuple[str, str]:
    """Why NIR has no form of a node with a function, and what would help."""
    function = item.output
    if isinstance(function, MaxPool):
        return "NIR has no max pooling", 'Convert with max_pool="average"'
    return f"NIR has no node that computes {type(function).__name__}", "End the network before it"
