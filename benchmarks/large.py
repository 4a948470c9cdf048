"""Large networks beside their source: VGG16 and ResNet-50 of torchvision at 224 x 224, one sample.

    python -m benchmarks.large [first] [once] [many] [--steps 16] [--rounds 5]

* `first`: the first step of VGG16, compiling and building included, and the most memory that the
  process held beyond its imports, over the bytes of the weights; with what `memory()` said.
* `once`: VGG16 and ResNet-50, one spike a step at most.
* `many`: ResNet-50, `TargetRate(600)`, any number of spikes, up to hundreds of thousands a step.

Weights are random; batch norm has seen some batches. Each row is a process of its own, one thread.
Figures are ratios to as many forward passes of the source as there are steps, run in turn.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from itertools import chain
from typing import Any

import numpy as np

import spikewright as sw
from benchmarks import edges
from benchmarks.memory import ROOT, peak_mib
from benchmarks.mobile import medians, passes, spikes_of
from benchmarks.peer.base import clocked
from benchmarks.timing import thread_environment

MIB = 2**20
CASES = {
    "first": [("vgg16", "first")],
    "once": [("vgg16", "once"), ("resnet50", "once")],
    "many": [("resnet50", "many")],
}


def source(name: str) -> tuple[Any, Any]:
    """A network with random weights, its batch norm warmed up, and one image."""
    import torch
    import torchvision

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = getattr(torchvision.models, name)(weights=None)
    with torch.no_grad():
        if any(isinstance(part, torch.nn.BatchNorm2d) for part in model.modules()):
            for _ in range(4):
                model.train()(torch.randn(2, 3, 224, 224))
    return model.eval(), torch.randn(1, 3, 224, 224)


def converted(case: str, model: Any, x: Any) -> Any:
    """The spiking network of a case."""
    import torch

    how: dict[str, Any] = {}
    if case != "first":
        seen = torch.randn(2, 3, 224, 224).numpy()
        how = {"scale_firing_rates": sw.TargetRate(600), "calibration": seen}
    if case == "once":
        how["max_spikes_per_step"] = 1
    return sw.convert(model, example_input=x, spiking=True, **how)


def measure_first(steps: int) -> None:
    """Print the time of VGG16's first step, and its peak memory."""
    import torch
    import torchvision  # noqa: F401

    before = peak_mib()
    model, x = source("vgg16")
    weights = sum(p.numel() * p.element_size() for p in model.parameters()) / MIB
    with torch.no_grad():
        once = statistics.median(clocked(lambda: model(x))[0] for _ in range(5))
    reading: list[Any] = []
    convert, _ = clocked(lambda: reading.append(converted("first", model, x)))
    (conversion,) = reading
    known = peak_mib()
    needed = conversion.memory(1, 1).bytes / MIB
    first, _ = clocked(lambda: conversion.run(x.numpy(), 1, threads=1, progress=False))
    peak = peak_mib()
    print(
        f"vgg16, first step: {first / (steps * once):.2f} x {steps} forward passes "
        f"({first:.2f} s; converting {convert:.2f} s), peak {(peak - before) / weights:.2f} x the "
        f"weights ({weights:.0f} MiB), memory() {needed:.0f} MiB of {peak - known:.0f} MiB"
    )


def measure(name: str, case: str, steps: int, rounds: int) -> None:
    """Time spiking steps and forward passes in turn, and print their ratio."""
    model, x = source(name)
    conversion = converted(case, model, x)

    def run() -> sw.Run:
        return conversion.run(x.numpy(), steps, threads=1, progress=False)

    last = run()
    times = medians([run, *passes(model, x, steps)], rounds)[:, 0]
    ours, theirs = times[0], times[1:].min()
    counts = [np.asarray(p.totals) for p in last.populations.values() if p.spiking]
    sent = spikes_of(last, sum(count.size for count in counts), steps)
    most = max(float(count.max()) for count in counts) / steps
    print(
        f"{name}, {case}: {ours / theirs:.2f} x {steps} forward passes ({ours:.2f} s of "
        f"{theirs:.2f} s), {sent:.3f} spikes a neuron and step, at most {most:.0f}"
    )


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("rows", nargs="*", help=f"of {', '.join(CASES)}")
    p.add_argument("--steps", type=int, default=16)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    edges.add_arguments(p)
    how = p.parse_args()
    if how.child:
        name, case = how.child
        if case == "first":
            measure_first(how.steps)
        else:
            measure(name, case, how.steps, how.rounds)
        return
    children = [child for row in how.rows or CASES for child in CASES[row]]
    what = "VGG16 and ResNet-50 at 224 x 224, one sample (`python -m benchmarks.large`):"
    found = (of_a_process(child, how) for child in children)
    edges.tell("Large networks", chain([what], found), how, "torchvision")


def of_a_process(child: tuple[str, str], how: argparse.Namespace) -> str:
    """A row, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.large", "--child", *child]
    command += ["--steps", str(how.steps), "--rounds", str(how.rounds)]
    done = subprocess.run(
        command, cwd=ROOT, env=thread_environment(1), check=True, stdout=subprocess.PIPE, text=True
    )
    return f"* {done.stdout.strip()}"


if __name__ == "__main__":
    main()
