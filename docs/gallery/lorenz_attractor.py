"""Lorenz attractor: a chaotic system as one population with a loop.

The path depends on the smallest differences. Its statistics do not: the mean of the third value is
about 23.6 from any start.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures

tau = 0.1


def feedback(v):
    """The Lorenz equations, the third value measured from 28."""
    x, y, z = v
    slope = np.array([10 * (y - x), -x * z - y, x * y - 8 / 3 * (z + 28)])
    return v + tau * slope


with sw.Network(seed=1) as net:
    state = sw.Ensemble(2000, 3, radius=35)
    sw.Connection(state, state, function=feedback, synapse=tau)
    decoded = sw.Probe(state, synapse=tau / 5)
with sw.Simulator(net) as sim:
    sim.run(8.0)

path = sim.data[decoded][500:]
far = path[np.abs(path[:, 0]) > 5, 0]
wings = np.count_nonzero(np.diff(np.sign(far)))
print(f"it changed wings {wings} times; the third value's mean is {path[:, 2].mean() + 28:.1f}")
print(f"off by {abs(path[:, 2].mean() + 28 - 23.6):.2f} (at most 2)")
figure = figures.draw(figures.path_info(path[:, [0, 2]] + [0, 28], None, ("x", "z")))
