"""A network as a graph of NIR, object by object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ExchangeError, Refusal
from spikewright.exchange.nir.building import (
    Building,
    Form,
    alike,
    arranged,
    as_matrix,
    forms_of,
    in_order,
    limits_of,
    single,
)
from spikewright.exchange.nir.dialects import OTHER_DIALECT, WRITER, Dialect
from spikewright.exchange.nir.neurons import (
    FusedSynapse,
    NirNeurons,
    adapted_to_dialect,
    behind,
    cell_of,
    check_reset,
    check_start,
    synapses_of,
)
from spikewright.exchange.nir.reading import NoForm
from spikewright.exchange.nir.signals import (
    Follower,
    Object,
    Signal,
    check,
    delivered_constant,
    has_delay,
    image_index,
    layout_of,
    object_of,
    ordered,
    plain,
    rank_of,
    reachable,
    recorded,
    wait_of,
)
from spikewright.exchange.ports import Ports
from spikewright.network import Connection, Ensemble, MaxPool, Node, Probe
from spikewright.network.transforms import Shape


def graph_of(
    ports: Ports, dialect: Dialect, dt: float, steps: int | None = None, reset: str | None = None
) -> Any:
    """The NIR graph of a network in steps of `dt` seconds, for runs of `steps` steps.

    `reset` is one that the reader may have in place of the neurons' own. Raises `ExchangeError`
    with everything that NIR cannot say.
    """
    writing = _Writing(ports, dialect, dt, steps, reset)
    writing.write()
    if writing.refusals:
        raise ExchangeError(writing.refusals)
    made = writing.made
    return made.nir.NIRGraph(made.nodes, writing.edges(), writing.metadata())


@dataclass
class _Writing:
    ports: Ports
    dialect: Dialect
    dt: float
    steps: int | None
    reset: str | None
    values: dict[int, list[Signal] | None] = field(default_factory=dict)
    cells: dict[int, tuple[NDArray, Signal]] = field(default_factory=dict)
    closing: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.made = Building(self.dialect)
        network = self.ports.network
        self.connections = network.all_connections
        self.after = reachable(self.connections)
        straight = [c for c in self.connections if not self.closes(c)]
        self.objects = ordered(straight, [*network.all_nodes, *network.all_ensembles])
        self.incoming: dict[int, list[Connection]] = {id(o): [] for o in self.objects}
        self.readers: dict[int, int] = {id(o): 0 for o in self.objects}
        for connection in self.connections:
            self.incoming[id(object_of(connection.post_obj))].append(connection)
            self.readers[id(object_of(connection.pre_obj))] += 1
        probes = self.ports.outputs.items()
        found = {name: self.attempt(probe, partial(recorded, probe)) for name, probe in probes}
        self.outputs: dict[str, Object] = {n: item for n, item in found.items() if item is not None}
        for output in self.outputs.values():
            self.readers[id(output)] += 1
        self.rank = rank_of(self.connections)
        moving = {k: [c for c in v if not self.constant(c)] for k, v in self.incoming.items()}
        self.synapses = synapses_of(self.objects, moving, self.readers, self.dialect, self.dt)
        self.fronts = {id(synapse.front) for synapse in self.synapses.values()}

    def metadata(self) -> dict[str, Any]:
        """The metadata of the graph itself."""
        found: dict[str, Any] = {
            "writer": WRITER,
            "dialect": self.dialect.name,
            "dt": 1.0,
            "seconds_per_step": self.dt,
            "rounded": ", ".join(self.made.rounded),
        }
        if self.steps is not None:
            found["steps"] = self.steps
        readouts = {f"readout_{n}": layer.function for n, layer in self.ports.readouts.items()}
        return found | readouts

    def write(self) -> None:
        """Write every object, then what closes loops, and then the outputs."""
        for item in self.objects:
            self.values[id(item)] = self.attempt(item, partial(self.value_of, item))
        if any(value is None for value in self.values.values()):
            return
        known = len(self.refusals)
        for item in self.objects:
            self.attempt(item, partial(self.close, item))
        for name, output in self.outputs.items():
            self.attempt(output, partial(self.output, name, output))
        if len(self.refusals) == known:
            self.refusals += limits_of(self.made, self.edges(), self.closing)

    def constant(self, connection: Connection) -> bool:
        """True for a connection from a node of constant values that is no input."""
        pre = object_of(connection.pre_obj)
        held = isinstance(pre, Node) and isinstance(pre.output, np.ndarray)
        return held and all(pre is not node for node in self.ports.inputs.values())

    def attempt(self, item: Object | Probe, make: Any) -> Any:
        """The result, or None and a refusal that is kept."""
        try:
            return make()
        except NoForm as error:
            label = item.label or repr(item)
            self.refusals.append(Refusal(label, _kind(item), error.reason, error.help))
            return None

    def value_of(self, item: Object) -> list[Signal] | None:
        """The signals whose sum an object sends, or None behind something that was refused."""
        name = next((n for n, node in self.ports.inputs.items() if node is item), None)
        if name is not None:
            return [self.input(name, item)]
        if isinstance(item, Node) and isinstance(item.output, np.ndarray):
            return []  # a constant, part of its readers' bias
        if id(item) in self.fronts:
            return []  # part of the neurons behind it
        if isinstance(item, Node) and item.output is not None:
            raise NoForm(*_function_reason(item))
        cell = cell_of(item, self.dt) if isinstance(item, Ensemble) else None
        arriving, bias = self.arriving(item)
        if arriving is None:
            return None
        if isinstance(item, Node):
            return self.junction(item, _something(arriving), bias)
        assert cell is not None
        self.attempt(item, partial(check_start, cell, self.dialect, self.steps))
        self.attempt(item, partial(check_reset, cell, self.dialect, self.reset))
        synapse = self.synapses.get(id(item))
        if synapse is None:
            cell = adapted_to_dialect(cell, self.dialect.semantics)
            return [self.population(item, cell, _something(arriving), bias)]
        return self.filtered(item, cell, synapse, arriving, bias)

    def input(self, name: str, item: Object) -> Signal:
        """An input, in NIR's order of axes."""
        natural = item.shape_out if isinstance(item, Node) else item.shape
        last = layout_of(self.connections, item) if len(natural) == self.rank + 1 else None
        shape: Shape = (math.prod(natural), *(1,) * self.rank)
        if last is not None:
            shape = (natural[-1], *natural[:-1]) if last else natural
        index = image_index(shape, natural, bool(last))
        given = "input" if len(self.ports.inputs) == 1 else f"input_{name}"
        node = self.made.add(given, self.made.nir.Input(np.array(shape)), [])
        return plain((node,), shape, index)

    def arriving(self, item: Object) -> tuple[list[Signal] | None, NDArray | None]:
        """The signals that arrive at an object in their step, and the constants."""
        signals: list[Signal] = []
        bias: NDArray | None = None
        for connection in self.incoming[id(item)]:
            check(connection)
            pre = object_of(connection.pre_obj)
            if self.closes(connection):
                continue
            sent = self.values[id(pre)]
            if sent is None:
                return None, None
            if self.constant(connection):
                constant = delivered_constant(connection)
                bias = constant if bias is None else bias + constant
                continue
            signals += self.delivered(connection, item, sent)
        return signals, bias

    def closes(self, connection: Connection) -> bool:
        """True for a connection that closes a loop."""
        pre, post = object_of(connection.pre_obj), object_of(connection.post_obj)
        return has_delay(connection) and id(pre) in self.after.get(id(post), ())

    def delivered(
        self, connection: Connection, item: Object, sent: Sequence[Signal], least: int = 1
    ) -> list[Signal]:
        """Signals behind a connection: its filter, its delay from `least` steps, its transform."""
        steps, tau = wait_of(connection, self.dt)
        synapse = self.synapses.get(id(item))
        if synapse is not None and synapse.front is None:
            tau = 0.0  # the receiver's own
        follower = Follower(self.rank, partial(self.emit, name=f"{_name(item)}_part"))
        signals = []
        for signal in sent:
            if tau:
                fields = {"tau": tau, "r": 1.0, "v_leak": 0.0}
                signal = self.stage(signal, f"{_name(item)}_filter", "LI", fields)
            if steps >= least:
                delay = {"delay": float(steps)}
                signal = self.stage(signal, f"{_name(item)}_delay", "Delay", delay)
            signals.append(follower.through(signal, connection.chain()))
        return signals

    def stage(self, signal: Signal, name: str, kind: str, fields: dict[str, float]) -> Signal:
        """A signal behind a node that does the same to every value."""
        if signal.map is not None or len(signal.names) != 1:
            signal = self.emit(signal, name)
        arrays = {n: np.full(signal.shape, v, np.float32) for n, v in fields.items()}
        node = self.made.add(name, getattr(self.made.nir, kind)(**arrays), signal.names)
        return replace(signal, names=(node,))

    def emit(self, signal: Signal, name: str) -> Signal:
        """A signal whose map is a node of its own, where it has one."""
        (form,) = forms_of([signal], 1.0, 0.0)
        return plain(self.made.sent(name, form), form.shape, form.index)

    def junction(self, item: Node, arriving: list[Signal], bias: NDArray | None) -> list[Signal]:
        """A sum; it becomes nodes of its own where it has a constant or several readers."""
        if bias is None and self.readers[id(item)] <= 1:
            return arriving
        forms = forms_of(arriving, 1.0, 0.0 if bias is None else bias)
        return [plain(self.made.sent(_name(item), f), f.shape, f.index) for f in forms]

    def population(
        self, item: Ensemble, cell: NirNeurons, arriving: list[Signal], bias: NDArray | None
    ) -> Signal:
        """Neurons, behind nodes that hold their weights and bias."""
        gain, constant = np.asarray(item.gain), self.held(item, cell, bias)
        return self.neurons_of(item, cell, arriving, gain * cell.unit, constant)

    def filtered(
        self,
        item: Ensemble,
        cell: NirNeurons,
        synapse: FusedSynapse,
        given: list[Signal],
        held: Any,
    ) -> list[Signal] | None:
        """Neurons and the synapse in front of them, as one node."""
        rest, dialect = self.held(item, cell, held), self.dialect
        if np.any(rest) and not dialect.rests:
            why = "its bias behind the synapse is a v_leak, which {} does not read as NIR says it"
            raise NoForm(why.format(dialect.name), OTHER_DIALECT)
        whole = adapted_to_dialect(behind(cell, synapse, rest), dialect.semantics)
        front, worth = synapse.front, synapse.worth * whole.unit
        if front is None:
            unit = np.asarray(item.gain) * cell.unit * worth
            return [self.neurons_of(item, whole, _something(given), unit, 0.0)]
        arriving, bias = self.arriving(front)
        if arriving is None:
            return None
        gain, own = np.asarray(front.gain), np.asarray(front.bias)
        total = own if bias is None else own + gain * bias
        signal = self.neurons_of(item, whole, _something(arriving), gain * worth, total * worth)
        self.cells[id(front)] = self.cells[id(item)]
        return [signal]

    def held(self, item: Ensemble, cell: NirNeurons, bias: NDArray | None) -> NDArray:
        """The constant current of a node: biases, and what stands for the initial voltage."""
        own = np.asarray(item.bias)
        total = own if bias is None else own + np.asarray(item.gain) * bias
        return np.asarray(cell.unit * total + self.start(cell))

    def neurons_of(
        self, item: Ensemble, cell: NirNeurons, arriving: list[Signal], unit: NDArray, constant: Any
    ) -> Signal:
        """The node of neurons, to which a sum counts `unit` times, and those in front of it."""
        forms = forms_of(arriving, unit, constant)
        first = forms[0]
        sources = [n for form in forms for n in self.made.sent(f"{_name(item)}_weights", form)]
        fields = {n: single(_over(v, first)) for n, v in cell.parameters.items()}
        if not np.any(fields.get("v_reset", 0.0)):
            fields.pop("v_reset", None)
        stated = self.stated(item, cell, first)
        node = getattr(self.made.nir, cell.kind)(**fields, metadata=stated)
        name = self.made.add(_name(item), node, sources)
        factor, height = (_over(v, first).ravel() for v in (cell.factor, cell.height))
        signal = Signal((name,), first.shape, first.index, factor, height)
        self.cells[id(item)] = unit, signal
        return signal

    def start(self, cell: NirNeurons) -> NDArray | float:
        """The part of the constant current that stands for the initial voltage."""
        steps = self.steps
        return 0.0 if steps is None or not np.any(cell.start) else cell.spread(steps)

    def stated(self, item: Ensemble, cell: NirNeurons, form: Form) -> dict[str, Any]:
        """The metadata of neurons, for what NIR cannot say."""
        found = {**cell.metadata, "layer": _name(item)}
        if "reset" in found:
            found["v_init"] = _over(0.0 if self.steps else cell.start, form)
        return found

    def close(self, item: Object) -> None:
        """The connections that close loops: edges to neurons wait one step where no node does."""
        for connection in self.incoming[id(item)]:
            if not self.closes(connection):
                continue
            if not isinstance(item, Ensemble):
                raise NoForm(
                    f"{connection!r} closes a loop at a node without neurons",
                    "Connect it to the neurons behind that node",
                )
            unit, own = self.cells[id(item)]
            sent = self.values[id(object_of(connection.pre_obj))] or []
            alone = wait_of(connection, self.dt)[0] == 1
            for signal in self.delivered(connection, item, sent, 2):
                (form,) = forms_of([signal], unit, 0.0)
                if not alike(form, own):
                    form = as_matrix(signal, np.broadcast_to(unit, item.shape))
                if not alike(form, own):
                    raise NoForm(f"{connection!r} brings a vector back to an image")
                names = self.made.sent(f"{_name(item)}_loop", form)
                self.made.lead(names, own.names[0])
                self.closing += [(name, own.names[0]) for name in names if alone]

    def edges(self) -> list[tuple[str, str]]:
        """The edges, those of loops first: a walk that follows them ends at the output."""
        around = {name for name, _ in self.closing if name not in self.neurons()}
        return sorted(self.made.edges, key=lambda edge: edge[1] not in around)

    def neurons(self) -> set[str]:
        """The nodes that hold a state."""
        return {name for _, signal in self.cells.values() for name in signal.names}

    def output(self, name: str, item: Object) -> None:
        """An output, and the nodes that it is the sum of."""
        signals = self.values[id(item)] or []
        forms = forms_of(signals, 1.0, 0.0)
        if not in_order(forms[0]):
            forms = [as_matrix(signal, np.ones(signal.index.shape)) for signal in signals]
        sources = [n for form in forms for n in self.made.sent(f"{_name(item)}_values", form)]
        given = "output" if len(self.ports.outputs) == 1 else f"output_{name}"
        self.made.add(given, self.made.nir.Output(np.array(forms[0].shape)), sources)


def _over(values: Any, form: Form) -> NDArray:
    """Values of an object in the array of a form."""
    return arranged(values, form.index, form.shape).reshape(form.shape)


def _name(item: Object) -> str:
    return item.label or type(item).__name__.lower()


def _kind(item: Object | Probe) -> str:
    return type(item.neuron_type if isinstance(item, Ensemble) else item).__name__


def _something(arriving: list[Signal]) -> list[Signal]:
    """What leads to an object; raises `NoForm` where nothing does."""
    if not arriving:
        raise NoForm("nothing but constants, or what it sends itself, leads to it")
    return arriving


def _function_reason(item: Node) -> tuple[str, str]:
    """The reason why NIR has no form of a node with a function, and what would help."""
    function = item.output
    if isinstance(function, MaxPool):
        return "NIR has no max pooling", 'Convert with max_pool="average"'
    return f"NIR has no node that computes {type(function).__name__}", "End the network before it"
