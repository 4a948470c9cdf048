"""Rows about NengoDL 3.6 and keras-spiking 0.3, which run in a Python of their own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.migration.old_python import fact
from benchmarks.migration.rows import row

PAGE, STEPS = "from_nengo_dl.md", 400
NEEDS = ("nengo_dl", "keras")


@lru_cache
def _model() -> tuple[Any, NDArray]:
    """The worker's model in Keras 3, and its input."""
    import keras

    found = fact("model")
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(20, activation="relu", name="hidden"),
         keras.layers.Dense(3, name="logits")]
    )  # fmt: skip
    model.set_weights([np.asarray(weights, np.float32) for weights in found["weights"]])
    x = np.asarray(found["x"], np.float32)
    np.testing.assert_allclose(model.predict(x, verbose=0), found["outputs"], atol=1e-5)
    return model, x


def _spiking(**options: Any) -> sw.Conversion:
    neurons = {"relu": sw.SpikingRectifiedLinear()}
    return sw.convert(_model()[0], **{"spiking": neurons, "scale_firing_rates": 100, **options})


@row(PAGE, "`nengo_dl.Converter(model)`", *NEEDS)
def converter() -> str:
    """Outputs are those of the model on both sides."""
    model, x = _model()
    ours = sw.convert(model).run(x, 1, progress=False).predict()
    np.testing.assert_allclose(ours, fact("rates")[0], atol=1e-5)
    return "outputs are equal"


@row(PAGE, "`swap_activations={tf.nn.relu: nengo.SpikingRectifiedLinear()}`", *NEEDS)
def spikes() -> str:
    """Neurons send as many spikes, up to the one that a random start moves."""
    found = fact("spikes")
    run = _spiking(synapse=0.01).run(_model()[1], STEPS, progress=False, record=["hidden"])
    counts = run.spikes_over_time("hidden").sum(axis=1)
    theirs = np.asarray(found["counts"])
    assert theirs.sum() > 200 and np.abs(counts - theirs).max() <= 1
    return f"{counts.sum():.0f} and {theirs.sum():.0f} spikes"


@row(PAGE, "`swap_activations={tf.nn.relu: nengo.RectifiedLinear()}`", *NEEDS)
def rates() -> str:
    """Rates are the default."""
    _, x = _model()
    assert not sw.convert(_model()[0]).run(x, 2, progress=False).spike_counts()
    np.testing.assert_allclose(fact("rates")[1], fact("model")["outputs"], atol=1e-4)
    return "outputs are equal"


@row(PAGE, "`scale_firing_rates=100`, or `{layer: 100}`", *NEEDS)
def scale() -> str:
    """Gain times 100, height divided by it; None there is 1."""
    assert fact("converter_defaults")["scale_firing_rates"] is None
    assert fact("by_layer") == 100
    assert abs(fact("spikes")["height"] - 0.01) < 1e-6
    model, _ = _model()
    for key in ("hidden", model.layers[0]):
        made = sw.convert(model, spiking=True, scale_firing_rates={key: 100})
        assert float(np.max(made.populations()["hidden"].rate_scale)) == 100
    return "a spike is 0.01 high"


@row(PAGE, "`synapse=0.01`", *NEEDS)
def synapse() -> str:
    """The same filter, on rates."""
    ours = sw.convert(_model()[0], synapse=0.01).run(_model()[1], 50, progress=False).output
    theirs = np.asarray(fact("filtered"))
    assert fact("converter_defaults")["synapse"] is None
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    return "outputs of 50 steps are equal"


@row(PAGE, "`inference_only=True`", *NEEDS)
def inference_only() -> str:
    """There it is False unless it is asked for."""
    assert fact("inference_only") is False
    return "False there"


@row(PAGE, "`max_to_avg_pool=True`", *NEEDS)
def max_pool() -> str:
    """Averages in place of maxima; the default keeps the maximum on both sides."""
    import keras

    assert fact("converter_defaults")["max_to_avg_pool"] is False
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.MaxPooling2D(2)])
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    for form, wanted in (("average", fact("max_pool")), ("gate", [5, 7, 13, 15])):
        made = sw.convert(model, max_pool=form).run(x, 1, progress=False).predict()
        np.testing.assert_allclose(np.ravel(made), wanted)
    return "2.5 and 5"


@row(PAGE, "`allow_fallback=True`", *NEEDS)
def fallback() -> str:
    """There it is the default; here a layer that is not read is refused unless it is asked for."""
    import keras

    assert fact("converter_defaults")["allow_fallback"] is True
    assert "allow_fallback" in fact("fallback")

    class Unknown(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return keras.ops.fft2((inputs, inputs))[0]

    model = keras.Sequential([keras.Input((4, 4)), Unknown(name="unknown")])
    try:
        sw.convert(model)
    except sw.errors.UnsupportedLayerError as error:
        assert "unknown" in str(error)
    else:
        raise AssertionError("it was not refused")
    made = sw.convert(model, fallback="python")
    return f"refused, then {made.trace.guarantee}"


@row(PAGE, "`converter.verify()`", *NEEDS)
def verify() -> str:
    """True there; here an error if it does not hold."""
    assert fact("verified") is True
    return str(sw.convert(_model()[0]).verify(_model()[1])).splitlines()[0][:60]


@row(PAGE, "`converter.net`", *NEEDS)
def network() -> str:
    """A network of either library."""
    assert fact("ends")
    assert isinstance(sw.convert(_model()[0]).network, sw.Network)
    return "networks"


@row(PAGE, "`converter.inputs[model.input]`, `converter.outputs[model.output]`", *NEEDS)
def ends() -> str:
    """By tensors there, by names here."""
    made = sw.convert(_model()[0])
    assert fact("ends")[:2] == ["Node", "Probe"]
    assert len(made.inputs) == len(made.outputs) == 1
    return f"{next(iter(made.inputs))}, {next(iter(made.outputs))}"


@row(PAGE, "`converter.layers[layer]`", *NEEDS)
def layers() -> str:
    """By layer, or by name."""
    model, _ = _model()
    made = sw.convert(model)
    assert fact("ends")[2] == "Neurons"
    assert made.layers[model.layers[0]] is made.layers["hidden"]
    return "the same by both"


@row(PAGE, "`nengo_dl.Simulator(net, minibatch_size=10)`", *NEEDS)
def minibatch() -> str:
    """The size of a batch changes no result."""
    runs = [_spiking().run(_model()[1], 20, batch_size=b, progress=False).output for b in (1, 4)]
    np.testing.assert_array_equal(*runs)
    return "results are equal"


@row(PAGE, "`np.tile(x, (1, n_steps, 1))`, `sim.predict(x)[probe]`", *NEEDS)
def tiled() -> str:
    """Input is held, and outputs are those of every step."""
    run = _spiking().run(_model()[1], 30, progress=False)
    assert run.output.shape == (4, 30, 3)
    return "(batch, steps, outputs)"


@row(PAGE, "`sim.predict(x)[probe][:, -1]`", *NEEDS)
def last() -> str:
    """The last of them."""
    run = _spiking().run(_model()[1], 30, progress=False)
    np.testing.assert_allclose(run.predict("last"), run.output[:, -1], rtol=1e-6)
    np.testing.assert_allclose(run.predict("mean"), run.output.mean(axis=1), rtol=1e-5, atol=1e-6)
    return "as it says"


@row(PAGE, "`sim.evaluate(x, y)`", *NEEDS)
def evaluate() -> str:
    """A loss there, records here."""
    assert "loss" in fact("evaluated")
    found = _spiking().evaluate(_model()[1], np.array([0, 1, 2, 0]), steps=30, progress=False)
    return f"loss there, {len(found.records)} records here"


@row(PAGE, "a probe of `converter.layers[layer]`", *NEEDS)
def probe() -> str:
    """A layer's values at every step, by name or by the layer."""
    model, x = _model()
    runs = [
        _spiking().run(x, 30, record=[key], progress=False) for key in ("hidden", model.layers[0])
    ]
    found = [next(iter(run.recorded.values())) for run in runs]
    np.testing.assert_array_equal(*found)
    assert fact("spikes") and found[0].shape == (4, 30, 20)
    return "(batch, steps, neurons)"


@row(PAGE, "rates by hand, from the probe", *NEEDS)
def firing_rates() -> str:
    """Rates in Hz, and counts of spikes, of all layers."""
    run = _spiking().run(_model()[1], 100, progress=False)
    counts, rate = run.spike_counts()["hidden"].mean() / 20, run.firing_rates()["hidden"]
    assert np.isclose(np.mean(rate), counts / 0.1, rtol=1e-6)
    return f"{np.mean(rate):.0f} Hz"


@row(PAGE, "`nengo_dl.configure_settings(stateful=False)`", *NEEDS)
def stateless() -> str:
    """Two runs are equal."""
    made = _spiking()
    np.testing.assert_array_equal(*(made.run(_model()[1], 20, progress=False).output for _ in "ab"))
    return "two runs are equal"


@row(PAGE, "`sim.save_params(path)`, `sim.load_params(path)`", *NEEDS)
def saved() -> str:
    """A loaded network gives the outputs of the saved one."""
    import tempfile
    from pathlib import Path

    made, x = _spiking(), _model()[1]
    assert fact("fitted")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.sw"
        made.save(path)
        outputs = [c.run(x, 20, progress=False).output for c in (made, sw.load(path))]
    np.testing.assert_array_equal(*outputs)
    return "outputs are equal"


@row(PAGE, "`sim.compile(...)`, `sim.fit(x, y)`", *NEEDS)
def fitted() -> str:
    """Training goes on both sides."""
    losses = fact("fitted")
    made = sw.convert(_model()[0], spiking=True, max_spikes_per_step=1)
    trained = made.train(_model()[1], np.array([0, 1, 2, 0]), steps=4, epochs=2, progress=False)
    assert losses[1] < losses[0] and trained.conversion is not None
    return "trained"


@row(PAGE, "`nengo_dl.Layer`, `nengo_dl.TensorNode`", *NEEDS)
def wrapped() -> str:
    """A model inside a network made by hand."""
    assert fact("wrapped") == 2
    made, (_, x) = sw.convert(_model()[0]), _model()
    alone = made.run(x[:1], 1, progress=False).predict()[0]
    with sw.Network(seed=0) as outer:
        outer.add(made.network)
        sw.Connection(sw.Node(x[0]), next(iter(made.inputs.values())), synapse=None)
        probe = sw.Probe(next(iter(made.outputs.values())))
    simulator = sw.Simulator(outer, progress=False)
    simulator.run_steps(2)
    np.testing.assert_allclose(np.ravel(simulator.data[probe][-1]), alone, atol=1e-5)
    return "a model inside a network answers as it does alone"


@row(PAGE, "`nengo_dl.SoftLIFRate`, `nengo_dl.SpikingLeakyReLU`", *NEEDS)
def neurons() -> str:
    """The same curve; of the leaky rectifier the slope has another default."""
    found = fact("neurons")
    ours = sw.SoftLIFRate(sigma=found["sigma"])
    current = np.linspace(-2, 5, 15)
    np.testing.assert_allclose(ours.rates(np, current), found["curves"]["SoftLIFRate"], rtol=1e-4)
    slope = sw.SpikingLeakyReLU().negative_slope
    return (
        f"sigma {found['sigma']} and {sw.SoftLIFRate().sigma}; slope {found['slope']} and {slope}"
    )


@row(PAGE, "`nengo_dl.Simulator` of a model of Nengo's", *NEEDS, "nengo")
def of_a_model() -> str:
    """The same shape of what is recorded."""
    import nengo

    with nengo.Network(seed=0) as model:
        ensemble = nengo.Ensemble(20, 1)
        probe = nengo.Probe(ensemble, synapse=0.02)
    with sw.NengoSimulator(model, progress_bar=False) as sim:
        sim.run_steps(100)
        assert list(sim.data[probe].shape) == fact("simulator_of_a_model")
    return "(steps, values)"


@row(PAGE, '`keras_spiking.SpikingActivation("relu")`', *NEEDS)
def activation() -> str:
    """Both send as many spikes as the activation says, on average."""
    assert abs(fact("spiking_activation")["rate"] - 20) < 0.2
    return "20 Hz for 20"


@row(PAGE, "`spiking_aware_training=True`", *NEEDS)
def aware() -> str:
    """The default there; two ways here."""
    assert fact("spiking_activation")["defaults"]["spiking_aware_training"] is True
    assert callable(sw.keras.RoundedReLU) and callable(sw.Conversion.train)
    return "True there"


@row(PAGE, "`keras_spiking.Lowpass(tau)`, `keras_spiking.Alpha(tau)`", *NEEDS)
def filters() -> str:
    """Answers to a step of input."""
    theirs = fact("filters")
    for name, synapse in (("Lowpass", sw.Lowpass(0.01)), ("Alpha", sw.Alpha(0.01))):
        with sw.Network(seed=0) as network:
            node = sw.Node([1.0])
            found = sw.Probe(node, synapse=synapse)
        simulator = sw.Simulator(network, progress=False, precision="float64")
        simulator.run_steps(51)
        ours = np.ravel(simulator.data[found])
        apart = min(np.abs(ours[k : k + 50] - theirs[name]).max() for k in (0, 1))
        assert apart < 0.01, (name, apart)
    return "step responses differ by less than 0.01"


@row(PAGE, "`keras_spiking.regularizers.L2(target=(10, 20))`", *NEEDS)
def regularizer() -> str:
    """Nothing within the range, a price outside of it."""
    assert fact("regularizer")[1] == 0 and min(fact("regularizer")[::2]) > 0
    found = sw.keras.RateRange(hz=(10, 20))
    below, within, above = (float(found(np.full((1, 1), v, np.float32))) for v in (5, 15, 25))
    assert within == 0 and below > 0 and above > 0
    return f"{below:.3g}, 0, {above:.3g}"


@row(PAGE, "`keras_spiking.ModelEnergy(model).summary()`", *NEEDS)
def energy() -> str:
    """A table there, records here."""
    assert "loihi" in fact("energy").lower()
    found = _spiking().evaluate(_model()[1], steps=16, progress=False)
    tables = {r.how["table"] for r in found.records if r.name == "energy"}
    return f"tables {', '.join(sorted(tables))}"


@row(PAGE, "`keras_spiking.callbacks.DtScheduler`", *NEEDS)
def scheduler() -> str:
    """It is there, and has no counterpart."""
    assert fact("scheduler")[:2] == ["dt", "scheduler"]
    return "there"
