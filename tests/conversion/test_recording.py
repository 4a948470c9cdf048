"""Hidden layers over time: `run(x, steps, record=[...])`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import models
import spikewright as sw
from slowly import in_turn
from spikewright import demo, engines
from spikewright.errors import SimulationError

GRAPH = models.residual(pool=True)
X = models.inputs(GRAPH, 5, seed=2)
STEPS = 24
CHOICES: dict[str, Any] = {
    "integrate": {"spiking": True},
    "capped": {"spiking": True, "max_spikes_per_step": 1},
    "signed": {"spiking": {"relu": sw.BipolarIntegrateAndFire()}},
    "taken as sent": {"spiking": {"relu": sw.BipolarIntegrateAndFire.in_steps(4)}},
    "loud": {"spiking": {"relu": sw.SpikingRectifiedLinear(amplitude=0.5)}},
    "slow": {"spiking": True, "synapse": 0.004},
    "rate": {"spiking": False},
}


def conversion(graph: Any = GRAPH, **choices: Any) -> sw.Conversion:
    """A network of which there is something to see in a few steps."""
    return sw.convert(graph, **{"scale_firing_rates": 300.0, **choices})


def layers(network: sw.Conversion) -> list[str]:
    """All that may be recorded."""
    return [name for name in network.layers if name in network.lowered.exact_values]


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
            taken, worth = (
                of(STEPS).reshape(STEPS, *(1,) * (spikes.ndim - 2))
                for of in (plain.populations[name].taken_as_sent, plain.populations[name].height)
            )
            sent = ((spikes + taken) * worth).sum(axis=1)
            np.testing.assert_array_equal(sent, plain.populations[name].net)
            np.testing.assert_array_equal(
                np.abs(spikes).sum(axis=1), plain.populations[name].totals
            )
    for name, raw in plain.raw.items():
        np.testing.assert_array_equal(run.raw[name], raw)


def test_every_layer_with_values_of_its_own_can_be_recorded() -> None:
    """As a rate network each has the source's value at every step; the output is among them."""
    network = conversion(scale_firing_rates=1.0, spiking=False)
    run = network.run(X, 3, record=layers(network))
    values = network.source.activations({"x": X})
    inner = [name for name in layers(network) if name in values]

    assert len(inner) > 4
    assert {type(o) for n, o in network.layers.items() if n in inner} == {sw.Ensemble, sw.Node}
    for name in inner:
        for step in range(3):
            np.testing.assert_allclose(
                run.recorded[name][:, step], values[name], rtol=1e-5, atol=1e-5
            )


def test_means_tend_to_the_source() -> None:
    """What a layer sends is in the unit of the source's values."""
    x, _ = demo.held_out(8)
    network = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=20)
    values = network.source.activations({"image": x})

    def error(steps: int) -> float:
        sent = network.run(x, steps, record=["relu1"]).recorded["relu1"].mean(axis=1)
        return float(np.abs(sent - values["relu1"]).mean() / values["relu1"].mean())

    assert error(256) < 0.3 * error(16) < 0.3


def test_a_layer_of_keras_goes_by_its_name() -> None:
    """`record=["conv0"]`, as in the source; one name will do."""
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1))
    hidden = keras.layers.Conv2D(4, 3, activation="relu", name="conv0")(image)
    output = keras.layers.Dense(3)(keras.layers.Flatten()(hidden))
    network = conversion(keras.Model(image, output), spiking=True)
    x = np.random.default_rng(0).random((2, 6, 6, 1))

    assert network.run(x, 7, record="conv0").recorded["conv0"].shape == (2, 7, 4, 4, 4)


def test_sequences_are_recorded_in_all_their_steps() -> None:
    """With `sequence_step` there are `time x sequence_step` steps."""
    keras.utils.set_random_seed(0)
    sequence = keras.Input((6, 3))
    output = keras.layers.Dense(2)(keras.layers.SimpleRNN(4, name="cell")(sequence))
    network = sw.convert(
        keras.Model(sequence, output), spiking=True, scale_firing_rates=300.0, sequence_step=5
    )
    name, *_ = network.populations()
    x = np.random.default_rng(0).normal(size=(2, 6, 3))

    assert network.run(x, record=[name]).recorded[name].shape[:2] == (2, 30)


@pytest.mark.parametrize("engine", engines.available())
def test_the_bound_of_memory_counts_it(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes a value, step and sample; where that does not fit, nothing is run."""
    network = conversion(spiking=True)
    size = network.populations()["relu1"].n_neurons
    bare = network.memory(5, 1000, engine=engine).only("recording").bytes
    more = network.memory(5, 1000, engine=engine, record=["relu1"]).only("recording").bytes

    assert more - bare == 4 * 5 * 1000 * size
    monkeypatch.setenv("SPIKEWRIGHT_MEMORY", str((bare + 2**20) / 2**30))
    with pytest.raises(SimulationError, match=r"recording of .*relu1"):
        network.run(X, 1000, engine=engine, record=["relu1"])


def test_runs_leave_nothing_behind() -> None:
    """No probe stays in the network, and a run without `record` records nothing."""
    network = conversion(spiking=True)
    first = network.run(X, 4, record=["relu1"])
    second = network.run(X, 4)

    assert network.network.all_probes == []
    assert list(first.recorded) == ["relu1"] and second.recorded == {}


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


def test_spikes_are_those_of_recorded_layers() -> None:
    """Another name is refused, and so is one of rate neurons."""
    run = conversion(spiking=True).run(X, 2, record=["relu1"])
    with pytest.raises(SimulationError, match=r"recorded: relu1. Run with record=\['relu2'\]"):
        run.spikes_over_time("relu2")
    rate = conversion(spiking=False).run(X, 2, record=["relu1"])
    with pytest.raises(SimulationError, match="there are none"):
        rate.spikes_over_time("relu1")
