"""Two dimensions: a population with directions as encoders represents a point in a plane.

The point moves in a circle, and the decoded point follows it.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures

with sw.Network(seed=0) as net:
    circle = sw.Node(lambda t: 0.8 * np.array([np.cos(6 * t), np.sin(6 * t)]))
    plane = sw.Ensemble(300, 2)
    sw.Connection(circle, plane, synapse=None)
    decoded = sw.Probe(plane, synapse=0.02)
    ideal = sw.Probe(circle, synapse=0.02)
with sw.Simulator(net) as sim:
    sim.run(1.2)

late = sim.trange() > 0.15
found, wanted = sim.data[decoded][late], sim.data[ideal][late]
error = np.sqrt(np.mean((found - wanted) ** 2))
print(f"RMS error {error:.3f} (at most 0.03)")
figure = figures.draw(figures.path_info(found, wanted, ("first value", "second value")))
