"""What a user may get wrong: every mistake is named, and nothing is taken for something else."""

from __future__ import annotations

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright._base.arguments import is_number, is_real_number
from spikewright.errors import BuildError, ConversionError, NetworkError, SimulationError
from spikewright.measure import accuracy, accuracy_over_time

X = np.random.default_rng(3).standard_normal((3, 6))


@pytest.mark.parametrize("value", [sw.LIF(), sw.IntegrateAndFire, "relu", 1, 0, None, [True]])
def test_spiking_is_true_false_or_a_dict(value):
    """Whatever else stands there is refused, never taken for True."""
    with pytest.raises(ConversionError, match="'spiking'"):
        sw.convert(models.mlp(), spiking=value)


def test_spiking_takes_numpys_truth_values():
    """Results of comparisons are truth values too."""
    assert sw.convert(models.mlp(), spiking=np.bool_(True)).layers["act1"].neuron_type.spiking
    assert not sw.convert(models.mlp(), spiking=np.bool_(False)).layers["act1"].neuron_type.spiking


def test_frameworks_functions_name_activations():
    """`{torch.relu: ...}` means what `{"relu": ...}` means, for any framework's function."""

    def relu(x):
        return x

    conversion = sw.convert(models.mlp(), spiking={relu: sw.SpikingRectifiedLinear()})
    assert conversion.layers["act1"].neuron_type == sw.SpikingRectifiedLinear()


def test_a_wrapper_without_what_it_wraps_is_refused():
    """`PoissonSpiking` alone is no neuron type: the error says how to give one."""
    with pytest.raises(ConversionError, match="RegularSpiking"):
        sw.convert(models.mlp(), spiking={"relu": sw.PoissonSpiking})


@pytest.mark.parametrize("cap", [0, -1, 1.5, True, "1"])
def test_a_cap_is_a_whole_number(cap):
    """An error about an argument names the argument, not a layer."""
    with pytest.raises(ConversionError, match=r"^argument 'max_spikes_per_step': .* got"):
        sw.convert(models.mlp(), spiking=True, max_spikes_per_step=cap)


@pytest.mark.parametrize("value", [True, np.nan, np.inf, [1.0, 2.0, 3.0], "10"])
def test_scales_are_numbers_above_zero(value):
    """An error about a scale speaks of the argument as the user wrote it."""
    with pytest.raises(ConversionError, match="scale_firing_rates"):
        sw.convert(models.mlp(), spiking=True, scale_firing_rates=value)
    layers = {"act1": 1.0, "act2": value}
    with pytest.raises(ConversionError, match=r"act2[^\n]*scale_firing_rates"):
        sw.convert(models.mlp(), spiking=True, scale_firing_rates=layers)


def test_every_layer_whose_choices_do_not_fit_is_listed():
    """Two layers that cannot be as asked are two lines, with their names and kinds."""
    starts = {"act1": np.zeros(5), "act2": "full"}
    with pytest.raises(ConversionError) as caught:
        sw.convert(models.mlp(), spiking=True, initial_voltage=starts)
    assert [refusal.layer for refusal in caught.value.refusals] == ["act1", "act2"]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_cap_is_kept_by_every_layer(activation):
    """One-spike hardware is no place for neurons that would send more, unseen."""
    model = models.mlp(activation=activation)
    conversion = sw.convert(model, spiking=True, max_spikes_per_step=1)
    populations = conversion.populations().values()
    assert {population.neuron_type.max_spikes_per_step for population in populations} == {1}


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


@pytest.mark.parametrize("rtol", [-1.0, np.nan, "a", True])
def test_a_tolerance_is_a_number(rtol):
    """verify(rtol=nan) would find a difference everywhere and blame the first layer."""
    with pytest.raises(SimulationError, match="rtol"):
        sw.convert(models.mlp()).verify(rtol=rtol)


def test_verify_refuses_input_that_is_not_finite():
    """NaN input is the user's mistake, not a difference between networks."""
    with pytest.raises(SimulationError, match="NaN"):
        sw.convert(models.mlp()).verify(X * np.nan)


@pytest.mark.parametrize("seconds", ["a", None, np.inf, True])
def test_a_window_lasts_a_number_of_seconds(seconds):
    """Refused where it is made, not where it is used."""
    with pytest.raises(SimulationError, match="window"):
        sw.Window(seconds)


@pytest.mark.parametrize("labels", [list("abc"), [0.0, 1.0, 0.5], [0, 1, 4], [-1, 0, 1]])
def test_labels_are_classes_of_the_output(labels):
    """Labels that no output value stands for are an error, never an accuracy of zero."""
    run = sw.convert(models.mlp()).run(X, steps=2)
    for measure in (accuracy, accuracy_over_time):
        with pytest.raises(SimulationError, match="labels"):
            measure(run, labels)


def test_labels_may_be_whole_floats():
    """Data files often hold labels as floats."""
    run = sw.convert(models.mlp()).run(X, steps=2)
    assert accuracy(run, [0.0, 1.0, 2.0]) == accuracy(run, [0, 1, 2])


@pytest.mark.parametrize("network", [None, "net", sw.Network])
def test_a_simulator_runs_a_network(network):
    """Anything else is named."""
    with pytest.raises(BuildError, match="runs a Network"):
        sw.Simulator(network)


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


def test_a_seed_set_later_reaches_the_next_run():
    """Random starts are drawn anew from it."""
    conversion = sw.convert(models.mlp(), spiking=True, scale_firing_rates=50.0)
    conversion.layers["act1"].initial_voltage = "uniform"
    before = conversion.run(X, steps=40, dt=0.01).raw["output"]
    conversion.layers["act1"].seed = 5
    assert not np.array_equal(before, conversion.run(X, steps=40, dt=0.01).raw["output"])


def test_converting_and_running_leave_a_network_being_filled_alone():
    """Inside `with net:` a conversion stays outside `net` until it is added."""
    with sw.Network() as net:
        conversion = sw.convert(models.mlp(), spiking=True)
        conversion.run(X, steps=2)
        conversion.verify(X)
        assert not net.all_networks
        net.add(conversion.network)
    assert net.all_networks == [conversion.network]
    assert not net.all_probes


def test_what_a_notebook_shows_is_a_line():
    """Conversions and runs hold megabytes of weights and outputs: their text does not."""
    conversion = sw.convert(models.mlp(), spiking=True)
    run = conversion.run(X, steps=2)
    assert repr(conversion).startswith("<Conversion with neurons act1 ")
    assert repr(run) == "<Run of 3 samples, 2 steps of 0.001 s>"
    assert len(repr(conversion)) < 200


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


@pytest.mark.parametrize("attribute", ["gain", "bias"])
@pytest.mark.parametrize("value", ["a", np.nan, [1.0, 2.0]])
def test_an_ensemble_refuses_gains_that_do_not_fit_whenever_they_are_set(attribute, value):
    """As when it was made."""
    ensemble = sw.convert(models.mlp(), spiking=True).layers["act1"]
    with pytest.raises(NetworkError, match=attribute):
        setattr(ensemble, attribute, value)


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


def test_built_parameters_have_one_value_a_neuron():
    """`data[ensemble].gain[3]` works however gain was given, as Nengo's users expect."""
    with sw.Network() as net:
        neurons = sw.IntegrateAndFire(amplitude=2.0)
        cells = sw.Ensemble((2, 3), neuron_type=neurons, gain=2.0, bias=[1, 2, 3], rate_scale=5.0)
    built = sw.Simulator(net).data[cells]
    for name in ("gain", "bias", "amplitude", "max_rates", "initial_voltage"):
        assert getattr(built, name).shape == (2, 3)
    assert (built.gain[1, 2], built.bias[1, 2], built.amplitude[1, 2]) == (10.0, 15.0, 0.4)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "two", True])
def test_impossible_threads_are_refused(threads):
    """A number of threads is a whole number from 1."""
    conversion = sw.convert(models.mlp())
    with pytest.raises(SimulationError, match="threads"):
        conversion.run(np.zeros((1, 6)), steps=1, threads=threads)
    with pytest.raises(BuildError, match="threads"):
        sw.Simulator(conversion.network, threads=threads)


@pytest.mark.parametrize("value", [10**400, -(10**400), np.nan, np.inf, True, "1", None])
def test_what_no_float_holds_is_no_number(value):
    """A whole number beyond all floats is refused as other values are, and does not fail."""
    assert not is_number(value)
    with pytest.raises(NetworkError, match="radius must be above 0"), sw.Network():
        sw.Ensemble(3, radius=value)
    assert is_number(10**300) and is_number(np.float16(0.5)) and is_real_number(np.inf)
    assert not is_real_number(10**400)
