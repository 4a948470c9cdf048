"""The native engine against as many forward passes of the source network as it runs steps.

    python -m benchmarks.native_engine [--workloads W1 W2 W3] [--rates 0.02 0.1 0.5]
                                       [--threads 1 2] [--rounds 7]

Timed is `conversion.run(x, steps=T, dt=1.0)` of one conversion from its second run on, with
`run.output` and `run.spike_counts()` read; default precision. The yardstick L1 is T forward passes
of the same network in PyTorch, float32, under `torch.inference_mode`, in the faster of its two
memory formats. Each round runs everything once; printed are medians in milliseconds and their
ratio. First the spikes of two samples are compared with the reference engine's: they must be equal.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

import spikewright as sw
from benchmarks.network import Workload, as_torch
from benchmarks.workloads import workload

DT = 1.0  # a spike's height is 1
WANTED = {
    "W1": {0.02: 0.08, 0.1: 0.14, 0.5: 0.35},
    "W2": {0.02: 0.22, 0.1: 0.30, 0.5: 0.70},
    "W3": {0.02: 0.12, 0.1: 0.35, 0.5: 0.75},
}
"""Ratios to reach on a processor with AVX-512 VNNI and without AMX."""


def converted(work: Workload) -> sw.Conversion:
    """The workload's spiking network."""
    example = torch.from_numpy(work.x[:1])
    model = as_torch(work)
    return sw.convert(model, spiking=True, initial_voltage="zero", example_input=example)


def run(conversion: sw.Conversion, work: Workload, engine: str = "native") -> sw.Run:
    """One run, with what is timed."""
    result = conversion.run(work.x, steps=work.steps, dt=DT, engine=engine, progress=False)
    result.output, result.spike_counts()
    return result


def forward_passes(work: Workload, last: bool) -> Callable[[], None]:
    """T forward passes in one memory format."""
    layout = torch.channels_last if last else torch.contiguous_format
    x = torch.from_numpy(work.x)
    images = x.ndim == 4
    model = as_torch(work).eval()
    model = model.to(memory_format=layout) if images else model
    x = x.contiguous(memory_format=layout) if images else x

    def passes() -> None:
        with torch.inference_mode():
            for _ in range(work.steps):
                model(x)

    return passes


def check(conversion: sw.Conversion, work: Workload) -> str:
    """Compare spikes with the reference; raises `SystemExit` where they differ."""
    few = replace(work, x=work.x[:2])
    found, expected = run(conversion, few), run(conversion, few, "reference")
    notes = []
    for name, population in expected.populations.items():
        if not np.array_equal(population.totals, found.populations[name].totals):
            raise SystemExit(f"{work.name}, {name}: spikes are not the reference engine's")
        notes.append(f"{population.totals.mean() / work.steps:.3f}")
    if not np.array_equal(found.output, expected.output):
        raise SystemExit(f"{work.name}: the output is not the reference engine's")
    return "spikes equal the reference's; a neuron and step: " + " ".join(notes)


def measure(name: str, rate: float, threads: int, rounds: int) -> None:
    """Print one row."""
    torch.set_num_threads(threads)
    os.environ["SPIKEWRIGHT_THREADS"] = str(threads)
    work = workload(name, rate)
    conversion = converted(work)
    note = check(conversion, work)
    runs: dict[str, Callable[[], object]] = {"native": lambda: run(conversion, work)}
    runs["first"] = forward_passes(work, False)
    if work.x.ndim == 4:
        runs["last"] = forward_passes(work, True)
    times: dict[str, list[float]] = {key: [] for key in runs}
    for index in range(rounds + 1):
        for key, function in runs.items():
            start = time.perf_counter()
            function()
            if index:
                times[key].append(1e3 * (time.perf_counter() - start))
    medians = {key: statistics.median(values) for key, values in times.items()}
    yardstick = min(medians[key] for key in medians if key != "native")
    wanted = WANTED[name].get(rate)
    print(
        f"{name} {100 * rate:4.0f} %  {threads} thread{'s' * (threads > 1):1}  "
        f"native {medians['native']:7.1f} ms (fastest {min(times['native']):7.1f})  "
        f"L1 {yardstick:7.1f} ms  ratio {medians['native'] / yardstick:.3f}"
        f"  wanted {wanted}  [{note}]",
        flush=True,
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", default=list(WANTED))
    parser.add_argument("--rates", type=float, nargs="+", default=[0.02, 0.1, 0.5])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    for threads in arguments.threads:
        for name in arguments.workloads:
            for rate in arguments.rates:
                measure(name, rate, threads, arguments.rounds)


if __name__ == "__main__":
    main()
