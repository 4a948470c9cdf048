"""A network in Spikewright: `GridLIF` neurons, and sparse connections with delays by synapse."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.neurons.description import Model, Wiring, kick

LABEL = "Spikewright"
_BLOCK = 500  # steps that are recorded before their spikes are listed


class Simulation:
    """The network, ready to run; `recorded` says whether spikes are kept."""

    def __init__(self, model: Model, recorded: bool) -> None:
        self._spikes: list[tuple[NDArray, NDArray]] = []
        self.network, neurons = made(model)
        self._probe = None
        if recorded:
            with self.network:
                self._probe = sw.Probe(neurons, "spike_count")
        self.simulator = sw.Simulator(self.network, model.dt, progress=False, threads=1)

    def run(self, steps: int) -> None:
        """Some steps more."""
        while self._probe is not None and steps > _BLOCK:
            self._recorded(_BLOCK)
            steps -= _BLOCK
        self._recorded(steps)

    def _recorded(self, steps: int) -> None:
        first = self.simulator.n_steps
        self.simulator.run_steps(steps)
        if self._probe is not None:
            at, neurons = np.nonzero(self.simulator.data[self._probe])
            self._spikes.append((at + first + 1, neurons))
            self.simulator.clear_probes()

    def spikes(self) -> tuple[NDArray, NDArray]:
        """Steps, from 1, and neurons, from 0, of all spikes so far."""
        steps, neurons = zip(*self._spikes, strict=True)
        return np.concatenate(steps), np.concatenate(neurons)


def made(model: Model) -> tuple[sw.Network, sw.Ensemble]:
    """The network, and its neurons.

    A step's current is constant in Spikewright. Where synaptic currents decay within a step, `gain`
    makes their effect at its end the exact one: equations are linear until a spike. It is that of
    exciting currents; weights of others are scaled.
    """
    with sw.Network(seed=0) as network:
        neurons = sw.Ensemble(
            model.n,
            None,
            neuron_type=sw.GridLIF(model.tau_m, model.tau_ref, -np.inf, amplitude=model.dt),
            gain=_gain(model, model.tau_exc),
            bias=model.drive,
            initial_voltage=model.start,
        )
        if model.tau_exc == model.tau_inh:  # one current does
            _connect(neurons, model, model.wiring, model.tau_exc, model.noisy)
        else:
            for sign, tau in ((1.0, model.tau_exc), (-1.0, model.tau_inh)):
                part = model.wiring.part(sign * model.wiring.weights > 0.0)
                _connect(neurons, model, part, tau, model.noisy and sign > 0.0)
    return network, neurons


def _gain(model: Model, tau: float) -> float:
    """The constant current that does in a step what one does that begins at 1 and decays."""
    low_pass = -math.expm1(-model.dt / tau)  # what a filter adds of what arrives
    return kick(model.tau_m, tau, model.dt) / -math.expm1(-model.dt / model.tau_m) / low_pass


def _connect(neurons: sw.Ensemble, model: Model, wiring: Wiring, tau: float, noisy: bool) -> None:
    """The synapses of one current; where it is `noisy`, it sums spikes from outside, too."""
    scale = _gain(model, tau) / _gain(model, model.tau_exc)
    size = (model.n,), model.n
    weights = sw.Sparse(wiring.targets, wiring.senders, scale * wiring.weights, *size)
    delays = np.unique(wiring.delays)
    delay = model.dt * (float(delays[0]) if len(delays) == 1 else wiring.delays)
    if not noisy:
        sw.Connection(neurons, neurons, tau, weights, delay=delay)
        return
    arriving = sw.Node(size_in=model.n)
    sw.Connection(neurons, arriving, None, weights, delay=delay)
    height = model.dt * model.background_weight
    outside = sw.processes.PoissonSpikes(model.background, amplitude=height)
    sw.Connection(sw.Node(outside, size_out=model.n), arriving, None)
    sw.Connection(arriving, neurons.neurons, tau)
