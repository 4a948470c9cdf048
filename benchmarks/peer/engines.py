"""Spikewright's engines: the second and later runs of one conversion."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.network import Workload, as_graph
from benchmarks.peer.base import Contestant, Layout, Outcome, Runner, Spikes
from spikewright import engines

NUDGE = 2.0**-15
"""Of a spike: twice the tolerance with which the engines compare a voltage with the threshold."""


def converted(
    work: Workload, spikes: Spikes = "many", start: str | NDArray = "zero"
) -> sw.Conversion:
    """The workload's network at scale 1, its neurons started at zero unless told otherwise."""
    return sw.convert(
        as_graph(work),
        spiking=True,
        initial_voltage=start,
        max_spikes_per_step=1 if spikes == "one" else None,
    )


def run(conversion: sw.Conversion, work: Workload, **how: Any) -> sw.Run:
    """One run with `dt = 1`, on as many threads as this process was given."""
    if "threads" in inspect.signature(conversion.run).parameters:
        how["threads"] = _threads()
    return conversion.run(work.x, steps=work.steps, dt=1.0, progress=False, **how)


def _threads() -> int:
    """What this process was told to use."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


class EngineRunner(Runner):
    """`conversion.run` with outputs of all steps and spike counts read."""

    def __init__(
        self, work: Workload, layout: Layout, spikes: Spikes, isa: str = "", **how: Any
    ) -> None:
        if how["engine"] == "torch":
            import torch

            torch.set_num_threads(_threads())
        self.work, self.isa, self.how = work, isa, how
        self.conversion = converted(work, spikes)

    def run(self) -> Outcome:
        return self.outcome()

    def outcome(self) -> Outcome:
        os.environ["SPIKEWRIGHT_ISA"] = self.isa  # read where an engine is made: on the first run
        return _read(run(self.conversion, self.work, **self.how))


def _read(done: sw.Run) -> Outcome:
    """What is read of a run: the outputs of every step, and every sample's spikes."""
    counts = tuple(float(count.sum()) for count in done.spike_counts().values())
    output = done.output
    if not isinstance(output, np.ndarray):
        raise TypeError("the workloads have one output")
    return Outcome(output.sum(axis=1, dtype=np.float64), counts)


def contestants(isas: Sequence[str] = ()) -> list[Contestant]:
    """Every engine that can run here, the best one also in the peers' model.

    That model sends at most one spike a step. `precision="fast"` is timed where an engine has it,
    and the native engine limited to each of `isas`.
    """
    order = ("native", "torch", "reference")  # by speed; what is not known here comes last
    names = [name for name in order if name in engines.available()]
    names += [name for name in engines.available() if name not in order]
    best = names[0]
    ways: list[tuple[str, Spikes, dict[str, Any]]] = [
        (f"Spikewright {name}", "many", {"engine": name}) for name in names
    ]
    ways.insert(1, (f"Spikewright {best}, one spike a step", "one", {"engine": best}))
    if "native" in names and "fast" in engines.PRECISIONS:
        fast = {"engine": "native", "precision": "fast"}
        ways.insert(1, ("Spikewright native, precision fast", "many", fast))
    if "native" in names:
        limited: dict[str, dict[str, Any]] = {i: {"engine": "native", "isa": i} for i in isas}
        ways += [(f"Spikewright native, {isa} alone", "many", how) for isa, how in limited.items()]
    return [
        Contestant(name, "own", spikes, partial(EngineRunner, spikes=spikes, **how))
        for name, spikes, how in ways
    ]


def truth(work: Workload, spikes: Spikes) -> list[Outcome]:
    """What the reference engine says, float64: what contestants are checked against.

    First from neurons started at zero, then from neurons started `NUDGE` of a spike lower and
    higher: how far results move when nothing but the rounding of a voltage is different.
    """
    outcomes = []
    for start in (0.0, -NUDGE, NUDGE):
        conversion = converted(work, spikes, np.array(start))
        outcomes.append(_read(run(conversion, work, engine="reference", precision="float64")))
    return outcomes
