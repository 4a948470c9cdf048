"""The rounded twin: the spiking network as if all spikes were on time.

What is sent in T steps of constant input is a whole number of spikes, whenever they come. So one
step as long as all T, in which as many spikes may be sent as in all of them, loses what rounding
and the cap lose, and nothing to timing. Its cost is that of one step. Law: neurons that follow the
sum of their currents, without a cap, send after T steps exactly what the twin sends.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np

from spikewright.lower import Lowered
from spikewright.network import Ensemble
from spikewright.network.neurons import BipolarIntegrateAndFire


def rounded(lowered: Lowered, steps: int) -> Lowered | None:
    """The network whose one step of `steps` times the length is the twin of so many steps.

    None where there is no such network: of rate neurons, of those whose spikes do not follow the
    mean of their current, of populations made by hand, and with synapses or delays.
    """
    if not _is_rounded(lowered):
        return None
    shared = {id(c.transform): c.transform for c in lowered.network.all_connections}
    twin = deepcopy(lowered, shared)
    for node in twin.network.all_nodes:
        node.at_once = max(1.0, node.at_once / steps)  # in steps of the twin
    for ensemble in twin.network.all_ensembles:
        _hold(ensemble, steps)
    return twin


def _is_rounded(lowered: Lowered) -> bool:
    network, layers = lowered.network, lowered.layers.values()
    known = {id(item) for item in layers}
    return (
        lowered.stepping is None
        and bool(network.all_ensembles)
        and all(id(e) in known and _follows(e) for e in network.all_ensembles)
        and not any(c.synapse is not None or np.any(c.delay) for c in network.all_connections)
    )


def _follows(ensemble: Ensemble) -> bool:
    kind = ensemble.neuron_type
    alone = ensemble.noise is None or ensemble.step_biases is not None
    return kind.spiking and kind.follows_mean and not kind.rounds_charge and alone


def _hold(ensemble: Ensemble, steps: int) -> None:
    """Give a population in one step what it has in `steps` of them: their cap, and their biases.

    Where the last spike has a height, multiples of that are said.
    """
    kind, biases = ensemble.neuron_type, ensemble.step_biases
    most, last = kind.most_in(steps), kind.height_at(steps)
    if isinstance(kind, BipolarIntegrateAndFire):
        kind = replace(kind, assumed_spikes=0, spike_heights=(last,) if last > 1 else ())
    if most is not None:
        kind = replace(kind, max_spikes_per_step=most // last)  # type: ignore[call-arg]
    ensemble.neuron_type = kind
    if biases is not None:
        ensemble.noise = None
        ensemble.bias = ensemble.bias + biases[:steps].sum(axis=0) / steps
