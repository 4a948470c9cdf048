"""A network as a graph of NIR, object by object."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.matrices import matrix_of
from spikewright.errors import ExchangeError, Refusal
from spikewright.exchange.nir.building import Building, single
from spikewright.exchange.nir.dialects import OTHER_DIALECT, Dialect
from spikewright.exchange.nir.ends import Ends, Object
from spikewright.exchange.nir.forms import Form, alike, arranged, as_matrix, forms_of
from spikewright.exchange.nir.neurons import Cell, cell_of
from spikewright.exchange.nir.refusal import NoForm
from spikewright.exchange.nir.signals import Follower, Signal, image_index, plain
from spikewright.exchange.nir.waits import check, object_of, ordered, reachable, wait_of, waits
from spikewright.exchange.nir.walks import late, order_of
from spikewright.network import Connection, Ensemble, MaxPool, Node
from spikewright.network import transforms as t
from spikewright.network.transforms import Shape


@dataclass(frozen=True)
class Settings:
    """Settings of a graph: its reader, steps of `dt` seconds, and runs of `steps` steps."""

    dialect: Dialect
    dt: float
    steps: int | None


def graph_of(ends: Ends, settings: Settings) -> Any:
    """The NIR graph of a network; raises `ExchangeError` with everything that NIR cannot say."""
    writing = _Writing(ends, settings)
    writing.write()
    if writing.refusals:
        raise ExchangeError(writing.refusals)
    made = writing.made
    return made.nir.NIRGraph(made.nodes, writing.edges(), writing.metadata())


@dataclass
class _Writing:
    ends: Ends
    settings: Settings
    values: dict[int, list[Signal] | None] = field(default_factory=dict)
    cells: dict[int, tuple[Cell, Signal]] = field(default_factory=dict)
    closing: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.made = Building(self.settings.dialect)
        network = self.ends.network
        self.connections = network.all_connections
        self.after = reachable(self.connections)
        straight = [c for c in self.connections if not self.closes(c)]
        self.objects = ordered(straight, [*network.all_nodes, *network.all_ensembles])
        self.incoming: dict[int, list[Connection]] = {id(o): [] for o in self.objects}
        self.readers: dict[int, int] = {id(o): 0 for o in self.objects}
        for connection in self.connections:
            self.incoming[id(object_of(connection.post_obj))].append(connection)
            self.readers[id(object_of(connection.pre_obj))] += 1
        for output in self.ends.outputs.values():
            self.readers[id(output)] += 1
        self.rank = _rank(self.connections)

    def metadata(self) -> dict[str, Any]:
        """The metadata of the graph itself."""
        settings = self.settings
        found: dict[str, Any] = {
            "writer": "spikewright",
            "dialect": settings.dialect.name,
            "dt": 1.0,
            "seconds_per_step": settings.dt,
            "rounded": ", ".join(self.made.rounded),
        }
        if settings.steps is not None:
            found["steps"] = settings.steps
        readouts = {f"readout_{name}": text for name, text in self.ends.readouts.items()}
        return found | readouts

    def write(self) -> None:
        """Write every object, then what closes loops, and then the outputs."""
        for item in self.objects:
            self.values[id(item)] = self.attempt(item, partial(self.value_of, item))
        if self.refusals:
            return
        for item in self.objects:
            self.attempt(item, partial(self.close, item))
        for name, output in self.ends.outputs.items():
            self.attempt(output, partial(self.output, name, output))
        if not self.refusals:
            self.check_loops()
            self.check_branches()
            self.check_walk()

    def attempt(self, item: Object, make: Any) -> Any:
        """The result, or None and a refusal that is kept."""
        try:
            return make()
        except NoForm as error:
            label = item.label or repr(item)
            self.refusals.append(Refusal(label, _kind(item), error.reason, error.help))
            return None

    def value_of(self, item: Object) -> list[Signal] | None:
        """The signals whose sum an object sends, or None behind something that was refused."""
        name = next((n for n, node in self.ends.inputs.items() if node is item), None)
        if name is not None:
            return [self.input(name, item)]
        if isinstance(item, Node) and isinstance(item.output, np.ndarray):
            return []  # a constant, part of its readers' bias
        if isinstance(item, Node) and item.output is not None:
            raise NoForm(*_function_reason(item))
        cell = cell_of(item, self.settings.dt) if isinstance(item, Ensemble) else None
        arriving, bias = self.arriving(item)
        if arriving is None:
            return None
        if not arriving:
            raise NoForm("nothing but constants, or what it sends itself, leads to it")
        if isinstance(item, Node):
            return self.junction(item, arriving, bias)
        assert cell is not None
        return [self.population(item, cell, arriving, bias)]

    def input(self, name: str, item: Object) -> Signal:
        """An input, in NIR's order of axes."""
        natural = item.shape_out if isinstance(item, Node) else item.shape
        last = _layout(self.connections, item) if len(natural) == self.rank + 1 else None
        shape: Shape = (math.prod(natural), *(1,) * self.rank)
        if last is not None:
            shape = (natural[-1], *natural[:-1]) if last else natural
        index = image_index(shape, natural, bool(last))
        given = "input" if len(self.ends.inputs) == 1 else f"input_{name}"
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
            if isinstance(pre, Node) and not sent and isinstance(pre.output, np.ndarray):
                constant = _applied(connection, pre.output)
                bias = constant if bias is None else bias + constant
                continue
            signals += self.delivered(connection, item, sent)
        return signals, bias

    def closes(self, connection: Connection) -> bool:
        """True for a connection that closes a loop."""
        pre, post = object_of(connection.pre_obj), object_of(connection.post_obj)
        return waits(connection) and id(pre) in self.after.get(id(post), ())

    def delivered(
        self, connection: Connection, item: Object, sent: Sequence[Signal], least: int = 1
    ) -> list[Signal]:
        """Signals behind a connection: its filter, its delay from `least` steps, its transform."""
        steps, tau = wait_of(connection, self.settings.dt)
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
        self, item: Ensemble, cell: Cell, arriving: list[Signal], bias: NDArray | None
    ) -> Signal:
        """Neurons, behind nodes that hold their weights and bias."""
        gain, own = np.asarray(item.gain), np.asarray(item.bias)
        total = own if bias is None else own + gain * bias
        forms = forms_of(arriving, gain * cell.unit, cell.unit * total + self.start(cell))
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
        self.cells[id(item)] = cell, signal
        return signal

    def start(self, cell: Cell) -> NDArray | float:
        """The part of the bias that stands for the initial voltage."""
        steps, dialect = self.settings.steps, self.settings.dialect
        if not np.any(cell.start):
            return 0.0
        if steps is not None:
            return cell.start / steps
        if dialect.start == "bias":
            raise NoForm(
                f"its voltages start above zero, which {dialect.name} does not read",
                "Give steps=, the length of a run: the start is spread over it as a bias; or "
                'convert with initial_voltage="zero"',
            )
        return 0.0

    def stated(self, item: Ensemble, cell: Cell, form: Form) -> dict[str, Any]:
        """The metadata of neurons, for what NIR cannot say."""
        found = {**cell.metadata, "layer": _name(item)}
        if "reset" in found:
            found["v_init"] = _over(0.0 if self.settings.steps else cell.start, form)
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
            cell, own = self.cells[id(item)]
            sent = self.values[id(object_of(connection.pre_obj))] or []
            unit = np.asarray(item.gain) * cell.unit
            alone = wait_of(connection, self.settings.dt)[0] == 1
            for signal in self.delivered(connection, item, sent, 2):
                (form,) = forms_of([signal], unit, 0.0)
                if not alike(form, own):
                    form = as_matrix(signal, np.broadcast_to(unit, item.shape))
                if not alike(form, own):
                    raise NoForm(f"{connection!r} brings a vector back to an image")
                names = self.made.sent(f"{_name(item)}_loop", form)
                self.made.lead(names, own.names[0])
                self.closing += [(name, own.names[0]) for name in names if alone]

    def check_loops(self) -> None:
        """Refuse loops that a reader would cut elsewhere, so that another edge waits."""
        kinds = {name: type(node).__name__ for name, node in self.made.nodes.items()}
        _, back = order_of(kinds, self.made.edges)
        wrong = {post for _, post in back ^ set(self.closing) if kinds[post] != "Delay"}
        self.refusals += [
            Refusal(
                self.made.nodes[name].metadata.get("layer", name),
                kinds[name],
                "it is part of a loop that waits at another place than where readers cut it",
                "Let every loop wait where it leads back to its first neurons",
            )
            for name in sorted(wrong)
        ]

    def edges(self) -> list[tuple[str, str]]:
        """The edges, those of loops first: a walk that follows them ends at the output."""
        around = {name for name, _ in self.closing if name not in self.neurons()}
        return sorted(self.made.edges, key=lambda edge: edge[1] not in around)

    def neurons(self) -> set[str]:
        """The nodes that hold a state."""
        return {name for _, signal in self.cells.values() for name in signal.names}

    def check_branches(self) -> None:
        """Refuse what a reader of chains would leave out."""
        dialect = self.settings.dialect
        if not dialect.chain:
            return
        ends = Counter(end for edge in self.made.edges for end in enumerate(edge))
        several = sorted({name for (_, name), count in ends.items() if count > 1})
        why = f"{dialect.name} reads chains, and it has several edges on one side"
        kinds = {name: type(self.made.nodes[name]).__name__ for name in several}
        self.refusals += [Refusal(name, kinds[name], why, OTHER_DIALECT) for name in several]

    def check_walk(self) -> None:
        """Refuse edges that a reader which walks the graph would read too late, or drop."""
        dialect = self.settings.dialect
        if not dialect.walks:
            return
        nodes = self.made.nodes
        first = next(n for n, node in nodes.items() if isinstance(node, self.made.nir.Input))
        for edge in late(nodes, self.edges(), first):
            if edge not in self.closing:
                why = f"it joins another branch, and {dialect.name} computes that one before it"
                advice = "Give the layers that meet one scale, so that the edge needs no weights"
            elif not dialect.loops:
                why = f"it closes a loop, and {dialect.name} drops such edges"
                advice = OTHER_DIALECT
            else:
                continue
            self.refusals.append(Refusal(edge[0], type(nodes[edge[0]]).__name__, why, advice))

    def output(self, name: str, item: Object) -> None:
        """An output, and the nodes that it is the sum of."""
        forms = forms_of(self.values[id(item)] or [], 1.0, 0.0)
        sources = [n for form in forms for n in self.made.sent(f"{_name(item)}_values", form)]
        given = "output" if len(self.ends.outputs) == 1 else f"output_{name}"
        self.made.add(given, self.made.nir.Output(np.array(forms[0].shape)), sources)


def _over(values: Any, form: Form) -> NDArray:
    """Values of an object in the array of a form."""
    return arranged(values, form.index, form.shape).reshape(form.shape)


def _layout(connections: Sequence[Connection], item: Object) -> bool | None:
    """True where the windows over an object have channels last; None if there are none."""
    for connection in connections:
        if object_of(connection.pre_obj) is not item:
            continue
        for part in connection.chain():
            if isinstance(part, t.Convolution | t.SumPool):
                return part.channels_last
            if not isinstance(part, t.Scale):
                break
        else:
            found = (
                None if waits(connection) else _layout(connections, object_of(connection.post_obj))
            )
            if found is not None:
                return found
    return None


def _name(item: Object) -> str:
    return item.label or type(item).__name__.lower()


def _kind(item: Object) -> str:
    return type(item.neuron_type).__name__ if isinstance(item, Ensemble) else "Node"


def _rank(connections: Sequence[Connection]) -> int:
    """The number of spatial axes of a graph's arrays: that of its windows, two at most."""
    parts = [part for c in connections for part in c.chain()]
    ranks = [len(p.windows.size) for p in parts if isinstance(p, t.Convolution | t.SumPool)]
    return max((rank for rank in ranks if rank <= 2), default=0)


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
    """The reason why NIR has no form of a node with a function, and what would help."""
    function = item.output
    if isinstance(function, MaxPool):
        return "NIR has no max pooling", 'Convert with max_pool="average"'
    return f"NIR has no node that computes {type(function).__name__}", "End the network before it"
