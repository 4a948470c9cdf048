"""Mobile networks and their kin: a run of a few steps beside as many forward passes of the source.

    python -m benchmarks.mobile [--only mobilenet_v2 ...] [--steps 16] [--rounds 5] [--document]

Torchvision networks at 224 x 224, one sample, with random weights and batch-norm statistics of
random input. The firing-rate scale is that of `benchmarks.depth`: a spike of a neuron in one step
of ten, were the currents constant. What is timed are second and later runs on the native engine,
outputs and spike counts in hand, and forward passes in the faster memory format
(`torch.inference_mode`), in turn. Printed are the ratio of the medians and the spikes of either
sign of a neuron and step; with `--plan` also how many operators have which kernel, and why some are
on the reference.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks import edges
from benchmarks.depth import RATE, Setting, network, scale_for
from benchmarks.families.member import image
from benchmarks.peer.base import clocked
from benchmarks.timing import with_threads

NAMES = (
    "mobilenet_v2",
    "mnasnet1_0",
    "mobilenet_v3_large",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
    "densenet121",
)


def medians(
    runs: list[Callable[[], object]], rounds: int, now: Callable[[], float] = time.process_time
) -> NDArray:
    """Median seconds `(runs,)` by `now` of runs that take turns, all of them warm."""
    for run in runs:
        run()
    times = [[clocked(run, now=now) for run in runs] for _ in range(rounds)]
    median: NDArray = np.median(np.array(times), axis=0)
    return median


def passes(model: Any, x: Any, steps: int) -> list[Callable[[], object]]:
    """So many forward passes of a source network on `x`, in each memory format."""
    import torch

    from benchmarks.peer.torch_modules import FORMATS

    def in_format(form: Any) -> Callable[[], object]:
        source, given = deepcopy(model).to(memory_format=form), x.contiguous(memory_format=form)

        def run() -> None:
            with torch.inference_mode():
                for _ in range(steps):
                    source(given)

        return run

    return [in_format(form) for form in FORMATS.values()]


def spikes_of(run: sw.results.Run, neurons: int, steps: int) -> float:
    """Spikes of either sign of a neuron and step."""
    return float(sum(count.sum() for count in run.spike_counts().values())) / neurons / steps


def converted(name: str) -> tuple[sw.Conversion, Any, NDArray]:
    """The spiking network of a name, its source, and one image."""
    setting = Setting(name, image(name, 224))
    x, model = setting.member.samples(1), network(setting)
    conversion = sw.convert(model, spiking=True, example_input=x)
    scale = scale_for(conversion, x, RATE)
    for ensemble in conversion.populations().values():
        ensemble.rate_scale = scale
    return conversion, model, x


def measured(name: str, steps: int, rounds: int, planned: bool) -> str:
    """One network's figures, and its plan where that is wanted."""
    import torch

    torch.set_num_threads(1)
    conversion, model, x = converted(name)

    def run() -> sw.results.Run:
        return conversion.run(x, steps, dt=1.0, engine="native", threads=1, progress=False)

    neurons = sum(e.n_neurons for e in conversion.populations().values())
    rate = spikes_of(run(), neurons, steps)
    ours, *theirs = medians([run, *passes(model, torch.from_numpy(x), steps)], rounds)
    lines = [
        f"* {name}: {ours / min(theirs):.2f} x its {steps} forward passes, {1000 * ours:.0f} ms; "
        f"{neurons:,} neurons, {rate:.2f} spikes a neuron and step"
    ]
    if not planned:
        return lines[0]
    plan = conversion.plan(engine="native")
    left = Counter(row.why for row in plan if row.kernel == "reference")
    for kernel, number in Counter(row.kernel for row in plan).most_common():
        if kernel != "reference":
            lines.append(f"    * {number} operators {kernel}")
    lines += [f"    * {number} on the reference: {why}" for why, number in left.most_common()]
    return "\n".join(lines)


def main() -> None:
    """Print one block per network."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--only", nargs="+", choices=NAMES, default=["mobilenet_v2"])
    p.add_argument("--steps", type=int, default=16)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--plan", action="store_true", help="operators by their kernels")
    edges.add_arguments(p)
    how = p.parse_args()
    with_threads(1)
    found = (measured(name, how.steps, how.rounds, how.plan) for name in how.only)
    what = "Networks of torchvision at 224 x 224, one sample (`python -m benchmarks.mobile`):"
    edges.write_section("Mobile networks", chain([what], found), how, "torchvision")


if __name__ == "__main__":
    main()
