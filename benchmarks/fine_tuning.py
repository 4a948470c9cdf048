"""Fine-tuning for few steps and few spikes: points lost, and spikes an inference.

    python -m benchmarks.fine_tuning --mnist mnist.npz --fashion-mnist fashion_mnist.npz \
        --cifar10 cifar10.npz [--rows NAME ...] [--images 2000] [--document]
    python -m benchmarks.fine_tuning ... --rows NAME --train

Networks whose images are not given are left out. Every row is one call of `Conversion.train` on
training images without labels: it imitates the source's outputs. What was trained is kept in
`weights/`, with the thresholds and starts that go with it, so that a row is only run; `--train`
trains it anew, within its minutes, and keeps it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import spikewright as sw
from benchmarks import kept
from benchmarks.answers import IMAGES, SHORT, Told, answered
from benchmarks.image_sets import load
from benchmarks.marked import add_document, tell
from benchmarks.results import markdown_table
from benchmarks.sources import Source, add_arguments, source
from benchmarks.timing import with_threads
from benchmarks.training import Normalised, varied

HELD, BATCH, SEEN, SEED = 2000, 128, 500, 0
FITTED: Mapping[str, tuple[str, float]] = {
    "fashion_mnist": ("neuron_scales", 5e-3), "cifar10": ("scales", 2e-3)
}  # fmt: skip
"""Thresholds that are fitted where weights stay, and the rate of learning."""
OF_NEURONS = ("scale_firing_rates", "initial_voltage")
"""Arguments of `convert` that are kept of each layer."""
HEAD = ("network", "steps", "spikes a step", "heights", "weights", "budget",
        "source", "points lost", "spikes an inference")  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """One training: of a network, for so many steps, in so many epochs or minutes at most.

    `spikes` is a budget. Where weights are not `trained`, thresholds, biases and starts alone are
    fitted. Where spikes of the first steps are worth `heights`, neurons have biases of each step,
    which are measured before, and stay.
    """

    network: str
    steps: int
    minutes: float = 25.0
    spikes: float | None = None
    cap: int | None = 1
    heights: tuple[int, ...] = ()
    trained: bool = False
    epochs: int = 100

    @property
    def neurons(self) -> sw.BipolarIntegrateAndFire:
        """The type of neurons in the place of ReLU."""
        return sw.BipolarIntegrateAndFire(
            assumed_spikes=int(bool(self.heights)), spike_heights=self.heights
        )


PLANS: Mapping[str, Plan] = {
    "mnist_1000": Plan("mnist", 1, 60, spikes=1000, trained=True, epochs=3),
    "fashion_1_fitted": Plan("fashion_mnist", 1, 10, spikes=9960, cap=None),
    "fashion_4_fitted": Plan("fashion_mnist", 4, 10),
    "cifar10_1_fitted": Plan("cifar10", 1, 9, cap=7),
    "cifar10_4_fitted": Plan("cifar10", 4),
    "cifar10_4_fitted_heights": Plan("cifar10", 4, 10, heights=(6, 4, 3, 3)),
}


class Varied:
    """Batches of training images, varied anew in every epoch, with the source's outputs.

    Of a permutation `HELD` images are held back, a tenth at most.
    """

    def __init__(self, found: Source, path: Path, plan: Plan) -> None:
        self.found, self.plan, self.epoch = found, plan, 0
        self.images = load(path).x_train
        order = np.random.default_rng(SEED).permutation(len(self.images))
        count = min(HELD, len(order) // 10)
        self.held, self.rest = order[:count], order[count:]
        self._normalised = Normalised.by(self.images)

    def __len__(self) -> int:
        return -(-len(self.rest) // BATCH)

    def __iter__(self) -> Iterator[tuple[NDArray, NDArray]]:
        rng = np.random.default_rng((SEED, self.epoch))
        self.epoch += 1
        for chosen in np.array_split(rng.permutation(self.rest), len(self)):
            x = self.taken(varied(self.images[chosen], 1, False, rng))
            yield x, self.found.outputs(x)

    @property
    def validation(self) -> tuple[NDArray, NDArray]:
        """The images held back, as they are."""
        x = self.taken(self.images[self.held])
        return x, self.found.outputs(x)

    def taken(self, images: NDArray) -> NDArray:
        """Images as the network takes them."""
        if self.plan.network == "mnist":
            return images.astype(np.float32) / 255.0
        return np.ascontiguousarray(self._normalised(images).numpy())


def divergence(outputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Of the source's softmax from the network's, in nats: both are logits."""
    made, source = outputs.log_softmax(-1), wanted.to(outputs.dtype).log_softmax(-1)
    return torch.nn.functional.kl_div(made, source, reduction="batchmean", log_target=True)


def origin(name: str, found: Source) -> kept.Origin:
    """The origin of what a row keeps: its plan, on the data of its source."""
    assert found.origin is not None
    return kept.Origin(f"tuned_{name}_{SEED}", f"{PLANS[name]}, seed {SEED}", found.origin.data)


def begun(plan: Plan, found: Source, images: Varied) -> sw.Conversion:
    """The network before its training."""
    measured: dict[str, Any] = {}
    if plan.heights:
        measured["bias_correction"] = sw.StepCorrection(plan.steps)
        measured["scale_firing_rates"] = sw.MinimumError(plan.steps)
        measured["calibration"] = images.validation[0][:SEEN]
    return sw.convert(
        found.model,
        spiking={"relu": plan.neurons},
        max_spikes_per_step=plan.cap,
        example_input=found.example,
        **measured,
    )


def train(name: str, found: Source, path: Path) -> Path:
    """Train a row, and keep what was trained."""
    plan = PLANS[name]
    images = Varied(found, path, plan)
    trained = begun(plan, found, images).train(
        **(_of_weights(images) if plan.trained else _of_the_rest(plan, images)),
        steps=plan.steps,
        spikes=plan.spikes,
        epochs=plan.epochs,
        timeout=60 * plan.minutes,
        seed=SEED,
        thresholds="kept" if plan.heights else "chosen",
        method="time" if plan.heights else "auto",
    )
    arrays = dict(trained.source_state())
    if not plan.trained:
        before = {key: value.numpy() for key, value in found.model.state_dict().items()}
        arrays = {n: a for n, a in arrays.items() if not np.array_equal(a, before[n])}
    for argument in OF_NEURONS:
        for layer, values in trained.conversion.resolved[argument].items():
            arrays[f"{argument} of {layer}"] = np.asarray(values, np.float32)
    lost = answered(trained.conversion, found, plan.steps, len(found.y_test))
    return kept.save(arrays, origin(name, found), lost.source - lost.drop)


def _of_weights(images: Varied) -> dict[str, Any]:
    """Arguments of a training of weights, on varied images."""
    return {
        "x": images,
        "loss": divergence,
        "batch_size": BATCH,
        "validation": images.validation,
        "learning_rate": 5e-4,
    }


def _of_the_rest(plan: Plan, images: Varied) -> dict[str, Any]:
    """Arguments of a training of all but the weights, on the images as they are."""
    scales, rate = FITTED[plan.network]
    return {
        "x": images.taken(images.images[images.rest]),
        "validation": images.validation[0],
        "trainable": ("biases", scales, "initial_voltage"),
        "learning_rate": "chosen" if plan.heights else rate,
        "batch_size": BATCH // 2,
    }


def made(name: str, found: Source, path: Path) -> sw.Conversion:
    """The network of a row from what is kept of it; raises `LookupError` where nothing is."""
    plan, arrays = PLANS[name], kept.load(origin(name, found))
    if arrays is None:
        raise LookupError(f"row {name} is not trained yet: --train")
    before = begun(plan, found, Varied(found, path, plan)).resolved
    numbers: dict[str, Any] = {argument: {} for argument in OF_NEURONS}
    for key, array in arrays.items():
        argument, _, layer = key.partition(" of ")
        if argument in OF_NEURONS:
            numbers[argument][layer] = array
    if plan.heights:
        numbers["bias_correction"] = before["bias_correction"]
    put({key: array for key, array in arrays.items() if " of " not in key}, found.model)
    return sw.convert(
        found.model,
        spiking={"relu": plan.neurons},
        max_spikes_per_step=plan.cap,
        example_input=found.example,
        **numbers,
    )


def put(arrays: Mapping[str, NDArray], model: Any) -> None:
    """Give a model the arrays that are kept of it."""
    if hasattr(model, "load_state_dict"):
        model.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()}, strict=False)
        return
    for weight in model.weights:
        weight.assign(arrays[weight.path])


def measured(name: str, found: Source, path: Path, images: int) -> Told:
    """The answers of a row beside the source's."""
    assert found.right.size  # of the source, before its model gets other arrays
    return answered(made(name, found, path), found, PLANS[name].steps, images)


def _line(plan: Plan, told: Told) -> list[str]:
    return [
        SHORT[plan.network],
        str(plan.steps),
        "any" if plan.cap is None else str(plan.cap),
        " ".join(map(str, plan.heights)) or "-",
        "trained" if plan.trained else "stay",
        "-" if plan.spikes is None else f"{plan.spikes:,.0f}",
        f"{100 * told.source:.2f} %",
        told.lost,
        f"{told.spikes:,.0f}",
    ]


def main() -> None:
    """Run what is kept, or train it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--rows", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--images", type=int, default=IMAGES, help="test images of a row")
    parser.add_argument("--train", action="store_true", help="train the rows anew")
    add_document(parser, "fine_tuning.md")
    given = parser.parse_args()
    with_threads(1)
    lines = []
    for name in given.rows:
        plan, begin = PLANS[name], time.monotonic()
        path = getattr(given, plan.network)
        if path is None:
            continue
        if given.train:
            print(train(name, source(plan.network, path, given.cache), path).name, flush=True)
        told = measured(name, source(plan.network, path, given.cache), path, given.images)
        lines.append(_line(plan, told))
        print(name, *lines[-1], f"{time.monotonic() - begin:.0f} s", flush=True)
    tell("trainings", markdown_table(list(HEAD), lines), given.document)


if __name__ == "__main__":
    main()
