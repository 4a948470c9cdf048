"""A network in NEST: `iaf_psc_exp`, which integrates exactly, synapses with weights and delays."""

from __future__ import annotations

from typing import Any

import nest
import numpy as np
from numpy.typing import NDArray

from benchmarks.neurons.description import Model, Wiring

LABEL = "NEST"
_MS = 1000.0  # in a second


class Simulation:
    """The network, ready to run; `recorded` says whether spikes are kept."""

    def __init__(self, model: Model, recorded: bool) -> None:
        nest.verbosity = nest.VerbosityLevel.ERROR
        nest.ResetKernel()
        nest.resolution = model.dt * _MS
        nest.local_num_threads = 1
        self._dt = model.dt
        self._neurons = nest.Create("iaf_psc_exp", model.n, params=_parameters(model))
        for sign in (1.0, -1.0):
            self._connect(model.wiring.part(sign * model.wiring.weights > 0.0))
        if model.noisy:
            self._drive(model)
        self._recorder = nest.Create("spike_recorder") if recorded else None
        if self._recorder is not None:
            nest.Connect(self._neurons, self._recorder)
        nest.Prepare()

    def _connect(self, wiring: Wiring) -> None:
        if not len(wiring):
            return
        ids = np.asarray(self._neurons.tolist())
        how: dict[str, Any] = {"synapse_model": "static_synapse", "weight": wiring.weights}
        if np.ptp(wiring.weights) == 0.0:  # one weight for all takes less memory, and less time
            name = f"all_{wiring.weights[0]:g}"
            nest.CopyModel("static_synapse_hom_w", name, {"weight": wiring.weights[0]})
            how = {"synapse_model": name}
        how["delay"] = wiring.delays * self._dt * _MS
        nest.Connect(ids[wiring.senders], ids[wiring.targets], "one_to_one", how)

    def _drive(self, model: Model) -> None:
        """A generator for each population; each of its neurons gets spikes of its own."""
        how = {"weight": model.background_weight, "delay": model.dt * _MS}
        for _, place in model.populations:
            rate = float(model.background[place][0])
            source = nest.Create("poisson_generator", params={"rate": rate})
            nest.Connect(source, self._neurons[place], syn_spec=how)

    def run(self, steps: int) -> None:
        """Some steps more."""
        nest.Run(steps * self._dt * _MS)

    def spikes(self) -> tuple[NDArray, NDArray]:
        """Steps, from 1, and neurons, from 0, of all spikes so far."""
        events = self._recorder.events
        steps = np.round(events["times"] / (self._dt * _MS)).astype(np.int64)
        return steps, events["senders"] - self._neurons[0].global_id


def _parameters(model: Model) -> dict[str, Any]:
    """In units of the threshold: a capacitance of `tau_m` makes a current of 1 a voltage of 1."""
    tau_m = model.tau_m * _MS
    return {
        "tau_m": tau_m,
        "C_m": tau_m,
        "E_L": 0.0,
        "V_reset": 0.0,
        "V_th": 1.0,
        "t_ref": model.tau_ref * _MS,
        "tau_syn_ex": model.tau_exc * _MS,
        "tau_syn_in": model.tau_inh * _MS,
        "I_e": model.drive.tolist(),
        "V_m": model.start.tolist(),
    }
