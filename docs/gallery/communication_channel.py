"""Communication channel: a value passes from one population to the next.

Neurons of `a` spike for a changing value. Decoders read the value from their spikes; encoders give
it to `b`. The value in `b` is delayed by the synapses and carries the noise of the spikes.
"""

import spikewright as sw
from spikewright.report import figures

with sw.Network(seed=0) as net:
    stimulus = sw.Node(sw.processes.WhiteSignal(period=2.0, high=3.0, rms=0.4))
    a, b = sw.Ensemble(200, 1), sw.Ensemble(200, 1)
    sw.Connection(stimulus, a, synapse=None)
    sw.Connection(a, b, synapse=0.005)
    decoded = sw.Probe(b, synapse=0.02)
    passed_on = sw.Node(size_in=1)
    sw.Connection(stimulus, passed_on, synapse=0.005)
    ideal = sw.Probe(passed_on, synapse=0.02)
with sw.Simulator(net) as sim:
    sim.run(2.0)

info = figures.decoded_info(sim.trange(), sim.data[decoded], sim.data[ideal], settled=0.1)
print(f"RMS error {info.rms:.3f} (at most 0.03)")
figure = figures.draw(info)
