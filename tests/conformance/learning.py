"""Learning: every rule against its equation written out, and the laws that all of them obey."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from conformance import oracle
from conformance.base import EPSILON, Suite, both, in_turn
from conformance.rule_examples import RuleExample, rule_examples
from spikewright.engines import Precision
from spikewright.errors import SimulationError
from spikewright.network import Connection, Ensemble, LearningRuleType, Network, Node, Probe
from spikewright.network.learning import BCM, PES, Oja
from spikewright.network.neurons import RectifiedLinear, SpikingRectifiedLinear
from spikewright.network.solvers import LstsqL2
from spikewright.network.synapses import Lowpass

_SENDERS, _RECEIVERS, _DT = 5, 4, 0.001


class _Setting(NamedTuple):
    """A network that learns: its feeds, its learned weights, its recorded signals."""

    network: Network
    inputs: dict[Node, NDArray]
    connection: Connection
    receivers: Ensemble
    initial: NDArray
    probes: dict[str, Probe]


def learning_setting(
    rules: Any, modifies: str, steps: int, *, batch: int = 1, errors: float = 1.0
) -> _Setting:
    """Neurons that send to neurons, or values to an ensemble, on inputs of their own.

    The receivers have gain 2 and radius 4, so that encoders are scaled by a half.
    """
    rng = np.random.default_rng(7)
    initial = rng.integers(-8, 9, (_RECEIVERS, _SENDERS)) / 16.0
    turning = modifies == "encoders"
    with Network(seed=0) as net:
        source, drive = Node(np.zeros(_SENDERS)), Node(np.zeros(_RECEIVERS))
        senders = Ensemble(
            _SENDERS, neuron_type=SpikingRectifiedLinear(0.125), gain=1.0, bias=0.0,
            initial_voltage="half",
        )  # fmt: skip
        receivers = Ensemble(
            _RECEIVERS, _SENDERS, neuron_type=RectifiedLinear(), gain=2.0, bias=1.0, radius=4.0,
            encoders=initial * 2.0 + (initial == 0), normalize_encoders=False,
        )  # fmt: skip
        Connection(source, senders.neurons, None)
        Connection(drive, receivers.neurons, None)
        if turning:
            learning = Connection(source, receivers, 0.002, 0.25, learning_rule_type=rules)
            Connection(drive, receivers[1:], 0.002)  # a part of what the encoders turn to
            initial = (initial * 2.0 + (initial == 0)) * 0.5
        else:
            post = Node(size_in=_RECEIVERS) if modifies == "decoders" else receivers.neurons
            learning = Connection(senders.neurons, post, 0.002, initial, learning_rule_type=rules)
        fed, told = [*learning.learning_rules], Node(np.zeros(_RECEIVERS))
        for rule in fed:
            if rule.size_in:
                Connection(told if rule.size_in > 1 else told[:1], rule, None)
        probes = {"source": Probe(source), "senders": Probe(senders.neurons)}
        probes["receivers"] = Probe(receivers.neurons)
        probes["delivered"] = Probe(receivers, "input") if turning else Probe(learning)
        probes["weights"] = (
            Probe(receivers, "scaled_encoders") if turning else Probe(learning, "weights")
        )
        for number, rule in enumerate(fed):
            probes |= {f"{name} {number}": Probe(rule, name) for name in rule.probeable}
    inputs = {
        source: rng.integers(0, 33, (batch, steps, _SENDERS)) * 32.0,
        drive: rng.integers(-2, 9, (batch, steps, _RECEIVERS)) / 4.0,
        told: errors * rng.integers(-4, 5, (batch, steps, _RECEIVERS)) / 8.0,
    }
    if turning:
        inputs[source] = inputs[source] / 256.0
    return _Setting(net, inputs, learning, receivers, initial, probes)


class LearningTests(Suite):
    """Weights that change."""

    def _recorded(self, setting: _Setting, steps: int, precision: Precision, **how: Any) -> dict:
        batch = len(next(iter(setting.inputs.values())))
        feeds: Any = setting.inputs
        data = self.run(
            setting.network, steps, dt=_DT, batch=batch, feeds=feeds, precision=precision, **how
        )
        return {name: data[probe].astype(np.float64) for name, probe in setting.probes.items()}

    @in_turn(rule_examples())
    def test_learning_rule(self, example: RuleExample, precision: Precision) -> None:
        """Activities that a rule reads are filtered in the same step; its result is its equation.

        The weights of a step are those of the step before plus the change made then; they are
        applied in that step.
        """
        steps = 40
        setting = learning_setting(example.rule, example.rule.modifies, steps)
        found = {k: v[0] for k, v in self._recorded(setting, steps, precision).items()}
        reach = 256 * EPSILON[precision]
        for name, (side, synapse) in example.rule.filtered.items():
            activity = found["senders" if side == "pre" else "receivers"]
            wanted = activity if synapse is None else oracle.in_step(synapse, activity, _DT)
            assert wanted.any(), "the example never fires"
            _close(found[f"{name} 0"], wanted, reach)
        weights, deltas = found["weights"], found["delta 0"]
        _close(weights[0], setting.initial, reach)
        _close(weights[1:], weights[:-1] + deltas[:-1], reach)
        assert np.abs(weights[-1] - weights[0]).max() > 1e-3 * np.abs(weights).max(), "no learning"
        for t in range(steps):
            signals = {name: found[f"{name} 0"][t] for name in _read(example.rule)}
            if example.rule.modifies == "encoders":
                signals["value"] = found["delivered"][t]
            if t == 0:
                signals["begin"] = np.ones(1)
            wanted = example.equation(weights[t], signals, _DT, 0.5)
            _close(deltas[t], wanted, reach, np.abs(deltas).max())
        self._check_applied(setting, found, reach)

    def _check_applied(self, setting: _Setting, found: dict, reach: float) -> None:
        weights = found["weights"]
        if setting.connection.learning_rules[0].learning_rule_type.modifies == "encoders":
            drive = setting.inputs[next(n for n in setting.inputs if n.shape_out == (4,))][0]
            current = 2.0 * drive + 1.0 + np.einsum("toi,ti->to", weights, found["delivered"])
            _close(found["receivers"], np.maximum(current, 0.0), reach)
            return
        sent = np.einsum("toi,ti->to", weights, found["senders"])
        synapse: Any = setting.connection.synapse
        _close(found["delivered"], oracle.in_step(synapse, sent, _DT), reach)

    @both
    def test_a_single_weight(self, precision: Precision) -> None:
        """One neuron at activity 1, error -1, rate 1, dt 0.001: weights 0, .001, .002, .003."""
        with Network() as net:
            one, error = Node([1.0]), Node([-1.0])
            neuron = Ensemble(1, neuron_type=RectifiedLinear(), gain=1.0, bias=0.0)
            Connection(one, neuron.neurons, None)
            end = Node(size_in=1)
            learning = Connection(
                neuron.neurons, end, None, [[0.0]], learning_rule_type=PES(1.0, None)
            )
            Connection(error, learning.learning_rule, None)
            weights, output = Probe(learning, "weights"), Probe(end)
        data = self.run(net, 4, dt=0.001, precision=precision)
        for probe in (weights, output):
            np.testing.assert_allclose(data[probe].ravel(), [0, 0.001, 0.002, 0.003], rtol=1e-6)

    @in_turn(rule_examples())
    def test_a_rule_without_rate_changes_no_bit(
        self, example: RuleExample, precision: Precision
    ) -> None:
        """A learning rate of 0 is no rule: to the bit where the engine is exact."""
        steps = 30
        rule: LearningRuleType = replace(example.rule, learning_rate=0.0)  # type: ignore[type-var]
        learning = learning_setting(rule, rule.modifies, steps)
        plain = learning_setting(None, rule.modifies, steps)
        found, wanted = (self._recorded(s, steps, precision) for s in (learning, plain))
        for name in ("delivered", "receivers", "senders", "weights"):
            if self.is_exact():
                np.testing.assert_array_equal(found[name], wanted[name])
            else:
                _close(found[name], wanted[name], 64 * EPSILON[precision])

    @both
    @pytest.mark.parametrize(
        "rule", [PES(0.5), *(e.rule for e in rule_examples() if e.id == "rls")]
    )
    def test_without_an_error_nothing_is_learned(
        self, rule: LearningRuleType, precision: Precision
    ) -> None:
        """Rules that follow an error leave weights as they are where it is zero."""
        setting = learning_setting(rule, "decoders", 20, errors=0.0)
        found = self._recorded(setting, 20, precision)
        np.testing.assert_array_equal(found["delta 0"], 0.0)
        np.testing.assert_array_equal(found["weights"], found["weights"][:, :1].repeat(20, 1))

    @in_turn(rule_examples())
    def test_every_sample_learns_alone(self, example: RuleExample, precision: Precision) -> None:
        """A batch, whatever its order and the time block, is its samples one by one."""
        steps, batch = 24, 3
        setting = learning_setting(example.rule, example.rule.modifies, steps, batch=batch)
        together = self._recorded(setting, steps, precision)
        cut = self._recorded(setting, steps, precision, block=5, chunk=2)
        turned = setting._replace(inputs={n: v[::-1] for n, v in setting.inputs.items()})
        reversed_ = self._recorded(turned, steps, precision)
        for b in range(batch):
            alone = setting._replace(inputs={n: v[b : b + 1] for n, v in setting.inputs.items()})
            single = self._recorded(alone, steps, precision)
            for name in ("weights", "receivers", "delivered", "delta 0"):
                for other in (together[name][b], cut[name][b], reversed_[name][batch - 1 - b]):
                    if self.is_exact():
                        np.testing.assert_array_equal(other, single[name][0])
                    else:
                        _close(other, single[name][0], 64 * EPSILON[precision])

    @both
    def test_weights_that_grow_out_of_bounds_are_an_error(self, precision: Precision) -> None:
        """The error names the connection, the rule and its rate, and says what to do."""
        setting = learning_setting(Oja(1e9, None), "weights", 30)
        message = r"weights of <Connection .* are no longer finite: Oja\(learning_rate=.*; lower"
        with pytest.raises(SimulationError, match=message):
            self._recorded(setting, 30, precision)

    @both
    @pytest.mark.parametrize("form", [list, dict])
    def test_several_rules_add_up(self, form: type, precision: Precision) -> None:
        """The changes of all rules of one connection add up; each rule reads the shared weights."""
        steps = 30
        rules: Any = [BCM(1e-6, theta_synapse=Lowpass(0.05)), Oja(1e-4)]
        given = rules if form is list else dict(zip("ab", rules, strict=True))
        setting = learning_setting(given, "weights", steps)
        found = {k: v[0] for k, v in self._recorded(setting, steps, precision).items()}
        deltas = found["delta 0"] + found["delta 1"]
        assert found["delta 0"].any() and found["delta 1"].any()
        wanted = found["weights"][:-1] + deltas[:-1]
        _close(found["weights"][1:], wanted, 64 * EPSILON[precision])

    @both
    @pytest.mark.parametrize("form", ["neurons", "parts", "weights"])
    def test_an_error_reaches_neurons_along_their_encoders(
        self, form: str, precision: Precision
    ) -> None:
        """Into neurons it is multiplied by encoders, times gain over radius; a part by its rows.

        So it is where weights between neurons were solved. The change of a step is divided by the
        number of senders, those of the part if it is one.
        """
        steps, rate, rng = 12, 0.5, np.random.default_rng(3)
        encoders, error = rng.integers(1, 9, (4, 2)) / 4.0, np.array([0.5, -0.25])
        with Network(seed=0) as net:
            senders = Ensemble(
                6, 2, neuron_type=RectifiedLinear(), max_rates=(20.0, 40.0), intercepts=(-1.0, -0.9)
            )
            receivers = Ensemble(
                4, 2, neuron_type=RectifiedLinear(), gain=[2.0, 3.0, 4.0, 5.0], bias=1.0,
                radius=4.0, encoders=encoders, normalize_encoders=False,
            )  # fmt: skip
            Connection(Node([0.5, -0.5]), senders, None)
            rows, columns, rule = slice(None), slice(None), PES(rate, None)
            if form == "weights":
                solver = LstsqL2(weights=True)
                learning = Connection(
                    senders, receivers, None, solver=solver, learning_rule_type=rule
                )
            else:
                if form == "parts":
                    rows, columns = slice(1, 3), slice(None, None, 2)
                pre, post = senders.neurons[columns], receivers.neurons[rows]
                matrix = np.zeros((4, 6))[rows, columns]
                learning = Connection(pre, post, None, matrix, learning_rule_type=rule)
            assert learning.learning_rule.size_in == 2
            Connection(Node(error), learning.learning_rule, None)
            delta, activity = Probe(learning.learning_rule, "delta"), Probe(senders.neurons)
        data = self.run(net, steps, dt=_DT, precision=precision)
        gain = np.array([2.0, 3.0, 4.0, 5.0])
        along = ((encoders * gain[:, None] / 4.0) @ error)[rows]
        sent = data[activity][0][:, columns]
        assert sent.any()
        wanted = -rate * _DT / sent.shape[1] * along[:, None] * sent[:, None, :]
        _close(data[delta][0], wanted, 64 * EPSILON[precision])


def _read(rule: LearningRuleType) -> list[str]:
    """Names of the signals that an equation is given."""
    return [*rule.filtered, *([] if rule.receives is None else [rule.receives])]


def _close(found: NDArray, wanted: NDArray, reach: float, least: float = 0.0) -> None:
    size = max(float(np.abs(wanted).max()), least, 1e-300)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=reach * size)
