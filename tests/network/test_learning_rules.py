"""Learning rules as descriptions: their parameters, where they fit, what leads to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright.errors import NetworkError

MATRIX = np.ones((4, 5)) / 8.0


def _populations() -> tuple[sw.Ensemble, sw.Ensemble]:
    return sw.Ensemble(5, 1, label="a"), sw.Ensemble(4, 3, label="b")


def test_defaults_are_those_that_the_field_knows() -> None:
    """Rates and filters of the five rules; a receiver's filter is the sender's unless given."""
    fast = sw.Lowpass(0.005)
    assert (sw.PES().learning_rate, sw.PES().pre_synapse) == (1e-4, fast)
    assert (sw.RLS().learning_rate, sw.RLS().pre_synapse) == (1e-3, fast)
    bcm = sw.BCM(pre_synapse=0.02)
    assert (bcm.learning_rate, bcm.post_synapse, bcm.theta_synapse) == (
        1e-9, sw.Lowpass(0.02), sw.Lowpass(1.0),
    )  # fmt: skip
    oja = sw.Oja(post_synapse=None)
    assert (oja.learning_rate, oja.pre_synapse, oja.post_synapse, oja.beta) == (1e-6, fast, None, 1)
    assert (sw.Voja().learning_rate, sw.Voja().post_synapse) == (1e-2, fast)
    assert sw.PES(1e-3) == sw.PES(0.001, 0.005) != sw.PES(1e-3, None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sw.PES(-1.0), r"PES.learning_rate must be 0 or above, got -1.0"),
        (lambda: sw.RLS(np.nan), r"RLS.learning_rate must be 0 or above, got nan"),
        (lambda: sw.Oja("fast"), r"Oja.learning_rate must be 0 or above, got 'fast'"),
        (lambda: sw.Oja(beta=-0.5), r"Oja.beta must be 0 or above, got -0.5"),
        (lambda: sw.Voja(post_synapse="slow"), r"Voja.post_synapse: a synapse is None"),
        (lambda: sw.BCM(theta_synapse=sw.WindowMean(3)), r"BCM.theta_synapse: a mean over windows"),
    ],
)
def test_impossible_parameters_are_refused(make: Any, message: str) -> None:
    """The error names the rule, the parameter and the value."""
    with pytest.raises(NetworkError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda a, b, rule: sw.Connection(sw.Node([1.0]), b[0], learning_rule_type=rule),
            r"PES changes weights from neurons, but its pre is <Node",
        ),
        (
            lambda a, b, rule: sw.Connection(
                sw.Ensemble(1, neuron_type=sw.Direct()), b[0], learning_rule_type=rule
            ),
            r"PES changes weights from neurons, and <Ensemble.* has none \(Direct\)",
        ),
        (
            lambda a, b, rule: sw.Connection(a.neurons, a.neurons, learning_rule_type=rule),
            r"changes the weights of a matrix, but its transform is None. Give transform= one",
        ),
        (
            lambda a, b, rule: sw.Connection(
                a.neurons, a.neurons, transform=2.0, learning_rule_type=rule
            ),
            r"PES changes the weights of a matrix, but its transform is Scale",
        ),
        (
            lambda a, b, rule: sw.Connection(a, b, transform=np.ones((3, 1)), learning_rule_type=3),
            r"learning_rule_type is None, a learning rule, or a list or dict of them, got 3",
        ),
    ],
)
def test_rules_without_anything_to_learn_are_refused(make: Any, message: str) -> None:
    """The error names the connection, what is in the way and what would do; nothing is added."""
    with sw.Network() as net:
        a, b = _populations()
        with pytest.raises(NetworkError, match=message):
            make(a, b, sw.PES())
    assert net.connections == []


@pytest.mark.parametrize("rule", [sw.BCM(), sw.Oja()])
def test_rules_between_neurons_need_neurons_at_both_ends(rule: sw.LearningRuleType) -> None:
    """Decoders are refused, and so are values; full weights and matrices are not."""
    name = type(rule).__name__
    with sw.Network():
        a, b = _populations()
        with pytest.raises(NetworkError, match=f"{name} changes weights between neurons, and this"):
            sw.Connection(a, b[0], learning_rule_type=rule)
        with pytest.raises(NetworkError, match=f"{name} changes weights between neurons, but its"):
            sw.Connection(a.neurons, b, transform=np.ones((3, 5)), learning_rule_type=rule)
        sw.Connection(a.neurons, b.neurons, transform=MATRIX, learning_rule_type=rule)
        full = sw.solvers.LstsqL2(weights=True)
        sw.Connection(a, b[0], solver=full, learning_rule_type=rule)


def test_sizes_of_errors() -> None:
    """An error is as large as what is delivered; into neurons it is one of their ensemble."""
    with sw.Network():
        a, b = _populations()
        rule, full = sw.PES(), sw.solvers.LstsqL2(weights=True)
        sizes = {
            3: sw.Connection(a, b, transform=np.ones((3, 1)), learning_rule_type=rule),
            2: sw.Connection(a, b[1:], function=lambda x: [x[0], 1.0], learning_rule_type=rule),
            6: sw.Connection(
                a, sw.Node(size_in=(2, 3)), function=lambda x: np.ones((2, 3)),
                learning_rule_type=rule,
            ),
            1: sw.Connection(a, b[0], solver=full, learning_rule_type=rule),
        }  # fmt: skip
        for size, link in sizes.items():
            assert link.learning_rule.size_in == size
        into = [
            sw.Connection(a.neurons, b.neurons, transform=MATRIX, learning_rule_type=rule),
            sw.Connection(a, b.neurons[:2], transform=np.ones((2, 1)), learning_rule_type=rule),
        ]
        assert [link.learning_rule.size_in for link in into] == [3, 3]
        wide = sw.Ensemble(4, dimensions=None, label="wide")
        each = sw.Connection(a.neurons, wide.neurons, transform=MATRIX, learning_rule_type=rule)
        assert each.learning_rule.size_in == 4  # it represents nothing: one a neuron


def test_connections_to_rules_are_checked() -> None:
    """What takes nothing refuses connections, and what takes something is given its size."""
    with sw.Network():
        a, b = _populations()
        oja = sw.Connection(a.neurons, b.neurons, transform=MATRIX, learning_rule_type=sw.Oja())
        pes = sw.Connection(a, b, transform=np.ones((3, 1)), learning_rule_type=sw.PES())
        error = sw.Node(size_in=3)
        with pytest.raises(NetworkError, match=r"<Oja of .*> takes no input, so nothing can be"):
            sw.Connection(error, oja.learning_rule)
        with pytest.raises(NetworkError, match=r"makes values of shape \(1,\), <PES of .* \(3,\)"):
            sw.Connection(error[0], pes.learning_rule)
        with pytest.raises(NetworkError, match="pre must be a Node, an Ensemble"):
            sw.Connection(pes.learning_rule, error)  # type: ignore[arg-type]
        sw.Connection(error, pes.learning_rule)
        assert sw.Connection(error[0], pes.learning_rule[2]).post_obj == pes.learning_rule
        with pytest.raises(NetworkError, match=r"one of \('error', 'activities', 'delta'\)"):
            sw.Probe(pes.learning_rule, "theta")
        with pytest.raises(NetworkError, match="records all of <PES"):
            sw.Probe(pes.learning_rule[0])
