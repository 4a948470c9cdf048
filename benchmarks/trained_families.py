"""A MobileNetV3, a vision transformer and a GRU in 16 steps of one spike.

    python -m benchmarks.trained_families --fashion-mnist fashion_mnist.npz \
        --cifar10 cifar10.npz [--rows NAME ...] [--images 1000] [--document]

Networks whose images are not given are left out; their weights are kept in `weights/`. Every row is
one conversion, calibrated on 128 training images drawn at random, without labels; then test images
drawn at random are run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import spikewright as sw
from benchmarks.answers import AccuracyLoss, answered, evaluated, samples
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table
from benchmarks.sources import IMAGES, Source, add_arguments, source
from benchmarks.timing import with_threads

SEEN = 128
SHARE = 0.8  # of the steps, that thresholds count on: the others are there to catch up in
NAMES = {
    "mobilenet_v3": "MobileNetV3 with squeeze-and-excitation on CIFAR-10, JPEG-coded",
    "vit": "Vision transformer on Fashion-MNIST",
    "gru": "GRU over the rows of Fashion-MNIST",
}


@dataclass(frozen=True)
class Plan:
    """A row: a network after some steps; `by_row` presents an image row by row."""

    network: str
    steps: int
    by_row: bool = False


PLANS: Mapping[str, Plan] = {
    "mobilenet_v3_16": Plan("mobilenet_v3", 16),
    "vit_16": Plan("vit", 16),
    "gru_16": Plan("gru", 16),
    "gru_by_row_16": Plan("gru", 16, by_row=True),
}


def converted(plan: Plan, found: Source) -> sw.Conversion:
    """The network of a plan."""
    x = rows_of(samples(found, SEEN)) if plan.by_row else samples(found, SEEN)
    form: dict[str, Any] = {}
    if plan.by_row:
        form["sequence_step"] = plan.steps
    else:
        form["bias_correction"] = sw.StepCorrection(plan.steps)
    return sw.convert(
        found.model,
        spiking={"relu": sw.BipolarIntegrateAndFire()} if plan.network == "mobilenet_v3" else True,
        max_spikes_per_step=1,
        example_input=x[:1],
        scale_firing_rates=sw.MinimumError(plan.steps, share=SHARE),
        calibration=x,
        **form,
    )


def rows_of(images: Any) -> Any:
    """Images as sequences of their rows."""
    return images[:, 0]


def measured(plan: Plan, found: Source, images: int) -> tuple[int, AccuracyLoss]:
    """The number of neurons, and the answers of a row."""
    conversion = converted(plan, found)
    neurons = sum(e.n_neurons for e in conversion.populations().values())
    if plan.by_row:
        return neurons, answered(conversion, found, None, images, rows_of)
    return neurons, evaluated(conversion, found, plan.steps, images)


def _line(plan: Plan, neurons: int, answers: AccuracyLoss) -> list[str]:
    return [
        str(plan.steps),
        "row by row" if plan.by_row else "whole",
        f"{neurons:,}",
        answers.lost,
        answers.rounded,
        f"{answers.spikes:,.0f}",
        answers.active,
    ]


HEAD = ("steps", "shown", "neurons", "lost", "by rounding", "spikes", "of an active neuron")


def main() -> None:
    """Measure what was asked for, and write it into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--rows", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--images", type=int, default=1000, help="test images of a row")
    add_document(parser, "accuracy.md")
    given = parser.parse_args()
    with_threads(1)
    parts = []
    for network, title in NAMES.items():
        path = getattr(given, IMAGES[network])
        plans = [PLANS[name] for name in given.rows if PLANS[name].network == network]
        if path is None or not plans:
            continue
        found, lines = source(network, path, given.cache), []
        for plan in plans:
            begun = time.monotonic()
            neurons, answers = measured(plan, found, given.images)
            lines.append(_line(plan, neurons, answers))
            print(network, *lines[-1], f"{time.monotonic() - begun:.0f} s", flush=True)
        accuracy = f"{100 * answers.source:.1f} %"
        parts.append(f"### {title}, {accuracy}\n\n{markdown_table(list(HEAD), lines)}")
    write_section("families", "\n\n".join(parts), given.document)


if __name__ == "__main__":
    main()
