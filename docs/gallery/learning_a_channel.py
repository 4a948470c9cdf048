"""PES: decoders that begin at zero learn from their error to pass a value on.

The error, decoded value minus target, goes to the learning rule of the connection.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures

with sw.Network(seed=0) as net:
    stimulus = sw.Node(lambda t: np.sin(2 * np.pi * t))
    pre, post, error = (sw.Ensemble(200, 1) for _ in range(3))
    sw.Connection(stimulus, pre)
    learned = sw.Connection(
        pre, post, solver=sw.solvers.NoSolver(), learning_rule_type=sw.PES(learning_rate=3e-4)
    )
    sw.Connection(post, error)
    sw.Connection(pre, error, transform=-1)
    sw.Connection(error, learned.learning_rule)
    decoded, ideal = sw.Probe(post, synapse=0.02), sw.Probe(pre, synapse=0.02)
with sw.Simulator(net) as sim:
    sim.run(4.0)

info = figures.decoded_info(sim.trange(), sim.data[decoded], sim.data[ideal], settled=3.0)
before = np.sqrt(np.mean((sim.data[decoded] - sim.data[ideal])[:250] ** 2))
print(f"RMS error {before:.2f} in the first quarter of a second")
print(f"RMS error {info.rms:.3f} in the last second (at most 0.12)")
figure = figures.draw(info)
