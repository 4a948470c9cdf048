"""Helpers of the modelling tests: one population driven by currents, on the reference engine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

import spikewright as sw


class Driven(NamedTuple):
    """What a driven population did: `(steps, n)` arrays, and its initial voltage `(n,)`."""

    output: NDArray
    counts: NDArray | None
    voltage: NDArray | None
    start: NDArray


def drive(
    neuron_type: sw.NeuronType,
    currents: ArrayLike,
    *,
    steps: int | None = None,
    dt: float = 0.001,
    scale: float = 1.0,
    start: str | ArrayLike = "zero",
    gain: float = 1.0,
    bias: float = 0.0,
    seed: int = 0,
    precision: sw.engines.Precision = "float64",
) -> Driven:
    """Run neurons on currents `(n,)`, held for `steps`, or `(steps, n)`."""
    values = np.atleast_1d(np.asarray(currents, np.float64))
    n = values.shape[-1]
    with sw.Network(seed=seed) as net:
        stimulus = sw.Node(np.zeros(n))
        ensemble = sw.Ensemble(
            n,
            neuron_type=neuron_type,
            gain=gain,
            bias=bias,
            rate_scale=scale,
            initial_voltage=start,
        )
        sw.Connection(stimulus, ensemble.neurons, synapse=None)
        output = sw.Probe(ensemble.neurons)
        counts = sw.Probe(ensemble.neurons, "spike_count") if neuron_type.spiking else None
        voltage = sw.Probe(ensemble.neurons, "voltage") if neuron_type.has_voltage else None
    with sw.Simulator(net, dt=dt, engine="reference", precision=precision) as sim:
        sim.run_steps(len(values) if steps is None else steps, {stimulus: values})
    return Driven(
        sim.data[output],
        None if counts is None else sim.data[counts],
        None if voltage is None else sim.data[voltage],
        np.asarray(sim.data[ensemble].initial_voltage),
    )


def spike_steps(neuron_type: sw.NeuronType, current: float, steps: int, dt: float) -> list[int]:
    """Steps, counted from 1, at which one neuron fires on a constant current from v = 0."""
    output = drive(neuron_type, [current], steps=steps, dt=dt).output
    return [int(i) + 1 for i in np.flatnonzero(output[:, 0])]
