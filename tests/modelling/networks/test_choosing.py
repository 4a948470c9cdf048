"""Networks that choose: basal ganglia and thalamus, associative memories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from running import directions, run

import spikewright as sw
from spikewright.errors import NetworkError

VECTORS = directions(4, 32, seed=1)


def chosen(utilities: list[float], seed: int, **options: Any) -> NDArray:
    """What basal ganglia and thalamus make of utilities: means after 0.2 s, `(2, actions)`."""
    with sw.Network(seed=seed) as net:
        ganglia = sw.networks.BasalGanglia(len(utilities), **options)
        thalamus = sw.networks.Thalamus(len(utilities))
        sw.Connection(sw.Node(utilities), ganglia.input, None)
        sw.Connection(ganglia.output, thalamus.input, 0.008)
        both = sw.Node(size_in=2 * len(utilities))
        sw.Connection(ganglia.output, both[: len(utilities)], None)
        sw.Connection(thalamus.output, both[len(utilities) :], None)
        probe = sw.Probe(both, synapse=0.02)
    mean: NDArray = run(net, probe, 350)[200:].mean(axis=0)
    return mean.reshape(2, -1)


@settings(max_examples=5, deadline=None)
@given(values=st.permutations([0.85, 0.6, 0.5, 0.35]), n=st.integers(2, 4), seed=st.integers(0, 9))
def test_the_largest_utility_is_chosen(values: list[float], n: int, seed: int) -> None:
    """In whatever place: it is not inhibited, all others are, and it alone passes the thalamus."""
    utilities = values[:n]
    best = int(np.argmax(utilities))
    inhibition, passed = chosen(utilities, seed)
    others = np.arange(n) != best
    assert inhibition[best] > -0.3 and np.all(inhibition[others] < -0.2)
    assert np.argmax(inhibition) == best
    assert passed[best] > 0.65 and np.all(passed[others] < 0.1)


def test_defaults_of_networks_around_leave_the_choice_alone() -> None:
    """A radius, synapse or neuron type for other ensembles does not change what is chosen."""
    for kind, name, value in (
        (sw.Ensemble, "radius", 3.0),
        (sw.Ensemble, "neuron_type", sw.LIFRate()),
        (sw.Connection, "synapse", 0.1),
        (sw.Connection, "solver", sw.solvers.LstsqL2(reg=0.05)),
    ):
        defaults = sw.Config()
        setattr(defaults[kind], name, value)
        with defaults:
            _, passed = chosen([0.5, 0.8], 1)
        assert passed[1] > 0.7 and passed[0] < 0.1, name


def test_solvers_and_synapses_of_the_ganglia_are_defaults() -> None:
    """`ampa_config` and `gaba_config` reach the connections of their kind, and no others."""
    fast = sw.Config(sw.Connection)
    fast[sw.Connection].synapse = 0.001
    fast[sw.Connection].solver = sw.solvers.LstsqL2(reg=0.05)
    with sw.Network():
        ganglia = sw.networks.BasalGanglia(2, 20, ampa_config=fast)
    taus = [c.synapse.tau for c in ganglia.connections if c.synapse is not None]
    assert sorted(taus) == [0.001] * 2 + [0.008] * 4
    decoders = {c.solver for c in ganglia.stn.connections if c.function is not None}
    assert decoders == {sw.solvers.LstsqL2(reg=0.05)}


def test_a_bias_is_added_to_all_utilities() -> None:
    """So that small ones are above the striatum's threshold."""
    with sw.Network() as net:
        ganglia = sw.networks.BasalGanglia(3, 5, input_bias=0.25)
        sw.Connection(sw.Node([0.5, 0.25, 0.0]), ganglia.input, None)
        probe = sw.Probe(ganglia.input)
    np.testing.assert_allclose(run(net, probe, 1)[0], [0.75, 0.5, 0.25])


def recalled(x: NDArray, make: Any, extra: Any = None) -> tuple[NDArray, NDArray]:
    """Activations and output of a memory that is shown a vector, after 0.2 s."""
    with sw.Network(seed=2) as net:
        memory = make()
        if extra is not None:
            extra(memory)
        sw.Connection(sw.Node(x), memory.input, None)
        probes = [sw.Probe(node, synapse=0.02) for node in (memory.activations, memory.output)]
    with sw.Simulator(net) as sim:
        sim.run_steps(300)
    first, second = (sim.data[p][200:].mean(axis=0) for p in probes)
    return first, second


def cleanup(**options: Any) -> sw.networks.ThresholdingAssociativeMemory:
    """A memory of four directions, which come through as long as they are similar."""
    return sw.networks.ThresholdingAssociativeMemory(VECTORS, label="memory", **options)


def whole(**options: Any) -> sw.networks.AssociativeMemory:
    """A memory of the same directions, which come through in full length."""
    return sw.networks.AssociativeMemory(VECTORS, label="memory", **options)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("wins", [False, True], ids=["alone", "inhibiting each other"])
def test_a_memory_of_nengos_words_recalls_in_full_length(threshold: float, wins: bool) -> None:
    """A utility is 0 below the threshold, 1 from .3 above it on, and between them near it: the
    step is decoded. Nengo's network of this name has the same utilities
    (tests/modelling/nengo_models/test_networks_against_nengo.py)."""
    found = []
    for similarity in (threshold - 0.1, threshold + 0.1, threshold + 0.3):
        activations, output = recalled(
            similarity * VECTORS[1],
            lambda: whole(threshold=threshold),
            (lambda m: m.add_wta_network()) if wins else None,
        )
        found.append(activations[1])
        np.testing.assert_allclose(output, activations @ VECTORS, atol=0.02)
    below, near, above = found
    assert below == pytest.approx(0, abs=1e-3)
    assert near == pytest.approx(0.63, abs=0.1)
    assert above == pytest.approx(1, abs=0.05)


def test_a_memory_of_nengos_words_has_the_same_methods() -> None:
    """Competition, thresholds, a default and inhibition act as in the other memory."""
    default = directions(1, 32, seed=7)[0]

    def make(memory: Any) -> None:
        memory.add_wta_network()
        memory.add_threshold_to_outputs()
        memory.add_default_output_vector(default)

    stronger, _ = recalled(0.9 * VECTORS[0] + 0.7 * VECTORS[3], whole, make)
    np.testing.assert_allclose(stronger, [1, 0, 0, 0], atol=0.05)
    _, nothing = recalled(0.05 * VECTORS[0], whole, make)
    np.testing.assert_allclose(nothing @ default, 1, atol=0.1)


@pytest.mark.parametrize("make", [cleanup, whole])
def test_what_is_silenced_sends_no_default_either(make: Any) -> None:
    """`inhibit` at 1 stops all that reaches the output."""
    with sw.Network(seed=0) as net:
        memory = make(inhibitable=True)
        memory.add_threshold_to_outputs()
        memory.add_default_output_vector(VECTORS[2])
        sw.Connection(sw.Node([1.0]), memory.inhibit, None)
        probe = sw.Probe(memory.output, synapse=0.01)
    assert np.abs(run(net, probe, 200)[100:]).max() < 0.01


def test_a_memory_finds_what_is_most_similar() -> None:
    """What is above the threshold comes through as large as it is similar, what is below is 0."""
    x = 0.8 * VECTORS[1] + 0.05 * VECTORS[2]
    activations, output = recalled(x, cleanup)
    similar = VECTORS @ x
    assert similar[1] > 0.5 and np.all(np.delete(similar, 1) < 0.25)  # the case is not vacuous
    assert activations[1] == pytest.approx(similar[1], abs=0.05)
    np.testing.assert_allclose(np.delete(activations, 1), 0, atol=1e-3)
    np.testing.assert_allclose(output, activations @ VECTORS, atol=0.01)


def test_thresholds_may_be_one_for_each() -> None:
    """A pair whose threshold is above its similarity is silent."""
    x = 0.6 * VECTORS[0]
    loud, _ = recalled(x, lambda: cleanup(threshold=[0.2, 0.9, 0.9, 0.9]))
    silent, _ = recalled(x, lambda: cleanup(threshold=[0.8, 0.9, 0.9, 0.9]))
    assert loud[0] == pytest.approx(0.6, abs=0.05) and silent[0] == pytest.approx(0, abs=1e-3)


def test_scales_multiply_similarities() -> None:
    """One for each input vector."""
    scaled = [2.0, 1.0, 1.0, 1.0]
    activations, _ = recalled(0.4 * VECTORS[0], lambda: cleanup(input_scales=scaled))
    assert activations[0] == pytest.approx(0.8, abs=0.06)


def test_a_threshold_on_outputs_makes_them_whole() -> None:
    """1 above it, 0 below, so that the output is the stored vector itself."""
    x = 0.55 * VECTORS[1]
    activations, output = recalled(x, cleanup, lambda m: m.add_threshold_to_outputs())
    np.testing.assert_allclose(activations, [0, 1, 0, 0], atol=0.06)
    np.testing.assert_allclose(output, VECTORS[1], atol=0.03)


def test_pairs_may_inhibit_each_other() -> None:
    """Of two above the threshold the stronger one alone is left."""
    x = 0.8 * VECTORS[0] + 0.6 * VECTORS[3]
    both, _ = recalled(x, cleanup)
    one, _ = recalled(x, cleanup, lambda m: m.add_wta_network())
    assert np.all(both[[0, 3]] > 0.4)
    assert one[0] > 0.6 and one[3] < 0.05


def test_a_default_comes_up_where_nothing_else_does() -> None:
    """And leaves where something does."""
    default = directions(1, 32, seed=7)[0]
    nothing, something = (
        recalled(x, cleanup, lambda m: m.add_default_output_vector(default))[1]
        for x in (0.05 * VECTORS[0], 0.9 * VECTORS[0])
    )
    np.testing.assert_allclose(nothing, default, atol=0.05)
    assert abs(something @ default - 0.9 * VECTORS[0] @ default) < 0.05


def test_a_memory_may_be_silenced() -> None:
    """`inhibit` at 1 stops all of it."""
    with sw.Network(seed=0) as net:
        memory = cleanup(inhibitable=True)
        sw.Connection(sw.Node(VECTORS[0]), memory.input, None)
        sw.Connection(sw.Node(lambda t: float(t > 0.1)), memory.inhibit, None)
        probe = sw.Probe(memory.activations, synapse=0.01)
    got = run(net, probe, 250)[:, 0]
    assert got[90] > 0.9 and got[-1] < 0.001


def test_a_memory_has_as_many_inputs_and_outputs_as_are_asked_for() -> None:
    """Each with vectors of its own, of its own length."""
    other = np.eye(4, 8)
    with sw.Network(seed=0) as net:
        memory = sw.networks.AssociativeMemory(VECTORS, other)
        key = memory.add_input_mapping("key", other[::-1])
        number = memory.add_output_mapping("number", np.arange(4.0)[:, None])
        sw.Connection(sw.Node(other[0]), key, None)
        probes = [sw.Probe(node, synapse=0.02) for node in (number, memory.output)]
    assert memory.output.size_out == 8 and memory.input.size_in == 32
    with sw.Simulator(net) as sim:
        sim.run_steps(300)
    assert sim.data[probes[0]][200:].mean() == pytest.approx(3.0, abs=0.15)
    np.testing.assert_allclose(sim.data[probes[1]][200:].mean(axis=0), other[3], atol=0.05)


@pytest.mark.parametrize("threshold", [-0.2, 0.0, 0.3, 1.2])
def test_thresholding_ensembles_are_silent_below(threshold: float) -> None:
    """At every represented value below the threshold no neuron fires, above it some do."""
    with sw.Network(seed=0) as net:
        with sw.networks.ThresholdingEnsembles(threshold, radius=1.5):
            ensemble = sw.Ensemble(100, neuron_type=sw.LIFRate())
        node = sw.Node(lambda t: t - 2.0)
        sw.Connection(node, ensemble, None)
        probe = sw.Probe(ensemble.neurons)
    rates = run(net, probe, 350, dt=0.01)
    x = np.arange(1, 351) * 0.01 - 2.0
    assert np.all(rates[x < threshold - 0.01] == 0)
    assert np.all(rates[x > threshold + 0.1].max(axis=1) > 0)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: sw.networks.BasalGanglia(0, label="b"), "'b'>: dimensions"),
        (lambda: sw.networks.BasalGanglia(2, output_weight=np.nan), "output_weight .* got nan"),
        (lambda: sw.networks.Thalamus(2, threshold=1.0, label="t"), "'t'>: threshold must be from"),
        (lambda: sw.networks.ThresholdingEnsembles(2.0), "between -radius and radius = 1.0"),
        (lambda: sw.networks.ThresholdingAssociativeMemory([1.0]), r"must be \(n, dimensions\)"),
        (lambda: sw.networks.AssociativeMemory([[np.nan]]), "must be finite numbers"),
        (lambda: cleanup(threshold=[0.1, 0.2]), "'memory'>: threshold must be one number, or one"),
        (lambda: cleanup(output_vectors=[[1.0]]), "one for each of 4 pairs, got 1"),
        (lambda: cleanup().add_output_mapping("output", VECTORS), "'output' already"),
        (lambda: cleanup().add_input_mapping("a-b", VECTORS), "identifier"),
        (lambda: cleanup().add_wta_network(inhibit_synapse=None), "it closes a loop"),
        (lambda: cleanup().add_default_output_vector([1.0]), "must be 32 values, got 1"),
        (lambda: cleanup().add_default_output_vector([1.0], "sight"), "has no output 'sight'"),
    ],
)
def test_what_is_impossible_is_named(ask: Any, message: str) -> None:
    """Each refusal names the network, the argument and its value."""
    with sw.Network(), pytest.raises(NetworkError, match=message):
        ask()


def test_a_threshold_on_outputs_is_added_once() -> None:
    """As is a default; the second of either is an error."""
    with sw.Network():
        memory = cleanup()
        memory.add_threshold_to_outputs()
        with pytest.raises(NetworkError, match="have a threshold already"):
            memory.add_threshold_to_outputs()
        memory.add_default_output_vector(VECTORS[0])
        with pytest.raises(NetworkError, match="has a default already"):
            memory.add_default_output_vector(VECTORS[0])
