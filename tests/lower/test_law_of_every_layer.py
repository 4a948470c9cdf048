"""The law of every layer: exact, or convergent with an error that falls as one over the steps."""

from __future__ import annotations

import numpy as np
import pytest
from layer_graphs import (
    SCALE,
    STEPS,
    Case,
    cases,
    errors_over_time,
    graph_of,
    inputs_of,
    kinds,
    slope,
)

import spikewright as sw
from spikewright.graph import evaluate_all
from spikewright.graph.layers import Activation
from spikewright.lower.choices import rounded, unrounded
from spikewright.lower.node_functions import is_function, is_homogeneous

CASES = cases()
ROUNDING = [case for case in CASES if rounded(case.layer) is not None]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
every_other = pytest.mark.parametrize(
    "case", [case for case in CASES if case not in ROUNDING], ids=lambda case: case.id
)
EXACT = 2e-7  # of weights in float32


def _jumps(case: Case) -> bool:
    """Not continuous: a mean near the jump takes its side late."""
    layer = case.layer
    return isinstance(layer, Activation) and layer.function in ("threshold", "hardshrink")


def _convert(case: Case, behind_spikes: bool) -> sw.Conversion:
    graph = graph_of(case, behind_spikes)
    return sw.convert(graph, spiking=True, scale_firing_rates=SCALE)


@every_other
def test_the_trace_says_exact_of_linear_layers_and_convergent_of_all_others(case: Case) -> None:
    """No layer is approximated by default, and none is silently called exact.

    Maxima of counts stay counts; other functions' values become spikes before weights.
    """
    conversion = _convert(case, behind_spikes=True)
    identity = "layer" in conversion.canonical.aliases or "layer" not in conversion.canonical
    entries = {e.status for e in conversion.trace if e.layer == "layer"}

    assert conversion.trace.status("layer") == (
        "exact" if case.layer.linear or identity else "convergent"
    )
    assert "approximated" not in entries
    if is_function(case.layer):
        population = conversion.populations().get("layer")
        if is_homogeneous(case.layer) or "layer" not in conversion.canonical:
            assert population is None
        else:
            assert population is not None
            assert isinstance(population.neuron_type, sw.SignedIntegrateAndFire)


@every_other
def test_on_constant_input(case: Case) -> None:
    """Linear layers and extrema are exact at every step; the others fall at slope -1."""
    conversion = _convert(case, behind_spikes=False)
    errors = errors_over_time(conversion, inputs_of(conversion.graph, case.positive))

    if "layer" not in conversion.populations():
        assert errors.max() < EXACT
    else:
        assert slope(errors) < -0.8, errors


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in kinds() if c not in ROUNDING], ids=lambda c: c.id)
def test_behind_spikes(case: Case) -> None:
    """In a chain behind neurons the error of the mean falls with slope -1, whatever the layer."""
    conversion = _convert(case, behind_spikes=True)
    errors = errors_over_time(conversion, inputs_of(conversion.graph, case.positive))

    assert slope(errors) < (-0.6 if _jumps(case) else -0.8), errors
    assert errors[-1] < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in kinds() if c not in ROUNDING], ids=lambda c: c.id)
def test_with_one_spike_a_step(case: Case) -> None:
    """Under a cap too the error falls with slope -1, where scales leave room for the values."""
    graph = graph_of(case, behind_spikes=True)
    x = inputs_of(graph, case.positive)
    values = evaluate_all(graph, x)
    rate = sw.convert(graph)
    scales = {n: 1000.0 / (2 * float(np.abs(values[n]).max())) for n in rate.populations()}
    conversion = rate.replace(spiking=True, scale_firing_rates=scales, max_spikes_per_step=1)
    run = conversion.run(x, steps=int(STEPS[-1]), progress=False)
    errors = errors_over_time(conversion, x)

    assert all(e.neuron_type.most_spikes == 1 for e in conversion.populations().values())
    assert all(p.totals.max() <= STEPS[-1] for p in run.populations.values())
    assert slope(errors) < (-0.5 if _jumps(case) else -0.8), errors


@pytest.mark.parametrize("case", ROUNDING, ids=lambda case: case.id)
@pytest.mark.parametrize("behind_spikes", [False, True])
def test_layers_that_round_send_what_they_round(case: Case, behind_spikes: bool) -> None:
    """With a scale and a start that are not their own: the spikes of the values that they round.

    That is told as an approximation; with their own they are exact after as many steps as
    levels (tests/sources).
    """
    plain = case._replace(layer=unrounded(case.layer))
    conversions = [
        _convert(one, behind_spikes).replace(initial_voltage="half") for one in (case, plain)
    ]
    x = inputs_of(conversions[0].graph, case.positive)
    runs = [c.run(x, steps=20, progress=False) for c in conversions]

    assert "approximated" in {e.status for e in conversions[0].trace if e.layer == "layer"}
    assert runs[0].populations["layer"].totals.any()
    for name, population in runs[0].populations.items():
        np.testing.assert_array_equal(population.totals, runs[1].populations[name].totals)


@every_case
def test_the_rate_network_computes_what_the_graph_does(case: Case) -> None:
    """Without spikes every layer has the value of the graph, to the rounding of weights."""
    graph = graph_of(case, behind_spikes=True)
    found = sw.convert(graph).verify(inputs_of(graph, case.positive), rtol=1e-6)

    assert max(found.values()) < 1e-6
    assert "layer" in found


@every_case
def test_only_functions_that_weights_read_have_neurons_behind_them(case: Case) -> None:
    """Maxima of counts stay counts; other functions' values become spikes before weights."""
    population = _convert(case, behind_spikes=True).populations().get("layer")

    if is_function(case.layer):
        if is_homogeneous(case.layer) or "layer" not in _names(case):
            assert population is None
        else:
            assert population is not None
            assert isinstance(population.neuron_type, sw.SignedIntegrateAndFire)


def _names(case: Case) -> set[str]:
    return {node.name for node in _convert(case, behind_spikes=True).canonical}


def test_cases_cover_every_activation_and_every_layer() -> None:
    """A layer or activation that is registered is tested the day it is."""
    from spikewright.graph.layers import ACTIVATIONS, LAYERS

    functions = {c.layer.function for c in CASES if isinstance(c.layer, Activation)}
    assert functions == set(ACTIVATIONS)
    assert {c.layer.kind for c in CASES} >= set(LAYERS) - {"Input", "Constant"}
    assert np.all(np.diff(STEPS) > 0)
