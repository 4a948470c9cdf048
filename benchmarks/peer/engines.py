"""Spikewright's engines: the second and later runs of one conversion."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.network import Workload, as_graph
from benchmarks.peer.base import Contestant, Layout, Outcome, Runner, Spikes
from spikewright.engines.native.engine import ISA_VARIABLE

ISA = os.environ.get(ISA_VARIABLE, "")
"""The instruction set that this process was told to use; the best one where it is empty."""
NUDGE = 2.0**-15
"""Of a spike: twice the tolerance with which the engines compare a voltage with the threshold."""


def converted(
    work: Workload, spikes: Spikes = "many", start: str | NDArray = "zero", **how: Any
) -> sw.Conversion:
    """The workload's network at scale 1, its neurons started at zero unless told otherwise.

    `how` are options of `convert` beside these.
    """
    return sw.convert(
        as_graph(work),
        spiking=True,
        initial_voltage=start,
        max_spikes_per_step=1 if spikes == "one" else None,
        **how,
    )


def run(conversion: sw.Conversion, work: Workload, **how: Any) -> sw.results.Run:
    """One run with `dt = 1`, on one thread unless told otherwise."""
    x = work.x if work.frames is None else work.frames
    if x.dtype == np.uint8:
        how["encoder"] = sw.encoders.Frames(scale=1 / 255)
    how = {"threads": 1, **how}
    return conversion.run(x, steps=work.steps, dt=1.0, progress=False, **how)


class EngineRunner(Runner):
    """`conversion.run` with outputs of all steps and spike counts read."""

    def __init__(
        self, work: Workload, layout: Layout, spikes: Spikes, isa: str = "", **how: Any
    ) -> None:
        if how["engine"] == "torch":
            import torch

            torch.set_num_threads(1)
        self.work, self.isa, self.how = work, isa or ISA, how
        self.conversion = converted(work, spikes)

    def run(self) -> Outcome:
        return self.outcome()

    def outcome(self) -> Outcome:
        os.environ[ISA_VARIABLE] = self.isa  # read where an engine is made: on the first run
        return _read(run(self.conversion, self.work, **self.how))


def _read(done: sw.results.Run) -> Outcome:
    """What is read of a run: the outputs of every step, and every sample's spikes."""
    counts = tuple(float(count.sum()) for count in done.spike_counts().values())
    output = done.output
    if not isinstance(output, np.ndarray):
        raise TypeError("the workloads have one output")
    return Outcome(output.sum(axis=1, dtype=np.float64), counts)


def contestants(isas: Sequence[str] = ()) -> list[Contestant]:
    """The native engine, also in the peers' model and limited to each of `isas`, and torch.

    That model sends at most one spike a step. The reference engine is what all are checked against.
    """
    native: dict[str, Any] = {"engine": "native"}
    ways: list[tuple[str, Spikes, dict[str, Any]]] = [
        ("Spikewright native", "many", native),
        ("Spikewright native, one spike a step", "one", native),
        *((f"Spikewright native, {isa} alone", "many", {**native, "isa": isa}) for isa in isas),
        ("Spikewright torch", "many", {"engine": "torch"}),
    ]
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
