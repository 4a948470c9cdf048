"""Counting: a network is analysed once, then the spikes of any number of runs are counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.samples import duration, format_shape, held
from spikewright.engines import compile_network, step_for
from spikewright.engines.program import Program
from spikewright.errors import SimulationError
from spikewright.measure.operations.memory import (
    BYTES,
    filtered_values,
    state_bytes,
    weight_bytes,
)
from spikewright.measure.operations.operations import (
    NO_PADDING,
    LayerOperations,
    Operations,
    Padding,
)
from spikewright.measure.operations.wiring import Endpoint, Intermediate, SignalPath, Wiring
from spikewright.network import Ensemble, Network, NeuronsView, Node, NodeFunction
from spikewright.network.layer_times import OwnStepsDone, evaluations, times_of
from spikewright.network.node_functions import MatMul, Multiply
from spikewright.records import Record


class Counter:
    """Counts the operations of a network, from the spikes of its populations.

    `populations` and `inputs` name ensembles and input nodes, as a conversion's do. Definitions
    are those of NeuroBench (Yik et al. 2025, Nat. Commun. 16:1545): an effective operation has an
    input and a weight that are not zero; an accumulate where the input is a spike, else a
    multiply-accumulate; biases and constants do not count. The height of a spike is part of the
    weights behind it. Values that are no spikes are taken to be non-zero at every step. Of digits
    they count as often as they are computed: once for a layer that waits for all of its input.

    `weight_bytes` (`dense`, `nonzero`) and `state_bytes` are of the network as described, 4 bytes a
    number. `not_counted` names functions whose work has no count, and learning rules; `readouts`
    are names of functions applied to the readout, which are listed there too.

    In a network made by hand populations that are not named go by their labels. A spike meets its
    decoders, the values that they add up to are held, and encoders read them at every step; of
    weights that are learned none is zero. Decoders and encoders are those of `program`, a
    simulator's, or where it is left out as the network's own seed makes them.

    Raises `SimulationError` for two populations of one name.
    """

    def __init__(
        self,
        network: Network,
        populations: Mapping[str, Ensemble],
        inputs: Mapping[str, Node],
        readouts: Iterable[str] = (),
        program: Program | None = None,
    ) -> None:
        if program is None:
            dt = step_for(network, None)
            program = compile_network(network, dt, network.seed or 0, "float64", ())
        self._inputs: dict[str, Node] = dict(inputs)
        self._cells = {name: e.neurons for name, e in populations.items()}
        self._wiring = Wiring(program, inputs)
        self._fed = {n: node for n, node in inputs.items() if self._wiring.kinds[node] == "input"}
        self._names = self._named(network)
        products = {node: _products(node) for node in network.all_nodes}
        self._products = {node: made for node, made in products.items() if made is not None}
        read = (f"{name} of what is read out" for name in readouts)
        self.not_counted = (*_not_counted(network, self._names), *read)
        self.weight_bytes = weight_bytes(network, program, self._wiring)
        self.state_bytes = state_bytes(network, program, self._wiring)
        self._filtered = sum(filtered_values(c, program) for c in network.all_connections)
        self._binary = self._wiring.binary()
        self._bits, self._layer_times = self._wiring.digits, times_of(network)
        self._computed: Mapping[Any, int] = {}
        if self._layer_times is not None:
            self._computed = evaluations(network, self._layer_times)
        self._spiking = any(e.neuron_type.spiking for e in network.all_ensembles)

    def _own_steps(self, steps: int) -> dict[str, OwnStepsDone]:
        """All steps of populations that have some of their own, by name; those of all rows."""
        times = self._layer_times
        if times is None:
            return {}
        end = times.network_steps * self._rows(steps)
        return {name: times.done(c.ensemble, end) for name, c in self._cells.items()}

    def _named(self, network: Network) -> dict[Endpoint, str]:
        """A name for every place: the population's or input's, else its label."""
        names: dict[Endpoint, str] = {node: name for name, node in self._inputs.items()}
        names.update({neurons: name for name, neurons in self._cells.items()})
        for ensemble in network.all_ensembles:
            names.setdefault(ensemble.neurons, ensemble.label or f"{ensemble!r}")
            names[ensemble] = names[ensemble.neurons]
        for item in self._wiring.items:
            if isinstance(item, Intermediate):
                names[item] = f"inside {item.label}"
            label = item.label if isinstance(item, Node) else None
            names.setdefault(item, label or f"{item!r}")
        self._check_names(names)
        return names

    def _check_names(self, names: Mapping[Endpoint, str]) -> None:
        """Raise where spikes of one name would be those of two populations."""
        spiking = [names[item] for item, kind in self._wiring.kinds.items() if kind == "spikes"]
        twice = sorted({name for name in spiking if spiking.count(name) > 1})
        if twice:
            raise SimulationError(
                f"several populations are called {twice[0]!r}, so their spikes cannot be told "
                "apart: give them labels of their own, or name them in populations="
            )

    def fan_out(self) -> dict[str, NDArray]:
        """Non-zero weights that each value meets, `{sender: (*shape)}`; a spike costs as many.

        Senders are populations that spike, inputs, and maxima that pass spikes on.
        """
        found: dict[str, NDArray] = {}
        for path in self._wiring.paths:
            if self._wiring.kinds[path.origin] in ("spikes", "max", "input"):
                name = self._names[path.origin]
                found[name] = found[name] + path.fan_out if name in found else path.fan_out
        return found

    def count(
        self,
        totals: Mapping[str, ArrayLike],
        steps: int,
        inputs: Mapping[str, ArrayLike] | None = None,
        events: Mapping[str, ArrayLike] | None = None,
        padding: Padding = NO_PADDING,
        done: Mapping[str, OwnStepsDone] | None = None,
    ) -> Operations:
        """Operations of a run of `steps` steps, sample by sample.

        `totals` holds the spikes of every spiking population, `{layer: (batch, *shape)}`, and of
        inputs that spike; `inputs` the values of the analog ones, `(batch, *shape)` held constant
        or `(batch, steps, *shape)` (left out: no value is zero, and they are held). `events` holds
        the number of steps in which each neuron spiked, for the other way to count bursts; left
        out, it is at most the number of spikes and of steps. Of `padding` nothing counts. `done`
        are the steps of populations that have some of their own, by name, left out all of them.
        Raises `SimulationError` where a population is missing, shapes differ or totals are not
        whole numbers from 0.
        """
        n = _samples(totals, inputs or {})
        spikes = self._wiring.behind_maxima(self._spikes(totals, n))
        happened, own = self._events(spikes, steps, events or {}), done or self._own_steps(steps)
        values = self._values(totals, inputs or {}, n)
        layers: dict[str, LayerOperations] = {}
        for path in self._wiring.paths:
            if path.origin in spikes:
                found = _of_spikes(path, spikes[path.origin], *happened[path.origin])
                sent = own.get(self._names[path.origin])
                self._add(layers, path, found, sent.sending if sent else steps, padding)
            elif path.origin not in values:
                times = self._times(path.origin, steps)
                self._add(layers, path, _of_values(path, times, n, padding), times, padding)
        for node, products in self._products.items():
            made = np.full(n, padding.products.get(node, products) * self._times(node, steps))
            _put(layers, self._names[node], LayerOperations.of(n, multiply_accumulates=made))
        for path in self._wiring.paths:
            if path.origin in values:
                given = padding.without(path.origin, values[path.origin])
                times = 1 if getattr(path.origin, "once", False) else steps
                self._add(layers, path, _of_input(path, given, times), times, padding)
        sizes = {name: padding.size(c, c.ensemble.n_neurons) for name, c in self._cells.items()}
        return Operations(
            layers=layers,
            n=n,
            steps=steps,
            neurons=sizes,
            filtered=self._filtered,
            constant_input=all(x.ndim == len(i.shape_out) + 1 for i, x in values.items()),
            exact_events=all(known for _, known in happened.values()),
            not_counted=self.not_counted,
            spiking=self._spiking,
            updates={name: steps.updates for name, steps in own.items()},
            bits=self._bits,
        )

    def _times(self, item: Endpoint, steps: int) -> int:
        """How often a value that is no spike is computed in so many steps."""
        return min(steps, self._computed.get(item, steps) * self._rows(steps))

    def _rows(self, steps: int) -> int:
        """The rows of a sequence in so many steps; 1 of what is no sequence."""
        times = self._layer_times
        return 1 if times is None or times.row is None else steps // times.steps

    def _add(
        self,
        layers: dict[str, LayerOperations],
        path: SignalPath,
        found: LayerOperations,
        steps: int,
        padding: Padding,
    ) -> None:
        """Add the operations of one path to the layer that it leads to."""
        dense = padding.paths(path, path.connections, len(found.dense)) * steps
        found = padding.reaching(path, replace(found, dense=dense))
        _put(layers, self._names[path.target], found)

    def memory_records(self, how: Mapping[str, Any] | None = None) -> list[Record]:
        """Bytes of "weight memory" (`how["nonzero"]`: of weights not zero) and "state memory"."""
        details = {**(how or {}), "bytes a number": BYTES}
        dense, nonzero = self.weight_bytes
        return [
            Record("weight memory", float(dense), "bytes", how={**details, "nonzero": nonzero}),
            Record("state memory", float(self.state_bytes), "bytes", how=details),
        ]

    def _spikes(self, totals: Mapping[str, ArrayLike], batch: int) -> dict[Endpoint, NDArray]:
        """The given spike totals of populations and inputs that spike."""
        kinds = self._wiring.kinds
        needed = {
            self._names[item]: item
            for item, kind in kinds.items()
            if kind == "spikes" and isinstance(item, NeuronsView)
        }
        missing = sorted(set(needed) - set(totals))
        unknown = sorted(set(totals) - {*needed, *self._fed, *self._cells})
        if missing or unknown:
            raise SimulationError(
                f"totals are spikes of {sorted(needed)}; missing {missing}, unknown {unknown}"
            )
        senders: dict[str, Node | NeuronsView] = {**needed, **self._fed}
        return {
            item: _whole(name, totals[name], (batch, *item.shape_out))
            for name, item in senders.items()
            if name in totals
        }

    def _values(
        self, totals: Mapping[str, ArrayLike], inputs: Mapping[str, ArrayLike], batch: int
    ) -> dict[Any, NDArray]:
        """The values of the analog inputs: ones where none are given."""
        analog = {name: x for name, x in inputs.items() if name not in totals}
        unknown = sorted(set(analog) - set(self._fed))
        if unknown:
            raise SimulationError(f"inputs are {list(self._fed)}, got {unknown}")
        return {
            node: _values(name, analog.get(name, np.ones((batch, *node.shape_out))), node)
            for name, node in self._fed.items()
            if name not in totals
        }

    def _events(
        self, spikes: Mapping[Endpoint, NDArray], steps: int, given: Mapping[str, ArrayLike]
    ) -> dict[Endpoint, tuple[NDArray, bool]]:
        """Number of (value, step) pairs with a spike, and whether it is exact or a bound."""
        found = {}
        for item, counts in spikes.items():
            name = self._names[item]
            if name in given:
                found[item] = _whole(name, given[name], counts.shape), True
            elif item in self._binary:
                found[item] = counts, True
            elif counts.max(initial=0) <= steps:
                found[item] = counts, False
            else:
                found[item] = np.minimum(counts, steps), False
        return found


def _samples(totals: Mapping[str, ArrayLike], inputs: Mapping[str, ArrayLike]) -> int:
    """The number of samples of a run; one where no array tells."""
    sizes = {len(np.asarray(x)) for x in (*[*totals.values()][:1], *inputs.values())}
    if len(sizes) > 1:
        raise SimulationError(f"totals and inputs differ in their number of samples: {sizes}")
    return sizes.pop() if sizes else 1


def _whole(name: str, given: ArrayLike, wanted: tuple[int, ...]) -> NDArray:
    """Spikes or events of one sender as whole numbers, `(batch, *shape)` as is `wanted`."""
    counts = np.asarray(given)
    if counts.dtype.kind not in "iu":
        counts = counts.astype(np.float64)
    if counts.shape != wanted:
        raise SimulationError(f"totals of {name!r} must have shape {wanted}, got {counts.shape}")
    whole = counts.dtype.kind in "iu" or np.all(counts == np.floor(counts))
    if not (whole and counts.min(initial=0) >= 0):
        raise SimulationError(f"totals of {name!r} must be whole numbers from 0")
    return counts


def _values(name: str, given: ArrayLike, node: Node) -> NDArray:
    """Values of an analog input, held or changing."""
    values = np.asarray(given)
    if duration(values, node.shape_out) is not None:
        return values
    found = held(values, node.shape_out)
    if found is None:
        ways = format_shape(node.shape_out), format_shape(node.shape_out, "steps")
        raise SimulationError(
            f"input {name!r} must have shape {' or '.join(ways)}, got {values.shape}"
        )
    return found


def _put(layers: dict[str, LayerOperations], name: str, found: LayerOperations) -> None:
    """Add operations to those of a layer."""
    layers[name] = layers[name].plus(found) if name in layers else found


def _meet(counts: NDArray, fan_out: NDArray) -> NDArray:
    """Sum over values of counts `(batch, *shape)` times weights met; exact below 2^53."""
    flat = counts.reshape(len(counts), -1)
    if flat.dtype.kind in "biu":
        met: NDArray = np.einsum("bi,i->b", flat, fan_out.ravel(), dtype=np.int64)
        return met
    return np.rint(flat @ fan_out.ravel().astype(np.float64)).astype(np.int64)


def _of_spikes(path: SignalPath, counts: NDArray, events: NDArray, exact: bool) -> LayerOperations:
    """An accumulate for every spike and weight; or one operation for every event and weight.

    A sample in which no neuron spikes twice in a step has accumulates either way.
    """
    each = _meet(counts, path.fan_out)
    once = each if events is counts else _meet(events, path.fan_out)
    binary = np.full(len(counts), exact)
    if exact and events is not counts:
        binary = (counts == events).reshape(len(counts), -1).all(axis=1)
    return LayerOperations.of(
        len(counts),
        accumulates=each,
        event_accumulates=np.where(binary, once, 0),
        event_multiply_accumulates=np.where(binary, 0, once),
    )


def _of_input(path: SignalPath, values: NDArray, steps: int) -> LayerOperations:
    """Multiply-accumulates of values that are not zero; accumulates of frames of -1, 0 and 1."""
    n = len(values)
    if values.ndim == path.fan_out.ndim + 1:
        once = _meet(values != 0, path.fan_out)
        every = once * steps
        once = every if path.filtered else once
        return LayerOperations.of(n, input_once=once, input_per_step=every)
    made = _meet((values != 0).sum(axis=1), path.fan_out)
    spikes = np.isin(values, (-1, 0, 1)).reshape(n, -1).all(axis=1) & (not path.filtered)
    sums, products = np.where(spikes, made, 0), np.where(spikes, 0, made)
    return LayerOperations.of(
        n,
        accumulates=sums,
        event_accumulates=sums,
        input_once=products,
        input_per_step=products,
    )


def _of_values(path: SignalPath, steps: int, batch: int, padding: Padding) -> LayerOperations:
    """Values that are no spikes meet every weight at every step; without weights they are added."""
    made = padding.paths(path, path.synapses, batch) * steps
    if path.weighs:
        return LayerOperations.of(batch, multiply_accumulates=made)
    return LayerOperations.of(batch, accumulates=made, event_accumulates=made)


def _products(node: Node) -> int | None:
    """Multiply-accumulates of a node's function in a step; None where it has no count.

    A matrix product has as many as in the source, an elementwise product of k inputs k - 1 a value.
    Comparisons, exponentials, roots, quotients and Python functions have none.
    """
    function = node.output
    if isinstance(function, MatMul):
        return node.size_out * function.shapes[0][-2 if function.transpose_a else -1]
    if isinstance(function, Multiply):
        return node.size_out * (len(function.shapes) - 1)
    return None


def _not_counted(network: Network, names: Mapping[Any, str]) -> Iterator[str]:
    """The work that has no count: functions, synapses of one's own, rules."""
    for node in network.all_nodes:
        function = node.output
        if isinstance(function, NodeFunction):
            if _products(node) is None:
                kind = type(function).__name__
                yield f"{kind} {names[node]!r} ({prod(node.shape_in)} values a step)"
        elif callable(function):
            yield f"Python function {names[node]!r} ({node.size_out} values a step)"
    for connection in network.all_connections:
        if connection.function is not None and not connection.decodes:
            size = prod(connection.sent_shape)
            yield f"Python function of {connection!r} ({size} values a step)"
        if connection.synapse is not None and connection.synapse.stepped:
            yield f"synapse {connection.synapse!r} of {connection!r}"
        for rule in connection.learning_rules:
            yield f"{type(rule.learning_rule_type).__name__} of {connection!r}"
