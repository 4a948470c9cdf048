"""A process that runs the contestants of one library, as `serving` says.

    python -m benchmarks.peer.worker MODULE

A library of its own process has one thread, cannot disturb another one's memory, and may live in
another Python.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from benchmarks.network import Workload, load
from benchmarks.peer.base import Contestant, Layout, Runner, clocked
from benchmarks.peer.serving import Commands, serve

TRIALS = 2  # timed runs by which a memory format is chosen


@dataclass
class Worker:
    """What is loaded and built in this process."""

    module: ModuleType
    contestants: dict[str, Contestant] = field(default_factory=dict)
    work: Workload | None = None
    runners: dict[str, Runner] = field(default_factory=dict)

    def hello(self, isas: list[str]) -> dict[str, Any]:
        """The library's contestants; some for each instruction set where it has such a choice."""
        made: list[Contestant] = self.module.contestants(*([isas] if isas else []))
        self.contestants = {contestant.name: contestant for contestant in made}
        return {"contestants": [contestant.describe() for contestant in made]}

    def open(self, path: str, batch: int | None = None, steps: int | None = None) -> dict[str, Any]:
        """Take a workload, cut to a batch and a number of steps; what was built is dropped."""
        self.runners.clear()
        gc.collect()
        self.work = load(path).cut(batch, steps)
        return {}

    def outcome(self, name: str) -> dict[str, Any]:
        """Build a contestant for this one run and say what it computes."""
        return self._build(name, self.contestants[name].layouts[0]).outcome().as_dict()

    def truth(self, spikes: str) -> dict[str, Any]:
        """What contestants with this neuron should compute, and how far rounding moves it."""
        outcomes = self.module.truth(self._opened(), spikes)
        return {"outcomes": [outcome.as_dict() for outcome in outcomes]}

    def prepare(self, name: str) -> dict[str, Any]:
        """Build a contestant in its faster memory format and run it until it is warm.

        `seconds` are those of a later run.
        """
        layouts = self.contestants[name].layouts
        if not self._opened().convolutional:
            layouts = layouts[:1]
        took: dict[Layout, float] = {}
        for layout in layouts if len(layouts) > 1 else ():
            runner = self._build(name, layout)
            runner.run()
            took[layout] = min(clocked(runner.run) for _ in range(TRIALS))
        best = min(took, key=lambda layout: took[layout]) if took else layouts[0]
        self.runners[name] = runner = self._build(name, best)
        runner.run()
        return {"layout": best, "seconds": clocked(runner.run)}

    def clock(self, name: str, repeats: int) -> dict[str, Any]:
        """Seconds of processor time of one of `repeats` runs."""
        return {"seconds": clocked(self.runners[name].run, repeats)}

    def _opened(self) -> Workload:
        if self.work is None:
            raise RuntimeError("no workload is open")
        return self.work

    def _build(self, name: str, layout: Layout) -> Runner:
        return self.contestants[name].build(self._opened(), layout)


def commands() -> Commands:
    """The commands, by name, of a worker for the library on the command line."""
    module = importlib.import_module(f"benchmarks.peer.{sys.argv[1]}")
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    worker = Worker(module)
    return {
        "hello": worker.hello,
        "open": worker.open,
        "outcome": worker.outcome,
        "truth": worker.truth,
        "prepare": worker.prepare,
        "clock": worker.clock,
    }


if __name__ == "__main__":
    serve(commands)
