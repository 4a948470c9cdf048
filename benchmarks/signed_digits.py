"""Signed digits: what a few steps lose, beside the source and the rounded twin, on all images.

    python -m benchmarks.signed_digits --mnist mnist.npz --fashion-mnist fashion_mnist.npz \
        --cifar10 cifar10.npz [--networks vit] [--images 10000] [--document]

    python -m benchmarks.signed_digits --fashion-mnist fashion_mnist.npz --networks vit --batch 64

With a `--batch` runs of so many images are timed instead, beside a forward pass of the source: in
turn, one thread, medians of processor time. `SPIKEWRIGHT_ISA` names the instruction set.

Networks whose images are not given are left out; their weights are kept in `weights/`. Units are
those of the smallest error on 512 training images without labels, and no weight is changed.
Distances are root mean squares over the outputs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

import spikewright as sw
from benchmarks import trained_families
from benchmarks.answers import AT_ONCE, NAMES, AccuracyLoss, drawn, samples
from benchmarks.marked import add_document, write_section
from benchmarks.mobile import medians, passes
from benchmarks.results import markdown_table
from benchmarks.sources import IMAGES, Source, add_arguments, source
from benchmarks.timing import with_threads
from spikewright.lower.choices import STEP
from spikewright.measure.intervals import paired_interval
from spikewright.running.inputs import feeds_of
from spikewright.running.single_step import SingleStepNetwork, rounded

SEEN = 512
LISTED = 20
"""Layers whose numbers stand in the table one by one."""
DIGITS = {
    "mnist": (3, 4), "fashion_mnist": (3, 4, 5), "cifar10": (3, 4, 5, 6),
    "vit": (4, 5, 6), "mobilenet_v3": (4, 5, 6),
}  # fmt: skip
"""Steps of a layer, by network; `rows_of_digits.py` has the GRU."""


def silent_steps(name: str, steps: int) -> int | str:
    """Two of them for three digits, and for four of networks whose twins lose most."""
    return 2 if steps == 3 or (steps == 4 and name in ("mobilenet_v3", "gru")) else "auto"


TITLES = {**NAMES, **trained_families.NAMES}


@dataclass(frozen=True)
class Answers:
    """Outputs `(images, classes)` of a spiking network, its rounded twin and its source."""

    spiking: NDArray
    twin: NDArray
    source: NDArray
    truth: NDArray
    spikes: float

    def loss(self) -> AccuracyLoss:
        """Points lost, with their interval."""
        right, before = (x.argmax(1) == self.truth for x in (self.spiking, self.source))
        pairs = (before & right, before & ~right, ~before & right, ~before & ~right)
        interval = paired_interval(*(int(np.count_nonzero(pair)) for pair in pairs))
        twin = float((self.twin.argmax(1) == self.truth).mean())
        own, found = float(before.mean()), float(right.mean())
        return AccuracyLoss(own, own - found, *interval, self.spikes, own - twin)

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
    steps, some = conversion.coding.steps, drawn(found, images)
    lowered = rounded(conversion.lowered, steps or 1)
    assert lowered is not None and steps is not None
    still = SingleStepNetwork(lowered, STEP * steps, 0, "float32", 1)
    nodes = {node: name for name, node in conversion.inputs.items()}
    spiking, twin, source, spikes = [], [], [], 0.0
    for part in np.array_split(some, -(-len(some) // AT_ONCE)):
        x = found.x_test[part]
        run = conversion.run(x, threads=1, progress=False)
        (raw,) = run.raw.values()
        spiking.append(raw.mean(axis=1, dtype=np.float64))
        spikes += sum(float(n.sum()) for n in run.spike_counts().values())
        fed = feeds_of(conversion.as_inputs(x), conversion.inputs, None, 1, STEP, 0)
        (answer,) = still.answers(fed, nodes).outputs.values()
        twin.append(answer)
        source.append(found.outputs(x))
    return Answers(
        *map(np.concatenate, (spiking, twin, source)), found.y_test[some], spikes / len(some)
    )


def _layer_by_layer(silent_steps: object) -> str:
    """One number, or those of the layers in order; of many layers their range."""
    if not isinstance(silent_steps, Mapping):
        return str(silent_steps)
    numbers = list(silent_steps.values())
    if len(numbers) <= LISTED:
        return ", ".join(map(str, numbers))
    return f"{min(numbers)} to {max(numbers)}, mean {np.mean(numbers):.1f}"


def converted(found: Source, steps: int) -> sw.Conversion:
    """A network under so many digits."""
    return sw.convert(
        found.model, example_input=found.example, spiking=True, calibration=samples(found, SEEN),
        coding=sw.SignedDigits(steps, silent_steps(found.name, steps)),
    )  # fmt: skip


def timed(found: Source, steps: int, batch: int, rounds: int = 11) -> str:
    """The time of a run of so many images, in ms and in forward passes of the source."""
    conversion, x = converted(found, steps), found.x_test[:batch]

    def run() -> sw.results.Run:
        return conversion.run(x, engine="native", threads=1, progress=False)

    once = passes(found.model, torch.from_numpy(np.asarray(x, np.float32)), 1)
    ours, *theirs = medians([run, *once], rounds)
    return (
        f"{found.name}, {steps} digits, {batch} images: {1000 * ours:.1f} ms, "
        f"{ours / min(theirs):.1f} x a forward pass of the source, {1000 * min(theirs):.2f} ms"
    )


def row(found: Source, steps: int, images: int) -> list[str]:
    """The figures of a network under so many digits."""
    conversion = converted(found, steps)
    seen, coding = answers(conversion, found, images), conversion.coding
    assert isinstance(coding, sw.SignedDigits) and conversion.lowered.times is not None
    result = seen.loss()
    line = [
        str(steps),
        _layer_by_layer(coding.silent_steps),
        f"{conversion.lowered.times.network_steps}",
        result.lost,
        result.rounded,
        f"{seen.ratio:.2f}",
        f"{100 * seen.changed:.2f} %",
        f"{result.spikes:,.0f}",
    ]
    print(found.name, *line, flush=True)
    return line


HEAD = (
    "digits", "silent steps", "steps of the network", "lost", "by rounding",
    "distance, of the twin's", "decisions changed", "spikes",
)  # fmt: skip


def main() -> None:
    """Measure what was asked for, and write it into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--networks", nargs="+", choices=list(DIGITS), default=list(DIGITS))
    parser.add_argument("--images", type=int, default=10_000, help="test images of a row")
    parser.add_argument("--batch", type=int, help="time runs of so many images")
    add_document(parser, "accuracy.md")
    how = parser.parse_args()
    with_threads(1)
    parts = []
    for name in how.networks:
        path = getattr(how, IMAGES.get(name, name))
        if path is None:
            continue
        found = source(name, path, how.cache)
        if how.batch is not None:
            print(*(timed(found, steps, how.batch) for steps in DIGITS[name]), sep="\n", flush=True)
            continue
        lines = [row(found, steps, how.images) for steps in DIGITS[name]]
        some = drawn(found, how.images)
        before = float(np.mean(found.right[some]))
        parts.append(f"### {TITLES[name]}, {100 * before:.2f} %\n\n{markdown_table(HEAD, lines)}")
    if parts:
        write_section("digits", "\n\n".join(parts), how.document)


if __name__ == "__main__":
    main()
