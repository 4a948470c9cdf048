"""Product: the product of two values is decoded from the population that represents both.

Decoders are solved for the given `function=`. Encoders along the diagonals suit a product, as `x y
= ((x + y)^2 - (x - y)^2) / 4`.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures

with sw.Network(seed=0) as net:
    x, y = sw.Node(lambda t: np.sin(5 * t)), sw.Node(lambda t: np.cos(3 * t))
    diagonals = sw.distributions.Choice([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    both = sw.Ensemble(400, 2, radius=np.sqrt(2), encoders=diagonals)
    sw.Connection(x, both[0], synapse=None)
    sw.Connection(y, both[1], synapse=None)
    product = sw.Node(size_in=1)
    sw.Connection(both, product, function=lambda v: v[0] * v[1], synapse=0.02)
    decoded = sw.Probe(product)
    exact = sw.Node(lambda t: np.sin(5 * t) * np.cos(3 * t))
    ideal = sw.Probe(exact, synapse=0.02)
with sw.Simulator(net) as sim:
    sim.run(2.0)

info = figures.decoded_info(sim.trange(), sim.data[decoded], sim.data[ideal], settled=0.1)
print(f"RMS error {info.rms:.3f} (at most 0.05)")
figure = figures.draw(info)
