"""A trained network in a model by hand: it reads digits, and an integrator adds them up.

A converted convolutional network sees six images, one after the other. A node takes the largest of
its ten outputs. That number drives an integrator of spiking neurons.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures
from spikewright.showing.demo import MODEL, held_out

tau, seconds = 0.1, 0.25
images, labels = held_out()
shown = [int(np.flatnonzero(labels == d)[n]) for n, d in enumerate([3, 1, 4, 1, 5, 9])]
neurons = {"relu": sw.SpikingRectifiedLinear()}  # they owe nothing to what was shown before
classifier = sw.convert(MODEL, spiking=neurons, scale_firing_rates=20.0, synapse=0.005)
(eye,), (logits,) = classifier.inputs.values(), classifier.outputs.values()
with sw.Network(seed=0) as net:
    net.add(classifier.network)
    screen = sw.processes.PresentInput(images[shown], seconds)
    sw.Connection(sw.Node(screen, size_out=eye.shape_out), eye, synapse=None)
    digit = sw.Node(lambda t, x: float(x.argmax()), size_in=10, label="which digit")
    sw.Connection(logits, digit, synapse=0.02)
    total = sw.Ensemble(1000, 1, radius=40)
    sw.Connection(digit, total, transform=tau / seconds, synapse=tau)
    sw.Connection(total, total, synapse=tau)
    decoded = sw.Probe(total, synapse=0.03)
with sw.Simulator(net) as sim:
    sim.run(len(shown) * seconds)

exact = np.cumsum(np.repeat(labels[shown], 250)) / 250
info = figures.decoded_info(sim.trange(), sim.data[decoded], exact, ("sum",))
print(f"{' + '.join(map(str, labels[shown]))} = {sim.data[decoded][-1, 0]:.1f}")
print(f"off by {abs(sim.data[decoded][-1, 0] - labels[shown].sum()):.2f} (at most 2)")
figure = figures.draw(info)
