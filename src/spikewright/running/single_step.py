"""Single-step networks: all T steps in one, exactly, as if every spike were on time.

What is sent in T steps of constant input is a whole number of spikes, whenever they come. So one
step as long as all T, in which as many spikes may be sent as in all of them, loses what rounding
and the cap lose, and nothing to timing. Its cost is that of one step. Law: neurons that follow the
sum of their currents, without a cap, send after T steps exactly what the twin sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright.engines import Precision, Totals
from spikewright.lower import Lowered
from spikewright.network import Ensemble, Node
from spikewright.network.ensemble import NAMED_VOLTAGES
from spikewright.network.neurons import TOLERANCE
from spikewright.running.inputs import Encoded, Feeds
from spikewright.running.runner import RunJob, Runner


def rounded(lowered: Lowered, steps: int) -> Lowered | None:
    """The single-step network that rounds as a run of so many steps would without timing errors.

    None where there is no such network: of rate neurons, of those whose spikes do not follow the
    mean of their current, of populations made by hand, and with synapses or delays, but those
    between layers that start one after the other.
    """
    if not _is_rounded(lowered):
        return None
    shared = {id(c.transform): c.transform for c in lowered.network.all_connections}
    twin = deepcopy(lowered, shared)
    for node in twin.network.all_nodes:
        node.at_once = max(1.0, node.at_once / steps)  # in steps of the twin
        node.once = False
    for ensemble in twin.network.all_ensembles:
        _hold(ensemble, steps)
    if lowered.times is not None:  # of digits: nothing waits for anything
        twin.network.dt = None
        for connection in twin.network.all_connections:
            connection.delay = 0.0
    return twin


def _is_rounded(lowered: Lowered) -> bool:
    network, layers = lowered.network, lowered.layers.values()
    known = {id(item) for item in layers}
    waits = lowered.times is None and any(np.any(c.delay) for c in network.all_connections)
    return (
        lowered.stepping is None
        and bool(network.all_ensembles)
        and all(id(e) in known and _follows(e) for e in network.all_ensembles)
        and not (waits or any(c.synapse is not None for c in network.all_connections))
    )


def _follows(ensemble: Ensemble) -> bool:
    kind = ensemble.neuron_type
    alone = ensemble.noise is None or ensemble.step_biases is not None
    return kind.spiking and kind.rate_consistent and not kind.integer_charge and alone


def _hold(ensemble: Ensemble, steps: int) -> None:
    """Give a population in one step what it has in `steps` of them: their cap, and their biases."""
    if ensemble.neuron_type.sends_digits:  # which no spike fires early
        ensemble.initial_voltage = NAMED_VOLTAGES["half"] - TOLERANCE
    if ensemble.step_biases is not None:
        ensemble.bias = ensemble.bias + ensemble.mean_step_bias(steps)
        ensemble.noise = None
    ensemble.neuron_type = ensemble.neuron_type.in_one_step(steps)


class StepAnswers(NamedTuple):
    """Answers of a network without time: values `{output: (samples, *shape)}`, active neurons.

    `active` is the number of neurons of each sample whose value is not 0, `(samples,)`.
    """

    outputs: Mapping[str, NDArray]
    active: NDArray


class SingleStepNetwork:
    """A network that answers in one step of `dt` seconds, on an exact engine."""

    def __init__(
        self, lowered: Lowered, dt: float, seed: int, precision: Precision, threads: int | None
    ) -> None:
        self._runner = Runner(lowered)
        self._program = self._runner.program(dt, seed, precision)
        name = "native" if "native" in engines.available() else "reference"
        self._engine = self._runner.engine(name, self._program, threads)

    def answers(self, feeds: Feeds, names: Mapping[Node, str]) -> StepAnswers:
        """The answers to the values fed to the inputs of these names.

        It knows no time: it answers the mean over the steps of an input that changes,
        and the values themselves that an encoder makes spikes of.
        """
        lowered = self._runner.lowered
        fed = {lowered.inputs[names[node]]: held(value) for node, value in feeds.values.items()}
        job = RunJob(self._program, self._engine, fed, feeds.batch, 1)
        size = self._runner.batch_size(self._engine)
        found = list(self._runner.parts(job, size, _active))
        raw = {n: np.concatenate([part.raw[n][:, 0] for part in found]) for n in found[0].raw}
        outputs = {
            name: lowered.readouts[name].evaluate(value) if name in lowered.readouts else value
            for name, value in raw.items()
        }
        return StepAnswers(outputs, np.concatenate([part.counted[1] for part in found]))


def _active(step: int, totals: Mapping[str, Totals], fed: Mapping[Node, NDArray]) -> NDArray:
    """The number of neurons of each sample that send anything."""
    none = np.zeros(len(next(iter(fed.values()))), np.int64)
    sent = (np.count_nonzero(t.sent.reshape(len(t.sent), -1), axis=1) for t in totals.values())
    return sum(sent, none)


def held(fed: NDArray | Encoded) -> NDArray:
    """The input as one step, `(samples, 1, *shape)`: its mean over the steps."""
    if isinstance(fed, Encoded):
        if fed.plain:
            return np.asarray(fed.samples, np.float64)[:, None]
        rows = [fed[i : i + 1].mean(axis=1, keepdims=True) for i in range(len(fed.samples))]
        return np.concatenate(rows)
    return fed if fed.shape[1] == 1 else fed.mean(axis=1, keepdims=True)
