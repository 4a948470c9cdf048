"""Tuning curves: the firing rate of each neuron of a population, for each value.

Half of the neurons prefer values above zero, half values below. Thresholds and maximum rates are
drawn at random. Decoders are weights with which the curves add up to a function.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures

with sw.Network(seed=0) as net:
    a, square = sw.Ensemble(60, 1), sw.Node(size_in=1)
    connection = sw.Connection(a, square, function=np.square)
sim = sw.Simulator(net)

_, wanted, decoded = sw.curves.decoded_function(sim, connection, np.linspace(-1, 1, 101))
print(f"RMS error of the square {np.sqrt(np.mean((wanted - decoded) ** 2)):.4f} (at most 0.03)")
figure = figures.draw(figures.tuning_curves_info(*sw.curves.tuning_curves(sim, a)))
