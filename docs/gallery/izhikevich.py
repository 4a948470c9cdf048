"""Izhikevich neurons: one equation, several firing patterns, and a value decoded from them all.

The parameters make neurons that fire steadily, in bursts or fast. The same encoders and decoders
serve all of them. The upper half of each population prefers values above zero.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures

kinds = {
    "regular": sw.Izhikevich(),
    "bursting": sw.Izhikevich(reset_voltage=-50, reset_recovery=2),
    "fast": sw.Izhikevich(tau_recovery=0.1),
}
with sw.Network(seed=0) as net:
    stimulus = sw.Node(lambda t: np.sin(4 * t))
    total, parts, probes = sw.Node(size_in=1), {}, {}
    for name, kind in kinds.items():
        part = parts[name] = sw.Ensemble(80, 1, neuron_type=kind, max_rates=(40, 80))
        sw.Connection(stimulus, part)
        sw.Connection(part, total, transform=1 / 3, synapse=0.1)
        probes[name] = sw.Probe(part.neurons, "spike_count")
    decoded, ideal = sw.Probe(total), sw.Probe(stimulus, synapse=0.1)
with sw.Simulator(net) as sim:
    sim.run(2.0)

late = sim.trange() > 0.5
error = np.sqrt(np.mean((sim.data[decoded] - sim.data[ideal])[late] ** 2))
print(f"RMS error {error:.3f} (at most 0.2)")
spikes = {name: sim.data[probe] for name, probe in probes.items()}
order = {name: sim.data[part].encoders[:, 0].argsort() for name, part in parts.items()}
figure = figures.draw(figures.spikes_info(spikes, sim.dt, order))
