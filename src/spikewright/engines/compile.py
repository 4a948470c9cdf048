"""Network -> program."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.decoder_cache import Choice, DecoderCache, chosen_cache
from spikewright.engines.draft import Draft
from spikewright.engines.factors import Scaled, carried_factors
from spikewright.engines.grid import Precision
from spikewright.engines.parameters import (
    affine,
    build_parameters,
    gain_scale,
    keyed_ensembles,
    seeded_networks,
)
from spikewright.engines.planner import order
from spikewright.engines.program import (
    Apply,
    Generate,
    Linear,
    Neurons,
    Parameters,
    Program,
    Recording,
    Source,
    Sum,
    object_key,
)
from spikewright.engines.representation import connection_key
from spikewright.engines.vectors import Vectors, identity_of
from spikewright.errors import BuildError
from spikewright.network import (
    Connection,
    Ensemble,
    Network,
    Node,
    NodeFunction,
    Probe,
    input_shape,
    output_shape,
)
from spikewright.network import Neurons as NeuronsView
from spikewright.network.processes import Process
from spikewright.network.synapses import WindowMean
from spikewright.network.transforms import (
    Scale,
)

# Words of keys that no index reaches, beside those of `engines.parameters`.
_CONNECTION, _NODE, _NOISE = 2**32 - 3, 2**32 - 4, 2**32 - 5
Item = Node | NeuronsView | Ensemble


def compile_network(
    network: Network,
    dt: float,
    seed: int,
    precision: Precision,
    probes: Sequence[Probe] | None = None,
    decoder_cache: Choice | DecoderCache = None,
) -> Program:
    """Compile a network for steps of `dt` seconds, recording `probes` (default: the network's).

    `decoder_cache` as for `Simulator`.
    Raises `BuildError` for a cycle without a synapse, an object that the network does not hold, or
    parameters that no neuron can have.
    """
    wanted = network.all_probes if probes is None else list(probes)
    cache = chosen_cache(decoder_cache)
    return _Compiler(network, dt, seed, precision, wanted, cache).program()


class _Compiler:
    def __init__(
        self,
        network: Network,
        dt: float,
        seed: int,
        precision: Precision,
        probes: Sequence[Probe],
        cache: DecoderCache | None = None,
    ) -> None:
        self.network, self.dt, self.seed, self.precision = network, dt, seed, precision
        self.probes = probes
        self.draft = Draft(dt, precision)
        self.vectors = Vectors(self.draft, cache)
        self.input_of: dict[Item, int] = {}
        self.output_of: dict[Item, int] = {}
        self.value_of: dict[NeuronsView, int] = {}
        self.heights: dict[NeuronsView, NDArray] = {}
        self.contribution_of: dict[Connection, Scaled] = {}
        self.parameters: dict[Ensemble, Parameters] = {}
        self.arriving: dict[Item, list[Scaled]] = {}
        self.keys: dict[Ensemble | Connection | Node, tuple[int, int]] = {}
        self.junction_factors: dict[Node, float] = {}
        self.affine: dict[NeuronsView, tuple[NDArray | None, NDArray | None]] = {}

    def program(self) -> Program:
        """Compile objects, then connections between them, then what arrives, then probes."""
        self._check_once()
        driven = {connection.post_obj for connection in self.network.all_connections}
        for node in self.network.all_nodes:
            self.output_of[node] = self.draft.signal(node.shape_out, f"{node!r}")
            self.arriving[node] = []
            if _passes_on(node, node in driven):
                self.input_of[node] = self.output_of[node]  # a junction: what arrives is its value
        self._key_objects()
        for ensemble in self.network.all_ensembles:
            self.declare(ensemble, self.keys[ensemble])
        junctions = [node for node in self.network.all_nodes if node in self.input_of]
        self.junction_factors = carried_factors(self.network, junctions, self.heights)
        for connection in self.network.all_connections:
            self.connect(connection)
        for item in self.arriving:
            self.receive(item)
        for node in self.network.all_nodes:
            self.compute(node)
        recordings = tuple(self.record(probe) for probe in self.probes)
        self.vectors.forget()
        return Program(
            dt=self.dt,
            seed=self.seed,
            precision=self.precision,
            shapes=tuple(self.draft.shapes),
            components=order(self.draft.operators),
            recordings=recordings,
            parameters=self.parameters,
            weights={c: weights_of(c) for c in self.network.all_connections},
            representations=self.vectors.representations,
            decodings=self.vectors.decodings,
            labels=self.draft.labels,
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
            self.vectors.represent(ensemble, key, None)
            signal = self.draft.signal((ensemble.dimensions,), f"{ensemble!r}")
            self.input_of[ensemble] = self.output_of[ensemble] = signal
            return
        neurons = ensemble.neurons
        solved = build_parameters(ensemble, key)
        self.vectors.represent(ensemble, key, solved)
        built = self.parameters[ensemble] = solved.parameters
        threshold = 1.0 / (np.asarray(ensemble.rate_scale, np.float64) * self.dt)
        amplitude = ensemble.neuron_type.amplitude
        spiking = ensemble.neuron_type.spiking
        self.heights[neurons] = np.asarray(amplitude * (threshold if spiking else 1.0))
        self.input_of[neurons] = self.draft.signal(ensemble.shape, f"current of {ensemble!r}")
        self.output_of[neurons] = self.draft.signal(ensemble.shape, f"{ensemble!r}")
        self.arriving[neurons] = []
        self.affine[neurons] = affine(ensemble, solved)
        self.draft.operators.append(
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
                states=self._state_signals(ensemble),
                restart=_restart(ensemble),
            )
        )

    def _state_signals(self, ensemble: Ensemble) -> dict[str, int]:
        """Signals of the state that probes record."""
        wanted = (p.attr for p in self.probes if p.target == ensemble.neurons)
        names = dict.fromkeys(name for name in wanted if name in ensemble.neuron_type.state_names)
        return {n: self.draft.signal(ensemble.shape, f"{n} of {ensemble!r}") for n in names}

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
            decoded = self.vectors.decode(connection, self.keys[connection])
            pre: NeuronsView = connection.pre_obj.neurons  # type: ignore[union-attr]
            sent = self.vectors.decoded(connection, decoded, self.value(pre))
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
            sent, shape_in = self.vectors.applied(connection, sent), connection.sent_shape
        shape_out = input_shape(connection.post_obj)
        synapse = connection.synapse
        # Linear maps and filters commute: the filter goes where there are fewer values to filter.
        # A mean over windows is one of what was sent.
        fewer = bool(np.prod(shape_in) < np.prod(shape_out))
        first = isinstance(synapse, WindowMean) or (synapse is not None and fewer)
        if synapse is not None and first:
            sent = self.draft.filtered(sent, synapse, shape_in, f"synapse of {connection!r}")
        sent = self.draft.map(sent, connection.chain(), shape_in, f"{connection!r}")
        if synapse is not None and not first:
            sent = self.draft.filtered(sent, synapse, shape_out, f"synapse of {connection!r}")
        return sent

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
            signal = self.draft.signal(pre.shape, f"values of {pre!r}")
            source = self.output_of[pre]
            self.draft.operators.append(
                Linear(f"heights of {pre!r}", (source,), signal, Scale(height))
            )
            self.value_of[pre] = signal
        return Scaled(self.value_of[pre], 1.0)

    def receive(self, item: Item) -> None:
        """What arrives at an object: a sum, with gain and bias at neurons."""
        gain = bias = None
        if isinstance(item, Ensemble):
            if not (item.is_direct or self.arriving[item] or self._input_probed(item)):
                return  # nothing is represented
            label = f"input of {item!r}"
            if item not in self.input_of:
                self.input_of[item] = self.draft.signal((item.dimensions,), label)
                encoded = self.vectors.encoded(item, self.input_of[item])
                self.arriving[item.neurons].append(encoded)
        elif isinstance(item, NeuronsView):
            gain, bias = self.affine[item]
            label = f"current of {item.ensemble!r}"
        elif item.shape_in == (0,) or (_stands_in(item) and not self.arriving[item]):
            if self.arriving[item]:
                raise BuildError(f"{item!r} takes no input, but connections lead to it")
            return
        else:
            label = f"input of {item!r}"
            if item not in self.input_of:
                self.input_of[item] = self.draft.signal(item.shape_in, label)
        kept = self.junction_factors.get(item, 1.0) if isinstance(item, Node) else 1.0
        arriving = tuple(
            self.draft.values(Scaled(signal, factor / kept), input_shape(item), label)
            for signal, factor in self.arriving[item]
        )
        output = self.input_of[item]
        if isinstance(item, NeuronsView) and item.ensemble.noise is not None:
            output = self.draft.signal(item.shape, label)
            self.add_noise(item, output)
        self.draft.operators.append(Sum(label, arriving, output, gain, bias))

    def add_noise(self, item: NeuronsView, quiet: int) -> None:
        """The current of a population with noise: a process beside what arrives."""
        ensemble, label = item.ensemble, f"noise of {item.ensemble!r}"
        key = object_key(*self.keys[ensemble], _NOISE)
        noise = self.draft.signal(item.shape, label)
        process = ensemble.noise
        if process is None:
            raise BuildError(f"{ensemble!r} has no noise")
        self.draft.operators.append(Generate(label, (), noise, process, (0,), key))
        label = f"current of {ensemble!r}"
        self.draft.operators.append(Sum(label, (quiet, noise), self.input_of[item]))

    def _input_probed(self, ensemble: Ensemble) -> bool:
        return any(p.target is ensemble and p.attr == "input" for p in self.probes)

    def compute(self, node: Node) -> None:
        """What a node makes of its input."""
        output = self.output_of[node]
        if isinstance(node.output, Process):
            inputs = (self.input_of[node],) if node.shape_in != (0,) else ()
            self.draft.operators.append(
                Generate(f"{node!r}", inputs, output, node.output, node.shape_in, self.keys[node])
            )
        elif node not in self.input_of:
            self.draft.operators.append(Source(f"{node!r}", (), output, node))
        elif node.output is not None and not _stands_in(node):
            self.draft.operators.append(
                Apply(f"{node!r}", (self.input_of[node],), output, node, _restart(node))
            )

    def record(self, probe: Probe) -> Recording:
        """The signal that a probe records."""
        signal, factor = self._probed(probe)
        every = 1
        if probe.sample_every is not None:
            every = max(1, round(probe.sample_every / self.dt))
        if probe.synapse is not None:
            shape = self.draft.shapes[signal]
            signal = self.draft.filter(signal, probe.synapse, shape, f"{probe!r}", factor)
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
            for op in self.draft.operators
            if isinstance(op, Neurons) and op.ensemble == target.ensemble
        )
        if probe.attr in operator.states:
            unit = operator.neuron_type.voltage_unit(operator.threshold)
            return operator.states[probe.attr], 1.0 / np.asarray(
                unit if probe.attr == "voltage" else 1.0
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
        decoded = self.vectors.decode(connection, key)
        return self.vectors.decoded(connection, decoded, self.value(ensemble.neurons))


def _stands_in(node: Node) -> bool:
    """Whether a node's constant is there for what connections may bring."""
    return isinstance(node.output, np.ndarray) and node.shape_in != (0,)


def _passes_on(node: Node, driven: bool) -> bool:
    """Whether a node is a junction, where connections lead to it or not."""
    return node.shape_in != (0,) and (node.output is None or (driven and _stands_in(node)))


def _restart(item: Ensemble | Node) -> int | None:
    """The period after which an object starts again, or None where it keeps nothing."""
    if isinstance(item, Node):
        function = item.output
        keeps = isinstance(function, NodeFunction) and function.accumulate
    else:
        kind = item.neuron_type
        keeps = kind.has_voltage or bool(kind.initial_state())
    return item.restart_every if keeps else None


def weights_of(connection: Connection) -> NDArray:
    """A connection's weights as given: never scaled, never rounded."""
    return np.array(1.0) if connection.transform is None else connection.transform.weights
