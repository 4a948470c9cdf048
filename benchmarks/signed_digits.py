"""Signed digits: what a few steps lose, beside the source and the rounded twin, on all images.

    python -m benchmarks.signed_digits --mnist mnist.npz --fashion-mnist fashion_mnist.npz \
        --cifar10 cifar10.npz [--images 10000] [--document]

Networks whose images are not given are left out; their weights are kept in `weights/`. Units are
those of the smallest error on 128 training images without labels, and no weight is changed.
Distances are root mean squares over the outputs.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.answers import AT_ONCE, NAMES, Told, drawn, samples
from benchmarks.few_step_accuracy import given_sources
from benchmarks.marked import add_document, tell
from benchmarks.results import markdown_table
from benchmarks.sources import Source, add_arguments
from benchmarks.timing import with_threads
from spikewright.choosing.silent_steps import rounded_values
from spikewright.lower.populations import Roles
from spikewright.measure.intervals import paired_interval

SEEN = 128
DIGITS = {"mnist": (3, 4), "fashion_mnist": (3, 4, 5), "cifar10": (3, 4, 5, 6)}
"""Steps of a layer, by network; three digits wait two steps."""


@dataclass(frozen=True)
class Answers:
    """What a network answers to some images: its own outputs, its twin's, its source's."""

    spiking: NDArray
    twin: NDArray
    source: NDArray
    truth: NDArray
    spikes: float
    active: float

    def told(self) -> Told:
        """Points lost, with their interval."""
        right, before = (x.argmax(1) == self.truth for x in (self.spiking, self.source))
        pairs = (before & right, before & ~right, ~before & right, ~before & ~right)
        interval = paired_interval(*(int(np.count_nonzero(pair)) for pair in pairs))
        twin = float((self.twin.argmax(1) == self.truth).mean())
        own, found = float(before.mean()), float(right.mean())
        return Told(own, own - found, *interval, self.spikes, own - twin, self.spikes / self.active)

    @property
    def ratio(self) -> float:
        """The distance from the source, in those of the twin."""
        return _apart(self.spiking, self.source) / _apart(self.twin, self.source)

    @property
    def changed(self) -> float:
        """The share of decisions that are not the source's."""
        return float((self.spiking.argmax(1) != self.source.argmax(1)).mean())


def _apart(values: NDArray, others: NDArray) -> float:
    return float(np.sqrt(np.square(values - others).mean()))


def answers(conversion: sw.Conversion, found: Source, images: int) -> Answers:
    """All that a network says of so many test images, and what it is compared with."""
    graph, populations = conversion.canonical, conversion.populations()
    (read,), some = Roles(graph).read_from(), drawn(found, images)
    spiking, twin, source, spikes, active = [], [], [], 0.0, 0.0
    for part in np.array_split(some, -(-len(some) // AT_ONCE)):
        x = conversion.as_inputs(found.x_test[part])
        run = conversion.run(x, progress=False)
        (raw,) = run.raw.values()
        spiking.append(raw.mean(axis=1, dtype=np.float64))
        spikes += sum(float(n.sum()) for n in run.spike_counts().values())
        exact = rounded_values(graph, {}, x)
        twin.append(rounded_values(graph, populations, x)[read])
        source.append(exact[read])
        active += sum(float(np.count_nonzero(exact[name])) for name in populations)
    n = len(some)
    return Answers(
        *map(np.concatenate, (spiking, twin, source)), found.y_test[some], spikes / n, active / n
    )


def row(found: Source, steps: int, images: int) -> list[str]:
    """A network under so many digits."""
    conversion = sw.convert(
        found.model, example_input=found.example, spiking=True, calibration=samples(found, SEEN),
        coding=sw.SignedDigits(steps, 2 if steps == 3 else "auto"),
    )  # fmt: skip
    seen, coding = answers(conversion, found, images), conversion.coding
    assert isinstance(coding, sw.SignedDigits) and conversion.lowered.times is not None
    result = seen.told()
    line = [
        str(steps),
        str(coding.silent_steps),
        f"{conversion.lowered.times.network_steps}",
        result.lost,
        result.rounded,
        f"{seen.ratio:.2f}",
        f"{seen.changed:.2%}",
        f"{result.spikes:,.0f}",
        result.active,
    ]
    print(found.name, *line, flush=True)
    return line


HEAD = (
    "digits", "silent steps", "steps of the network", "lost", "by rounding",
    "distance, of the twin's", "decisions changed", "spikes", "of an active neuron",
)  # fmt: skip


def main() -> None:
    """Measure what was asked for, and write it into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--images", type=int, default=10_000, help="test images of a row")
    add_document(parser, "few_step_accuracy.md")
    how = parser.parse_args()
    with_threads(1)
    parts = []
    for name, found in given_sources(how):
        lines = [row(found, steps, how.images) for steps in DIGITS[name]]
        some = drawn(found, how.images)
        before = float(np.mean(found.right[some]))
        parts.append(f"### {NAMES[name]}, {before:.2%}\n\n{markdown_table(HEAD, lines)}")
    tell("digits", "\n\n".join(parts), how.document)


if __name__ == "__main__":
    main()
