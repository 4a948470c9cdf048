"""Models of the kinds that Nengo's users write, run by Nengo and by Spikewright."""

from __future__ import annotations

import pytest

pytest.importorskip("nengo.exceptions", reason="Nengo is not installed: pip install 'nengo>=4.1'")

from collections.abc import Iterable
from typing import Any

import nengo
import numpy as np
from documented_models import MODELS, ONLY_READ, Ours
from every_probe import add, differences, objects, requests

import spikewright as sw

SECONDS, SEED = 0.1, 11
LONG = frozenset(
    {
        "neurons of type Izhikevich", "basal ganglia and thalamus",
        "routing", "a cleanup memory", "solvers", "synapses",
    }
)  # fmt: skip
"""Models with so many probes, or such rates, that they are left to the slow suite."""


def named(names: Iterable[str]) -> list[Any]:
    """Models to run a test over, long ones marked."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in names]


def run_in_nengo(model: Any) -> Any:
    """Nengo's simulator behind a run, still open; its optimizer mistakes some probes."""
    simulator = nengo.Simulator(model, optimize=False, progress_bar=False)
    simulator.run(SECONDS)
    return simulator


@pytest.mark.parametrize("name", named(MODELS))
def test_every_probe_of_a_model_of_nengos_is_the_same(name: str) -> None:
    """All attributes of all objects, in float64 to rounding, filters, periods and parts too."""
    with nengo.Network(seed=SEED) as model:
        MODELS[name](nengo)
    wanted = list(requests(model))
    probes = add(nengo, model, wanted)
    with run_in_nengo(model) as theirs:
        expected = [theirs.data[probe] for probe in probes]
    with sw.NengoSimulator(model, precision="float64", progress_bar=False) as ours:
        ours.run(SECONDS)
    assert len(wanted) > 10
    assert differences(wanted, expected, [ours.data[probe] for probe in probes]) == []


def copy_parameters(model: Any, built: Any, ours: sw.Network) -> None:
    """Give a network made here the parameters of the same network in a simulator of Nengo's.

    Objects are told by their order. Gains, biases, encoders, evaluation points, initial states,
    decoders and random weights are copied.
    """
    for theirs, mine in zip(model.all_ensembles, ours.all_ensembles, strict=True):
        data = built.data[theirs]
        mine.eval_points = data.eval_points / theirs.radius
        if data.gain is None:
            continue
        mine.gain, mine.bias, mine.encoders = data.gain, data.bias, data.encoders
        mine.normalize_encoders = False
        state = built.model.sig[theirs.neurons]
        kept = mine.neuron_type.state_names
        mine.initial_state = {name: np.array(state[name].initial_value) for name in kept}
    for theirs, mine in zip(model.all_connections, ours.all_connections, strict=True):
        weights = built.data[theirs].weights
        if mine.decodes:
            mine.learned = {"weights": np.array(weights)}
        elif isinstance(getattr(theirs.transform, "init", None), nengo.dists.Distribution):
            mine.transform = np.array(weights)


@pytest.mark.parametrize("name", named(name for name in MODELS if name not in ONLY_READ))
def test_a_model_made_here_is_the_same_once_its_parameters_are_copied(name: str) -> None:
    """The same words with Spikewright's classes: every probe, in float64 to rounding."""
    with nengo.Network(seed=SEED) as model:
        MODELS[name](nengo)
    with sw.Network(seed=SEED) as network:
        MODELS[name](Ours())
    found = objects(model)
    wanted = [
        request
        for request in requests(model)
        if request.kind != "connection"
        or request.attr != "weights"
        or isinstance(found["connection"][request.place].pre_obj, nengo.Ensemble)
    ]
    probes, own = add(nengo, model, wanted), add(sw, network, wanted)
    with run_in_nengo(model) as theirs:
        copy_parameters(model, theirs, network)
        expected = [theirs.data[probe] for probe in probes]
    with sw.Simulator(network, precision="float64", progress=False) as ours:
        ours.run(SECONDS)
        recorded = [ours.data[probe] for probe in own]
    assert differences(wanted, expected, recorded) == []
