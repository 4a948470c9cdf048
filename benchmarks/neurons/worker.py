"""A process that runs networks of `models` in one simulator.

    python -m benchmarks.neurons.worker (in_spikewright | in_nest | in_brian)

Commands on its input, answers on its output, a JSON object a line.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.neurons.description import Model
from benchmarks.peer.base import clocked


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


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    warnings.simplefilter("ignore")  # of libraries; they are many and not ours
    worker = Worker(sys.argv[1])
    commands: dict[str, Callable[..., dict[str, Any]]] = {
        "build": worker.build,
        "run": worker.run,
        "spikes": worker.spikes,
    }
    for line in sys.stdin:
        message = json.loads(line)
        try:
            answer = commands[message.pop("do")](**message)
        except Exception as error:  # the other side says what it means for the comparison
            traceback.print_exc(limit=0)
            first = (str(error).splitlines() or ["no message"])[0]
            answer = {"error": f"{type(error).__name__}: {first}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
