"""Basal ganglia: the largest of several competing values passes.

Each of three actions is worth most for a third of the time. The basal ganglia inhibit all but the
best one; the thalamus shows the choice.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures


def utilities(t):
    """One action is worth 0.8, the others 0.5 and 0.3, in turn."""
    return np.roll([0.8, 0.5, 0.3], int(t / 0.5))


with sw.Network(seed=0) as net:
    worth = sw.Node(utilities)
    ganglia, thalamus = sw.networks.BasalGanglia(3), sw.networks.Thalamus(3)
    sw.Connection(worth, ganglia.input, synapse=None)
    sw.Connection(ganglia.output, thalamus.input, synapse=0.008)
    chosen, best = sw.Probe(thalamus.output, synapse=0.02), sw.Probe(worth)
with sw.Simulator(net) as sim:
    sim.run(1.5)

time = sim.trange()
settled = (time % 0.5 > 0.15) & (time % 0.5 < 0.499)
right = sim.data[chosen].argmax(1) == sim.data[best].argmax(1)
print(f"the best action was chosen in {right[settled].mean():.3f} of the time (at least 0.97)")
wanted = np.eye(3)[sim.data[best].argmax(1)]
info = figures.decoded_info(time, sim.data[chosen], wanted, ("first", "second", "third"))
figure = figures.draw(info)
