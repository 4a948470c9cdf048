"""Tuning curves: what each neuron of a population answers to each value.

Half of the neurons prefer what is above zero, half what is below; where they begin to respond and
how fast they get is drawn at random. Decoders weigh these curves so that they add up to a function.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures

with sw.Network(seed=0) as net:
    a, square = sw.Ensemble(60, 1), sw.Node(size_in=1)
    connection = sw.Connection(a, square, function=np.square)
sim = sw.Simulator(net)

_, wanted, decoded = sw.decoded_function(sim, connection, np.linspace(-1, 1, 101))
print(f"RMS error of the square {np.sqrt(np.mean((wanted - decoded) ** 2)):.4f} (at most 0.03)")
figure = figures.draw_curves(figures.tuning_curves_info(*sw.tuning_curves(sim, a)))
