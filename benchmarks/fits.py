"""Thresholds, biases and starts that are fitted by gradients: points lost, and spikes an inference.

    python -m benchmarks.fits --fashion-mnist fashion_mnist.npz --cifar10 cifar10.npz \
        [--rows NAME ...] [--images 2000] [--document]
    python -m benchmarks.fits ... --rows NAME --train

Networks whose images are not given are left out. Every row is one call of `Conversion.train` on
training images without labels: it imitates the source's outputs, and no weight changes. What was
fitted is kept in `weights/`, so that a row is only run; `--train` fits it anew, within its minutes,
and keeps it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import spikewright as sw
from benchmarks import kept
from benchmarks.answers import IMAGES, SHORT, AccuracyLoss, answered
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table
from benchmarks.sources import Source, add_arguments, source
from benchmarks.timing import with_threads

HELD, BATCH, SEED = 2000, 64, 0
FITTED: Mapping[str, tuple[str, float]] = {
    "fashion_mnist": ("neuron_scales", 5e-3), "cifar10": ("scales", 2e-3)
}  # fmt: skip
"""Thresholds that are fitted, of neurons or of channels, and the rate of learning."""
OF_NEURONS = ("scale_firing_rates", "initial_voltage")
"""Arguments of `convert` that are kept of each layer."""
HEAD = ("network", "steps", "spikes a step", "budget", "source", "lost", "spikes")


@dataclass(frozen=True)
class Plan:
    """One fit: of a network, for so many steps, within so many minutes; `spikes` is a budget."""

    network: str
    steps: int
    minutes: float
    cap: int | None = 1
    spikes: float | None = None


PLANS: Mapping[str, Plan] = {
    "fashion_1": Plan("fashion_mnist", 1, 10, None, 9960),
    "cifar10_1": Plan("cifar10", 1, 9, 7),
}


def origin(name: str, found: Source) -> kept.Origin:
    """The origin of what a row keeps: its plan, on the data of its source."""
    assert found.origin is not None
    return kept.Origin(f"fitted_{name}_{SEED}", f"{PLANS[name]}, seed {SEED}", found.origin.data)


def converted(plan: Plan, found: Source, **numbers: Any) -> sw.Conversion:
    """The network of a plan, with numbers for its neurons or before they are chosen."""
    return sw.convert(
        found.model,
        spiking={"relu": sw.BipolarIntegrateAndFire()},
        max_spikes_per_step=plan.cap,
        example_input=found.example,
        **numbers,
    )


def train(name: str, found: Source) -> Path:
    """Fit a row, and keep what was fitted."""
    plan = PLANS[name]
    order = np.random.default_rng(SEED).permutation(len(found.x_train))
    count = min(HELD, len(order) // 10)
    scales, rate = FITTED[plan.network]
    trained = converted(plan, found).train(
        found.x_train[order[count:]],
        validation=found.x_train[order[:count]],
        trainable=("biases", scales, "initial_voltage"),
        learning_rate=rate,
        batch_size=BATCH,
        steps=plan.steps,
        spikes=plan.spikes,
        epochs=100,
        timeout=60 * plan.minutes,
        seed=SEED,
    )
    before = {key: value.numpy() for key, value in found.model.state_dict().items()}
    state = trained.source_state().items()
    arrays = {key: array for key, array in state if not np.array_equal(array, before[key])}
    for argument in OF_NEURONS:
        for layer, values in trained.conversion.resolved[argument].items():
            arrays[f"{argument} of {layer}"] = np.asarray(values, np.float32)
    loss = answered(trained.conversion, found, plan.steps, len(found.y_test))
    return kept.save(arrays, origin(name, found), loss.source - loss.drop)


def made(name: str, found: Source) -> sw.Conversion:
    """The network of a row from what is kept of it; raises `LookupError` where nothing is."""
    arrays = kept.load(origin(name, found))
    if arrays is None:
        raise LookupError(f"row {name} is not fitted yet: --train")
    numbers: dict[str, Any] = {argument: {} for argument in OF_NEURONS}
    biases = {}
    for key, array in arrays.items():
        argument, _, layer = key.partition(" of ")
        if argument in OF_NEURONS:
            numbers[argument][layer] = array
        else:
            biases[key] = torch.from_numpy(array)
    found.model.load_state_dict(biases, strict=False)
    return converted(PLANS[name], found, **numbers)


def measured(name: str, found: Source, images: int) -> AccuracyLoss:
    """The answers of a row beside the source's."""
    assert found.right.size  # of the source, before its model gets other biases
    return answered(made(name, found), found, PLANS[name].steps, images)


def _line(plan: Plan, loss: AccuracyLoss) -> list[str]:
    return [
        SHORT[plan.network],
        str(plan.steps),
        "any" if plan.cap is None else str(plan.cap),
        "-" if plan.spikes is None else f"{plan.spikes:,.0f}",
        f"{100 * loss.source:.2f} %",
        loss.lost,
        f"{loss.spikes:,.0f}",
    ]


def main() -> None:
    """Run what is kept, or fit it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--rows", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--images", type=int, default=IMAGES, help="test images of a row")
    parser.add_argument("--train", action="store_true", help="fit the rows anew")
    add_document(parser, "accuracy.md")
    given = parser.parse_args()
    with_threads(1)
    lines = []
    for name in given.rows:
        plan, begin = PLANS[name], time.monotonic()
        path = getattr(given, plan.network)
        if path is None:
            continue
        if given.train:
            print(train(name, source(plan.network, path, given.cache)).name, flush=True)
        loss = measured(name, source(plan.network, path, given.cache), given.images)
        lines.append(_line(plan, loss))
        print(name, *lines[-1], f"{time.monotonic() - begin:.0f} s", flush=True)
    write_section("fits", markdown_table(list(HEAD), lines), given.document)


if __name__ == "__main__":
    main()
