"""Network -> program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import Precision, on_grid
from spikewright.engines.parameters import (
    Solved,
    affine,
    build_parameters,
    gain_scale,
    keyed_ensembles,
    seeded_networks,
)
from spikewright.engines.planner import order
from spikewright.engines.program import (
    Apply,
    Average,
    Filter,
    Generate,
    Linear,
    Neurons,
    Operator,
    Parameters,
    Program,
    Recording,
    Source,
    Sum,
    object_key,
)
from spikewright.engines.representation import Decoded, Representation, connection_key, decode
from spikewright.engines.vectors import decoding, encoding, function_node, identity_of, smallest
from spikewright.errors import BuildError
from spikewright.network import (
    Connection,
    Ensemble,
    Network,
    Node,
    NodeFunction,
    ObjView,
    Probe,
    input_shape,
    output_shape,
)
from spikewright.network import Neurons as NeuronsView
from spikewright.network.processes import Process
from spikewright.network.synapses import Synapse, WindowMean
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Permute,
    Place,
    Reshape,
    Scale,
    Shape,
    Slice,
    SumPool,
    Take,
    Transform,
    flatten,
)

# Words of keys that no index reaches, beside those of `engines.parameters`.
_CONNECTION, _NODE, _NOISE = 2**32 - 3, 2**32 - 4, 2**32 - 5
Item = Node | NeuronsView | Ensemble

_WEIGHT_FIELDS: dict[type[Transform], str] = {
    Dense: "matrix",
    Convolution: "kernel",
    AxisMap: "matrix",
}


def compile_network(
    network: Network,
    dt: float,
    seed: int,
    precision: Precision,
    probes: Sequence[Probe] | None = None,
) -> Program:
    """Compile a network for steps of `dt` seconds, recording `probes` (default: the network's).

    Raises `BuildError` for a cycle without a synapse, an object that the network does not hold, or
    parameters that no neuron can have.
    """
    wanted = network.all_probes if probes is None else list(probes)
    return _Compiler(network, dt, seed, precision, wanted).program()


class Scaled(NamedTuple):
    """A signal and the factor that makes its values: counts of spikes keep theirs to the side."""

    signal: int
    factor: float


class _Compiler:
    def __init__(
        self,
        network: Network,
        dt: float,
        seed: int,
        precision: Precision,
        probes: Sequence[Probe],
    ) -> None:
        self.network, self.dt, self.seed, self.precision = network, dt, seed, precision
        self.probes = probes
        self.shapes: list[Shape] = []
        self.labels: dict[int, str] = {}
        self.operators: list[Operator] = []
        self.input_of: dict[Item, int] = {}
        self.output_of: dict[Item, int] = {}
        self.value_of: dict[NeuronsView, int] = {}
        self.heights: dict[NeuronsView, NDArray] = {}
        self.contribution_of: dict[Connection, Scaled] = {}
        self.parameters: dict[Ensemble, Parameters] = {}
        self.arriving: dict[Item, list[Scaled]] = {}
        self.representations: dict[Ensemble, Representation] = {}
        self.decodings: dict[Connection, Decoded] = {}
        self.keys: dict[Ensemble | Connection | Node, tuple[int, int]] = {}
        self.junction_factors: dict[Node, float] = {}
        self.affine: dict[NeuronsView, tuple[NDArray | None, NDArray | None]] = {}

    def signal(self, shape: Shape, label: str) -> int:
        """A new signal's number."""
        self.shapes.append(shape)
        self.labels[len(self.shapes) - 1] = label
        return len(self.shapes) - 1

    def program(self) -> Program:
        """Compile objects, then connections between them, then what arrives, then probes."""
        self._check_once()
        for node in self.network.all_nodes:
            self.output_of[node] = self.signal(node.shape_out, f"{node!r}")
            self.arriving[node] = []
            if node.output is None and node.shape_in != (0,):
                self.input_of[node] = self.output_of[node]  # a junction: what arrives is its value
        self._key_objects()
        for ensemble in self.network.all_ensembles:
            self.declare(ensemble, self.keys[ensemble])
        self.junction_factors = self.carried_factors()
        for connection in self.network.all_connections:
            self.connect(connection)
        for item in self.arriving:
            self.receive(item)
        for node in self.network.all_nodes:
            self.compute(node)
        recordings = tuple(self.record(probe) for probe in self.probes)
        for representation in self.representations.values():
            representation.forget()
        return Program(
            dt=self.dt,
            seed=self.seed,
            precision=self.precision,
            shapes=tuple(self.shapes),
            components=order(self.operators),
            recordings=recordings,
            parameters=self.parameters,
            weights={c: weights_of(c) for c in self.network.all_connections},
            representations=self.representations,
            decodings=self.decodings,
            labels=self.labels,
        )

    def _check_once(self) -> None:
        """Raise `BuildError` if a network is a part of this one twice."""
        networks = self.network.all_networks
        twice = [net for net in networks if sum(net is other for other in networks) > 1]
        if twice:
            raise BuildError(f"{twice[0]!r} is a part of {self.network!r} more than once")

    def _key_objects(self) -> None:
        """Keys of random numbers, which an object's own seed fixes, else its place."""
        self.keys.update(keyed_ensembles(self.network, self.seed))
        for net, base in seeded_networks(self.network, (self.seed,)):
            for index, connection in enumerate(net.connections):
                self.keys[connection] = connection_key(base, index, connection.seed, _CONNECTION)
            for index, node in enumerate(net.nodes):
                self.keys[node] = object_key(*base, _NODE, index)

    def declare(self, ensemble: Ensemble, key: tuple[int, int]) -> None:
        """Solve an ensemble's parameters and add its neurons."""
        self.arriving[ensemble] = []
        if ensemble.is_direct:
            self.represent(ensemble, key, None)
            signal = self.signal((ensemble.dimensions,), f"{ensemble!r}")
            self.input_of[ensemble] = self.output_of[ensemble] = signal
            return
        neurons = ensemble.neurons
        solved = build_parameters(ensemble, key)
        self.represent(ensemble, key, solved)
        built = self.parameters[ensemble] = solved.parameters
        threshold = 1.0 / (np.asarray(ensemble.rate_scale, np.float64) * self.dt)
        amplitude = ensemble.neuron_type.amplitude
        spiking = ensemble.neuron_type.spiking
        self.heights[neurons] = np.asarray(amplitude * (threshold if spiking else 1.0))
        self.input_of[neurons] = self.signal(ensemble.shape, f"current of {ensemble!r}")
        self.output_of[neurons] = self.signal(ensemble.shape, f"{ensemble!r}")
        self.arriving[neurons] = []
        self.affine[neurons] = affine(ensemble, solved)
        self.operators.append(
            Neurons(
                f"{ensemble!r}",
                (self.input_of[neurons],),
                self.output_of[neurons],
                ensemble=ensemble,
                neuron_type=ensemble.neuron_type,
                threshold=threshold,
                initial_voltage=built.initial_voltage
                * ensemble.neuron_type.voltage_unit(threshold),
                key=key,
                voltage=self._voltage_signal(ensemble),
                restart=_restart(ensemble),
            )
        )

    def represent(self, ensemble: Ensemble, key: tuple[int, int], solved: Solved | None) -> None:
        """Say what an ensemble represents; nothing is drawn before it is needed."""
        self.representations[ensemble] = Representation(ensemble, key, solved)

    def _voltage_signal(self, ensemble: Ensemble) -> int | None:
        wanted = any(p.attr == "voltage" and p.target == ensemble.neurons for p in self.probes)
        return self.signal(ensemble.shape, f"voltage of {ensemble!r}") if wanted else None

    def connect(self, connection: Connection) -> None:
        """Operators from the sending signal to what arrives at the receiver."""
        for item in (connection.pre_obj, connection.post_obj):
            if item not in self.arriving:
                raise BuildError(
                    f"{connection!r}: {item!r} is not in {self.network!r}; add the network that "
                    "holds it"
                )
        receiver: Item = connection.post_obj
        if connection.decodes:
            decoded = self.decode(connection, self.keys[connection])
            sent = self.decoded(connection, decoded)
            if decoded.full is not None and isinstance(receiver, Ensemble):
                receiver = receiver.neurons  # the encoders are in the weights
        else:
            sent = self.plain(connection)
        self.contribution_of[connection] = sent
        self.arriving[receiver].append(sent)

    def plain(self, connection: Connection) -> Scaled:
        """What a connection delivers that maps values as they are, or an exact function of them."""
        pre = connection.pre_obj
        sent, shape_in = self.value(pre), output_shape(pre)
        if connection.function is not None or isinstance(pre, Ensemble):
            sent, shape_in = self.applied(connection, sent), connection.sent_shape
        shape_out = input_shape(connection.post_obj)
        synapse = connection.synapse
        # Linear maps and filters commute: the filter goes where there are fewer values to filter.
        # A mean over windows is one of what was sent.
        fewer = bool(np.prod(shape_in) < np.prod(shape_out))
        first = isinstance(synapse, WindowMean) or (synapse is not None and fewer)
        if synapse is not None and first:
            sent = self.filtered(sent, synapse, shape_in, f"synapse of {connection!r}")
        sent = self.map(sent, connection.chain(), shape_in, f"{connection!r}")
        if synapse is not None and not first:
            sent = self.filtered(sent, synapse, shape_out, f"synapse of {connection!r}")
        return sent

    def applied(self, connection: Connection, sent: Scaled) -> Scaled:
        """(A part of) a value, put through the connection's function, if any."""
        shape = output_shape(connection.pre_obj)
        if isinstance(connection.pre, ObjView):
            chain = flatten(connection.pre.select(shape))
            sent = self.map(sent, chain, shape, f"part for {connection!r}")
        if connection.function is None:
            return sent
        node = function_node(connection)
        source = self.values(sent, connection.part_shape, f"input of {node!r}")
        output = self.signal(connection.sent_shape, f"{node!r}")
        self.operators.append(Apply(f"{node!r}", (source,), output, node))
        return Scaled(output, 1.0)

    def decode(self, connection: Connection, key: tuple[int, int]) -> Decoded:
        """Solve a connection's decoders."""
        post = connection.post_obj
        into = self.representations.get(post) if isinstance(post, Ensemble) else None
        if into is not None and into.ensemble.is_direct:
            into = None
        pre = self.representations[connection.pre_obj]  # type: ignore[index]
        self.decodings[connection] = decode(connection, pre, into, key)
        return self.decodings[connection]

    def decoded(self, connection: Connection, decoded: Decoded) -> Scaled:
        """What a connection delivers that decodes spikes, its filter where values are fewest."""
        pre: NeuronsView = connection.pre_obj.neurons  # type: ignore[union-attr]
        sent, shape = self.value(pre), pre.shape
        chain, synapse = decoding(connection, decoded), connection.synapse
        if synapse is None:
            return self.map(sent, chain, shape, f"{connection!r}")
        cut = 0 if isinstance(synapse, WindowMean) else smallest(chain, shape)
        sent = self.map(sent, chain[:cut], shape, f"{connection!r}")
        for transform in chain[:cut]:
            shape = transform.output_shape(shape)
        sent = self.filtered(sent, synapse, shape, f"synapse of {connection!r}")
        return self.map(sent, chain[cut:], shape, f"{connection!r}")

    def value(self, pre: Item) -> Scaled:
        """The signal that an object sends, and the factor that makes it the value."""
        if isinstance(pre, Ensemble):
            return Scaled(self.output_of[pre], 1.0)
        if not isinstance(pre, NeuronsView):
            return Scaled(self.output_of[pre], self.junction_factors.get(pre, 1.0))
        height = self.heights[pre]
        if height.ndim == 0:
            return Scaled(self.output_of[pre], float(height))
        if pre not in self.value_of:
            signal = self.signal(pre.shape, f"values of {pre!r}")
            source = self.output_of[pre]
            self.operators.append(Linear(f"heights of {pre!r}", (source,), signal, Scale(height)))
            self.value_of[pre] = signal
        return Scaled(self.value_of[pre], 1.0)

    def carried_factors(self) -> dict[Node, float]:
        """The factor of every junction all of whose inputs have the same one.

        So what is pooled, reshaped, concatenated or added between populations of one spike height
        stays a count of spikes. Junctions within loops have values.
        """
        arriving: dict[Node, list[Connection]] = {
            node: [] for node in self.network.all_nodes if self.input_of.get(node) is not None
        }
        for connection in self.network.all_connections:
            if isinstance(connection.post_obj, Node) and connection.post_obj in arriving:
                arriving[connection.post_obj].append(connection)
        known: dict[Node, float] = {}
        while True:
            ready = [
                node
                for node, connections in arriving.items()
                if node not in known
                and not any(c.pre_obj in arriving and c.pre_obj not in known for c in connections)
            ]
            if not ready:
                return known
            for node in ready:
                factors = {self.factor_after(c, known) for c in arriving[node]}
                known[node] = factors.pop() if len(factors) == 1 else 1.0

    def factor_after(self, connection: Connection, known: Mapping[Node, float]) -> float:
        """The factor of what a connection delivers."""
        pre = connection.pre_obj
        if isinstance(pre, Ensemble) or connection.function is not None:
            factor = 1.0
        elif isinstance(pre, Node):
            factor = known.get(pre, 1.0)
        else:
            height = self.heights.get(pre, np.ones(1))
            factor = float(height) if height.ndim == 0 else 1.0
        for transform in connection.chain():
            carried = _carries(transform)
            factor = 1.0 if carried is None else factor * carried
        return factor

    def filtered(self, sent: Scaled, synapse: Synapse, shape: Shape, label: str) -> Scaled:
        """Values behind a filter; their factor stays aside."""
        return Scaled(self.filter(sent.signal, synapse, shape, label, sent.factor), sent.factor)

    def filter(
        self,
        signal: int,
        synapse: Synapse,
        shape: Shape,
        label: str,
        factor: float | NDArray,
    ) -> int:
        """Add a filter of a signal that values are `factor` times."""
        output = self.signal(shape, label)
        if isinstance(synapse, WindowMean):
            initial = _initial_means(synapse, shape, label) / factor
            self.operators.append(Average(label, (signal,), output, synapse.steps, initial))
        else:
            self.operators.append(Filter(label, (signal,), output, synapse.discretise(self.dt)))
        return output

    def map(self, sent: Scaled, chain: tuple[Transform, ...], shape: Shape, label: str) -> Scaled:
        """Add a chain of transforms; those that only move and add values leave the factor aside."""
        signal, factor = sent
        for transform in chain:
            shape = transform.output_shape(shape)
            output = self.signal(shape, label)
            carried = _carries(transform)
            if carried is None:
                held = hold(transform, self.precision)
                self.operators.append(Linear(label, (signal,), output, held, factor))
                factor = 1.0
            else:
                self.operators.append(Linear(label, (signal,), output, _plain(transform)))
                factor *= carried
            signal = output
        return Scaled(signal, factor)

    def values(self, sent: Scaled, shape: Shape, label: str) -> int:
        """The signal of the values themselves, where a factor stands beside them."""
        if sent.factor == 1.0:
            return sent.signal
        output = self.signal(shape, label)
        scale = Scale(np.array(1.0))
        self.operators.append(Linear(label, (sent.signal,), output, scale, sent.factor))
        return output

    def receive(self, item: Item) -> None:
        """What arrives at an object: a sum, with gain and bias at neurons."""
        gain = bias = None
        if isinstance(item, Ensemble):
            if not (item.is_direct or self.arriving[item] or self._input_probed(item)):
                return  # nothing is represented
            label = f"input of {item!r}"
            if item not in self.input_of:
                self.input_of[item] = self.signal((item.dimensions,), label)
                self.encode(item)
        elif isinstance(item, NeuronsView):
            gain, bias = self.affine[item]
            label = f"current of {item.ensemble!r}"
        elif item.shape_in == (0,):
            if self.arriving[item]:
                raise BuildError(f"{item!r} takes no input, but connections lead to it")
            return
        else:
            label = f"input of {item!r}"
            if item not in self.input_of:
                self.input_of[item] = self.signal(item.shape_in, label)
        kept = self.junction_factors.get(item, 1.0) if isinstance(item, Node) else 1.0
        arriving = tuple(
            self.values(Scaled(signal, factor / kept), input_shape(item), label)
            for signal, factor in self.arriving[item]
        )
        output = self.input_of[item]
        if isinstance(item, NeuronsView) and item.ensemble.noise is not None:
            output = self.signal(item.shape, label)
            self.add_noise(item, output)
        self.operators.append(Sum(label, arriving, output, gain, bias))

    def encode(self, ensemble: Ensemble) -> None:
        """From what an ensemble represents to its neurons."""
        chain = encoding(ensemble, self.representations[ensemble].input_weights)
        sent = Scaled(self.input_of[ensemble], 1.0)
        sent = self.map(sent, chain, (ensemble.dimensions,), f"encoders of {ensemble!r}")
        self.arriving[ensemble.neurons].append(sent)

    def add_noise(self, item: NeuronsView, quiet: int) -> None:
        """The current of a population with noise: a process beside what arrives."""
        ensemble, label = item.ensemble, f"noise of {item.ensemble!r}"
        key = object_key(*self.keys[ensemble], _NOISE)
        noise = self.signal(item.shape, label)
        process = ensemble.noise
        if process is None:
            raise BuildError(f"{ensemble!r} has no noise")
        self.operators.append(Generate(label, (), noise, process, (0,), key))
        label = f"current of {ensemble!r}"
        self.operators.append(Sum(label, (quiet, noise), self.input_of[item]))

    def _input_probed(self, ensemble: Ensemble) -> bool:
        return any(p.target is ensemble and p.attr == "input" for p in self.probes)

    def compute(self, node: Node) -> None:
        """What a node makes of its input."""
        output = self.output_of[node]
        if isinstance(node.output, Process):
            inputs = (self.input_of[node],) if node.shape_in != (0,) else ()
            self.operators.append(
                Generate(f"{node!r}", inputs, output, node.output, node.shape_in, self.keys[node])
            )
        elif node not in self.input_of:
            self.operators.append(Source(f"{node!r}", (), output, node))
        elif node.output is not None:
            self.operators.append(
                Apply(f"{node!r}", (self.input_of[node],), output, node, _restart(node))
            )

    def record(self, probe: Probe) -> Recording:
        """The signal that a probe records."""
        signal, factor = self._probed(probe)
        every = 1
        if probe.sample_every is not None:
            every = max(1, round(probe.sample_every / self.dt))
        if probe.synapse is not None:
            shape = self.shapes[signal]
            signal = self.filter(signal, probe.synapse, shape, f"{probe!r}", factor)
        return Recording(probe, signal, np.asarray(factor, np.float64), every)

    def _probed(self, probe: Probe) -> tuple[int, NDArray | float]:
        target = probe.target
        if isinstance(target, Ensemble):
            return self._probed_vector(probe, target)
        known: dict = self.contribution_of if isinstance(target, Connection) else self.output_of
        if target not in known:
            raise BuildError(f"{probe!r}: its target is not in {self.network!r}")
        if isinstance(target, Connection):
            return self.contribution_of[target]
        if isinstance(target, Node):
            if probe.attr == "input" and target not in self.input_of:
                raise BuildError(f"{probe!r}: {target!r} takes no input")
            signals = self.input_of if probe.attr == "input" else self.output_of
            return signals[target], self.junction_factors.get(target, 1.0)
        operator = next(
            op
            for op in self.operators
            if isinstance(op, Neurons) and op.ensemble == target.ensemble
        )
        if probe.attr == "voltage" and operator.voltage is not None:
            return operator.voltage, 1.0 / np.asarray(
                operator.neuron_type.voltage_unit(operator.threshold)
            )
        if probe.attr == "input":
            skewed = operator.neuron_type.scaling == "skewed"  # its current is scaled already
            return self.input_of[target], 1.0 if skewed else gain_scale(target.ensemble)
        return self.output_of[target], self.heights[target] if probe.attr == "output" else 1.0

    def _probed_vector(self, probe: Probe, ensemble: Ensemble) -> tuple[int, NDArray | float]:
        """What an ensemble represents, decoded or as it arrives."""
        if ensemble not in self.arriving:
            raise BuildError(f"{probe!r}: its target is not in {self.network!r}")
        if probe.attr == "input" or ensemble.is_direct:
            return self.input_of[ensemble], 1.0
        connection = identity_of(ensemble, probe.solver, f"{probe!r}")
        key = object_key(*self.keys[ensemble], _CONNECTION)
        return self.decoded(connection, self.decode(connection, key))


def _restart(item: Ensemble | Node) -> int | None:
    """The period after which an object starts again, or None where it keeps nothing."""
    if isinstance(item, Node):
        function = item.output
        keeps = isinstance(function, NodeFunction) and function.accumulate
    else:
        kind = item.neuron_type
        keeps = kind.has_voltage or bool(kind.initial_state())
    return item.restart_every if keeps else None


def _initial_means(synapse: WindowMean, shape: Shape, label: str) -> NDArray:
    """What a mean over windows passes on in the first one, of the signal's shape."""
    values = np.array(synapse.initial or (0.0,))
    if len(values) not in (1, np.prod(shape)):
        raise BuildError(
            f"{label}: {len(values)} initial values are neither one nor one for each of {shape}"
        )
    return values.reshape(shape) if len(values) > 1 else np.broadcast_to(values[0], shape)


def _carries(transform: Transform) -> float | None:
    """What a transform multiplies a count's factor by if it only moves and adds values, or None."""
    if isinstance(transform, Reshape | Permute | Slice | Place | Take):
        return 1.0
    if isinstance(transform, SumPool) and transform.factor.ndim == 0 and transform.factor != 0:
        return float(transform.factor)
    return None


def _plain(transform: Transform) -> Transform:
    """A transform that carries, without its own factor."""
    return replace(transform, factor=np.array(1.0)) if isinstance(transform, SumPool) else transform


def hold(transform: Transform, precision: Precision) -> Transform:
    """The transform with its weights on the precision's grid."""
    name = _WEIGHT_FIELDS.get(type(transform))
    if name is None:
        return transform
    return replace(transform, **{name: on_grid(getattr(transform, name), precision)})  # type: ignore[type-var]


def weights_of(connection: Connection) -> NDArray:
    """A connection's weights as given: never scaled, never rounded."""
    return np.array(1.0) if connection.transform is None else connection.transform.weights
