"""Large networks beside their source: VGG16 and ResNet-50 of torchvision at 224 x 224, one sample.

    python -m benchmarks.large [once] [many] [--steps 16] [--rounds 5] [--document]

* `once`: VGG16 and ResNet-50, one spike a step at most.
* `many`: ResNet-50, `TargetRate(600)`, any number of spikes, up to hundreds of thousands a step.

Weights are random; batch norm has seen some batches. Each row is a process of its own, one thread.
Figures are ratios to as many forward passes of the source as there are steps, run in turn.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from itertools import chain
from typing import Any

import numpy as np

import spikewright as sw
from benchmarks import edges
from benchmarks.memory import ROOT
from benchmarks.mobile import medians, passes, spikes_of
from benchmarks.timing import thread_environment

CASES = {
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


def converted(case: str, model: Any, x: Any, **how: Any) -> Any:
    """The spiking network of a case, with these options of `convert` beside its own."""
    import torch

    seen = torch.randn(2, 3, 224, 224).numpy()
    how |= {"scale_firing_rates": sw.TargetRate(600), "calibration": seen}
    if case == "once":
        how["max_spikes_per_step"] = 1
    return sw.convert(model, example_input=x, spiking=True, **how)


def measure(name: str, case: str, steps: int, rounds: int) -> None:
    """Time spiking steps and forward passes in turn, and print their ratio."""
    model, x = source(name)
    conversion = converted(case, model, x)

    def run() -> sw.results.Run:
        return conversion.run(x.numpy(), steps, threads=1, progress=False)

    last = run()
    ours, *formats = medians([run, *passes(model, x, steps)], rounds)
    theirs = min(formats)
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
        measure(name, case, how.steps, how.rounds)
        return
    children = [child for row in how.rows or CASES for child in CASES[row]]
    what = "VGG16 and ResNet-50 at 224 x 224, one sample (`python -m benchmarks.large`):"
    found = (of_a_process(child, how) for child in children)
    edges.write_section("Large networks", chain([what], found), how, "torchvision")


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
