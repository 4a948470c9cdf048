"""What a user may get wrong: every mistake is named, and nothing is taken for something else."""

from __future__ import annotations

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright.errors import ConversionError, NetworkError, SimulationError
from spikewright.measure import accuracy, accuracy_over_time

X = np.random.default_rng(3).standard_normal((3, 6))


@pytest.mark.parametrize("value", [sw.LIF(), sw.IntegrateAndFire, "relu", 1, 0, None, [True]])
def test_spiking_is_true_false_or_a_dict(value):
    """Whatever else stands there is refused, never taken for True."""
    with pytest.raises(ConversionError, match="'spiking'"):
        sw.convert(models.mlp(), spiking=value)


@pytest.mark.parametrize("cap", [0, -1, 1.5, True, "1"])
def test_a_cap_is_a_whole_number(cap):
    """An error about an argument names the argument, not a layer."""
    with pytest.raises(ConversionError, match=r"^argument 'max_spikes_per_step': .* got"):
        sw.convert(models.mlp(), spiking=True, max_spikes_per_step=cap)


def test_every_layer_whose_choices_do_not_fit_is_listed():
    """Two layers that cannot be as asked are two lines, with their names and kinds."""
    starts = {"act1": np.zeros(5), "act2": "full"}
    with pytest.raises(ConversionError) as caught:
        sw.convert(models.mlp(), spiking=True, initial_voltage=starts)
    assert [refusal.layer for refusal in caught.value.refusals] == ["act1", "act2"]


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 1.5}, {"steps": True}, {"steps": "3"}, {"steps": -1},
        {"dt": "a"}, {"dt": None}, {"dt": True}, {"dt": np.inf},
        {"seed": -1}, {"seed": 1.5}, {"seed": None},
        {"precision": "float16"}, {"batch_size": 1.5}, {"batch_size": True},
    ],
)  # fmt: skip
def test_impossible_settings_of_a_run_are_refused(options):
    """Each is named with its value before anything is computed."""
    with pytest.raises(SimulationError, match=next(iter(options))):
        sw.convert(models.mlp()).run(X, **{"steps": 3, **options})


@pytest.mark.parametrize(("x", "message"), [(X[:0], "no samples"), (X + 1j, "complex"),
                                            (np.array(1.0), "no samples")])  # fmt: skip
def test_input_without_samples_or_with_complex_values_is_refused(x, message):
    """By `run` and by `verify` alike."""
    conversion = sw.convert(models.mlp())
    with pytest.raises(SimulationError, match=message):
        conversion.run(x, steps=3)
    with pytest.raises(SimulationError, match=message):
        conversion.verify(x)


@pytest.mark.parametrize("labels", [list("abc"), [0.0, 1.0, 0.5], [0, 1, 4], [-1, 0, 1]])
def test_labels_are_classes_of_the_output(labels):
    """Labels that no output value stands for are an error, never an accuracy of zero."""
    run = sw.convert(models.mlp()).run(X, steps=2)
    for measure in (accuracy, accuracy_over_time):
        with pytest.raises(SimulationError, match="labels"):
            measure(run, labels)


@pytest.mark.parametrize("seconds", ["a", None, True, np.nan, np.inf, -1])
def test_a_simulator_runs_for_a_number_of_seconds(seconds):
    """Whatever is no number of seconds is named, and changes nothing."""
    with sw.Network() as net:
        sw.Node(1.0)
    sim = sw.Simulator(net)
    with pytest.raises(SimulationError, match="0 s or more"):
        sim.run(seconds)
    with pytest.raises(SimulationError, match="node: array"):
        sim.run_steps(1, [1.0])
    assert sim.n_steps == 0


CHANGES = {
    "gain": lambda c: setattr(c.layers["act1"], "gain", np.array(3.0)),
    "bias": lambda c: setattr(c.layers["act1"], "bias", np.array(3.0)),
    "bias in place": lambda c: c.layers["act1"].bias.__setitem__(..., 3.0),
    "rate_scale": lambda c: setattr(c.layers["act1"], "rate_scale", 7.0),
    "neuron_type": lambda c: setattr(c.layers["act1"], "neuron_type", sw.SpikingLeakyReLU()),
    "start": lambda c: setattr(c.layers["act1"], "initial_voltage", "uniform"),
    "synapse": lambda c: setattr(c.network.connections[1], "synapse", sw.Lowpass(0.005)),
    "transform": lambda c: setattr(c.network.connections[1], "transform", np.eye(8, 12)),
    "connections": lambda c: c.network.connections.pop(1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_the_network_reaches_the_next_run(change):
    """A program compiled before is not run again, whatever was changed."""
    conversion = sw.convert(models.mlp(), spiking=True, scale_firing_rates=50.0)
    before = conversion.run(X, steps=40, dt=0.01).raw["output"]
    CHANGES[change](conversion)
    after = conversion.run(X, steps=40, dt=0.01).raw["output"]
    assert not np.array_equal(before, after)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("transform", np.eye(3)), ("transform", "a"), ("synapse", "slow"), ("synapse", -1.0)],
)
def test_a_connection_refuses_what_does_not_fit_whenever_it_is_set(attribute, value):
    """A changed connection is as sound as a new one, and stays as it was after an error."""
    conversion = sw.convert(models.mlp(), spiking=True)
    connection = conversion.network.connections[1]
    before = getattr(connection, attribute)
    with pytest.raises(NetworkError):
        setattr(connection, attribute, value)
    assert getattr(connection, attribute) is before
    connection.synapse = 0.01
    assert connection.synapse == sw.Lowpass(0.01)


MISTYPED = {
    "tau_rc": lambda v: sw.LIF(tau_rc=v),
    "min_voltage": lambda v: sw.LIF(min_voltage=v),
    "tau_ref": lambda v: sw.Tanh(tau_ref=v),
    "voltage_floor": lambda v: sw.IntegrateAndFire(voltage_floor=v),
    "amplitude": lambda v: sw.SpikingRectifiedLinear(amplitude=v),
    "negative_slope": lambda v: sw.LeakyReLU(v),
    "max_value": lambda v: sw.ClippedReLU(v),
    "Lowpass.tau": sw.Lowpass,
    "Alpha.tau": sw.Alpha,
    "LinearFilter.num": lambda v: sw.LinearFilter(v, [1.0]),
}


@pytest.mark.parametrize("value", ["fast", True, np.nan, [1.0, "a"], 1j])
@pytest.mark.parametrize("name", MISTYPED)
def test_parameters_are_real_numbers(name, value):
    """Neuron types and synapses name the parameter and what it was given, whatever that is."""
    with pytest.raises(NetworkError, match=name):
        MISTYPED[name](value)
