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


def test_a_memory_finds_what_is_most_similar() -> None:
    """What is above the threshold comes through as large as it is similar, what is below is 0."""
    x = 0.8 * VECTORS[1] + 0.05 * VECTORS[2]
    activations, output = recalled(x, cleanup)
    similar = VECTORS @ x
    assert similar[1] > 0.5 and np.all(np.delete(similar, 1) < 0.25)  # the case is not vacuous
    assert activations[1] == pytest.approx(similar[1], abs=0.05)
    np.testing.assert_allclose(np.delete(activations, 1), 0, atol=1e-3)
    np.testing.assert_allclose(output, activations @ VECTORS, atol=0.01)


def test_a_default_comes_up_where_nothing_else_does() -> None:
    """And leaves where something does."""
    default = directions(1, 32, seed=7)[0]
    nothing, something = (
        recalled(x, cleanup, lambda m: m.add_default_output_vector(default))[1]
        for x in (0.05 * VECTORS[0], 0.9 * VECTORS[0])
    )
    np.testing.assert_allclose(nothing, default, atol=0.05)
    assert abs(something @ default - 0.9 * VECTORS[0] @ default) < 0.05


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
        (lambda: sw.networks.AssociativeMemory([[np.nan]]), "hold NaN"),
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
