"""A process that runs networks of `models` in one simulator.

python -m benchmarks.neurons.worker (in_spikewright | in_nest | in_brian)
"""

from __future__ import annotations

import gc
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.neurons.description import Model
from benchmarks.peer.base import clocked
from benchmarks.peer.serving import Commands, serve


class Worker:
    """One simulation at a time, made by the simulator that was asked for."""

    def __init__(self, simulator: str) -> None:
        self._make = importlib.import_module(f"benchmarks.neurons.{simulator}").Simulation
        self._simulation: Any = None

    def build(self, path: str, recorded: bool) -> dict[str, Any]:
        """Make a network anew."""
        self._simulation = None
        gc.collect()
        self._simulation = self._make(Model.load(Path(path)), recorded)
        return {}

    def run(self, steps: int) -> dict[str, Any]:
        """Seconds of processor time of some steps more, beyond those of a run of no step."""
        idle = clocked(lambda: self._simulation.run(0))
        return {"seconds": clocked(lambda: self._simulation.run(steps)) - idle}

    def spikes(self, path: str) -> dict[str, Any]:
        """Write steps and neurons of all spikes so far, in the order of time, to a file."""
        steps, neurons = self._simulation.spikes()
        order = np.lexsort((neurons, steps))
        np.savez(path, steps=steps[order], neurons=neurons[order])
        return {"spikes": len(steps)}


def commands() -> Commands:
    """The commands, by name, of a worker for the simulator on the command line."""
    worker = Worker(sys.argv[1])
    return {"build": worker.build, "run": worker.run, "spikes": worker.spikes}


if __name__ == "__main__":
    serve(commands)
