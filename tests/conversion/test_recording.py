"""Hidden layers over time: `run(x, steps, record=[...])`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import models
import spikewright as sw
from slowly import in_turn
from spikewright import engines
from spikewright.errors import SimulationError

GRAPH = models.residual(pool=True)
X = models.inputs(GRAPH, 5, seed=2)
STEPS = 24
CHOICES: dict[str, Any] = {
    "integrate": {"spiking": True},
    "capped": {"spiking": True, "max_spikes_per_step": 1},
    "signed": {"spiking": {"relu": sw.BipolarIntegrateAndFire()}},
    "taken as sent": {
        "spiking": {"relu": sw.BipolarIntegrateAndFire(assumed_spikes=4)},
        "max_spikes_per_step": 1,
    },
    "loud": {"spiking": {"relu": sw.SpikingRectifiedLinear(amplitude=0.5)}},
    "slow": {"spiking": True, "synapse": 0.004},
    "rate": {"spiking": False},
}


def conversion(graph: Any = GRAPH, **choices: Any) -> sw.Conversion:
    """A network of which there is something to see in a few steps."""
    return sw.convert(graph, **{"scale_firing_rates": 300.0, **choices})


@pytest.mark.parametrize(("choice", "engine"), in_turn(CHOICES, engines.available()))
def test_what_is_recorded_is_what_was_counted(choice: str, engine: str) -> None:
    """On every engine, of every layer with neurons: means and spikes add up to the run's own."""
    network = conversion(**CHOICES[choice])
    run = network.run(X, STEPS, engine=engine, record=list(network.populations()), batch_size=2)
    plain = network.run(X, STEPS, engine=engine, batch_size=2)

    assert list(run.recorded) == list(network.populations())
    for name, means in plain.layer_means().items():
        values = run.recorded[name]
        assert values.shape == (5, STEPS, *network.populations()[name].shape)
        np.testing.assert_allclose(values.mean(axis=1), means, rtol=1e-5, atol=1e-6)
        if choice != "rate":
            spikes = run.spikes_over_time(name)
            assert np.abs(spikes).sum() > 0
            sent = plain.populations[name].taken_as_sent(STEPS).sum() + spikes.sum(axis=1)
            np.testing.assert_array_equal(sent, plain.populations[name].net)
            np.testing.assert_array_equal(
                np.abs(spikes).sum(axis=1), plain.populations[name].totals
            )
    for name, raw in plain.raw.items():
        np.testing.assert_array_equal(run.raw[name], raw)


@pytest.mark.parametrize("engine", engines.available())
def test_every_step_of_a_sequence_begins_with_spikes_taken_as_sent(engine: str) -> None:
    """On every engine neurons of shared steps start again, and so do the steps that are counted."""
    keras.utils.set_random_seed(0)
    sequence = keras.Input((4, 3))
    cell = keras.layers.SimpleRNN(4, name="cell", activation="relu")(sequence)
    network = sw.convert(
        keras.Model(sequence, keras.layers.Dense(2)(cell)), sequence_step=5, max_spikes_per_step=1,
        spiking={"relu": sw.BipolarIntegrateAndFire(assumed_spikes=2)}, scale_firing_rates=900.0,
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(3, 4, 3))
    (name,) = network.populations()
    run = network.run(x, record=[name], engine=engine)
    population, spikes = run.populations[name], run.spikes_over_time(name)

    assert population.taken_as_sent(20).tolist() == 4 * [True, True, False, False, False]
    np.testing.assert_array_equal(np.abs(spikes).sum(axis=1), population.totals)
    np.testing.assert_array_equal(8 + spikes.sum(axis=1), population.net)
    assert np.abs(spikes).max() == 1 and (population.totals > 0).all()
    expected = network.run(x, engine="reference").populations[name]
    np.testing.assert_array_equal(expected.totals, population.totals)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (["relu9"], "'relu9' is no layer of the network. Did you mean 'relu'"),
        (["conv1"], "'conv1' is a part of 'relu1', or was merged into it"),
        ([3], r'holds names of layers, such as \["conv0"\], got \[3\]'),
        (7, "holds names of layers"),
        ({"relu1": 2}, "holds names of layers"),
    ],
)
def test_what_cannot_be_recorded_is_refused(record: Any, message: str) -> None:
    """With the names that there are; of a layer that became a part of another, that one."""
    with pytest.raises(SimulationError, match=message):
        conversion(spiking=True).run(X, 2, record=record)
    with pytest.raises(SimulationError, match=message):
        conversion(spiking=True).memory(2, 2, record=record)
