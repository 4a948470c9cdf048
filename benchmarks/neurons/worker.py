"""A process that runs networks of `models` in one simulator.

python -m benchmarks.neurons.worker (in_spikewright | in_nest | in_brian)
"""

from __future__ import annotations

import gc
import importlib
import sys
import time
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
        self._model: Model | None = None

    def build(self, path: str, threads: int, recorded: bool) -> dict[str, Any]:
        """Make a network anew; seconds from the description to where it can run."""
        self._simulation = None
        gc.collect()
        self._model = Model.load(Path(path))
        begin = time.perf_counter()
        self._simulation = self._make(self._model, threads, recorded)
        return {"seconds": time.perf_counter() - begin}

    def run(self, steps: int) -> dict[str, Any]:
        """Wall and processor seconds of some steps more, beyond those of a run of no step."""
        idle = clocked(lambda: self._simulation.run(0))
        seconds, cpu_seconds = clocked(lambda: self._simulation.run(steps))
        return {"seconds": seconds - idle[0], "cpu_seconds": cpu_seconds - idle[1]}

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
