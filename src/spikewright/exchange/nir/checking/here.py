"""This project's own run of a NIR file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.exchange.nir.checking.process import Heard, Job
from spikewright.exchange.nir.checking.wiring import Wiring
from spikewright.network import Ensemble, Probe
from spikewright.simulator import Simulator

_BATCH = 64


def run_here(network: Any, wiring: Wiring, job: Job) -> Heard:
    """Counts of every layer and mean outputs of a file's network, as `load` reads it."""
    (given,), (taken,) = network.inputs.values(), network.outputs.values()
    with network:
        output = Probe(taken)
        layers = {
            name: Probe(_layer(network.layers, name, wiring.nodes[name]).neurons, "spike_count")
            for name in wiring.spiking
        }
    parts: dict[str, list[NDArray]] = {name: [] for name in layers}
    outputs = []
    for first in range(0, len(job.x), _BATCH):
        x = np.asarray(job.x[first : first + _BATCH], np.float64)
        simulator = Simulator(
            network, job.dt, batch_size=len(x), precision="float64", progress=False
        )
        simulator.run_steps(job.steps, {given: x})
        outputs.append(simulator.data[output].mean(1))
        for name, probe in layers.items():
            parts[name].append(simulator.data[probe].sum(1))
    counts = {name: np.concatenate(found) for name, found in parts.items()}
    return Heard("done", counts=counts, output=np.concatenate(outputs))


def _layer(layers: dict[str, Ensemble], name: str, node: Any) -> Ensemble:
    """The neurons of a node, which have the name of the layer that its metadata name."""
    return layers[name] if name in layers else layers[node.metadata["layer"]]
