"""Graphs of NIR read as networks."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.optional import require
from spikewright._base.options import suggests_keywords
from spikewright.errors import (
    ConversionWarning,
    DamagedFileError,
    NetworkError,
    Refusal,
    UnsupportedLayerError,
)
from spikewright.exchange.nir.dialects import require_reset, rule_of
from spikewright.exchange.nir.primitives import (
    READERS,
    Delayed,
    Form,
    LinearForm,
    PopulationForms,
    PortForm,
    Time,
)
from spikewright.exchange.nir.reading import Flat, NodeRecord, NoForm, order_of, read_flat
from spikewright.network import Connection, Ensemble, Network, NeuronsView, Node, Probe
from spikewright.network.network import detached
from spikewright.network.transforms import Chain, Reshape, Shape, Sparse, Transform

ASSUMED = 0.001
"""Seconds of a step, and of the unit of time, of a file that states none."""


@suggests_keywords()
def load(source: str | Path | Any, dt: float | None = None, *, reset: str | None = None) -> Network:
    """Read a NIR file, or a `nir.NIRGraph`, as a network in seconds, for steps of `network.dt`.

    The step is the one that the file states, as those of `save` do; then `dt` may be left out, and
    another one is an error. A file that states none is read with its time constants in seconds, for
    steps of `dt`; without `dt` for steps of 1 ms, which a `ConversionWarning` says.
    `sw.Simulator(network)` takes the step.

    NIR's equations are solved exactly for inputs that are constant within a step. `IF` is
    `v := v + dt r I`; `LIF`, `LI` and the synapses of `CubaLIF` and `CubaLI` decay by
    `exp(-dt / tau)` a step. A spike is a 1 in its step, and reaches everything behind it in the
    same step; in a loop it reaches neurons one step later. With `reset="zero"`, NIR's own, neurons
    fire where `v > v_threshold`, once a step, and begin again at `v_reset`. With `"subtract"` they
    fire as often as the threshold fits into `v`, and keep the rest. By default nodes whose metadata
    state a reset have that, and others NIR's. A file that `save` wrote in the dialect of a reader
    with another rule of time is read by that rule.

    `network.inputs` and `network.outputs` are nodes by name; every output has a probe.
    `network.layers` are the ensembles by the name of their node, or the layer that its metadata
    name. Raises `MissingFileError`, `DamagedFileError` for a file that is no NIR graph or cannot
    be one, `UnsupportedLayerError` with all nodes that have no form here, and `NetworkError` for
    wrong arguments.
    """
    require("nir")  # its extra also brings what opens the files
    require_reset(reset)
    flat = read_flat(source)
    step = step_of(flat.metadata, dt)
    if step is None:
        step = StepLength(ASSUMED, ASSUMED)
        place = source if isinstance(source, str | Path) else type(source).__name__
        warnings.warn(
            f"{place}: it does not state the length of a step, so steps of {ASSUMED:g} s are "
            "assumed, with time constants in seconds. Give dt, in the unit of its time constants",
            ConversionWarning,
            stacklevel=3,
        )
    return network_of(flat, step, reset)


@dataclass(frozen=True)
class StepLength:
    """The length of a step in the file's unit of time, and in seconds."""

    units: float
    seconds: float


def step_of(metadata: Mapping[str, Any], dt: Any = None) -> StepLength | None:
    """The step that a graph's metadata state, else one of `dt` units of time, which are seconds.

    None where there is neither. Raises `NetworkError` for a `dt` that is no step, or another than
    is stated.
    """
    if dt is not None and not (is_number(dt) and dt > 0):
        raise NetworkError(f"dt must be above 0, got {dt!r}")
    units: Any = metadata.get("dt")
    seconds: Any = metadata.get("seconds_per_step", units)
    if not all(is_number(value) and value > 0 for value in (units, seconds)):
        return None if dt is None else StepLength(float(dt), float(dt))
    if dt is not None and not math.isclose(dt, seconds, rel_tol=1e-9):
        raise NetworkError(
            f"dt={dt!r}: the file states steps of {float(seconds)!r} s, which its parameters are "
            "for. Leave dt out, or save the network again with another"
        )
    return StepLength(float(units), float(seconds))


def network_of(flat: Flat, step: StepLength, reset: str | None) -> Network:
    """The network of a graph, for steps of a length; raises as `load` does."""
    time = Time(step.units, reset, rule_of(flat.metadata), step.seconds)
    network = _Loading(flat, time).network()
    network.dt = step.seconds
    return network


@dataclass(frozen=True, eq=False)
class _Term:
    """The values that an object sends, behind a chain of transforms and so many steps later."""

    end: Node | NeuronsView
    chain: tuple[Transform, ...] = ()
    steps: int = 0


@dataclass(frozen=True, eq=False)
class _Value:
    """A sum of terms and a constant, in a shape."""

    shape: Shape
    terms: tuple[_Term, ...]
    bias: NDArray | None = None


@dataclass
class _Loading:
    flat: Flat
    time: Time
    values: dict[str, _Value] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    layers: dict[str, Ensemble] = field(default_factory=dict)
    ends: dict[str, dict[str, Node]] = field(default_factory=lambda: {"Input": {}, "Output": {}})
    receivers: dict[str, Node | Ensemble] = field(default_factory=dict)

    def network(self) -> Network:
        """Make everything in order, and then the loops."""
        nodes = self.flat.nodes
        try:
            order, back = order_of({n: node.kind for n, node in nodes.items()}, self.flat.edges)
        except LookupError as error:
            raise nodes[error.args[0]].wrong(
                "is part of a loop in which nothing has a state"
            ) from None
        self.before: dict[str, list[str]] = {name: [] for name in self.flat.nodes}
        for pre, post in self.flat.edges:
            if (pre, post) not in back:
                self.before[post].append(pre)
        self.readers = Counter(pre for pre, _ in self.flat.edges)
        self.looped = {post for _, post in back}
        with detached(), Network() as network:
            for name in order:
                self.make(self.flat.nodes[name])
            if self.refusals:
                raise UnsupportedLayerError(self.refusals)
            for pre, post in sorted(back):
                self.close(pre, post)
            network.inputs, network.outputs = self.ends["Input"], self.ends["Output"]
            network.layers = self.layers
            for name, node in self.ends["Output"].items():
                Probe(node, label=name)
        return network

    def make(self, node: NodeRecord) -> None:
        """One node; refusals are kept, and what is behind one is not looked at."""
        if self.refused.intersection(self.before[node.name]):
            self.refused.add(node.name)
            return
        reader = READERS.get(node.kind)
        try:
            if reader is None:
                raise NoForm(f"NIR as it is read here has no {node.kind}")
            arriving = self.arriving(node)
            form = reader(node, arriving.shape, self.time)
            self.values[node.name] = self.form(node, form, arriving)
        except NoForm as error:
            self.refused.add(node.name)
            self.refusals.append(Refusal(node.name, node.kind, error.reason, error.help))
        except DamagedFileError:
            raise
        except NetworkError as error:
            raise node.wrong(f"does not fit what leads to it: {error}".rstrip(".")) from error
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise node.wrong(f"has fields that do not fit each other ({error})") from error

    def arriving(self, node: NodeRecord) -> _Value:
        """The sum of what leads to a node."""
        values = [self.values[pre] for pre in self.before[node.name]]
        shapes = {value.shape for value in values}
        if len(shapes) > 1:
            raise node.wrong(f"is led to by arrays of different shapes: {sorted(shapes)}")
        bias: NDArray | None = None
        for value in values:
            if value.bias is not None:
                bias = value.bias if bias is None else bias + value.bias
        terms = tuple(term for value in values for term in value.terms)
        return _Value(next(iter(shapes), ()), terms, bias)

    def form(self, node: NodeRecord, form: Form, arriving: _Value) -> _Value:
        """The value of a node of a form."""
        match form:
            case PortForm(shape) if node.kind == "Input" and not self.before[node.name]:
                made = Node(np.zeros(shape), size_in=shape, label=node.name)
                self.ends["Input"][node.name] = made
                return _Value(shape, (_Term(made),))
            case PortForm(shape) if self.readers[node.name]:
                return self.reshaped(node, arriving, shape)  # of a graph inside the graph
            case PortForm(shape):
                junction = self.junction(node, self.reshaped(node, arriving, shape))
                self.ends["Output"][node.name] = junction
                return _Value(shape, (_Term(junction),))
            case tuple():
                return self.cells(node, form, arriving)
            case Delayed(steps):
                return self.delayed(node, steps, arriving)
            case LinearForm():
                return self.linear(node, form, arriving)
        raise TypeError(form)

    def cells(self, node: NodeRecord, stages: PopulationForms, arriving: _Value) -> _Value:
        """Populations one behind the other; a bias on the way is part of the first one's."""
        shape = stages[0].shape
        if arriving.terms:
            shape = _broadcast(node, shape, arriving.shape)
            arriving = self.reshaped(node, arriving, shape)
        layer = node.stated("layer")
        name = layer if isinstance(layer, str) and layer not in self.layers else node.name
        for i, cell in enumerate(stages):
            last = i == len(stages) - 1
            label = name if last else f"{name}.current"
            constant = 0.0 if arriving.bias is None else cell.gain * arriving.bias
            made = Ensemble(
                shape,
                None,
                neuron_type=cell.neuron_type,
                gain=cell.gain,
                bias=cell.bias + constant,
                initial_voltage=cell.start,
                rate_scale=cell.rate_scale,
                label=label,
            )
            self.connect(arriving, made.neurons)
            self.receivers.setdefault(node.name, made)
            arriving = _Value(shape, (_Term(made.neurons),))
        self.layers[name] = made
        return arriving

    def linear(self, node: NodeRecord, form: LinearForm, arriving: _Value) -> _Value:
        """A linear node: part of the one connection behind it, or a junction with several."""
        if arriving.bias is not None:
            junction = self.junction(node, arriving, "input")
            arriving = _Value(arriving.shape, (_Term(junction),))
        chain, shape = form.fitted(arriving.shape)
        terms = tuple(replace(term, chain=(*term.chain, *chain)) for term in arriving.terms)
        value = _Value(shape, terms, form.bias)
        if self.readers[node.name] == 1:
            return value
        return _Value(shape, (_Term(self.junction(node, value)),))

    def delayed(self, node: NodeRecord, steps: NDArray, arriving: _Value) -> _Value:
        """A delay of all values alike, or of each by its own."""
        looped = node.name in self.looped
        shape = steps.shape if looped else _broadcast(node, steps.shape, arriving.shape)
        arriving = _Value(shape, (), None) if not arriving.terms else arriving
        if arriving.bias is not None or looped or len(np.unique(steps)) > 1:
            junction = self.junction(node, arriving, "input")
            self.receivers[node.name] = junction
            arriving = _Value(shape, (_Term(junction),))
        if len(np.unique(steps)) > 1:
            return self.delayed_each(node, np.broadcast_to(steps, shape), arriving)
        more = int(steps.flat[0])
        terms = tuple(replace(term, steps=term.steps + more) for term in arriving.terms)
        return _Value(shape, terms)

    def delayed_each(self, node: NodeRecord, steps: NDArray, arriving: _Value) -> _Value:
        """Values that wait for different times."""
        (term,) = arriving.terms
        junction = Node(size_in=arriving.shape, label=node.name)
        for waiting in (steps.ravel() > 0, steps.ravel() == 0):
            (places,) = np.nonzero(waiting)
            if len(places):
                ones = np.ones(len(places))
                move = Sparse(places, places, ones, arriving.shape, steps.size)
                seconds = steps.ravel()[places] * self.time.seconds
                delay = seconds if seconds.any() else 0.0
                Connection(term.end, junction, synapse=None, transform=move, delay=delay)
        return _Value(arriving.shape, (_Term(junction),))

    def reshaped(self, node: NodeRecord, value: _Value, shape: Shape) -> _Value:
        """A value in a shape of as many values."""
        if value.shape == shape:
            return value
        if math.prod(value.shape) != math.prod(shape):
            raise node.wrong(f"takes an array of shape {shape}, and gets one of {value.shape}")
        bias = value.bias
        if bias is not None:
            bias = np.broadcast_to(bias, value.shape).reshape(shape)
        terms = tuple(replace(t, chain=(*t.chain, Reshape(shape))) for t in value.terms)
        return _Value(shape, terms, bias)

    def junction(self, node: NodeRecord, value: _Value, part: str = "") -> Node:
        """A node that sends a value's sum."""
        name = f"{node.name}.{part}" if part else node.name
        made = Node(size_in=value.shape, label=name)
        self.connect(value, made)
        if value.bias is not None and np.any(value.bias):
            constant = Node(np.broadcast_to(value.bias, value.shape), label=f"{name}.bias")
            Connection(constant, made, synapse=None)
        return made

    def connect(self, value: _Value, post: Node | NeuronsView, more: int = 0) -> None:
        """Connections for the terms of a value, some steps later."""
        for term in value.terms:
            transform = Chain(term.chain) if term.chain else None
            delay = (term.steps + more) * self.time.seconds
            Connection(term.end, post, synapse=None, transform=transform, delay=delay)

    def close(self, pre: str, post: str) -> None:
        """An edge of a loop: it reaches neurons one step later, a delay at once."""
        node, value, receiver = self.flat.nodes[post], self.values[pre], self.receivers[post]
        if isinstance(receiver, Node):
            junction = self.junction(node, self.reshaped(node, value, receiver.shape_in), pre)
            Connection(junction, receiver, synapse=None)
            return
        value = self.reshaped(node, value, receiver.shape)
        if value.bias is not None:
            receiver.bias = receiver.bias + receiver.gain * value.bias
        self.connect(value, receiver.neurons, 1)


def _broadcast(node: NodeRecord, shape: Shape, arriving: Shape) -> Shape:
    """The shape of neurons: their parameters', or that of their input where one stands for all."""
    if math.prod(shape) == math.prod(arriving):
        return shape
    try:
        if np.broadcast_shapes(shape, arriving) == arriving:
            return arriving
    except ValueError:
        pass
    raise node.wrong(f"has parameters of shape {shape}, and gets an array of shape {arriving}")
