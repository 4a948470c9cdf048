"""Synapses of a user's own, with a step that need not be linear, and several time constants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from conformance import oracle
from spikewright.errors import BuildError, ConversionError, NetworkError
from spikewright.measure.operations import Counter
from spikewright.network import load, save
from spikewright.showing.demo import MODEL, held_out
from spikewright.testing.modelling import (
    VALUES,
    Depressing,
    SynapseExample,
    Unreliable,
    delivered_synapse_examples,
)

EACH = [e for e in delivered_synapse_examples() if not e.synapse.stepped]
OWN = Depressing()


@pytest.mark.parametrize("example", delivered_synapse_examples(), ids=lambda e: e.id)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_signal_through_such_a_synapse(example: SynapseExample, axis: int) -> None:
    """`filt` gives the values of a connection, without its step of delay."""
    x = np.random.default_rng(0).uniform(-1, 2, (20, VALUES))
    found = example.synapse.filt(np.moveaxis(x, 0, axis), axis=axis)
    wanted = oracle.in_step(example.synapse, x, 0.001)
    np.testing.assert_allclose(np.moveaxis(found, axis, 0), wanted, atol=1e-12)


@pytest.mark.parametrize("example", EACH, ids=lambda e: e.id)
def test_each_value_begins_at_rest(example: SynapseExample) -> None:
    """`y0`, forwards and backwards, for every time constant."""
    x = np.full((30, VALUES), 0.75)
    np.testing.assert_allclose(example.synapse.filt(x, y0=0.75), x, atol=1e-12)
    np.testing.assert_allclose(example.synapse.filtfilt(x, y0=0.75), x, atol=1e-12)


def test_several_time_constants_are_a_lowpass_of_each_value() -> None:
    """As a list, a tuple or an array; equal by value, with a hash, and in files."""
    with sw.Network():
        node, end = sw.Node(np.zeros(2)), sw.Node(size_in=2)
        given: list[Any] = [[0.005, 0.1], (0.005, 0.1), np.array([0.005, 0.1])]
        made = [sw.Connection(node, end, synapse).synapse for synapse in given]
        probe = sw.Probe(node, synapse=[0.005, 0.1])
    assert made[0] == made[1] == made[2] == probe.synapse == sw.Lowpass(np.array([0.005, 0.1]))
    assert hash(made[0]) == hash(made[1])
    assert made[0] not in (sw.Lowpass(0.005), sw.Alpha(np.array([0.005, 0.1])))


@pytest.mark.parametrize("example", EACH, ids=lambda e: e.id)
def test_files_hold_a_time_constant_for_each_value(example: SynapseExample, tmp_path: Path) -> None:
    """On connections and probes."""
    with sw.Network(seed=0) as net:
        node, end = sw.Node(np.zeros(VALUES)), sw.Node(size_in=VALUES)
        sw.Connection(node, end, example.synapse)
        sw.Probe(end, synapse=example.synapse)
    save(net, tmp_path / "net.spike")
    again = load(tmp_path / "net.spike")
    assert again.connections[0].synapse == example.synapse == again.probes[0].synapse


@pytest.mark.parametrize("taus", [[0.1, -0.1], [0.1, np.nan], ["a", "b"], []])
@pytest.mark.parametrize("kind", [sw.Lowpass, sw.Alpha])
def test_time_constants_that_cannot_be_are_refused(kind: Any, taus: Any) -> None:
    """By name; on a connection by the connection, too."""
    with pytest.raises(NetworkError, match=rf"{kind.__name__}\.tau must be 0 s or more"):
        kind(taus)
    with sw.Network(), pytest.raises(NetworkError, match=r"'c'>: Lowpass\.tau must be 0 s"):
        sw.Connection(sw.Node(np.zeros(2)), sw.Node(size_in=2), taus, label="c")


def _refused_at_build(synapse: Any) -> None:
    for target in ("connection", "probe"):
        with sw.Network() as net:
            node, end = sw.Node(np.zeros(2)), sw.Node(size_in=2)
            made = sw.Connection(node, end, None)
            if target == "connection":
                made.synapse = synapse
            else:
                sw.Probe(node, synapse=synapse)
        with pytest.raises(BuildError, match=r"(Connection|Probe).*time constants of shape"):
            sw.Simulator(net, progress=False)


def test_another_number_of_values_is_refused() -> None:
    """With both shapes, and what fits."""
    _refused_at_build([0.1, 0.2, 0.3])
    with pytest.raises(NetworkError, match=r"Lowpass.*shape \(3,\) .* are \(2,\); give one, or"):
        sw.Lowpass(np.array([0.1, 0.2, 0.3])).filt(np.zeros((5, 2)))


def draws(seed: int, synapse: Any, **given: Any) -> Any:
    """What two connections with one synapse let through."""
    with sw.Network(seed=seed) as net:
        node = sw.Node(np.ones(50))
        probes = []
        for _ in range(2):
            end = sw.Node(size_in=50)
            sw.Connection(node, end, synapse)
            probes.append(sw.Probe(end))
        probes.append(sw.Probe(node, synapse=synapse))
    with sw.Simulator(net, progress=False, **given) as sim:
        sim.run_steps(10)
    return [sim.data[probe] for probe in probes]


def test_random_numbers_are_of_the_connection_unless_the_synapse_has_a_seed() -> None:
    """The same at every build; other ones elsewhere, and with another seed of the network."""
    free, fixed = Unreliable(seed=None), Unreliable(seed=3)
    one, again, other = draws(0, free), draws(0, free, engine="reference"), draws(1, free)
    np.testing.assert_array_equal(one, again)
    assert not any(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[0], one[1]) and not np.array_equal(one[0], one[2])
    same = draws(0, fixed)
    np.testing.assert_array_equal(same[0], same[1])
    np.testing.assert_array_equal(draws(1, fixed), same)
    for sample in draws(0, free, batch_size=2)[0]:
        np.testing.assert_array_equal(sample, one[0])


class Nothing(sw.Synapse):
    """A class that gives neither a step nor a filter."""


class Failing(sw.Synapse):
    """A step that fails, or gives another shape."""

    def __init__(self, given: Any) -> None:
        self.given = given

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: Any) -> Any:
        return lambda t, x: self.given(x)


class Gain(sw.Synapse):
    """A linear filter of a user's own."""

    def discretise(self, dt: float) -> Any:
        return replace(sw.Lowpass(0.0).discretise(dt), C=np.array([3.0]))


def test_a_class_says_what_it_does() -> None:
    """Neither a step nor a filter is refused; a linear filter of one's own goes as Lowpass does."""
    with sw.Network() as net:
        node, end = sw.Node(np.ones(2)), sw.Node(size_in=2)
        with pytest.raises(NetworkError, match="filters nothing; give its class make_step, or"):
            sw.Connection(node, end, Nothing())
        sw.Connection(node, end, Gain(), 2.0)
        probe = sw.Probe(end)
    with sw.Simulator(net, progress=False) as sim:
        sim.run_steps(2)
    assert sim.data[probe].tolist() == [[0, 0], [6, 6]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda x: 1 / 0, r"synapse of .*ZeroDivisionError"),
        (lambda x: x[:1], r"synapse of .*\(1,\)"),
        (lambda x: x * np.nan, r"synapse of .*NaN"),
    ],
)
def test_a_step_that_fails_names_its_connection(given: Any, message: str) -> None:
    """As a node's function does."""
    with sw.Network() as net:
        sw.Connection(sw.Node(np.ones(2)), sw.Node(size_in=2), Failing(given), label="c")
    with sw.Simulator(net, progress=False) as sim, pytest.raises(Exception, match=message) as found:
        sim.run_steps(2)
    assert "'c'" in str(found.value)


LINEAR: dict[str, Any] = {
    "the filter of a rule": lambda path: sw.PES(pre_synapse=OWN),
    "filtered noise": lambda path: sw.processes.FilteredNoise(OWN),
    "a conversion": lambda path: sw.convert(MODEL, spiking=True, synapse=OWN),
    "a conversion, each value": lambda path: sw.convert(MODEL, spiking=True, synapse=[0.1, 0.2]),
    "a diagnosis": lambda path: diagnosed(),
    "NIR": lambda path: sw.nir.save(spiking(OWN), path / "net.nir", dt=0.001),
    "NIR, each value": lambda path: sw.nir.save(spiking([0.01] * 4), path / "net.nir", dt=0.001),
    "an ONNX step": lambda path: sw.onnx.save_step(spiking(OWN), path / "net.onnx", dt=0.001),
    "a file": lambda path: save(spiking(OWN), path / "net.spike"),
    "backwards": lambda path: OWN.filtfilt(np.zeros((3, 2))),
}
SAYS: dict[str, str] = {
    "a conversion, each value": "not one linear filter for all values",
    "a conversion": "not one linear filter for all values",
    "NIR": "NIR has only first-order filters",
    "NIR, each value": "NIR has only first-order filters of one time constant",
    "an ONNX step": "synapse|process",
    "a file": "Depressing is not registered",
}


def spiking(synapse: Any) -> sw.Network:
    """Neurons behind such a synapse."""
    with sw.Network(seed=0) as net:
        kind = sw.IntegrateAndFire()
        cells = [
            sw.Ensemble(4, None, neuron_type=kind, gain=1.0, bias=0.0, initial_voltage="zero")
            for _ in range(2)
        ]
        sw.Connection(sw.Node(np.ones(4)), cells[0].neurons, None)
        sw.Connection(cells[0].neurons, cells[1].neurons, synapse)
        sw.Probe(cells[1].neurons)
    return net


def diagnosed() -> Any:
    """A diagnosis of a conversion whose network was given such a synapse."""
    conversion = sw.convert(MODEL, spiking=True, scale_firing_rates=50)
    layer = next(iter(conversion.network.all_ensembles))
    for connection in conversion.network.all_connections:
        if connection.pre_obj == layer.neurons:
            connection.synapse = OWN
    return conversion.diagnose(held_out(4)[0], steps=8, progress=False)


def test_work_of_a_step_is_named_where_operations_are_counted() -> None:
    """It has no count; its state is memory."""
    own, plain = (Counter(spiking(synapse), {}, {}) for synapse in (OWN, 0.01))
    assert [name for name in own.not_counted if "Depressing" in name] and not plain.not_counted
    assert own.state_bytes == plain.state_bytes


@pytest.mark.parametrize("place", LINEAR)
def test_where_a_linear_filter_is_needed_a_step_is_refused(place: str, tmp_path: Path) -> None:
    """With the synapse's name, and what would do."""
    says = SAYS.get(place, r"linear filter")
    errors = (NetworkError, ConversionError, BuildError, ValueError)
    with pytest.raises(errors, match=says) as found:
        LINEAR[place](tmp_path)
    assert "Depressing" in str(found.value) or "each value" in place or place == "an ONNX step"
