"""The time of a sweep beside that of its bare runs, on the published network, and its records.

    python -m benchmarks.sweeping --mnist path/to/mnist.npz

400 test images, 5 firing-rate scales, 2 synapses, 30 steps (the network and the file:
`published_curve.py`). Sweeps and bare runs of the same ten networks, which are converted and
compiled beforehand, take turns five times; the medians of their ratios, in seconds and in processor
time, are printed. Every record of the sweep is then compared with `Conversion.evaluate`, digit for
digit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.published_curve import IMAGES, trained

SCALES = [1.0, 2.0, 5.0, 10.0, 50.0]
SYNAPSES = [None, 0.005]
STEPS = 30
TURNS = 5
ALLOWED = 1.2


def bare(conversions: list[sw.Conversion], x: NDArray) -> None:
    """The runs that a sweep needs, and nothing else."""
    for conversion in conversions:
        conversion.run(x, STEPS, progress=False)


def swept(base: sw.Conversion, x: NDArray, y: NDArray) -> sw.Sweep:
    """The sweep of them."""
    return sw.sweep(
        base, x, y, scales=SCALES, synapse=SYNAPSES, steps=STEPS, progress=False
    )  # fmt: skip


def taken(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and seconds of processors."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def equals_single_evaluations(found: sw.Sweep, x: NDArray, y: NDArray, base: sw.Conversion) -> bool:
    """True if every record of every setting equals that of an evaluation of its own."""
    return all(
        tried.evaluation is not None
        and tried.evaluation.records
        == base.again(**tried.setting.arguments).evaluate(x, y, STEPS, progress=False).records
        for tried in found.tried
    )


def main() -> None:
    """Train or load, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "spikewright")
    arguments = parser.parse_args()
    with np.load(arguments.mnist) as file:
        data = {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    x = data["x_test"][:IMAGES, ..., None].astype("float32")
    y = data["y_test"][:IMAGES]
    base = sw.convert(trained(data, arguments.cache, 0))
    conversions = [
        base.again(spiking=True, scale_firing_rates=scale, synapse=tau)
        for tau in SYNAPSES
        for scale in SCALES
    ]
    bare(conversions, x)  # compiles
    found = swept(base, x, y)
    ratios = []
    for turn in range(TURNS):
        alone, whole = taken(lambda: bare(conversions, x)), taken(lambda: swept(base, x, y))
        ratios.append([b / a for a, b in zip(alone, whole, strict=True)])
        print(
            f"turn {turn + 1}: runs {alone[0]:.2f} s, sweep {whole[0]:.2f} s, ratio "
            f"{ratios[-1][0]:.3f} (of processor time {ratios[-1][1]:.3f})",
            flush=True,
        )
    seconds, processor = (median(column) for column in zip(*ratios, strict=True))
    print(f"median {seconds:.3f}, of processor time {processor:.3f}; allowed is {ALLOWED}")
    print(f"equal to single evaluations: {equals_single_evaluations(found, x, y, base)}\n")
    print(found)


if __name__ == "__main__":
    main()
