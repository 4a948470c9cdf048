"""The published firing-rate curve of NengoDL's keras-to-snn example, on networks trained here.

    python -m benchmarks.published_curve --mnist path/to/mnist.npz

Trains the published network with Keras (raw pixels, Adam 0.001, batch 200, 2 epochs), caches its
weights outside the repository, and prints each published row beside two of Spikewright's: the
published settings (SpikingRectifiedLinear, uniform start, last step; mean of three seeds) and the
defaults (IntegrateAndFire, half a spike, mean readout). First 400 test images, dt = 1 ms.

The file `mnist.npz` holds x_train, y_train, x_test, y_test; with internet access
`keras.datasets.mnist.load_data(path)` fetches the same.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

import spikewright as sw
from spikewright.measure import accuracy

IMAGES = 400
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Row:
    """One published setting and its accuracy in percent (None: not published)."""

    steps: int
    synapse: float | None
    scale: float
    published: float | None


ROWS = (
    Row(30, None, 1, 20.75),
    Row(60, 0.001, 1, 23.00),
    Row(60, 0.005, 1, 52.25),
    Row(60, 0.010, 1, 71.75),
    Row(30, 0.010, 2, 80.25),
    Row(30, 0.010, 5, 96.00),
    Row(30, 0.010, 10, 98.25),
    Row(10, None, 1000, 98.25),
    Row(60, None, 1, None),
    Row(30, None, 2, None),
)


def network() -> keras.Model:
    """The published network."""
    image = keras.Input((28, 28, 1), name="image")
    x = keras.layers.Conv2D(32, 3, activation="relu", name="conv0")(image)
    x = keras.layers.Conv2D(64, 3, strides=2, activation="relu", name="conv1")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(image, keras.layers.Dense(10, name="dense")(x))


def trained(data: dict[str, np.ndarray], cache: Path, seed: int) -> keras.Model:
    """The network trained by the published recipe, from the cache where it is there."""
    path = cache / f"published_curve_{seed}.keras"
    if path.exists():
        return keras.saving.load_model(path)
    keras.utils.set_random_seed(seed)
    model = network()
    model.compile(
        optimizer=keras.optimizers.Adam(0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    images = data["x_train"][..., None].astype("float32")
    model.fit(images, data["y_train"], batch_size=200, epochs=2)
    cache.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return model


def published_setting(model: keras.Model, row: Row, x: np.ndarray, y: np.ndarray) -> list[float]:
    """Accuracy in percent for each seed: rectified neurons, uniform start, last step."""
    conversion = sw.convert(
        model,
        spiking={"relu": sw.SpikingRectifiedLinear()},
        scale_firing_rates=row.scale,
        synapse=row.synapse,
        initial_voltage="uniform",
    )
    runs = (conversion.run(x, steps=row.steps, seed=seed) for seed in SEEDS)
    return [100 * accuracy(run, y, "last").value for run in runs]


def default_setting(
    model: keras.Model, row: Row, x: np.ndarray, y: np.ndarray
) -> tuple[float, float]:
    """Accuracy in percent and spikes per image with Spikewright's defaults."""
    conversion = sw.convert(model, spiking=True, scale_firing_rates=row.scale, synapse=row.synapse)
    run = conversion.run(x, steps=row.steps)
    spikes = sum(float(counts.mean()) for counts in run.spike_counts().values())
    return 100 * accuracy(run, y).value, spikes


def report(model: keras.Model, x: np.ndarray, y: np.ndarray) -> bool:
    """Print the table; returns whether every row lies within its published band."""
    source = sw.convert(model).run(x, steps=1)
    print(f"source accuracy {100 * accuracy(source, y).value:.2f} % (published 98.25 %)\n")
    print("steps  synapse  scale  published  same settings (3 seeds)   defaults  spikes/image")
    within = True
    for row in ROWS:
        same = published_setting(model, row, x, y)
        ours, spikes = default_setting(model, row, x, y)
        mean = float(np.mean(same))
        mark = ""
        if row.published is not None:
            band = 12.0 if row.published < 90 else 4.0
            inside = abs(mean - row.published) <= band
            within &= inside
            mark = f"{mean - row.published:+6.2f}{'' if inside else ' OUTSIDE'}"
        shown = "-" if row.published is None else f"{row.published:.2f} %"
        synapse = "none" if row.synapse is None else f"{row.synapse * 1000:g} ms"
        print(
            f"{row.steps:5d}  {synapse:>7}  {row.scale:5g}  {shown:>9}  "
            f"{mean:6.2f} % {mark:>15}  {ours:7.2f} %  {spikes:12.0f}",
            flush=True,
        )
    return within


def main() -> None:
    """Train or load, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "spikewright")
    parser.add_argument("--training-seed", type=int, default=0)
    arguments = parser.parse_args()
    with np.load(arguments.mnist) as file:
        data = {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    model = trained(data, arguments.cache, arguments.training_seed)
    x = data["x_test"][:IMAGES, ..., None].astype("float32")
    inside = report(model, x, data["y_test"][:IMAGES])
    print("\nall published rows within their bands" if inside else "\nsome rows lie outside")


if __name__ == "__main__":
    main()
