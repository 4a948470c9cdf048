"""Findings about NengoDL and keras-spiking as JSON; runs in a Python of theirs, without ours."""

import contextlib
import inspect
import io
import json
import tempfile
import warnings

warnings.simplefilter("ignore")

import keras_spiking
import nengo
import nengo_dl
import numpy as np
import tensorflow as tf

STEPS, SIZE = 400, 20
X = np.random.default_rng(0).uniform(size=(4, 6)).astype(np.float32)
FACTS = {}


def fact(function):
    FACTS[function.__name__] = function
    return function


def defaults(function):
    found = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in found if p.default is not p.empty and plain(p.default)}


def plain(value):
    return value is None or isinstance(value, (bool, int, float, str))


tf.random.set_seed(0)
INPUT = tf.keras.Input((6,), name="x")
HIDDEN = tf.keras.layers.Dense(SIZE, activation=tf.nn.relu, name="hidden")
LOGITS = tf.keras.layers.Dense(3, name="logits")
OUTPUT = LOGITS(HIDDEN(INPUT))
MODEL = tf.keras.Model(INPUT, OUTPUT)


def converted(**options):
    return nengo_dl.Converter(MODEL, **options)


def simulated(converter, probe=None, steps=STEPS):
    with converter.net:
        nengo_dl.configure_settings(stateful=False)
    with nengo_dl.Simulator(converter.net, minibatch_size=4, progress_bar=False) as sim:
        data = {converter.inputs[INPUT]: np.tile(X[:, None], (1, steps, 1))}
        found = sim.predict(data, verbose=0)
        return np.asarray(found[converter.outputs[OUTPUT] if probe is None else probe])


@fact
def model():
    return {
        "weights": [w.tolist() for w in MODEL.get_weights()],
        "x": X.tolist(),
        "outputs": MODEL.predict(X, verbose=0).tolist(),
        "hidden": tf.keras.Model(INPUT, MODEL.layers[1].output).predict(X, verbose=0).tolist(),
    }


@fact
def versions():
    modules = (nengo_dl, keras_spiking, nengo, tf)
    return {module.__name__: module.__version__ for module in modules}


@fact
def converter_defaults():
    return defaults(nengo_dl.Converter.__init__)


@fact
def rates():
    swapped = converted(swap_activations={tf.nn.relu: nengo.RectifiedLinear()})
    return [simulated(c)[:, -1].tolist() for c in (converted(), swapped)]


@fact
def spikes():
    spiking = nengo.SpikingRectifiedLinear()
    converter = converted(
        swap_activations={tf.nn.relu: spiking}, scale_firing_rates=100, synapse=0.01
    )
    with converter.net:
        probe = nengo.Probe(converter.layers[HIDDEN])
    hidden = simulated(converter, probe)
    assert hidden.shape == (4, STEPS, SIZE)
    height = hidden[hidden > 0].min() * 0.001
    outputs = simulated(converter)
    counts = np.rint(hidden * 0.001 / height).sum(axis=1)
    return {"counts": counts.tolist(), "height": float(height), "outputs": list(outputs.shape)}


@fact
def filtered():
    return simulated(converted(synapse=0.01), steps=50).tolist()


@fact
def by_layer():
    converter = converted(
        swap_activations={tf.nn.relu: nengo.SpikingRectifiedLinear()},
        scale_firing_rates={HIDDEN: 100},
    )
    return float(converter.layers[HIDDEN].ensemble.gain.sample(1)[0])


@fact
def fallback():
    layer = tf.keras.layers.LayerNormalization()(INPUT)
    made = nengo_dl.Converter(tf.keras.Model(INPUT, layer), allow_fallback=True)
    assert any(isinstance(node, nengo_dl.TensorNode) for node in made.net.all_nodes)
    try:
        nengo_dl.Converter(tf.keras.Model(INPUT, layer), allow_fallback=False)
    except TypeError as error:
        return str(error)[:200]
    raise AssertionError("no error")


@fact
def max_pool():
    image = tf.keras.Input((4, 4, 1))
    pooled = tf.keras.Model(image, tf.keras.layers.MaxPool2D(2)(image))
    converter = nengo_dl.Converter(pooled, max_to_avg_pool=True)
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 16)
    with nengo_dl.Simulator(converter.net, progress_bar=False) as sim:
        found = sim.predict({converter.inputs[image]: x}, verbose=0)
    (values,) = found.values()
    return np.ravel(values).tolist()


@fact
def verified():
    return converted().verify()


@fact
def ends():
    converter = converted()
    assert isinstance(converter.net, nengo.Network)
    names = (converter.inputs[INPUT], converter.outputs[OUTPUT], converter.layers[HIDDEN])
    return [type(found).__name__ for found in names]


@fact
def inference_only():
    return defaults(nengo_dl.Converter.__init__)["inference_only"]


@fact
def evaluated():
    converter = converted()
    with nengo_dl.Simulator(converter.net, minibatch_size=4, progress_bar=False) as sim:
        sim.compile(loss={converter.outputs[OUTPUT]: "mse"})
        data = {converter.inputs[INPUT]: X[:, None]}
        return sim.evaluate(data, {converter.outputs[OUTPUT]: np.zeros((4, 1, 3))}, verbose=0)


@fact
def fitted():
    converter = converted()
    with nengo_dl.Simulator(converter.net, minibatch_size=4, progress_bar=False) as sim:
        sim.compile(optimizer=tf.optimizers.SGD(0.01), loss={converter.outputs[OUTPUT]: "mse"})
        data = {converter.inputs[INPUT]: X[:, None]}
        target = {converter.outputs[OUTPUT]: np.zeros((4, 1, 3))}
        history = sim.fit(data, target, epochs=2, verbose=0).history
        with tempfile.TemporaryDirectory() as folder:
            sim.save_params(f"{folder}/params")
            sim.load_params(f"{folder}/params")
        return history["loss"]


@fact
def starts():
    return repr(nengo.SpikingRectifiedLinear.state["voltage"])


@fact
def neurons():
    curves = {}
    current = np.linspace(-2, 5, 15)
    gain, bias = np.ones(15), np.zeros(15)
    for name, neuron in (("SoftLIFRate", nengo_dl.SoftLIFRate()),):
        curves[name] = neuron.rates(current, gain, bias).ravel().tolist()
    slope = nengo_dl.SpikingLeakyReLU()
    return {"curves": curves, "sigma": nengo_dl.SoftLIFRate().sigma, "slope": slope.negative_slope}


@fact
def wrapped():
    with nengo.Network() as network:
        node = nengo_dl.TensorNode(tf.tanh, shape_in=(3,), shape_out=(3,), pass_time=False)
        nengo_dl.Layer(tf.keras.layers.Dense(2))(node)
    return len(network.all_nodes)


@fact
def simulator_of_a_model():
    with nengo.Network(seed=0) as network:
        ensemble = nengo.Ensemble(20, 1)
        probe = nengo.Probe(ensemble, synapse=0.02)
    with nengo_dl.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(100)
        return list(sim.data[probe].shape)


@fact
def spiking_activation():
    found = defaults(keras_spiking.SpikingActivation.__init__)
    layer = keras_spiking.SpikingActivation("relu", dt=0.01, spiking_aware_training=False)
    out = layer(np.full((1, 500, 3), 20.0, np.float32))
    return {"defaults": found, "rate": float(np.mean(out))}


@fact
def filters():
    step = np.ones((1, 50, 1), np.float32)
    made = {"Lowpass": keras_spiking.Lowpass, "Alpha": keras_spiking.Alpha}
    return {n: np.ravel(f(0.01, dt=0.001)(step)).tolist() for n, f in made.items()}


@fact
def regularizer():
    rule = keras_spiking.regularizers.L2(target=(10, 20))
    return [float(np.ravel(rule(np.full((1, 1), v, np.float32)))[0]) for v in (5.0, 15.0, 25.0)]


@fact
def energy():
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        keras_spiking.ModelEnergy(MODEL, example_data=np.ones((32, 6))).summary(
            columns=("name", "energy cpu", "energy loihi"), print_warnings=False
        )
    return stream.getvalue()


@fact
def scheduler():
    return list(inspect.signature(keras_spiking.callbacks.DtScheduler).parameters)


FOUND = {}
for name, function in FACTS.items():
    try:
        FOUND[name] = {"value": function()}
    except Exception as error:  # told to whoever asks for this fact
        FOUND[name] = {"error": f"{type(error).__name__}: {error}"[:500]}
print()
print(json.dumps(FOUND))
