"""Fine-tuning for few steps and few spikes: accuracy, spikes an inference and steps.

    python -m benchmarks.fine_tuning --mnist mnist.npz --fashion-mnist fashion_mnist.npz \
        --cifar10 cifar10.npz --cache FOLDER [--rows NAME ...] [--seeds 0 1 2]

Networks whose images are not given are left out, as are rows whose network of the row before was
not trained. Every row is one call of `Conversion.train` on varied training images, within so many
minutes: without labels it imitates the source's outputs. Then all test images are run. Rows are
kept in `docs/fine_tuning.csv`, trained weights beside the benchmark, and `docs/fine_tuning.md` is
written from all rows. A training that was killed goes on after its last epoch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import spikewright as sw
from benchmarks import kept
from benchmarks.conversion_quality import Lost
from benchmarks.image_sets import load
from benchmarks.quality_rows import append_row, read_rows
from benchmarks.results import markdown_table
from benchmarks.sources import Source, add_arguments, source
from benchmarks.training import Normalised, varied
from spikewright.measure import EveryStep

PAGE = Path(__file__).parents[1] / "docs" / "fine_tuning.md"
TABLE = PAGE.with_suffix(".csv")
HELD, BATCH = 2000, 128
FITTED: Mapping[str, tuple[str, float]] = {
    "fashion_mnist": ("neuron_scales", 5e-3), "cifar10": ("scales", 2e-3)
}  # fmt: skip
"""Thresholds that are fitted where weights stay, and the rate of learning."""
OF_NEURONS = ("scale_firing_rates", "initial_voltage")
"""Arguments of `convert` that are kept of each layer where weights stay."""
HEAD = """# Fine-tuning: accuracy, spikes and steps

For those who ask what `Conversion.train` gives. Written by `python -m benchmarks.fine_tuning`; do
not edit. Accuracy is that of the spiking network on all 10 000 test images; points lost are beside
its source, with a 95 % interval of the same images; the goal is what the row was to lose at most.
More neurons are those that `Fission` added to the network's before it was trained. Taken as sent is
the number of first steps in which receivers take one spike of every neuron as sent; in several
steps these rows have biases of each step too, which stay as they were measured. Heights are what
a spike is worth in each step; then all of the input comes in the first one. Where weights
stay, thresholds (of neurons on Fashion-MNIST, else of channels), biases and starts are fitted.
Least squares are `refit=True`, before a training or in the place of one.
Spikes are of either sign, an inference. Minutes are by the clock; trainings on CIFAR-10 had one
core, but for the row in one step with spikes taken as sent, which had two. Its products and those
of rows with heights whose weights are trained were in bfloat16.
A row of fewer steps goes on from the weights of one with twice as many, of seed 0.
"""


@dataclass(frozen=True)
class Plan:
    """One training: of a network, for so many steps, within so many minutes.

    It begins with the weights of the row `after`, of seed 0, else with the source's. `spikes` is a
    budget. `extra` neurons are added for each one, by fission. Where `weights` stay, thresholds,
    biases and starts alone are fitted, to images that are not varied. In the first `assumed` steps
    receivers take one spike of every neuron as sent; spikes of the first steps are worth `heights`.
    Where neurons have biases `by_step`, these are measured before the training, on images without
    labels, and stay. `sgd` is the rate of learning of stochastic gradient descent; without it
    weights are trained by Adam at 5e-4. What is trained `quickly` has its products in bfloat16.
    With `refit` weights are first fitted by least squares; without `minutes` that is all.
    """

    network: str
    steps: int
    minutes: float
    labels: bool = False
    spikes: float | None = None
    cap: int | None = 1
    after: str | None = None
    extra: float = field(default=0.0, repr=False)  # weights are kept with the text of plans
    weights: bool = field(default=True, repr=False)
    assumed: int = field(default=0, repr=False)
    by_step: bool = field(default=False, repr=False)
    sgd: float | None = field(default=None, repr=False)
    quickly: bool = field(default=False, repr=False)
    heights: tuple[int, ...] = field(default=(), repr=False)
    refit: bool = field(default=False, repr=False)

    @property
    def of_weights(self) -> str:
        """A word for the table: weights stay, are trained, or are fitted by least squares."""
        if not self.weights:
            return "stay"
        ways = ["least squares"] * self.refit + ["trained"] * (self.minutes > 0)
        return ", ".join(ways)

    @property
    def optimiser(self) -> str:
        """The optimiser's name."""
        return "-" if not self.minutes else "SGD" if self.sgd else "Adam"

    @property
    def recipe(self) -> str:
        """The plan in a line."""
        more = f", extra={self.extra}" if self.extra else ""
        more += f", assumed={self.assumed}" if self.assumed else ""
        more += f", heights={self.heights}" if self.heights else ""
        more += ", biases of each step" if self.by_step else ""
        more += ", weights first fitted by least squares" if self.refit else ""
        more += f", SGD at {self.sgd}" if self.sgd else ""
        more += ", products in bfloat16" if self.quickly else ""
        return f"{self}{more}" if self.weights else f"{self}{more}, weights stay"


PLANS: Mapping[str, Plan] = {
    "mnist_1000": Plan("mnist", 1, 10, spikes=1000),
    "mnist_800": Plan("mnist", 1, 10, spikes=800),
    "fashion_4": Plan("fashion_mnist", 4, 10),
    "fashion_4_spikes": Plan("fashion_mnist", 4, 10, spikes=21_900),
    "fashion_1_fitted": Plan("fashion_mnist", 1, 10, spikes=9960, cap=None, weights=False),
    "fashion_4_fitted": Plan("fashion_mnist", 4, 10, weights=False),
    "cifar10_8": Plan("cifar10", 8, 25),
    "cifar10_4": Plan("cifar10", 4, 25, after="cifar10_8"),
    "cifar10_4_labels": Plan("cifar10", 4, 25, labels=True, after="cifar10_8"),
    "cifar10_2": Plan("cifar10", 2, 25, after="cifar10_4"),
    "cifar10_1": Plan("cifar10", 1, 25, labels=True, after="cifar10_2"),
    "cifar10_2_levels": Plan("cifar10", 2, 25, cap=3),
    "cifar10_1_levels": Plan("cifar10", 1, 15, cap=3),
    "cifar10_1_fitted": Plan("cifar10", 1, 9, cap=7, weights=False),
    "cifar10_4_fitted": Plan("cifar10", 4, 25, weights=False),
    "cifar10_8_fitted": Plan("cifar10", 8, 25, weights=False),
    "cifar10_4_fitted_neurons": Plan("cifar10", 4, 25, extra=0.5, weights=False),
    "cifar10_2_fitted_neurons": Plan("cifar10", 2, 25, extra=0.5, weights=False),
    "cifar10_4_assumed": Plan("cifar10", 4, 25, after="cifar10_8", assumed=3, by_step=True),
    "cifar10_2_assumed": Plan("cifar10", 2, 25, after="cifar10_4_assumed", assumed=2, by_step=True),
    "cifar10_1_assumed": Plan(
        "cifar10", 1, 25, labels=True, after="cifar10_2_assumed", assumed=1, quickly=True
    ),
    "cifar10_8_sgd": Plan("cifar10", 8, 25, by_step=True, sgd=5e-3),
    "cifar10_4_sgd": Plan(
        "cifar10", 4, 25, after="cifar10_8_sgd", assumed=3, by_step=True, sgd=5e-3
    ),
    "cifar10_2_sgd": Plan(
        "cifar10", 2, 25, after="cifar10_4_sgd", assumed=2, by_step=True, sgd=5e-3
    ),
    "cifar10_4_heights": Plan(
        "cifar10", 4, 25, assumed=1, by_step=True, sgd=5e-3, quickly=True, heights=(6, 4, 3, 3)
    ),
    "cifar10_4_heights_short": Plan(
        "cifar10", 4, 6, assumed=1, by_step=True, sgd=5e-3, quickly=True, heights=(6, 4, 3, 3)
    ),
    "cifar10_4_heights_labels": Plan(
        "cifar10",
        4,
        25,
        labels=True,
        after="cifar10_4_heights",
        assumed=1,
        by_step=True,
        sgd=5e-3,
        quickly=True,
        heights=(6, 4, 3, 3),
    ),
    "cifar10_2_heights": Plan(
        "cifar10",
        2,
        25,
        after="cifar10_4_heights",
        assumed=1,
        by_step=True,
        sgd=5e-3,
        quickly=True,
        heights=(4, 3),
    ),
    "cifar10_4_refit": Plan(
        "cifar10", 4, 0, assumed=1, by_step=True, heights=(6, 4, 3, 3), refit=True
    ),
    "cifar10_2_refit": Plan("cifar10", 2, 0, assumed=1, by_step=True, heights=(4, 3), refit=True),
    "cifar10_2_refit_trained": Plan(
        "cifar10",
        2,
        25,
        assumed=1,
        by_step=True,
        sgd=5e-3,
        quickly=True,
        heights=(4, 3),
        refit=True,
    ),
    "cifar10_4_fitted_heights": Plan(
        "cifar10", 4, 10, weights=False, assumed=1, by_step=True, heights=(6, 4, 3, 3)
    ),
    "cifar10_4_neurons": Plan("cifar10", 4, 25, extra=0.5),
    "cifar10_2_neurons": Plan("cifar10", 2, 25, extra=0.5, after="cifar10_4_neurons"),
}
GOALS: Mapping[str, float] = {
    "mnist_1000": 0.5, "mnist_800": 0.5, "fashion_1_fitted": 0.5, "fashion_4_fitted": 0.5,
    "cifar10_8": 0.3, "cifar10_4": 1.0, "cifar10_4_labels": 0.5, "cifar10_2": 3.0,
    "cifar10_1": 10.0, "cifar10_2_levels": 1.0, "cifar10_1_levels": 3.0, "cifar10_1_fitted": 1.5,
    "cifar10_4_fitted": 2.0, "cifar10_8_fitted": 0.4, "cifar10_4_fitted_neurons": 1.0,
    "cifar10_2_fitted_neurons": 4.0,
    "cifar10_4_neurons": 1.0, "cifar10_2_neurons": 3.0,
    "cifar10_4_assumed": 1.0, "cifar10_2_assumed": 3.0,
    "cifar10_1_assumed": 10.0,
    "cifar10_8_sgd": 0.3, "cifar10_4_sgd": 1.0, "cifar10_2_sgd": 3.0,
    "cifar10_4_heights": 1.0, "cifar10_4_heights_short": 1.0, "cifar10_4_heights_labels": 0.5,
    "cifar10_2_heights": 3.0, "cifar10_4_refit": 1.0,
    "cifar10_2_refit": 3.0, "cifar10_2_refit_trained": 3.0, "cifar10_4_fitted_heights": 2.0,
}  # fmt: skip
"""Points that rows are to lose at most, by name."""
SHIFTED: Mapping[str, tuple[int, bool]] = {
    "mnist": (1, False), "fashion_mnist": (1, True), "cifar10": (4, True)
}  # fmt: skip
"""Pixels by which training images are shifted at most, and whether half of them are mirrored."""


@dataclass(frozen=True)
class Row:
    """A training measured: accuracies and points lost are fractions."""

    name: str
    seed: int
    source: float
    spiking: float
    drop: float
    low: float
    high: float
    spikes: float
    epochs: int
    minutes: float

    @property
    def key(self) -> tuple[str, int]:
        """Its plan and seed."""
        return self.name, self.seed


class Varied:
    """Batches of training images, varied anew in every epoch, with labels or the source's outputs.

    Of a permutation `HELD` images are held back, a tenth at most.
    """

    def __init__(self, found: Source, path: Path, plan: Plan, seed: int) -> None:
        self.found, self.plan, self.seed, self.epoch = found, plan, seed, 0
        data = load(path)
        self.images, self.labels = data.x_train, data.y_train
        order = np.random.default_rng(seed).permutation(len(self.images))
        count = min(HELD, len(order) // 10)
        self.held, self.rest = order[:count], order[count:]
        self._normalised = Normalised.by(data.x_train)

    def __len__(self) -> int:
        return -(-len(self.rest) // BATCH)

    def __iter__(self) -> Iterator[tuple[NDArray, NDArray]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        self.epoch += 1
        shift, mirror = SHIFTED[self.plan.network]
        for chosen in np.array_split(rng.permutation(self.rest), len(self)):
            x = self.taken(varied(self.images[chosen], shift, mirror, rng))
            yield x, self.wanted(x, self.labels[chosen])

    @property
    def validation(self) -> tuple[NDArray, NDArray]:
        """The images held back, as they are."""
        x = self.taken(self.images[self.held])
        return x, self.wanted(x, self.labels[self.held])

    def taken(self, images: NDArray) -> NDArray:
        """Images as the network takes them."""
        if self.plan.network == "mnist":
            return images.astype(np.float32) / 255.0
        return np.ascontiguousarray(self._normalised(images).numpy())

    def wanted(self, x: NDArray, labels: NDArray) -> NDArray:
        """Labels, or what is imitated: the source's outputs."""
        return labels if self.plan.labels else self.found.outputs(x)


def divergence(outputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Of the source's softmax from the network's, in nats: both are logits."""
    made, source = outputs.log_softmax(-1), wanted.to(outputs.dtype).log_softmax(-1)
    return torch.nn.functional.kl_div(made, source, reduction="batchmean", log_target=True)


def origin(name: str, plan: Plan, seed: int, found: Source) -> kept.Origin:
    """The origin of the weights of a row: its plan, on the data of its source."""
    assert found.origin is not None
    return kept.Origin(f"tuned_{name}_{seed}", f"{plan.recipe}, seed {seed}", found.origin.data)


def begun(name: str, fresh: Source) -> Any:
    """The model that a row has trained with seed 0, in the place of its source.

    Raises `LookupError` where it was not trained.
    """
    arrays = kept.load(origin(name, PLANS[name], 0, fresh))
    if arrays is None:
        raise LookupError(f"row {name}, seed 0, is not trained yet")
    model = fresh.model
    if hasattr(model, "load_state_dict"):
        model.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()}, strict=False)
    else:
        for weight in model.weights:
            weight.assign(arrays[weight.path])
    return model


def measured(name: str, seed: int, path: Path, cache: Path) -> Row:
    """Train a row, keep its weights, and run all test images."""
    plan, start = PLANS[name], time.monotonic()
    found = source(plan.network, path, cache)
    images = Varied(found, path, plan, seed)
    model = found.model
    if plan.after is not None:  # another copy: the source is still imitated
        model = begun(plan.after, source(plan.network, path, cache))
    conversion = sw.convert(
        model,
        spiking={
            "relu": sw.BipolarIntegrateAndFire(
                assumed_spikes=plan.assumed, spike_heights=plan.heights
            )
        },
        max_spikes_per_step=plan.cap,
        example_input=found.example,
        **_measured_before(plan, images),
    )
    (cache / "fine_tuning").mkdir(parents=True, exist_ok=True)
    trained = conversion.train(
        **(_trained(plan, images) if plan.weights else _fitted(plan, images)),
        steps=plan.steps,
        spikes=plan.spikes,
        epochs=100 if plan.minutes else 0,
        timeout=60 * plan.minutes or None,
        refit=plan.refit,
        checkpoint=cache / "fine_tuning" / f"{name}_{seed}.safetensors",
        seed=seed,
        thresholds="kept" if plan.by_step else "chosen",
        method="time" if plan.by_step else "auto",
    )
    minutes = (time.monotonic() - start) / 60
    answers, spikes = answered(trained.conversion, found.x_test, plan.steps)
    lost = Lost.of(found.right, answers == found.y_test)
    kept.save(_state(trained, plan, found.model), origin(name, plan, seed, found), lost.spiking)
    return Row(name, seed, **asdict(lost), spikes=spikes, epochs=len(trained.history),
               minutes=minutes)  # fmt: skip


def _trained(plan: Plan, images: Varied) -> dict[str, Any]:
    """Arguments of a training of weights, on varied images."""
    loss = "both" if plan.labels else divergence
    return {
        "x": images,
        "loss": loss,
        "batch_size": BATCH,
        "validation": images.validation,
        "optimiser": "adam" if plan.sgd is None else "sgd",
        "learning_rate": plan.sgd or 5e-4,
        "precision": "bfloat16" if plan.quickly else "float32",
    }


def _fitted(plan: Plan, images: Varied) -> dict[str, Any]:
    """Arguments of a training of all but the weights, on the images as they are."""
    scales, rate = FITTED[plan.network]
    return {
        "x": images.taken(images.images[images.rest]),
        "validation": images.validation[0],
        "trainable": ("biases", scales, "initial_voltage"),
        "learning_rate": "chosen" if plan.heights else rate,
        "batch_size": BATCH // 2,
    }


def _state(trained: sw.Training, plan: Plan, source: Any) -> dict[str, NDArray]:
    """The source's arrays after a training; where weights stay what changed, and the neurons'."""
    found = dict(trained.source_state())
    if plan.weights:
        return found
    before = {name: value.numpy() for name, value in source.state_dict().items()}
    found = {n: array for n, array in found.items() if not np.array_equal(array, before[n])}
    for argument in OF_NEURONS:
        for layer, values in trained.conversion.resolved[argument].items():
            found[f"{argument} of {layer}"] = np.asarray(values, np.float32)
    return found


def _measured_before(plan: Plan, images: Varied) -> dict[str, Any]:
    """Arguments of `convert` that look at images, without labels: neurons and biases of steps."""
    found: dict[str, Any] = {}
    if plan.extra:
        found["fission"] = sw.Fission(plan.steps, plan.extra)
    if plan.by_step:
        found["bias_correction"] = sw.StepCorrection(plan.steps)
    if found:
        found["scale_firing_rates"] = sw.MinimumError(plan.steps)
        found["calibration"] = images.validation[0][:500]
    return found


def answered(
    conversion: sw.Conversion,
    x: NDArray,
    steps: int,
    readout: EveryStep = "mean",
    threads: int | None = None,
) -> tuple[NDArray, float]:
    """Answers, and spikes an inference."""
    answers, spikes = [], 0.0
    for part in np.array_split(x, -(-len(x) // 500)):
        run = conversion.run(part, steps=steps, progress=False, threads=threads)
        answers.append(run.predict(readout).argmax(axis=1))
        spikes += sum(float(n.sum()) for n in run.spike_counts().values())
    return np.concatenate(answers), spikes / len(x)


def rows() -> dict[tuple[str, int], Row]:
    """All that is measured."""
    return {row.key: row for row in read_rows(TABLE, Row)}


def add(row: Row) -> None:
    """Keep a row, and write the page."""
    append_row(TABLE, row)
    PAGE.write_text(page(rows()), encoding="utf-8")


def page(found: Mapping[tuple[str, int], Row]) -> str:
    """The table, a line for every row."""
    head = [
        "network", "steps", "spikes a step", "taken as sent", "heights", "more neurons", "weights",
        "optimiser", "labels", "budget", "seed", "source", "spiking", "points lost", "goal",
        "spikes an inference", "minutes",
    ]  # fmt: skip
    lines = []
    for name, plan in PLANS.items():
        for row in (row for (of, _), row in sorted(found.items()) if of == name):
            lines.append([
                plan.network, str(plan.steps), "any" if plan.cap is None else str(plan.cap),
                str(plan.assumed or "-"), " ".join(map(str, plan.heights)) or "-",
                f"{100 * plan.extra:.0f} %" if plan.extra else "-",
                plan.of_weights, plan.optimiser,
                "yes" if plan.labels else "no",
                "-" if plan.spikes is None else f"{plan.spikes:,.0f}", str(row.seed),
                f"{100 * row.source:.2f} %", f"{100 * row.spiking:.2f} %",
                f"{100 * row.drop:.2f} ({100 * row.low:.2f} to {100 * row.high:.2f})",
                f"{GOALS[name]:.1f}" if name in GOALS else "-",
                f"{row.spikes:,.0f}", f"{row.minutes:.0f}",
            ])  # fmt: skip
    return f"{HEAD}\n{markdown_table(head, lines)}\n"


def main() -> None:
    """Train and measure what was asked for and is not there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--rows", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    given = parser.parse_args()
    for name in given.rows:
        path = getattr(given, PLANS[name].network)
        for seed in given.seeds if path is not None else ():
            if (name, seed) in rows():
                continue
            try:
                row = measured(name, seed, path, given.cache)
            except LookupError as why:
                print(f"{name}, seed {seed}: {why}", flush=True)
                continue
            add(row)
            print(f"{name}, seed {seed}: {row}", flush=True)


if __name__ == "__main__":
    main()
