"""Times of spikes, from what probes of neurons recorded."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.operators import Neurons
from spikewright.engines.program import Program, Recording
from spikewright.errors import SimulationError
from spikewright.network import NeuronsView, Probe


def spike_times(
    program: Program, probe: Probe, recorded: NDArray, steps: int
) -> list[list[NDArray]]:
    """Times in seconds of a probe's spikes, for every sample a list with an array a neuron.

    `recorded` are the last steps of `steps`, `(batch, recorded steps, *shape)`. Raises
    `SimulationError` for a probe that did not record spikes, or not those of every step.
    """
    recording, neurons = _of_spikes(program, probe)
    batch, kept, *shape = recorded.shape
    counts = np.rint(recorded / recording.factor).reshape(batch, kept, math.prod(shape))
    numbers = np.arange(steps - kept + 1, steps + 1)
    sent = np.rint(_sent(neurons, counts, numbers)).astype(np.int64)
    ends = numbers * program.dt
    return [[np.repeat(ends, of_neuron) for of_neuron in sample.T] for sample in sent]


def _of_spikes(program: Program, probe: Probe) -> tuple[Recording, Neurons]:
    """The recording of a probe, and the population whose spikes it records."""
    recording = next(one for one in program.recordings if one.probe is probe)
    found = [
        op
        for op in program.operators
        if isinstance(op, Neurons)
        and isinstance(probe.obj, NeuronsView)
        and op.ensemble is probe.obj.ensemble
        and op.neuron_type.spiking
    ]
    if not found or probe.attr not in ("output", "spike_count") or probe.synapse is not None:
        raise SimulationError(
            f"{probe!r} does not record spikes: probe the neurons of a spiking type, "
            "Probe(ensemble.neurons), without a synapse"
        )
    if recording.every != 1:
        raise SimulationError(
            f"{probe!r} records one step of {recording.every}, so that spikes between them are "
            "missing: leave sample_every out"
        )
    return recording, found[0]


def _sent(neurons: Neurons, counts: NDArray, numbers: NDArray) -> NDArray:
    """Spikes of either sign that were sent, of counts `(batch, steps, neurons)`.

    In the first steps after a start, some types leave out a spike or send it with another height.
    """
    kind = neurons.neuron_type
    sent = np.abs(counts)
    since = numbers if neurons.restart is None else (numbers - 1) % neurons.restart + 1
    special = max(len(kind.assumed), len(kind.spike_heights))
    for place in np.flatnonzero(since <= special):
        sent[:, place] = kind.sent_in(int(since[place]), counts[:, place])
    return sent
