"""A network in Brian 2: equations that are integrated exactly, compiled by Cython."""

from __future__ import annotations

import brian2 as b2
import numpy as np
from numpy.typing import NDArray

from benchmarks.neurons.description import Model, Wiring

LABEL = "Brian 2"
_ONE = """
dv/dt = (drive + current - v) / tau_m : 1 (unless refractory)
dcurrent/dt = -current / tau_exc : 1
drive : 1 (constant)
"""
_TWO = """
dv/dt = (drive + excited + inhibited - v) / tau_m : 1 (unless refractory)
dexcited/dt = -excited / tau_exc : 1
dinhibited/dt = -inhibited / tau_inh : 1
drive : 1 (constant)
"""


class Simulation:
    """The network, ready to run; `recorded` says whether spikes are kept."""

    def __init__(self, model: Model, recorded: bool) -> None:
        b2.prefs.codegen.target = "cython"
        b2.defaultclock.dt = model.dt * b2.second
        self._dt = model.dt
        one = model.tau_exc == model.tau_inh
        self._neurons = self._made(model, _ONE if one else _TWO)
        objects = [self._neurons]
        currents = {1.0: "current", -1.0: "current"} if one else {1.0: "excited", -1.0: "inhibited"}
        for sign, current in currents.items():
            part = model.wiring.part(sign * model.wiring.weights > 0.0)
            if len(part):
                objects.append(self._connected(part, current))
        if model.noisy:
            objects += self._driven(model, currents[1.0])
        self._monitor = b2.SpikeMonitor(self._neurons) if recorded else None
        if self._monitor is not None:
            objects.append(self._monitor)
        self._network = b2.Network(objects)
        self._network.run(0 * b2.second)

    def _made(self, model: Model, equations: str) -> b2.NeuronGroup:
        names = ("tau_m", "tau_exc", "tau_inh")
        neurons = b2.NeuronGroup(
            model.n,
            equations,
            threshold="v > 1",
            reset="v = 0",
            # Brian counts the step of the spike, in which it has been integrated.
            refractory=(model.tau_ref + model.dt) * b2.second,
            method="exact",
            namespace={name: getattr(model, name) * b2.second for name in names},
        )
        neurons.v, neurons.drive = model.start, model.drive
        return neurons

    def _connected(self, wiring: Wiring, current: str) -> b2.Synapses:
        same = np.ptp(wiring.weights) == 0.0
        synapses = b2.Synapses(
            self._neurons,
            self._neurons,
            "" if same else "w : 1 (constant)",
            on_pre=f"{current}_post += {'weight' if same else 'w'}",
            namespace={"weight": float(wiring.weights[0])},
        )
        synapses.connect(i=wiring.senders, j=wiring.targets)
        if not same:
            synapses.w = wiring.weights
        delays = wiring.delays * self._dt * b2.second
        synapses.delay = delays[0] if np.ptp(wiring.delays) == 0 else delays
        return synapses

    def _driven(self, model: Model, current: str) -> list[b2.PoissonInput]:
        """A binomial number of spikes a step: so many senders of so many spikes a second."""
        made = []
        for _, place in model.populations:
            rate = float(model.background[place][0])
            senders = max(1, round(rate / 8.0))
            part, each = self._neurons[place], rate / senders * b2.Hz
            made.append(b2.PoissonInput(part, current, senders, each, model.background_weight))
        return made

    def run(self, steps: int) -> None:
        """Some steps more."""
        self._network.run(steps * self._dt * b2.second)

    def spikes(self) -> tuple[NDArray, NDArray]:
        """Steps, from 1, and neurons, from 0, of all spikes so far."""
        steps = np.round(np.asarray(self._monitor.t) / self._dt).astype(np.int64) + 1
        return steps, np.asarray(self._monitor.i)
