"""ResNet-20 on CIFAR-10 in few steps, before and after channels that round badly become several.

    python -m benchmarks.fission --cifar10 cifar10.npz --cache FOLDER [--steps 4 2] [--extra 0.5]

One spike of either sign a step. Thresholds are chosen by `MinimumError`, and starts or biases of
each step corrected, on training images drawn at random, without labels. With corrected starts some
steps are spared. Printed are the points lost beside the source on all test images, with 95 %
intervals, neurons, and spikes of an image.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

import spikewright as sw
from benchmarks.conversion_quality import Lost
from benchmarks.fine_tuning import answered
from benchmarks.results import markdown_table
from benchmarks.sources import Source, add_arguments, source
from benchmarks.timing import with_threads

SHARE = 0.9  # of the steps, that thresholds count on where starts are corrected


def corrected(what: str, steps: int) -> dict[str, Any]:
    """Arguments of `convert` that choose thresholds and correct starts, or every step."""
    if what == "starts":
        rule, correction = sw.MinimumError(steps, share=SHARE), sw.VoltageCorrection(steps)
        return {"scale_firing_rates": rule, "initial_voltage": correction}
    rule, correction = sw.MinimumError(steps), sw.StepCorrection(steps)
    return {"scale_firing_rates": rule, "bias_correction": correction}


def measured(found: Source, steps: int, what: str, extra: float, seen: int) -> Iterator[list[str]]:
    """Rows of one number of steps: as it was, and with more neurons."""
    order = np.random.default_rng(0).permutation(len(found.x_train))
    x = found.x_train[np.sort(order[:seen])]
    before = sw.convert(
        found.model,
        spiking={"relu": sw.BipolarIntegrateAndFire()},
        max_spikes_per_step=1,
        example_input=found.example,
        calibration=x,
        **corrected(what, steps),
    )
    for split in (False, True):
        conversion = before.fission(x, steps=steps, extra=extra) if split else before
        neurons = sum(e.n_neurons for e in conversion.populations().values())
        answers, spikes = answered(conversion, found.x_test, steps)
        lost = Lost.of(found.right, answers == found.y_test)
        points = f"{100 * lost.drop:.2f} ({100 * lost.low:.2f} to {100 * lost.high:.2f})"
        yield [str(steps), what, f"{neurons:,}", points, f"{spikes:,.0f}"]


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(p)
    p.add_argument("--steps", nargs="+", type=int, default=[4, 2])
    p.add_argument("--extra", type=float, default=0.5, help="neurons for each one, at most")
    p.add_argument("--corrected", nargs="+", choices=("starts", "steps"), default=["steps"])
    p.add_argument("--seen", type=int, default=1000, help="training images")
    p.add_argument("--threads", type=int, default=1)
    how = p.parse_args()
    with_threads(how.threads)
    found = source("cifar10", how.cifar10, how.cache)
    header = ["steps", "corrected", "neurons", "points lost", "spikes an image"]
    rows = []
    for steps in how.steps:
        for what in how.corrected:
            for row in measured(found, steps, what, how.extra, how.seen):
                rows.append(row)
                print(*row, sep="  ", flush=True)
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
