"""Probes as recordings: the signal that each probe records, its factor and its filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.build_info import ConnectionParameters, EnsembleParameters
from spikewright.engines.builder import Signals
from spikewright.engines.learned import LearningBuilder
from spikewright.engines.nef_operators import NefOperators, identity_of
from spikewright.engines.operators import (
    Delay,
    Filter,
    Generate,
    Linear,
    Mapped,
    Operator,
    ScaledSum,
    Smooth,
)
from spikewright.engines.parameters import Parameters, gain_scale
from spikewright.engines.populations import Neurons
from spikewright.engines.program import Recording
from spikewright.engines.spike_scaling import ScaledSignal
from spikewright.errors import BuildError
from spikewright.network import (
    Connection,
    Ensemble,
    LearningRule,
    Network,
    NeuronsView,
    Node,
    ObjView,
    Probe,
)
from spikewright.network.processes import EachStep
from spikewright.network.synapses import Synapse
from spikewright.network.transforms import Transform, flatten

Found = tuple[int, NDArray | float]


class ProbeResolver:
    """Finds the signals that probes record, and adds the operators that they need to a program.

    `populations` are the operators of neurons; `decoder_key` returns the key of an ensemble's own
    decoders.
    """

    def __init__(
        self,
        network: Network,
        signals: Signals,
        nef: NefOperators,
        learning: LearningBuilder,
        populations: Mapping[NeuronsView, Neurons],
        parameters: Mapping[Ensemble, Parameters],
        decoder_key: Callable[[Ensemble], tuple[int, int]],
    ) -> None:
        self.network, self.signals, self.builder = network, signals, signals.builder
        self.nef, self.learning = nef, learning
        self.populations, self.parameters = populations, parameters
        self._decoder_key = decoder_key

    def recording(self, probe: Probe) -> Recording:
        """The recording of a probe: signal, factor, filter and period."""
        sent = ScaledSignal(*self._part(probe, *self._whole(probe)))  # type: ignore[arg-type]
        every = 1
        if probe.sample_every is not None:
            every = max(1, round(probe.sample_every / self.builder.dt))
        if probe.synapse is not None:
            sent = ScaledSignal(self._at_the_start(probe, sent.signal), sent.factor)
            sent = self.builder.filtered(sent, probe.synapse, f"{probe!r}", probe)
        return Recording(probe, sent.signal, np.asarray(sent.factor, np.float64), every)

    def _whole(self, probe: Probe) -> Found:
        """The signal of a probe's whole target object."""
        for kind, find in _FINDERS.items():
            if isinstance(probe.obj, kind):
                found: Found = find(self, probe, probe.obj)
                return found
        raise BuildError(f"{probe!r}: a {type(probe.obj).__name__} has no signals")

    def _part(self, probe: Probe, signal: int, factor: NDArray | float) -> Found:
        """The part of the signal that is the probe's target; counts stay counts."""
        if not isinstance(probe.target, ObjView):
            return signal, factor
        shape = self.builder.shapes[signal]
        chain = tuple(flatten(probe.target.select(shape)))
        part = self.builder.map(ScaledSignal(signal, 1.0), chain, f"part for {probe!r}").signal
        if np.ndim(factor):
            factor = np.broadcast_to(factor, shape).ravel()[probe.target.numbers(shape)]
        return part, factor

    def _known(self, probe: Probe, item: Any, known: Any) -> None:
        if item not in known:
            raise BuildError(f"{probe!r}: its target is not in {self.network!r}")

    def of_node(self, probe: Probe, node: Node) -> Found:
        """The output of a node, or its input."""
        self._known(probe, node, self.signals.output_of)
        if probe.attr == "input" and node not in self.signals.input_of:
            raise BuildError(f"{probe!r}: {node!r} takes no input")
        of = self.signals.input_of if probe.attr == "input" else self.signals.output_of
        heights = self.signals.heights.get(node)
        return of[node], self.signals.factors.get(node, 1.0) if heights is None else heights

    def of_neurons(self, probe: Probe, neurons: NeuronsView) -> Found:
        """The output of a population, its current, or its state."""
        self._known(probe, neurons, self.populations)
        operator = self.populations[neurons]
        kind, attr = operator.neuron_type, probe.attr
        if attr in operator.states:
            unit = kind.voltage_unit(operator.threshold) if attr == "voltage" else 1.0
            return operator.states[attr], 1.0 / np.asarray(unit)
        if attr == "input":
            skewed = kind.scaling == "skewed"  # its current is scaled already
            scale = np.array(1.0) if skewed else gain_scale(neurons.ensemble)
            return self.signals.input_of[neurons], scale
        heights = self.signals.heights[neurons]
        return self.signals.output_of[neurons], heights if attr == "output" else 1.0

    def of_ensemble(self, probe: Probe, ensemble: Ensemble) -> Found:
        """The value of an ensemble, decoded or as its input, or its encoders."""
        self._known(probe, ensemble, self.signals.arriving)
        if probe.attr == "scaled_encoders":
            return self._encoders(ensemble)
        if probe.attr == "input" or ensemble.is_direct:
            return self.signals.input_of[ensemble], 1.0
        connection = identity_of(ensemble, probe.solver, f"{probe!r}")
        decoded = self.nef.decode(connection, self._decoder_key(ensemble))
        return self.nef.decoded(connection, decoded, self.signals.value(ensemble.neurons))

    def _encoders(self, ensemble: Ensemble) -> Found:
        built = EnsembleParameters(
            ensemble,
            self.parameters.get(ensemble),
            self.nef.representations[ensemble],
            self.learning.input_weights(ensemble),
        )
        learned = self.learning.operators.get(ensemble)
        if learned is not None and learned.weights is not None:
            return learned.weights, built.gain.reshape(-1, 1)
        values = built.scaled_encoders
        return self.builder.constant(values, f"scaled encoders of {ensemble!r}"), 1.0

    def of_connection(self, probe: Probe, connection: Connection) -> Found:
        """The output of a connection, the whole output of its `pre`, or its weights."""
        self._known(probe, connection, self.signals.delivered)
        if probe.attr == "weights":
            return self._weights(connection)
        if probe.attr == "input":
            pre = connection.pre_obj
            decodes = isinstance(pre, Ensemble) and connection.decodes
            return self.signals.value(pre.neurons if decodes else pre)  # type: ignore[union-attr]
        decoded, post = self.nef.decodings.get(connection), connection.post_obj
        if decoded is not None and decoded.full is not None and isinstance(post, Ensemble):
            gain = self.nef.representations[post].gain  # it is a current, of all neurons
            signal, factor = self._sent(probe, connection, 0)
            return signal, factor * gain.reshape(post.shape)
        return self._sent(probe, connection, len(connection.placing))

    def _sent(self, probe: Probe, connection: Connection, placing: int) -> Found:
        """The output of a connection, before its last `placing` maps put it into `post`.

        An unfiltered recording is taken at the end of a step: it is what the connection's synapse
        delivers in the next step. The operators after the synapse, or before the placing maps, are
        duplicated for the probe; a mean over windows is recorded as it is.
        """
        signal, factor = self.signals.delivered[connection]
        by_windows = connection.synapse is not None and connection.synapse.by_windows
        at_the_end = connection.synapse is not None and probe.synapse is None and not by_windows
        producers = {s: op for op in self.builder.operators for s in op.outputs}
        behind: list[Operator] = []
        filters = int(at_the_end)
        while placing or filters:
            op = producers[signal]
            if isinstance(op, Linear) and placing:
                placing, factor = placing - 1, factor * op.factor
            elif at_the_end and isinstance(op, Delay) and _steps(producers.get(op.inputs[0])):
                filters -= 1  # the step between a user's synapse and the delivery of its output
            elif isinstance(op, Mapped | Delay | Filter):
                behind.append(op)
                filters -= isinstance(op, Filter) and at_the_end
            else:
                raise BuildError(f"{probe!r}: the output of {connection!r} is no signal of its own")
            signal = op.inputs[0]
        for op in reversed(behind):
            signal = self._duplicate(probe, op, signal, at_the_end)
        return signal, factor

    def _duplicate(self, probe: Probe, op: Operator, signal: int, at_the_end: bool) -> int:
        """A copy of an operator on another signal; `at_the_end` a filter has no delay."""
        moves = isinstance(op, Mapped)
        shape = self.builder.shapes[op.output if moves else signal]
        made = self.builder.signal(shape, f"output for {probe!r}")
        if at_the_end and isinstance(op, Filter):
            self.builder.operators.append(Smooth(f"{probe!r}", (signal,), made, op.filter))
        else:
            self.builder.operators.append(replace(op, inputs=(signal,), output=made))
        return made

    def _at_the_start(self, probe: Probe, signal: int) -> int:
        """The signal that a probe filters: one made at the end of a step is read a step later."""
        rule = probe.obj
        late = (s for op in self.learning.operators.values() for s in op.late_outputs)
        if signal not in late or not isinstance(rule, LearningRule):
            return signal
        shape, label = self.builder.shapes[signal], f"last step's {probe.attr} for {probe!r}"
        before = self.builder.signal(shape, label)
        self.builder.operators.append(Delay(label, (signal,), before, 1))
        begins = rule.learning_rule_type.initial_state(shape[-1], self.builder.dt).get(probe.attr)
        if begins is None:
            return before
        first, total = self._in_the_first_step(begins, label), self.builder.signal(shape, label)
        self.builder.operators.append(ScaledSum(label, (before, first), total))
        return total

    def _in_the_first_step(self, values: NDArray, label: str) -> int:
        """A signal that is `values` in the first step and zero afterwards."""
        signal = self.builder.signal(values.shape, label)
        process = EachStep(values[None])
        self.builder.operators.append(Generate(label, (), signal, process, (0,), (0, 0)))
        return signal

    def _weights(self, connection: Connection) -> Found:
        learned = self.learning.operators.get(connection)
        if learned is not None and learned.weights is not None:
            return learned.weights, 1.0 if learned.unit is None else learned.unit
        post = connection.post_obj
        into = self.nef.representations[post] if isinstance(post, Ensemble) else None
        decoded = self.nef.decodings.get(connection)
        built = ConnectionParameters(connection, weights_of(connection), decoded, into)
        return self.builder.constant(built.weights, f"weights of {connection!r}"), 1.0

    def of_rule(self, probe: Probe, rule: LearningRule) -> Found:
        """A signal that a learning rule reads or makes."""
        post = rule.connection.post_obj
        if probe.attr == "scaled_encoders" and isinstance(post, Ensemble):
            self._known(probe, rule.connection, self.signals.delivered)
            return self._encoders(post)
        self._known(probe, (rule, probe.attr), self.learning.read)
        return self.learning.read[rule, probe.attr], 1.0


_FINDERS: dict[type, Callable[[ProbeResolver, Probe, Any], Found]] = {
    Node: ProbeResolver.of_node,
    NeuronsView: ProbeResolver.of_neurons,
    Ensemble: ProbeResolver.of_ensemble,
    Connection: ProbeResolver.of_connection,
    LearningRule: ProbeResolver.of_rule,
}


class GivenWeights(Mapping[Connection, NDArray]):
    """The weights that connections have at this time, expanded to matrices only on access.

    The matrix of a sparse map may be far larger than its entries.
    """

    def __init__(self, connections: Iterable[Connection]) -> None:
        self._given = {c: _given(c) for c in connections}

    def __getitem__(self, connection: Connection) -> NDArray:
        return _weights_of(self._given[connection])

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def __contains__(self, connection: object) -> bool:
        return connection in self._given


def _steps(op: Operator | None) -> bool:
    """True for the operator of a synapse that is a user's Python step."""
    return isinstance(op, Generate) and isinstance(op.process, Synapse)


def weights_of(connection: Connection) -> NDArray:
    """A connection's weights as given, or as learned in an earlier run: not scaled or rounded."""
    return _weights_of(_given(connection))


def _given(connection: Connection) -> NDArray | Transform | None:
    return connection.learned.get("weights", connection.transform)


def _weights_of(given: NDArray | Transform | None) -> NDArray:
    if isinstance(given, np.ndarray):
        return given
    return np.array(1.0) if given is None else given.weights
