"""Net spike counts: of neurons that take spikes back, spikes above zero less those below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright.conversion.runner import Runner
from spikewright.engines import Execution
from spikewright.measure import Run
from spikewright.network import Network, Probe
from spikewright.network.network import detached
from spikewright.network.synapses import LinearFilter

if TYPE_CHECKING:
    from spikewright.conversion.conversion import Conversion

_SUM = LinearFilter((1.0,), (1.0, -1.0), analog=False)
"""`y_t = y_(t-1) + u_t`: as a probe's synapse, the sum of what came until the step before."""


def sums(
    conversion: Conversion, inputs: Mapping[str, NDArray], run: Run, threads: int | None
) -> dict[str, NDArray]:
    """What each population has sent in a run, `{layer: (batch, *shape)}`.

    Net spike counts; of rate neurons the sum over steps of their rate. A run's own totals count
    spikes of either sign, so that where there are both the network is run once more.
    """
    found = {name: population.totals for name, population in run.populations.items()}
    populations = conversion.populations()
    signed = {name: e for name, e in populations.items() if e.neuron_type.negative}
    if not signed:
        return found
    with detached(), Network():
        probes = [
            Probe(
                ensemble.neurons,
                "spike_count" if ensemble.neuron_type.spiking else "output",
                synapse=_SUM,
                sample_every=(run.steps + 1) * run.dt,
            )
            for ensemble in signed.values()
        ]
    seed = run.record["seed"]
    program = engines.compile_network(conversion.network, run.dt, seed, "float32", probes)
    engine = engines.get(run.record["engine"], program, threads)
    size, batch = Runner(conversion.lowered).batch_size(), run.record["batch"]
    parts: dict[str, list[NDArray]] = {name: [] for name in signed}
    for start in range(0, batch, size):
        feeds = {
            conversion.inputs[name]: values[start : start + size, None]
            for name, values in inputs.items()
        }
        execution = Execution(program, engine, min(size, batch - start))
        for name, kept in zip(signed, execution.run(run.steps + 1, feeds, last=True), strict=True):
            parts[name].append(kept[:, 0].astype(np.float64))
    return {**found, **{name: np.concatenate(kept) for name, kept in parts.items()}}
