"""The regularised rows of the published firing-rate curve: rates trained to 250 Hz.

    python -m benchmarks.regularised --mnist path/to/mnist.npz [--images 2000] [--document]

NengoDL's keras-to-snn example trains its network once more with firing rates held near 250 Hz, so
that it spikes with a scale of 1: RMSprop 0.001, and the mean square distance of the values of conv0
and conv1 from 250, weighted by 1e-3. Here that is `sw.keras.RateRange(250)` in `model.fit`, for
two epochs on raw pixels; the weights are kept beside the benchmark. Each published row is printed
beside Spikewright's with the published settings (SpikingRectifiedLinear, uniform start, last step;
three seeds) and with its defaults. Accuracies are those of the first 400 test images, as published,
and of all that were asked for.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks import kept
from benchmarks.image_sets import ImageSet, load
from benchmarks.marked import add_document, write_section
from benchmarks.published_curve import SEEDS
from benchmarks.results import markdown_table

RATE = 250.0
EPOCHS = 2
BATCH = 200
PUBLISHED_IMAGES = 400
RECIPE = (
    f"keras-to-snn, raw pixels, RateRange({RATE:g}) on conv0 and conv1, RMSprop 0.001, "
    f"{EPOCHS} epochs of batches of {BATCH}, seed 0"
)


@dataclass(frozen=True)
class Row:
    """A published setting of the regularised network, and its accuracy in percent."""

    steps: int
    synapse: float | None
    spiking: bool
    published: float


ROWS = (Row(10, None, False, 98.50), Row(30, 0.010, True, 98.25))


def network() -> keras.Model:
    """The published network, with firing rates held near 250 Hz in both convolutions."""

    def held(filters: int, name: str, **options: int) -> keras.layers.Layer:
        return keras.layers.Conv2D(
            filters, 3, activation="relu", name=name,
            activity_regularizer=sw.keras.RateRange(RATE), **options,
        )  # fmt: skip

    image = keras.Input((28, 28, 1), name="image")
    x = held(64, "conv1", strides=2)(held(32, "conv0")(image))
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(image, keras.layers.Dense(10, name="dense")(x))


def trained(data: ImageSet) -> keras.Model:
    """The network trained, or with the weights that are kept."""
    origin = kept.Origin.of("regularised_mnist_0", RECIPE, data)
    keras.utils.set_random_seed(0)
    model = network()
    found = kept.load(origin)
    if found is not None:
        for weight in model.weights:
            weight.assign(found[weight.path])
        return model
    model.compile(
        optimizer=keras.optimizers.RMSprop(0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(pixels(data.x_train), data.y_train, batch_size=BATCH, epochs=EPOCHS, verbose=2)
    answers = model.predict(pixels(data.x_test), batch_size=500, verbose=0).argmax(axis=1)
    arrays = {weight.path: weight.numpy() for weight in model.weights}
    kept.save(arrays, origin, float(np.mean(answers == data.y_test)))
    return model


def pixels(images: NDArray) -> NDArray[np.float32]:
    """Raw pixels from 0 to 255."""
    return images.reshape(-1, 28, 28, 1).astype(np.float32)


def measured(
    conversion: sw.Conversion, row: Row, x: NDArray, y: NDArray, last: bool
) -> tuple[float, float]:
    """Percent right of the published images and of all; of spiking networks the mean of seeds."""
    rights = []
    for seed in SEEDS if row.spiking and last else SEEDS[:1]:
        run = conversion.run(x, steps=row.steps, seed=seed, progress=False)
        rights.append(run.predict("last" if last else "mean").argmax(axis=1) == y)
    right = np.mean(rights, axis=0)
    return 100 * float(right[:PUBLISHED_IMAGES].mean()), 100 * float(right.mean())


def conversions(model: keras.Model, row: Row) -> dict[str, sw.Conversion]:
    """The published settings, and the defaults with a firing-rate scale of 1."""
    if not row.spiking:
        return {"published settings": sw.convert(model)}
    plain = sw.convert(
        model,
        spiking={"relu": sw.SpikingRectifiedLinear()},
        synapse=row.synapse,
        initial_voltage="uniform",
    )
    return {"published settings": plain, "defaults": sw.convert(model, spiking=True)}


def main() -> None:
    """Train or load, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--images", type=int, default=2000, help="test images")
    add_document(parser, "training.md")
    arguments = parser.parse_args()
    data = load(arguments.mnist)
    model = trained(data)
    x, y = pixels(data.x_test[: arguments.images]), data.y_test[: arguments.images]
    lines = []
    for row in ROWS:
        for name, conversion in conversions(model, row).items():
            few, all_of_them = measured(conversion, row, x, y, name == "published settings")
            lines.append([
                "spiking" if row.spiking else "rate", str(row.steps), name,
                f"{row.published:.2f}", f"{few:.2f}", f"{all_of_them:.2f}",
            ])  # fmt: skip
    head = ["network", "steps", "settings", "published, %", "first 400 images, %",
            f"first {arguments.images} images, %"]  # fmt: skip
    write_section("regularised", markdown_table(head, lines), arguments.document)


if __name__ == "__main__":
    main()
