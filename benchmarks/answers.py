"""The answers of a converted network to test images beside its source's: what tables quote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.sources import Source
from spikewright.measure.intervals import paired_interval
from spikewright.records import select

NAMES = {
    "mnist": "Published MNIST network",
    "fashion_mnist": "Convolutions, batch normalisation and max pooling on Fashion-MNIST",
    "cifar10": "ResNet-20 on CIFAR-10, JPEG-coded",
}
SHORT = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "ResNet-20"}
IMAGES = 2000
"""Test images of a row."""
AT_ONCE = 250


@dataclass(frozen=True)
class AccuracyLoss:
    """Accuracy of the source, points lost with their interval, and spikes an image.

    All but the spikes are fractions. `rounding` is what the rounded twin loses, `per_active` are
    spikes of a neuron whose value in the source is not 0; None where they were not measured.
    """

    source: float
    drop: float
    low: float
    high: float
    spikes: float
    rounding: float | None = None
    per_active: float | None = None

    @property
    def lost(self) -> str:
        """Points lost, with the interval."""
        return f"{100 * self.drop:.2f} ({100 * self.low:.2f} to {100 * self.high:.2f})"

    @property
    def rounded(self) -> str:
        """Points lost by rounding; empty where they were not measured."""
        return "" if self.rounding is None else f"{100 * self.rounding:.2f}"

    @property
    def active(self) -> str:
        """Spikes of an active neuron; empty where they were not measured."""
        return "" if self.per_active is None else f"{self.per_active:.2f}"


def samples(found: Source, count: int) -> NDArray:
    """Training images to calibrate on, drawn without looking at labels."""
    chosen = np.random.default_rng(0).permutation(len(found.x_train))[:count]
    return found.x_train[np.sort(chosen)]


def drawn(found: Source, count: int = IMAGES) -> NDArray:
    """Places of so many test images, at random and in order: of all where there are fewer."""
    return np.sort(np.random.default_rng(0).permutation(len(found.x_test))[:count])


def evaluated(
    conversion: sw.Conversion, found: Source, steps: int, images: int = IMAGES
) -> AccuracyLoss:
    """All that an evaluation says of a network after some steps."""
    some = drawn(found, images)
    records = conversion.evaluate(
        found.x_test[some], found.y_test[some], steps=steps, readouts="mean", operations=False,
        progress=False,
    ).records  # fmt: skip

    def value(what: str) -> Any:
        """The record of all layers after the last step."""
        (record,) = (
            r
            for r in select(records, what)
            if "layer" not in r.how and r.how.get("steps", steps) == steps
        )
        return record

    drop, own = value("accuracy drop"), value("source accuracy").value
    return AccuracyLoss(
        own,
        drop.value,
        *drop.interval,
        spikes=value("spikes per sample").value,
        rounding=own - value("rounded accuracy").value,
        per_active=value("spikes per active neuron").value,
    )


def answered(
    conversion: sw.Conversion,
    found: Source,
    steps: int | None,
    images: int = IMAGES,
    form: Any = lambda x: x,
) -> AccuracyLoss:
    """Points lost and spikes alone; `form` makes of images what the network takes."""
    some = drawn(found, images)
    answers, spikes = [], 0.0
    for part in np.array_split(form(found.x_test[some]), -(-len(some) // AT_ONCE)):
        run = conversion.run(part, steps=steps, progress=False)
        answers.append(run.predict().argmax(axis=1))
        spikes += sum(float(n.sum()) for n in run.spike_counts().values())
    right, source = np.concatenate(answers) == found.y_test[some], found.right[some]
    pairs = (source & right, source & ~right, ~source & right, ~source & ~right)
    interval = paired_interval(*(int(np.count_nonzero(pair)) for pair in pairs))
    before = float(source.mean())
    return AccuracyLoss(before, before - float(right.mean()), *interval, spikes=spikes / len(some))
