"""NengoDL: the source network converted from Keras, spikes of `SpikingRectifiedLinear`.

That neuron throws negative current away at every step, so it is not the integrate-and-fire neuron
of the others; the check says so. It needs a TensorFlow of its time, hence usually another Python.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from benchmarks.network import Conv, Dense, Flatten, Pool, Weighted, Workload
from benchmarks.peer.base import Contestant, Layout, Outcome, Runner


class NengoDl(Runner):
    """`Simulator.predict` over all steps, channels last."""

    def __init__(self, work: Workload, layout: Layout) -> None:
        import nengo
        import nengo_dl
        import tensorflow as tf

        threads = int(os.environ["OMP_NUM_THREADS"])
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        model, spiking = _keras(work, tf.keras)
        neuron = nengo.SpikingRectifiedLinear(initial_state={"voltage": nengo.dists.Choice([0])})
        converter = nengo_dl.Converter(model, swap_activations={tf.keras.activations.relu: neuron})
        with converter.net:
            nengo_dl.configure_settings(keep_history=True)
            probes = [nengo.Probe(converter.layers[layer]) for layer in spiking]
            for probe in probes:
                converter.net.config[probe].keep_history = True
        self.simulator = nengo_dl.Simulator(
            converter.net, dt=1.0, minibatch_size=work.batch, progress_bar=False
        )
        x = work.x.transpose(0, 2, 3, 1) if work.convolutional else work.x
        x = np.tile(x.reshape(work.batch, 1, -1), (1, work.steps, 1))
        self.data = {converter.inputs[model.input]: x}
        self.output, self.probes = converter.outputs[model.output], probes

    def run(self) -> Any:
        return self.simulator.predict(self.data)[self.output].sum(axis=1)

    def outcome(self) -> Outcome:
        found = self.simulator.predict(self.data)
        outputs = found[self.output].sum(axis=1, dtype=np.float64)
        return Outcome(outputs, tuple(float(found[p].sum(dtype=np.float64)) for p in self.probes))


def _keras(work: Workload, keras: Any) -> tuple[Any, list[Any]]:
    """The source network in Keras, and the values that neurons compute."""
    shape = work.x.shape[1:]
    channels_last = (*shape[1:], shape[0]) if work.convolutional else shape
    value = source = keras.Input(channels_last)
    spiking = []
    flat = None  # of what was flattened: for each value its place in channels-first order
    for layer in work.layers:
        activation = None if layer is work.last else "relu"
        match layer:
            case Conv(weight, bias, stride, padding):
                mode = "same" if padding else "valid"
                made = keras.layers.Conv2D(
                    len(weight), weight.shape[2:], stride, mode, activation=activation
                )
                kernel = weight.transpose(2, 3, 1, 0)
            case Dense(weight, bias):
                made = keras.layers.Dense(len(weight), activation=activation)
                kernel = weight.T
                if flat is not None:
                    kernel, flat = kernel[flat], None
            case Pool(size):
                made = keras.layers.AveragePooling2D(size)
            case Flatten():
                made = keras.layers.Flatten()
                height, width, channels = value.shape[1:]
                first = np.arange(height * width * channels).reshape(channels, height, width)
                flat = first.transpose(1, 2, 0).reshape(-1)
        value = made(value)
        if isinstance(layer, Weighted):
            made.set_weights([kernel, bias])
            if layer is not work.last:
                spiking.append(value)
    return keras.Model(source, value), spiking


def contestants() -> list[Contestant]:
    """Its converter, as its documentation uses it."""
    return [Contestant("NengoDL, predict", "peer", "many", NengoDl)]
