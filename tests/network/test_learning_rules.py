"""Learning rules as descriptions: their parameters, where they fit, what leads to them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright.errors import BuildError, NetworkError
from spikewright.network.learning import LEARNING_RULES

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
        (lambda: sw.PES(-1.0), r"PES.learning_rate must be 0 or more, got -1.0"),
        (lambda: sw.RLS(np.nan), r"RLS.learning_rate must be 0 or more, got nan"),
        (lambda: sw.Oja("fast"), r"Oja.learning_rate must be 0 or more, got 'fast'"),
        (lambda: sw.Oja(beta=-0.5), r"Oja.beta must be 0 or more, got -0.5"),
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


def test_encoders_are_those_of_an_ensemble_with_neurons() -> None:
    """Voja needs an ensemble at the end, whatever is at the beginning."""
    with sw.Network():
        a, b = _populations()
        for post, why in ((a.neurons, "it is no Ensemble"), (sw.Node(size_in=1), "it is no")):
            with pytest.raises(NetworkError, match=f"Voja changes the encoders .*{why}"):
                sw.Connection(b[0], post[0], learning_rule_type=sw.Voja())
        direct = sw.Ensemble(1, neuron_type=sw.Direct())
        with pytest.raises(NetworkError, match=r"Direct\(\) has none"):
            sw.Connection(b[0], direct, learning_rule_type=sw.Voja())
        sw.Connection(sw.Node([1.0]), a, learning_rule_type=sw.Voja())
        full = sw.solvers.LstsqL2(weights=True)
        with pytest.raises(NetworkError, match="weights=True leads past them to its neurons"):
            sw.Connection(b[0], a, solver=full, learning_rule_type=sw.Voja())


def test_a_transform_that_a_rule_cannot_use_is_refused_later_too() -> None:
    """Changing the transform checks again, and leaves it as it was."""
    with sw.Network():
        a, b = _populations()
        link = sw.Connection(a.neurons, b.neurons, transform=MATRIX, learning_rule_type=sw.Oja())
        before = link.transform
        with pytest.raises(NetworkError, match="changes the weights of a matrix"):
            link.transform = sw.Sparse([0], [0], [1.0], (4,), 5)
        assert link.transform is before
        link.learning_rule_type = None
        assert link.learning_rule is None


def test_rules_are_targets_by_their_place() -> None:
    """One rule, a list or a dict, as they were given; equal where they are the same rule."""
    with sw.Network():
        a, b = _populations()
        one = sw.Connection(a, b[0], learning_rule_type=sw.PES(), label="one")
        several = sw.Connection(a, b[0], learning_rule_type=[sw.PES(), sw.Voja()])
        named = sw.Connection(a, b[0], learning_rule_type={"pes": sw.PES(), "voja": sw.Voja()})
    assert one.learning_rule == one.learning_rule and one.learning_rule.key is None
    assert [rule.key for rule in several.learning_rule] == [0, 1]
    assert list(named.learning_rule) == ["pes", "voja"]
    assert len({one.learning_rule, *several.learning_rule, *named.learning_rule.values()}) == 5
    assert repr(one.learning_rule) == "<PES of <Connection 'one'>>"


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


def test_a_rule_of_a_connection_elsewhere_is_named() -> None:
    """Errors and probes that lead out of the network are refused when it is built."""
    with sw.Network(label="elsewhere"):
        a, b = _populations()
        foreign = sw.Connection(a, b[0], learning_rule_type=sw.PES(), label="foreign")
    with sw.Network(label="mine") as net:
        link = sw.Connection(sw.Node([1.0]), foreign.learning_rule, label="link")
    with pytest.raises(BuildError, match="'link'>: <PES of <Connection 'foreign'>> is not in"):
        sw.Simulator(net)
    net.connections.remove(link)
    with net:
        sw.Probe(foreign.learning_rule, label="look")
    with pytest.raises(BuildError, match="'look'>: its target is not in <Network 'mine' with"):
        sw.Simulator(net)


def test_a_connection_to_a_rule_that_is_gone_says_so() -> None:
    """Where a connection no longer learns, what led to its rule is to go, or the rule to stay."""
    with sw.Network() as net:
        a, b = _populations()
        link = sw.Connection(a, b[0], learning_rule_type=sw.PES())
        error = sw.Connection(sw.Node([1.0]), link.learning_rule, label="error")
    link.learning_rule_type = None
    message = r"'error'>: <PES of .* is no longer a rule of its connection; remove"
    with pytest.raises(BuildError, match=message):
        sw.Simulator(net)
    net.connections.remove(error)
    sw.Simulator(net)


def test_a_cycle_through_a_rule_alone_has_an_order() -> None:
    """Rules read at a step's end, so an error without any synapse closes no cycle."""
    with sw.Network(seed=0) as net:
        a = sw.Ensemble(20, 1)
        end = sw.Node(size_in=1)
        link = sw.Connection(a, end, None, learning_rule_type=sw.PES(1e-2))
        sw.Connection(end, link.learning_rule, None)
        probe = sw.Probe(link, "weights")
    with sw.Simulator(net) as sim:
        sim.run_steps(20)
    assert np.abs(np.diff(sim.data[probe], axis=0)).max() > 0


def test_learned_weights_are_checked() -> None:
    """Names, numbers and shapes; a shape that does not fit is found when it is built."""
    with sw.Network() as net:
        a, b = _populations()
        link = sw.Connection(a, b[0], learning_rule_type=sw.PES(), label="link")
    with pytest.raises(NetworkError, match=r"are named \('weights', 'encoders'\), got 'delta'"):
        link.learned = {"delta": [[0.0]]}
    for wrong in ([[np.nan]], [1.0], "none"):
        with pytest.raises(NetworkError, match="must be a matrix of finite numbers"):
            link.learned = {"weights": wrong}  # type: ignore[dict-item]
    assert link.learned == {}
    link.learned = {"weights": np.ones((1, 7))}
    with pytest.raises(BuildError, match=r"'link'>: its learned weights are \(1, 7\), here they"):
        sw.Simulator(net)


def test_networks_that_learn_copy() -> None:
    """A copy has rules, targets and what was learned of its own."""
    with sw.Network(seed=3) as net:
        a, b = _populations()
        link = sw.Connection(a, b[0], learning_rule_type=sw.PES(), label="link")
        sw.Connection(sw.Node([1.0]), link.learning_rule, None)
        sw.Probe(link.learning_rule)
    link.learned = {"weights": np.ones((1, 5))}
    for other in (net.copy(), copy.deepcopy(net)):
        theirs = next(c for c in other.connections if c.label == "link")
        assert theirs is not link and other.connections[1].post == theirs.learning_rule
        assert theirs.learning_rule != link.learning_rule
        with sw.Simulator(other) as sim, sw.Simulator(net) as mine:
            sim.run_steps(5)
            mine.run_steps(5)
        np.testing.assert_array_equal(sim.data[other.probes[0]], mine.data[net.probes[0]])


def test_what_a_probe_of_a_rule_records() -> None:
    """What every rule reads and makes, the first where nothing is named."""
    assert sw.PES().probeable == ("error", "activities", "delta")
    assert sw.RLS().probeable == ("pre_filtered", "error", "delta", "inv_gamma")
    assert sw.BCM().probeable == ("theta", "pre_filtered", "post_filtered", "delta")
    assert sw.Oja().probeable == ("pre_filtered", "post_filtered", "delta")
    wanted = ("post_filtered", "learning_signal", "delta", "scaled_encoders")
    assert sw.Voja().probeable == wanted
    with sw.Network():
        a, b = _populations()
        link = sw.Connection(a, b[0], learning_rule_type=sw.PES())
        assert sw.Probe(link.learning_rule).attr == "error"


def test_every_registered_rule_is_public() -> None:
    """Rules are names of the package."""
    assert all(getattr(sw, name) is rule for name, rule in LEARNING_RULES.items())
