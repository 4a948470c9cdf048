"""Learning rules as operators: weights that change, and the signals that rules read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.builder import Signals
from spikewright.engines.populations import Learned, Learning
from spikewright.engines.reference.linear import matrix_of
from spikewright.engines.representation import Decoded, Representation
from spikewright.engines.spike_scaling import ScaledSignal
from spikewright.errors import BuildError
from spikewright.network import Connection, Ensemble, LearningRule, NeuronsView, ObjView, Probe
from spikewright.network.learning.rule import check_fit, matrix_place
from spikewright.network.transforms import Dense, Reshape, Shape, Transform, flatten


class _Weights(NamedTuple):
    """A connection's weights: the learned matrix, the maps before and after it, and its unit.

    `matrix` `(out, in)` is learned; users and rules see `unit * matrix`.
    """

    before: tuple[Transform, ...]
    matrix: NDArray
    after: tuple[Transform, ...]
    unit: NDArray | None


class LearningBuilder:
    """Adds learned weights, and the signals of their rules, to a program.

    `operators` are those of connections, and of ensembles whose encoders are learned; `read` are
    the signals that a rule reads or makes, by the rule's name for them.
    """

    def __init__(
        self,
        signals: Signals,
        representations: Mapping[Ensemble, Representation],
        connections: Iterable[Connection],
        probes: Sequence[Probe],
    ) -> None:
        self.signals, self.builder = signals, signals.builder
        self.represented = representations
        self.operators: dict[Connection | Ensemble, Learned] = {}
        self.read: dict[tuple[LearningRule, str], int] = {}
        self._encoder_learners: dict[Ensemble, list[Connection]] = {}
        self._recorded: dict[LearningRule, set[str]] = {}
        self._probed = {(p.obj, p.attr) for p in probes}
        for probe in probes:
            if isinstance(probe.obj, LearningRule):
                self._recorded.setdefault(probe.obj, set()).add(probe.attr)
        for connection in connections:
            self._declare(connection)

    def _declare(self, connection: Connection) -> None:
        """Declare signals for the inputs of a connection's rules."""
        for rule in connection.learning_rules:
            check_fit(connection, rule.learning_rule_type)
            if rule.size_in:
                label = f"input of {rule!r}"
                self.signals.arriving[rule] = []
                self.signals.input_of[rule] = self.builder.signal(rule.shape_in, label)
        if _learns_encoders(connection) and isinstance(connection.post_obj, Ensemble):
            self._encoder_learners.setdefault(connection.post_obj, []).append(connection)

    # Weights of connections.

    def changes(self, connection: Connection) -> bool:
        """Whether a connection has weights that are or were learned."""
        return "weights" in connection.learned or bool(_rules(connection, False))

    def weighted(self, connection: Connection, decoded: Decoded | None) -> ScaledSignal:
        """The output of a connection with learned weights, filtered after them."""
        pre, label = connection.pre_obj, f"{connection!r}"
        neurons = pre.neurons if isinstance(pre, Ensemble) else pre
        if not isinstance(neurons, NeuronsView):
            raise BuildError(f"{connection!r}: learned weights are for connections from neurons")
        weights = self._weights(connection, decoded)
        sent = self.builder.map(self.signals.value(neurons), weights.before, label)
        if _rules(connection, False):
            output = self._learn(connection, weights, sent)
            sent = ScaledSignal(output, 1.0)
        else:
            sent = self.builder.map(sent, (Dense(weights.matrix),), label)
        after, synapse, cut = weights.after, connection.synapse, 0
        if synapse is not None and not synapse.commutes:  # of the values that are delivered
            whole = decoded is not None and decoded.full is not None
            cut = len(after) - (0 if whole else len(connection.placing))
        return self.builder.deliver(connection, sent, after, cut)

    def _weights(self, connection: Connection, decoded: Decoded | None) -> _Weights:
        if decoded is None:
            place = matrix_place(connection)
            if place is None:
                raise BuildError(f"{connection!r}: its learned weights need one matrix to be in")
            matrix = np.asarray(place.dense.matrix, np.float64)
            return _Weights(place.before, self._initial(connection, matrix), place.after, None)
        pre, post = connection.pre_obj, connection.post_obj
        flat = () if len(_shape(pre)) == 1 else (Reshape((math.prod(_shape(pre)),)),)
        if decoded.full is not None and isinstance(post, Ensemble):
            unit = self.represented[post].gain[:, None]
            after = () if len(post.shape) == 1 else (Reshape(post.shape),)
            return _Weights(flat, self._initial(connection, decoded.full, unit), after, unit)
        chain, shape = flatten(connection.transform), connection.sent_shape
        matrix = matrix_of(chain, shape) @ decoded.decoders
        for transform in chain:
            shape = transform.output_shape(shape)
        after = () if len(shape) == 1 else (Reshape(shape),)
        after += connection.placing  # type: ignore[assignment]
        return _Weights(flat, self._initial(connection, matrix), after, None)

    def _initial(
        self, connection: Connection, built: NDArray, unit: NDArray | None = None
    ) -> NDArray:
        """The initial weights: as built, or as learned in an earlier run."""
        return _in_units(connection, "weights", built, unit)

    def _learn(self, connection: Connection, weights: _Weights, sent: ScaledSignal) -> int:
        label = f"weights of {connection!r}"
        senders = self.builder.values(sent, f"activities for {connection!r}")
        rules = []
        for rule in _rules(connection, False):
            signals = self._activities(rule, senders)
            if rule.learning_rule_type.receives == "error":
                self.read[rule, "error"] = self.signals.input_of[rule]
                signals["error"] = self._error(connection, rule, weights)
            rules.append(self._learning(rule, signals, weights.matrix.shape, None))
        return self._add(
            connection,
            label,
            sent,
            matrix=weights.matrix,
            rules=rules,
            unit=weights.unit,
            attr="weights",
        )

    def _error(self, connection: Connection, rule: LearningRule, weights: _Weights) -> int:
        """A rule's error for each receiver; for neurons it is mapped by their encoders."""
        signal, post = self.signals.input_of[rule], connection.post_obj
        if isinstance(post, NeuronsView) and post.ensemble.represents:
            encoders = self._scaled_encoders(post.ensemble)
            if isinstance(connection.post, ObjView):
                encoders = encoders[connection.post.numbers(post.shape).ravel()]
        elif weights.unit is not None and isinstance(post, Ensemble):
            encoders = self._scaled_encoders(post)
            if isinstance(connection.post, ObjView):
                encoders = encoders[:, connection.post.numbers((post.dimensions,)).ravel()]
        else:
            return signal
        label = f"error of {rule!r} along encoders"
        return self.builder.map(ScaledSignal(signal, 1.0), (Dense(encoders),), label).signal

    def _scaled_encoders(self, ensemble: Ensemble) -> NDArray:
        found = self.represented[ensemble]
        return found.gain[:, None] * found.input_weights

    # Encoders of ensembles.

    def encoded(self, ensemble: Ensemble, signal: int) -> ScaledSignal | None:
        """The input of neurons through learned encoders; None if they are not learned."""
        connections = self._encoder_learners.get(ensemble)
        if connections is None:
            return None
        found, label = self.represented[ensemble], f"encoders of {ensemble!r}"
        matrix, unit = self.input_weights(ensemble), found.gain[:, None]
        rules = [
            self._encoder_rule(connection, rule, matrix.shape)
            for connection in connections
            for rule in _rules(connection, True)
        ]
        if rules:
            sent = ScaledSignal(signal, 1.0)
            output = self._add(
                ensemble, label, sent, matrix=matrix, rules=rules, unit=unit, attr="scaled_encoders"
            )
            sent = ScaledSignal(output, 1.0)
        else:
            dense = (Dense(matrix),)
            sent = self.builder.encode(signal, dense, label)
        return self.builder.map(sent, (Reshape(ensemble.shape),), label)

    def learned_encoders(self) -> dict[Ensemble, NDArray]:
        """`encoders / radius` of every ensemble whose encoders were learned in an earlier run."""
        return {
            ensemble: self.input_weights(ensemble)
            for ensemble, connections in self._encoder_learners.items()
            if any("encoders" in connection.learned for connection in connections)
        }

    def input_weights(self, ensemble: Ensemble) -> NDArray:
        """`encoders / radius`, `(n, d)`, as built or as learned in an earlier run."""
        matrix = self.represented[ensemble].input_weights
        radius = np.array([[ensemble.radius]])
        for connection in self._encoder_learners.get(ensemble, ()):
            matrix = _in_units(connection, "encoders", matrix, radius)
        return matrix

    def _encoder_rule(self, connection: Connection, rule: LearningRule, shape: Shape) -> Learning:
        """A rule that changes the encoders of the ensemble that a connection leads to."""
        found = self.represented[connection.post_obj]  # type: ignore[index]
        signals = self._activities(rule, None)
        signals["value"] = self.signals.input_of[found.ensemble]
        received = self.signals.input_of[rule]
        self.read[rule, "learning_signal"] = signals["learning_signal"] = received
        return self._learning(rule, signals, shape, found.gain[:, None] / found.ensemble.radius)

    # Both.

    def _activities(self, rule: LearningRule, senders: int | None) -> dict[str, int]:
        """The filtered activities that a rule reads, by name."""
        signals = {}
        for name, (side, synapse) in rule.learning_rule_type.filtered.items():
            activity = senders if side == "pre" else self._receivers(rule.connection)
            if activity is None:
                raise BuildError(f"{rule!r}: there are no senders' activities")
            label = f"{name} of {rule!r}"
            signals[name] = self.signals.smoothed(activity, synapse, label)
            self.read[rule, name] = signals[name]
        return signals

    def _receivers(self, connection: Connection) -> int:
        """The activities of the neurons that a connection reaches."""
        post = connection.post_obj
        neurons = post.neurons if isinstance(post, Ensemble) else post
        if not isinstance(neurons, NeuronsView):
            raise BuildError(f"{connection!r}: its rule needs neurons that receive")
        activity = self.signals.activity(neurons)
        if neurons is not post or not isinstance(connection.post, ObjView):
            return activity
        part = ObjView(connection.post.target, (connection.post.numbers(post.shape).ravel(),))
        shape, label = (neurons.ensemble.n_neurons,), f"activities at {connection!r}"
        return self.builder.map(ScaledSignal(activity, 1.0), (part.select(shape),), label).signal

    def _learning(
        self, rule: LearningRule, signals: dict[str, int], shape: Shape, scale: NDArray | None
    ) -> Learning:
        kind = rule.learning_rule_type
        state = kind.initial_state(shape[1], self.builder.dt)
        shapes = {"delta": shape, **{name: value.shape for name, value in state.items()}}
        wanted = self._recorded.get(rule, set())
        recorded = {
            name: self.builder.signal(made, f"{name} of {rule!r}")
            for name, made in shapes.items()
            if name in wanted
        }
        self.read.update({(rule, name): signal for name, signal in recorded.items()})
        return Learning(kind, signals, recorded, scale)

    def _add(
        self,
        owner: Connection | Ensemble,
        label: str,
        sent: ScaledSignal,
        matrix: NDArray,
        rules: Sequence[Learning],
        unit: NDArray | None,
        attr: str,
    ) -> int:
        probed = (owner, attr) in self._probed or any(
            rule.connection.post_obj is owner and attr in names
            for rule, names in self._recorded.items()
        )
        output = self.builder.signal((len(matrix),), label)
        read = dict.fromkeys(s for learning in rules for s in learning.signals.values())
        weights = self.builder.signal(matrix.shape, f"{attr} of {owner!r}") if probed else None
        self.operators[owner] = Learned(
            label=label,
            inputs=(sent.signal, *read),
            output=output,
            initial=matrix,
            rules=tuple(rules),
            factor=sent.factor,
            unit=unit,
            weights=weights,
        )
        self.builder.operators.append(self.operators[owner])
        return output


def _learns_encoders(connection: Connection) -> bool:
    """Whether a connection's rules change encoders, or did so in an earlier run."""
    return "encoders" in connection.learned or bool(_rules(connection, True))


def _rules(connection: Connection, encoders: bool) -> list[LearningRule]:
    """A connection's rules that change encoders, or those that change its own weights."""
    return [
        rule
        for rule in connection.learning_rules
        if (rule.learning_rule_type.modifies == "encoders") == encoders
    ]


def _in_units(
    connection: Connection, name: str, built: NDArray, unit: NDArray | None = None
) -> NDArray:
    """The learned array divided by `unit`; `built` where nothing was learned."""
    held = connection.learned.get(name)
    if held is None:
        return built
    if held.shape != built.shape:
        raise BuildError(
            f"{connection!r}: its learned {name} are {held.shape}, here they are {built.shape}"
        )
    if unit is None:
        return held
    return np.divide(held, unit, out=np.array(built), where=unit != 0)


def _shape(item: object) -> Shape:
    if not isinstance(item, Ensemble):
        raise BuildError(f"{item!r} has no neurons to decode from")
    return item.shape
