"""Defaults network by network: who decides, what is refused, and that copies keep them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright import network
from spikewright.errors import NetworkError
from spikewright.network.config import Config, Default

KINDS: dict[str, Any] = {
    "Ensemble": (sw.Ensemble, "radius", 2.0, 1.0),
    "Connection": (sw.Connection, "synapse", sw.Alpha(0.1), sw.Lowpass(0.005)),
    "Probe": (sw.Probe, "sample_every", 0.01, None),
    "Node": (sw.Node, "restart_every", 5, None),
}


def made(kind: type, **arguments: Any) -> Any:
    """An object of a class, whatever else it needs."""
    if kind is sw.Ensemble:
        return sw.Ensemble(4, **arguments)
    if kind is sw.Node:
        return sw.Node(size_in=1, **arguments)
    node = sw.Node(size_in=1)
    return (
        sw.Probe(node, **arguments) if kind is sw.Probe else sw.Connection(node, node, **arguments)
    )


@pytest.mark.parametrize("name", KINDS)
def test_a_default_stands_where_no_argument_is_given(name: str) -> None:
    """Of every class; an argument wins, `Default` asks for the default, outside it ends."""
    kind, parameter, value, own = KINDS[name]
    with sw.Network() as net:
        net.config[kind].__setattr__(parameter, value)
        assert getattr(made(kind), parameter) == value
        assert getattr(made(kind, **{parameter: own}), parameter) == own
        assert getattr(made(kind, **{parameter: Default}), parameter) == value
        assert getattr(net.config[kind], parameter) == value
    with sw.Network():
        assert getattr(made(kind), parameter) == own
        assert getattr(made(kind, **{parameter: Default}), parameter) == own


def test_inner_networks_inherit_and_have_the_last_word() -> None:
    """The innermost network that holds a default decides; leaving it restores the outer one."""
    with sw.Network() as outer:
        outer.config[sw.Ensemble].neuron_type = sw.LIFRate()
        outer.config[sw.Ensemble].radius = 3.0
        with sw.Network() as inner:
            inherited = sw.Ensemble(4)
            inner.config[sw.Ensemble].radius = 2.0
            own = sw.Ensemble(4)
            with sw.Network():
                deep = sw.Ensemble(4, neuron_type=sw.RectifiedLinear())
        after = sw.Ensemble(4)
    assert inherited.neuron_type == own.neuron_type == after.neuron_type == sw.LIFRate()
    assert deep.neuron_type == sw.RectifiedLinear()
    assert [e.radius for e in (inherited, own, deep, after)] == [3.0, 2.0, 2.0, 3.0]


def test_a_default_can_be_taken_back() -> None:
    """By deleting it, or by setting it to `Default`; then it reads as the class's own."""
    with sw.Network() as net:
        for take_back in (
            lambda: delattr(net.config[sw.Ensemble], "radius"),
            lambda: setattr(net.config[sw.Ensemble], "radius", Default),
        ):
            net.config[sw.Ensemble].radius = 2.0
            take_back()
            assert net.config[sw.Ensemble].radius == sw.Ensemble(4).radius == 1.0


def test_a_config_is_a_context_of_its_own() -> None:
    """What is made inside belongs to the network around it, with the config's defaults."""
    config = Config(sw.Ensemble)
    config[sw.Ensemble].intercepts = sw.distributions.Uniform(0.0, 0.5)
    with sw.Network() as net:
        with config:
            inside = sw.Ensemble(4)
        outside = sw.Ensemble(4)
    assert net.ensembles == [inside, outside]
    assert inside.intercepts == sw.distributions.Uniform(0.0, 0.5)
    assert outside.intercepts == (-1.0, 0.9)
    assert sw.Ensemble in config and sw.Node not in config


def test_positional_arguments_are_given_too() -> None:
    """They win over defaults as named ones do, and one given twice is the usual error."""
    with sw.Network() as net:
        net.config[sw.Ensemble].dimensions = 3
        net.config[sw.Connection].synapse = 0.1
        a, b = sw.Ensemble(4, 2), sw.Ensemble(4)
        link = sw.Connection(a, a, 0.2)
        assert (a.dimensions, b.dimensions, link.synapse) == (2, 3, sw.Lowpass(0.2))
        with pytest.raises(TypeError, match="dimensions"):
            sw.Ensemble(4, 2, dimensions=2)
        with pytest.raises(TypeError):
            sw.Node(None, 1, 1, None, None, 1, False, 7)  # type: ignore[call-arg]


def test_what_does_not_concern_an_object_is_no_mistake() -> None:
    """A solver as a default of connections is for those that decode, and for decoding probes."""
    solver = sw.solvers.LstsqL2(reg=0.02)
    with sw.Network() as net:
        net.config[sw.Connection].solver = solver
        net.config[sw.Connection].eval_points = [[0.1], [0.2], [0.3]]
        node, ensemble = sw.Node([1.0]), sw.Ensemble(10, label="cells")
        plain = sw.Connection(node, ensemble)
        decoded = sw.Connection(ensemble, sw.Node(size_in=1))
        probes = sw.Probe(ensemble), sw.Probe(node), sw.Probe(ensemble.neurons)
        with pytest.raises(NetworkError, match=r"solver .*are for connections from an Ensemble"):
            sw.Connection(node, ensemble, solver=solver)
        net.config[sw.Probe].solver = sw.solvers.LstsqL2(reg=0.3)
        assert sw.Probe(ensemble).solver == sw.solvers.LstsqL2(reg=0.3)
        sw.Probe(ensemble.neurons)
    assert plain.eval_points is None and np.shape(decoded.eval_points) == (3, 1)
    assert decoded.solver == probes[0].solver == solver


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda c: setattr(c[sw.Ensemble], "raduis", 1), "no parameter 'raduis'.*radius"),
        (lambda c: c[sw.Ensemble].label, "no parameter 'label'"),
        (lambda c: delattr(c[sw.Probe], "radius"), "Probe has no parameter 'radius'"),
        (lambda c: c[sw.Network], "Ensemble.*not for the class Network"),
        (lambda c: c["Ensemble"], "not for 'Ensemble'"),
        (lambda c: Config(int), "not for the class int"),
        (lambda c: Config(sw.Node)[sw.Ensemble], "defaults for Node, not for the class Ensemble"),
    ],
)
def test_what_there_is_not_is_named(ask: Any, message: str) -> None:
    """Unknown parameters and classes, with those that there are."""
    with pytest.raises(NetworkError, match=message):
        ask(sw.Network().config)


def test_an_impossible_default_is_told_from_an_impossible_argument() -> None:
    """The error is the object's own, and its note says that the value was a default."""
    with sw.Network() as net:
        net.config[sw.Ensemble].radius = -1.0
        with pytest.raises(NetworkError, match=r"'cells'.*radius must be above 0") as caught:
            sw.Ensemble(4, label="cells")
        assert caught.value.__notes__ == ["Defaults of the networks around it: radius = -1.0."]


def test_files_are_read_without_the_defaults_around(tmp_path: Path) -> None:
    """A network loaded inside another one is what was saved."""
    with sw.Network() as saved, sw.Network():
        sw.Ensemble(4)
    network.save(saved, tmp_path / "net.sw")
    with sw.Network() as around:
        around.config[sw.Ensemble].radius = 5.0
        loaded = network.load(tmp_path / "net.sw")
    assert loaded.all_ensembles[0].radius == 1.0


def small() -> sw.Network:
    """A network with everything in it."""
    with sw.Network(label="whole", seed=4) as net:
        net.config[sw.Ensemble].radius = 1.5
        stimulus = sw.Node([0.5], label="in")
        with sw.Network(label="inner"):
            cells = sw.Ensemble(30, label="cells")
        sw.Connection(stimulus, cells[0])
        sw.Connection(cells, cells, function=np.square, synapse=0.1)
        sw.Probe(cells, synapse=0.01)
        learned = sw.Connection(cells, sw.Node(size_in=1), learning_rule_type=sw.PES())
        sw.Connection(stimulus, learned.learning_rule)
        sw.Probe(learned.learning_rule)
    return net


@pytest.mark.parametrize(
    "how",
    [copy.deepcopy, sw.Network.copy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=["deepcopy", "copy", "pickle"],
)
def test_a_copy_is_the_same_network_of_other_objects(how: Any) -> None:
    """It runs alike, holds the same defaults, and changes apart."""
    net = small()
    twin = how(net)
    values = []
    for each in (net, twin):
        with sw.Simulator(each) as sim:
            sim.run_steps(50)
        values.append([sim.data[probe] for probe in each.all_probes])
    for ours, theirs in zip(*values, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert twin.config[sw.Ensemble].radius == 1.5
    twin.config[sw.Ensemble].radius = 7.0
    assert net.config[sw.Ensemble].radius == 1.5
    cells, others = net.all_ensembles[0], twin.all_ensembles[0]
    assert cells is not others and others in twin and others not in net
    assert net.networks[0] in net and net not in net


def test_a_copy_becomes_part_of_the_network_being_filled() -> None:
    """As any network made there; at the top it is a part of none."""
    net = small()
    with sw.Network() as outer:
        twin = net.copy()
    assert outer.networks == [twin]
    assert outer.n_neurons == 30
