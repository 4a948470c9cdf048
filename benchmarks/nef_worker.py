"""A process that builds and runs the networks of `nef_models` in one library.

    python -m benchmarks.nef_worker (spikewright | nengo)

Nengo computes in float64; a `precision` is that of Spikewright.
"""

from __future__ import annotations

import gc
import importlib
import sys
import time
from typing import Any

import numpy as np

from benchmarks.nef_models import DT, MODELS
from benchmarks.peer.base import clocked
from benchmarks.peer.serving import Commands, serve


class Worker:
    """Simulators by model, made by the library that was asked for."""

    def __init__(self, library: str) -> None:
        self.words = importlib.import_module(library)
        self.simulators: dict[str, tuple[Any, Any]] = {}
        if library == "nengo":
            self.words.rc["decoder_cache"]["enabled"] = "False"
        quiet = {"spikewright": {"progress": False, "decoder_cache": False}}
        self.quiet = quiet.get(library, {"progress_bar": False})

    def build(self, model: str, precision: str) -> dict[str, Any]:
        """Build a simulator anew; seconds from the description to where it can run."""
        self.simulators.pop(model, None)
        gc.collect()
        network, probe = MODELS[model](self.words)
        how = {} if self.words.__name__ == "nengo" else {"precision": precision}
        begun = time.process_time()
        simulator = self.words.Simulator(network, dt=DT, **self.quiet, **how)
        took = time.process_time() - begun
        self.simulators[model] = simulator, probe
        return {"seconds": took, "neurons": _neurons(network)}

    def run(self, model: str, steps: int) -> dict[str, Any]:
        """Seconds of processor time of some steps more."""
        simulator, _ = self.simulators[model]
        return {"seconds": clocked(lambda: simulator.run_steps(steps, **self._run_quietly()))}

    def _run_quietly(self) -> dict[str, Any]:
        return {"progress_bar": False} if "progress_bar" in self.quiet else {}

    def values(self, model: str, last: int) -> dict[str, Any]:
        """What the probe saw in the last steps, `(last, values)`."""
        simulator, probe = self.simulators[model]
        return {"values": np.asarray(simulator.data[probe][-last:], np.float64).tolist()}


def _neurons(network: Any) -> int:
    return sum(int(ensemble.n_neurons) for ensemble in network.all_ensembles)


def commands() -> Commands:
    """The commands, by name, of a worker for the library on the command line."""
    worker = Worker(sys.argv[1])
    return {"build": worker.build, "run": worker.run, "values": worker.values}


if __name__ == "__main__":
    serve(commands)
