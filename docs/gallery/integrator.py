"""Integrator: a population with a loop keeps its value and adds its input.

The synapse of the loop has the time constant `tau`; input scaled by `tau` is integrated.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures

tau = 0.1


def pulses(t):
    """Up for 0.3 s, later down for 0.2 s."""
    return 2.0 * (0.2 < t <= 0.5) - 2.0 * (1.0 < t <= 1.2)


with sw.Network(seed=0) as net:
    stimulus = sw.Node(pulses)
    memory = sw.Ensemble(500, 1)
    sw.Connection(stimulus, memory, transform=tau, synapse=tau)
    sw.Connection(memory, memory, synapse=tau)
    decoded = sw.Probe(memory, synapse=0.02)
    ideal = sw.Probe(stimulus)
with sw.Simulator(net) as sim:
    sim.run(2.0)

exact = np.cumsum(sim.data[ideal]) * sim.dt
info = figures.decoded_info(sim.trange(), sim.data[decoded], exact)
print(f"RMS error {info.rms:.3f} (at most 0.06)")
figure = figures.draw(info)
