"""Runs dense layers of rectified neurons in nengo-loihi's emulator: FILE.npz -> spikes, FILE.npz.

It runs in an environment of nengo-loihi, without this project. nengo-loihi chooses the whole
numbers of a layer: its largest weight becomes 255 x 64, and without weights its largest bias
4095 x 128. One more neuron has that weight or bias, and nothing hears it: so whole numbers that
are given stay as they are, where weights are multiples of 128 up to 127 x 128.
"""

import sys

import nengo
import nengo_loihi
import numpy as np

WEIGHT, BIAS = 255 * 64, 4095 * 128


def population(threshold, bias):
    """Neurons that integrate `bias` in each step, as parts of a threshold."""
    return nengo.Ensemble(
        len(bias), 1, neuron_type=nengo_loihi.neurons.LoihiSpikingRectifiedLinear(),
        gain=np.ones(len(bias)), bias=bias / threshold / 0.001, encoders=np.ones((len(bias), 1)),
    )  # fmt: skip


def with_scale(weight):
    """Weights `(receivers, senders)` with those of the neurons that nothing hears."""
    larger = np.pad(weight.T.astype(float), ((0, 1), (0, 1)))
    larger[-1, -1] = WEIGHT
    return larger


def main(path):
    """`threshold`, `bias` and `weight` of each layer, as whole numbers, and `steps`."""
    given, probes, sender = dict(np.load(path)), [], None
    with nengo.Network() as net:
        for i in range(int(given["layers"])):
            threshold, bias = float(given[f"threshold{i}"]), given[f"bias{i}"].astype(float)
            layer = population(threshold, np.append(bias, 0.0 if i else BIAS))
            if i:
                weight = with_scale(given[f"weight{i}"]) / threshold
                nengo.Connection(sender.neurons, layer.neurons, transform=weight, synapse=None)
            probes.append(nengo.Probe(layer.neurons))
            sender = layer
    with nengo_loihi.Simulator(net, target="sim", progress_bar=False) as sim:
        sim.run_steps(int(given["steps"]))
        found = {f"spikes{i}": sim.data[p][:, :-1] > 0 for i, p in enumerate(probes)}
    np.savez(path, **found)


main(sys.argv[1])
