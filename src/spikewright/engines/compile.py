"""The compiler from networks to programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import repeated
from spikewright._base.debugging import checking, traced
from spikewright.engines.builder import ProgramBuilder, Receiver, Signals
from spikewright.engines.decoder_cache import Choice, DecoderCache, chosen_cache
from spikewright.engines.direct_connections import DirectConnections
from spikewright.engines.grid import Precision
from spikewright.engines.learned import LearningBuilder
from spikewright.engines.nef_operators import NefOperators
from spikewright.engines.operators import Apply, Generate, NodeSource, Operator, ScaledSum
from spikewright.engines.parameters import (
    Parameters,
    affine,
    build_parameters,
    connection_key,
    initial_state,
    keyed_ensembles,
    object_key,
    seeded_networks,
)
from spikewright.engines.populations import Neurons
from spikewright.engines.probes import GivenWeights, ProbeResolver
from spikewright.engines.program import Program, Recording, order, with_prepared_weights
from spikewright.engines.program_check import check_program
from spikewright.engines.python_steps import Turns, node_may_share, sequential_operators
from spikewright.engines.settings import check_settings, check_sizes, check_step
from spikewright.engines.spike_scaling import (
    ScaledSignal,
    accepts_counts,
    passed_heights,
    pooled_heights,
    propagate_factors,
)
from spikewright.errors import BuildError
from spikewright.network import (
    Connection,
    Ensemble,
    LearningRule,
    Network,
    NeuronsView,
    Node,
    Probe,
)
from spikewright.network.layer_times import LayerTimes, times_of, waits_of
from spikewright.network.processes import Process

# Words of keys that no index reaches, beside those of `engines.parameters`.
_CONNECTION, _NODE, _NOISE, _PROBE = 2**32 - 3, 2**32 - 4, 2**32 - 5, 2**32 - 6


def compile_network(
    network: Network,
    dt: float,
    seed: int,
    precision: Precision,
    probes: Sequence[Probe] | None = None,
    decoder_cache: Choice | DecoderCache = None,
    turns: Turns = "shared",
    own_steps: bool = False,
) -> Program:
    """Compile a network for steps of `dt` seconds, recording `probes` (default: the network's).

    `decoder_cache` is as for `Simulator`. Python functions that may share something are called in
    turn, step by step, with `turns` "shared"; "all" calls all of them in turn, "none" calls them
    block by block. With `own_steps` the layers of a network of signed digits run side by side, each
    in its own steps.
    Raises `BuildError` for a cycle without a synapse, an object that the network does not hold,
    parameters that no neuron can have, steps and scales that no engine computes with, or a step
    that the network is not for.
    """
    check_settings(BuildError, dt=dt, precision=precision)
    check_step(network, dt)
    wanted = network.all_probes if probes is None else list(probes)
    cache = chosen_cache(decoder_cache)
    with traced("compile") as changes:
        times = times_of(network) if own_steps else None
        compiler = _Compiler(network, dt, seed, precision, wanted, cache=cache, times=times)
        program = compiler.program(turns)
        changes.append([f"{len(program.operators)} operators, {len(program.shapes)} signals"])
    if checking():
        check_program(program, "as compiled")
    return program


class _Compiler:
    def __init__(
        self,
        network: Network,
        dt: float,
        seed: int,
        precision: Precision,
        probes: Sequence[Probe],
        cache: DecoderCache | None = None,
        times: LayerTimes | None = None,
    ) -> None:
        self.times = times
        self.network, self.dt, self.seed, self.precision = network, dt, seed, precision
        self.probes = probes
        self.builder = ProgramBuilder(dt, precision)
        self.nef = NefOperators(self.builder, cache)
        self.signals = Signals(self.builder)
        self.populations: dict[NeuronsView, Neurons] = {}
        self.parameters: dict[Ensemble, Parameters] = {}
        self.keys: dict[Ensemble | Connection | Node | Probe, tuple[int, int]] = {}
        self.builder.keys = self.keys
        self.affine: dict[NeuronsView, tuple[NDArray | None, NDArray | None]] = {}

    def program(self, turns: Turns) -> Program:
        """Compile objects, then connections between them, then inputs of objects, then probes."""
        self._check_once()
        signals, connections = self.signals, self.network.all_connections
        driven = {connection.post_obj for connection in connections}
        for node in self.network.all_nodes:
            signals.output_of[node] = self.builder.signal(node.shape_out, f"{node!r}")
            signals.arriving[node] = []
            if _passes_on(node, node in driven):
                # A junction: what arrives is its value.
                signals.input_of[node] = signals.output_of[node]
        self._key_objects()
        for ensemble in self.network.all_ensembles:
            self.declare(ensemble, self.keys[ensemble])
        junctions = [node for node in self.network.all_nodes if node in signals.input_of]
        spikes = {n: h for n, h in signals.heights.items() if isinstance(n, NeuronsView)}
        signals.heights.update(passed_heights(self.network, junctions, spikes))
        junctions += [node for node in self.network.all_nodes if accepts_counts(node)]
        signals.factors = propagate_factors(self.network, junctions, spikes)
        signals.heights.update(pooled_heights(self.network, spikes))
        represented = self.nef.representations
        self.learning = LearningBuilder(signals, represented, connections, self.probes)
        recorded = {probe.obj for probe in self.probes}
        waits = None if self.times is None else waits_of(self.network, self.times, recorded)
        row = 0 if self.times is None else self.times.steps
        self.direct = DirectConnections(signals, self.nef, connections, recorded, waits, row=row)
        for connection in connections:
            self.connect(connection)
        self.direct.finish()
        for item in signals.arriving:
            self.receive(item)
        for node in self.network.all_nodes:
            self.compute(node)
        recordings = self.recordings()
        self.nef.forget()
        operators = with_prepared_weights(
            self.builder.operators, self.precision, self.builder.encoders
        )
        in_turn = sequential_operators(operators, turns)
        return Program(
            dt=self.dt,
            seed=self.seed,
            precision=self.precision,
            shapes=tuple(self.builder.shapes),
            components=order(operators, in_turn),
            recordings=recordings,
            parameters=self.parameters,
            weights=GivenWeights(connections),
            input_of=signals.input_of,
            output_of=signals.output_of,
            representations=represented,
            decodings=self.nef.decodings,
            labels=self.builder.labels,
            learned=self.learning.operators,
            learned_encoders=self.learning.learned_encoders(),
            whole_steps=None if self.times is None else self.times.steps,
        )

    def _check_once(self) -> None:
        """Raise `BuildError` if a network is contained in this one twice."""
        networks = self.network.all_networks
        twice = [net for net in networks if sum(net is other for other in networks) > 1]
        if twice:
            raise BuildError(f"{twice[0]!r} is a part of {self.network!r} more than once")

    def _key_objects(self) -> None:
        """Set the keys of random numbers, from an object's own seed, else from its place."""
        self.keys.update(keyed_ensembles(self.network, self.seed))
        for net, base in seeded_networks(self.network, (self.seed,)):
            for index, connection in enumerate(net.connections):
                self.keys[connection] = connection_key(base, index, connection.seed, _CONNECTION)
            for index, node in enumerate(net.nodes):
                self.keys[node] = object_key(*base, _NODE, index)
            for index, probe in enumerate(net.probes):
                self.keys[probe] = object_key(*base, _PROBE, index)

    def declare(self, ensemble: Ensemble, key: tuple[int, int]) -> None:
        """Solve an ensemble's parameters and add its neurons."""
        signals = self.signals
        signals.arriving[ensemble] = []
        if ensemble.is_direct:
            self.nef.represent(ensemble, key, None)
            signal = self.builder.signal((ensemble.dimensions,), f"{ensemble!r}")
            signals.input_of[ensemble] = signals.output_of[ensemble] = signal
            return
        neurons, kind = ensemble.neurons, ensemble.neuron_type
        if self.times is not None and kind.sends_digits:
            kind = replace(kind, start=0)  # type: ignore[call-arg]
        solved = build_parameters(ensemble, key)
        self.nef.represent(ensemble, key, solved)
        built = self.parameters[ensemble] = solved.parameters
        check_sizes(ensemble, self.dt, built.initial_voltage)
        threshold = 1.0 / (np.asarray(ensemble.rate_scale, np.float64) * self.dt)
        heights = kind.amplitude * (threshold if kind.spiking else 1.0)
        signals.heights[neurons] = np.asarray(heights)
        signals.input_of[neurons] = self.builder.signal(ensemble.shape, f"current of {ensemble!r}")
        signals.output_of[neurons] = self.builder.signal(ensemble.shape, f"{ensemble!r}")
        signals.arriving[neurons] = []
        self.affine[neurons] = affine(ensemble, solved)
        self.populations[neurons] = Neurons(
            f"{ensemble!r}",
            (signals.input_of[neurons],),
            signals.output_of[neurons],
            ensemble=ensemble,
            neuron_type=kind,
            threshold=threshold,
            initial_voltage=self._begins_with(ensemble, built, threshold),
            key=key,
            states=self._state_signals(ensemble),
            restart=self._period(ensemble) if kind.state_names else None,
            begins=initial_state(ensemble, key),
        )
        self.builder.operators.append(self.populations[neurons])

    def _begins_with(self, ensemble: Ensemble, built: Parameters, threshold: NDArray) -> NDArray:
        """The voltage before the first step, with biases that come before the first digit."""
        kind = ensemble.neuron_type
        start = _start(built.initial_voltage) * kind.voltage_unit(threshold)
        if not _waits(ensemble):
            return start
        assert ensemble.step_biases is not None
        return np.asarray(start + ensemble.step_biases.sum(axis=0))

    def _state_signals(self, ensemble: Ensemble) -> dict[str, int]:
        """Signals for the state variables that probes record."""
        wanted = (p.attr for p in self.probes if p.obj == ensemble.neurons)
        kind = ensemble.neuron_type
        kept = (*kind.state_names, *kind.made_names)
        names = dict.fromkeys(name for name in wanted if name in kept)
        return {n: self.builder.signal(ensemble.shape, f"{n} of {ensemble!r}") for n in names}

    def connect(self, connection: Connection) -> None:
        """Add the operators from the sender's signal to the receiver's input."""
        for item in (connection.pre_obj, connection.post_obj):
            if item not in self.signals.arriving:
                raise BuildError(self._missing(connection, item))
        receiver: Receiver = connection.post_obj
        decoded = None
        if connection.decodes:
            decoded = self.nef.decode(connection, self.keys[connection])
            if decoded.full is not None and isinstance(receiver, Ensemble):
                receiver = receiver.neurons  # the encoders are in the weights
        sent: ScaledSignal | None
        if self.learning.changes(connection):
            sent = self.learning.weighted(connection, decoded)
        elif decoded is not None:
            pre: NeuronsView = connection.pre_obj.neurons  # type: ignore[union-attr]
            sent = self.nef.decoded(connection, decoded, self.signals.value(pre))
        else:
            sent = self.direct.connected(connection)
        if sent is not None:
            self.signals.delivered[connection] = sent
            self.signals.arriving[receiver].append(sent)

    def _missing(self, connection: Connection, item: Receiver) -> str:
        """The message for a connection to an object that the network does not hold."""
        if isinstance(item, LearningRule) and item not in item.connection.learning_rules:
            return (
                f"{connection!r}: {item!r} is no longer a rule of its connection; remove the "
                "connection from its network, or give the rule back (with learning_rate=0 it "
                "changes nothing)"
            )
        return f"{connection!r}: {item!r} is not in {self.network!r}; add the network that holds it"

    def receive(self, item: Receiver) -> None:
        """Add the input of an object: a sum, with gain and bias for neurons."""
        signals, gain, bias = self.signals, None, None
        arriving, label = signals.arriving[item], f"input of {item!r}"
        if isinstance(item, Ensemble):
            if not (item.is_direct or arriving or self._input_probed(item)):
                return  # nothing is represented
            if item not in signals.input_of:
                signals.input_of[item] = self.builder.signal((item.dimensions,), label)
                self.encode(item)
        elif isinstance(item, NeuronsView):
            gain, bias = self.affine[item]
            label = f"current of {item.ensemble!r}"
        elif isinstance(item, LearningRule):
            begins_at_one = item.learning_rule_type.receives == "learning_signal"
            bias = np.ones(1) if begins_at_one else None
        elif item.shape_in == (0,) or (_stands_in(item) and not arriving):
            if arriving:
                raise BuildError(f"{item!r} takes no input, but connections lead to it")
            return
        elif item not in signals.input_of:
            signals.input_of[item] = self.builder.signal(item.shape_in, label)
        kept = signals.factors.get(item, 1.0) if isinstance(item, Node) else 1.0
        values = tuple(
            self.builder.values(ScaledSignal(signal, factor / kept), label)
            for signal, factor in arriving
        )
        output = signals.input_of[item]
        if isinstance(item, NeuronsView) and _is_noisy(item.ensemble):
            output = self.builder.signal(item.shape, label)
            self.add_noise(item, output)
        self.builder.operators.append(ScaledSum(label, values, output, gain, bias))

    def encode(self, ensemble: Ensemble) -> None:
        """Add the encoders from an ensemble's represented vector to its neurons."""
        signal = self.signals.input_of[ensemble]
        encoded = self.learning.encoded(ensemble, signal)
        if encoded is None:
            encoded = self.nef.encoded(ensemble, signal)
        self.signals.arriving[ensemble.neurons].append(encoded)

    def add_noise(self, item: NeuronsView, quiet: int) -> None:
        """Add the noise of a population: a process that is added to its input current."""
        ensemble, label = item.ensemble, f"noise of {item.ensemble!r}"
        key = object_key(*self.keys[ensemble], _NOISE)
        noise = self.builder.signal(item.shape, label)
        process = ensemble.noise
        if process is None:
            raise BuildError(f"{ensemble!r} has no noise")
        self.builder.operators.append(Generate(label, (), noise, process, (0,), key))
        label = f"current of {ensemble!r}"
        self.builder.operators.append(ScaledSum(label, (quiet, noise), self.signals.input_of[item]))

    def _input_probed(self, ensemble: Ensemble) -> bool:
        return any(p.obj is ensemble and p.attr == "input" for p in self.probes)

    def compute(self, node: Node) -> None:
        """Add the operator of a node's output."""
        signals = self.signals
        output = signals.output_of[node]
        if isinstance(node.output, Process):
            inputs = (signals.input_of[node],) if node.shape_in != (0,) else ()
            self.builder.operators.append(
                Generate(f"{node!r}", inputs, output, node.output, node.shape_in, self.keys[node])
            )
        elif node not in signals.input_of:
            source: Operator = Apply(f"{node!r}", (), output, node)
            if not node_may_share(node):
                source = NodeSource(f"{node!r}", (), output, node, repeats=self._period(node))
            self.builder.operators.append(source)
        elif node.output is not None and not _stands_in(node):
            applied = Apply(f"{node!r}", (signals.input_of[node],), output, node)
            restart = self._period(node) if applied.has_state else None
            self.builder.operators.append(replace(applied, restart=restart))

    def _period(self, place: Ensemble | Node) -> int | None:
        """The steps after which the state of an ensemble or node is reset; None: never."""
        every = place.restart_every
        return every if every is None or self.times is None else self.times.steps

    def recordings(self) -> tuple[Recording, ...]:
        """The recordings of all probes."""
        probed = ProbeResolver(
            network=self.network,
            signals=self.signals,
            nef=self.nef,
            learning=self.learning,
            populations=self.populations,
            parameters=self.parameters,
            decoder_key=lambda ensemble: object_key(*self.keys[ensemble], _CONNECTION),
        )
        return tuple(probed.recording(probe) for probe in self.probes)


def _stands_in(node: Node) -> bool:
    """Whether a node's constant is a default for its input."""
    return isinstance(node.output, np.ndarray) and node.shape_in != (0,)


def _passes_on(node: Node, driven: bool) -> bool:
    """Whether a node passes its input on; `driven` says whether connections lead to it."""
    return node.shape_in != (0,) and (node.output is None or (driven and _stands_in(node)))


def _waits(ensemble: Ensemble) -> bool:
    """True where all biases of single steps come before an ensemble sends its first digit."""
    start, biases = ensemble.neuron_type.start, ensemble.step_biases
    return start is not None and biases is not None and len(biases) <= start + 1


def _is_noisy(ensemble: Ensemble) -> bool:
    """True where the current of an ensemble has noise, or biases of single steps, added."""
    return ensemble.noise is not None and not _waits(ensemble)


def _start(voltage: NDArray) -> NDArray:
    """Initial voltages in spikes, as one number if all are equal."""
    one = repeated(voltage)
    return voltage if one is None else one
