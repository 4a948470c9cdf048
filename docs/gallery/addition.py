"""Addition: a population that receives two values represents their sum.

A sum needs no part of its own: the inputs of a population are added.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures

with sw.Network(seed=0) as net:
    slow = sw.Node(lambda t: 0.5 * np.sin(4 * t))
    fast = sw.Node(lambda t: 0.3 * np.sin(15 * t))
    a, b = sw.Ensemble(150, 1), sw.Ensemble(150, 1)
    total = sw.Ensemble(150, 1)
    sw.Connection(slow, a, synapse=None)
    sw.Connection(fast, b, synapse=None)
    sw.Connection(a, total, synapse=0.005)
    sw.Connection(b, total, synapse=0.005)
    decoded = sw.Probe(total, synapse=0.02)
    exact = sw.Node(size_in=1)
    sw.Connection(slow, exact, synapse=0.005)
    sw.Connection(fast, exact, synapse=0.005)
    ideal = sw.Probe(exact, synapse=0.02)
with sw.Simulator(net) as sim:
    sim.run(2.0)

info = figures.decoded_info(sim.trange(), sim.data[decoded], sim.data[ideal], settled=0.1)
print(f"RMS error {info.rms:.3f} (at most 0.03)")
figure = figures.draw(info)
