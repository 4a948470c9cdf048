"""ResNet-20 on CIFAR-10 in few steps, before and after channels that round badly become several.

    python -m benchmarks.fission --cifar10 cifar10.npz --cache FOLDER [--steps 4 2] [--extra 0.5]

One spike of either sign a step. Thresholds are chosen by `MinimumError` with some steps spared, and
starts corrected, on training images drawn at random, without labels. Printed are the points lost
beside the source on all test images, with 95 % intervals, neurons, and spikes of an image.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

import spikewright as sw
from benchmarks.conversion_quality import Lost
from benchmarks.fine_tuning import answered
from benchmarks.results import markdown_table
from benchmarks.sources import Source, add_arguments, source
from benchmarks.timing import with_threads

SHARE = 0.9  # of the steps, that thresholds count on


def measured(found: Source, steps: int, extra: float, seen: int) -> Iterator[list[str]]:
    """Rows of one number of steps: as it was, and with more neurons."""
    order = np.random.default_rng(0).permutation(len(found.x_train))
    x = found.x_train[np.sort(order[:seen])]
    before = sw.convert(
        found.model,
        spiking={"relu": sw.BipolarIntegrateAndFire()},
        max_spikes_per_step=1,
        example_input=found.example,
        scale_firing_rates=sw.MinimumError(steps, share=SHARE),
        initial_voltage=sw.VoltageCorrection(steps),
        calibration=x,
    )
    for conversion in (before, before.fission(x, steps=steps, extra=extra)):
        neurons = sum(e.n_neurons for e in conversion.populations().values())
        answers, spikes = answered(conversion, found.x_test, steps)
        lost = Lost.of(found.right, answers == found.y_test)
        points = f"{100 * lost.drop:.2f} ({100 * lost.low:.2f} to {100 * lost.high:.2f})"
        yield [str(steps), f"{neurons:,}", points, f"{spikes:,.0f}"]


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(p)
    p.add_argument("--steps", nargs="+", type=int, default=[4, 2])
    p.add_argument("--extra", type=float, default=0.5, help="neurons for each one, at most")
    p.add_argument("--seen", type=int, default=1000, help="training images")
    p.add_argument("--threads", type=int, default=1)
    how = p.parse_args()
    with_threads(how.threads)
    found = source("cifar10", how.cifar10, how.cache)
    rows = [row for n in how.steps for row in measured(found, n, how.extra, how.seen)]
    print(markdown_table(["steps", "neurons", "points lost", "spikes an image"], rows))


if __name__ == "__main__":
    main()
