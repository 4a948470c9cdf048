"""Nengo itself beside Spikewright, where it is installed (the project does not install it)."""

from __future__ import annotations

import pytest

pytest.importorskip("nengo.exceptions", reason="Nengo is not installed: pip install 'nengo>=4.1'")

from typing import Any

import nengo
import numpy as np
from benchmarks.nengo_models import CHAOTIC, MODELS, compare
from nengo_cases import RULES, SEED, Fill, cases

import spikewright as sw
from sharing import WAYS, close
from spikewright import engines
from spikewright.errors import ReadError

CASES = dict(cases())


@pytest.mark.parametrize("name", MODELS)
def test_models_are_the_same_spike_by_spike(name: str) -> None:
    """Counts of spikes within one at every step, outputs within a thousandth of the radius."""
    found = compare(name, 0.3)

    assert found.spikes > 100
    assert found.counts <= 1
    assert found.outputs <= 1e-3
    assert found.apart is None or name in CHAOTIC


@pytest.mark.parametrize("from_built", [False, True], ids=["drawn", "built"])
@pytest.mark.parametrize("fill", CASES.values(), ids=CASES)
def test_everything_that_nengo_says_is_the_same(fill: Fill, from_built: bool) -> None:
    """Every recording, to rounding, whether parameters are drawn from seeds or taken."""
    with nengo.Network(seed=SEED) as model:
        probes = fill()
    with nengo.Simulator(model, progress_bar=False) as theirs:
        built = theirs if from_built else None
        with sw.NengoSimulator(
            model, built=built, precision="float64", progress_bar=False
        ) as simulator:
            simulator.run(0.2)
        theirs.run(0.2)

    for probe in probes:
        expected = theirs.data[probe]
        largest = np.abs(expected).max()
        np.testing.assert_allclose(simulator.data[probe], expected, rtol=0, atol=1e-8 * largest)


def _layers(exact: bool) -> tuple[Any, list[Any]]:
    """Five layers of rectifying integrators; `exact`: of numbers that no sum rounds at dt 2^-10."""
    rng, n = np.random.RandomState(2), 60
    start = {"voltage": nengo.dists.Choice([0])}

    def drawn(values: Any) -> Any:
        return np.round(values * 16) / 16 if exact else values

    with nengo.Network(seed=1) as model:
        sent, probes = nengo.Node(128 * drawn(rng.uniform(0, 1, n))), []
        for _ in range(5):
            layer = nengo.Ensemble(
                n, 1, neuron_type=nengo.SpikingRectifiedLinear(initial_state=start),
                gain=np.ones(n), bias=np.zeros(n),
            )  # fmt: skip
            weights = drawn(rng.normal(0, np.sqrt(2 / n), (n, n)))
            nengo.Connection(sent, layer.neurons, transform=weights, synapse=None)
            probes.append(nengo.Probe(layer.neurons))
            sent = layer.neurons
    return model, probes


@pytest.mark.parametrize("exact", [True, False])
def test_counts_of_rectifying_integrators(exact: bool) -> None:
    """Where no sum rounds all layers are equal; else the first is within one, the last is not."""
    model, probes = _layers(exact)
    dt, steps = 2.0**-10 if exact else 0.001, 2000
    with nengo.Simulator(model, dt=dt, progress_bar=False) as theirs:
        theirs.run_steps(steps)
    with sw.NengoSimulator(model, dt=dt, precision="float64", progress_bar=False) as ours:
        ours.run_steps(steps)
    apart = [
        np.abs(np.cumsum((theirs.data[p] - ours.data[p]) * dt, axis=0)).max().round()
        for p in probes
    ]
    assert min(np.count_nonzero(ours.data[p]) for p in probes) > 1000
    if exact:
        assert apart == [0] * 5
    else:
        assert apart[0] == 1 and apart[-1] > 5


@pytest.mark.parametrize("fill", [*RULES.values(), CASES["voja"]], ids=[*RULES, "voja"])
def test_what_was_learned_is_where_it_begins(fill: Fill) -> None:
    """Weights and encoders that Nengo's rules changed: shown, the first of the run, and no others.

    Given to another simulator once more, what was learned here goes on too.
    """
    with nengo.Network(seed=SEED) as model:
        probes = fill()
    (owner,) = (c for c in model.connections if c.learning_rule_type is not None)
    turns = any(probe.attr == "scaled_encoders" for probe in probes)
    learner = owner.post_obj if turns else owner

    def seen(simulator: Any) -> Any:
        data = simulator.data[learner]
        return data.encoders if turns else data.weights

    ours: dict[str, Any] = {"precision": "float64", "progress_bar": False}
    with nengo.Simulator(model, progress_bar=False) as theirs:
        theirs.run(0.2)
        signal = theirs.model.sig[learner]["encoders" if turns else "weights"]
        wanted = np.array(theirs.signals[signal])
        with sw.NengoSimulator(model, built=theirs, **ours) as simulator:
            shown = simulator.data[learner].scaled_encoders if turns else seen(simulator)
            np.testing.assert_allclose(shown, wanted, rtol=1e-12, atol=0)
            moved = np.abs(seen(simulator) - seen(theirs)).max()
            assert moved > 1e-6 * np.abs(seen(theirs)).max(), "nothing was learned"
            simulator.run_steps(20)
            now = simulator.learned[learner]
            assert 0 < np.abs(now - seen(simulator)).max() < 0.5 * moved
        with sw.NengoSimulator(model, built=simulator, **ours) as again:
            np.testing.assert_array_equal(seen(again), now)
    with pytest.raises(ReadError, match="in 200 steps were lost when"):
        sw.from_nengo(model, theirs)


# Nengo takes no process of ours, and miscounts the arguments of a partial.
@pytest.mark.parametrize("name", sorted(WAYS.keys() - {"processes", "a dictionary in partial"}))
@pytest.mark.parametrize("engine", engines.available())
def test_functions_that_share_something_are_called_as_in_nengo(name: str, engine: str) -> None:
    """A loop that closes through what two functions share is the same at every step."""

    def model() -> tuple[Any, Any]:
        pair = WAYS[name]()
        with nengo.Network(seed=SEED) as made:
            sense = nengo.Node(pair.sense, size_out=1)
            act = nengo.Node(pair.act, size_in=1, size_out=0)
            nengo.Connection(sense, act, synapse=0.005, transform=-0.5)
            return made, nengo.Probe(sense)

    made, probe = model()
    with nengo.Simulator(made, progress_bar=False) as theirs:
        theirs.run_steps(30)
    made, again = model()
    with sw.NengoSimulator(made, engine=engine, precision="float64", progress_bar=False) as ours:
        ours.run_steps(30)
    close()
    np.testing.assert_allclose(ours.data[again], theirs.data[probe], rtol=1e-9)
