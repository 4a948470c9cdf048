"""A BERT on padded texts and a recommender on ids, in 64 and 16 steps of one spike a neuron.

    python -m benchmarks.texts_and_ratings [--rows NAME ...] [--samples 1000] [--document]

The BERT says which package a docstring is from (`docstrings.py`), the recommender, neural
collaborative filtering, whether a user likes an item (`ratings.py`). Weights of the same data are
kept in `weights/`; of other data, which docstrings of other versions are, a network is trained in
some minutes. `--keep` puts them there. Each row is one conversion, calibrated on training samples
without labels.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import spikewright as sw
from benchmarks import docstrings, kept, ratings
from benchmarks.families.recommenders import NeuMF
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table
from benchmarks.timing import with_threads
from spikewright.records import select

SEEN = 128
Given = dict[str, NDArray]


@dataclass(frozen=True)
class Recipe:
    """AdamW under one cycle of the learning rate (Smith 2018)."""

    epochs: int
    batch: int
    rate: float
    weight_decay: float
    label_smoothing: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Task:
    """A network, its recipe and its data: samples by name, and whole numbers to say of them.

    `tested` is the number of test samples of a row.
    """

    title: str
    make: Callable[[], nn.Module]
    recipe: Recipe
    data: Callable[[], tuple[tuple[Given, NDArray], tuple[Given, NDArray]]]
    loss: Callable[[Tensor, Tensor, float], Tensor]
    right: Callable[[NDArray, NDArray], NDArray]
    tested: int


def bert() -> nn.Module:
    """Two layers of 64 values with four heads, 0.2 million weights."""
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(
            vocab_size=docstrings.WORDS, hidden_size=64, num_hidden_layers=2,
            num_attention_heads=4, intermediate_size=128, type_vocab_size=1,
            max_position_embeddings=docstrings.LENGTH, num_labels=len(docstrings.PACKAGES),
            hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1,
        )
    )  # fmt: skip


def recommender() -> nn.Module:
    """Neural collaborative filtering with 16 factors; one logit a sample, `(batch,)`."""
    return NeuMF(ratings.USERS, ratings.ITEMS, 16)


def _texts() -> tuple[tuple[Given, NDArray], tuple[Given, NDArray]]:
    one, other = docstrings.texts()
    return (one.given, one.labels), (other.given, other.labels)


def _ratings() -> tuple[tuple[Given, NDArray], tuple[Given, NDArray]]:
    one, other = ratings.ratings()
    return (one.given, one.liked), (other.given, other.liked)


def _of_classes(logits: Tensor, y: Tensor, smoothing: float) -> Tensor:
    return nn.functional.cross_entropy(logits, y, label_smoothing=smoothing)


def _of_one_logit(logits: Tensor, y: Tensor, smoothing: float) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, y.float())


def classified(outputs: NDArray, y: NDArray) -> NDArray:
    """Whether the largest logit is that of the class."""
    right: NDArray = outputs.argmax(-1) == y
    return right.astype(float)


def liked(outputs: NDArray, y: NDArray) -> NDArray:
    """Whether the logit has the sign of what was said: liked or not."""
    right: NDArray = (outputs > 0) == (y > 0)
    return right.astype(float)


TASKS: Mapping[str, Task] = {
    "bert": Task(
        "BERT on padded docstrings, which of six packages they are from",
        bert, Recipe(8, 64, 2e-3, 0.05, 0.05), _texts, _of_classes, classified, 1000,
    ),
    "ncf": Task(
        "Neural collaborative filtering on users and items, liked or not",
        recommender, Recipe(8, 256, 1e-2, 0.1), _ratings, _of_one_logit, liked, 12_000,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A trained network with its data."""

    module: nn.Module
    seen: Given
    given: Given
    y: NDArray
    right: Callable[[NDArray, NDArray], NDArray]
    origin: kept.Origin

    @cached_property
    def accuracy(self) -> float:
        """The share of test samples that it answers right."""
        return float(self.right(outputs(self.module, self.given), self.y).mean())


def trained(name: str) -> Trained:
    """A network with the weights that are kept of its recipe and data, or trained now."""
    task = TASKS[name]
    (x, y), (given, test) = task.data()
    digest = hashlib.sha256()
    for array in (*x.values(), y):
        digest.update(np.ascontiguousarray(array, np.int64).data)
    origin = kept.Origin(f"{name}_{task.recipe.seed}", str(task.recipe), digest.hexdigest())
    torch.manual_seed(task.recipe.seed)
    module, arrays = task.make(), kept.load(origin)
    if arrays is None:
        fit(module, x, y, task)
    else:
        module.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()})
    return Trained(module.eval(), x, given, test, task.right, origin)


def fit(module: nn.Module, x: Given, y: NDArray, task: Task) -> None:
    """Train by the task's recipe."""
    recipe, rng = task.recipe, np.random.default_rng(task.recipe.seed)
    batches = len(y) // recipe.batch
    optimiser = torch.optim.AdamW(
        module.parameters(), recipe.rate, weight_decay=recipe.weight_decay
    )
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.epochs * batches, pct_start=0.2
    )
    module.train()
    for _ in range(recipe.epochs):
        for some in np.array_split(rng.permutation(len(y))[: batches * recipe.batch], batches):
            answers = called(module, at(x, some))
            optimiser.zero_grad()
            task.loss(answers, torch.from_numpy(y[some]), recipe.label_smoothing).backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.step()
            rates.step()


def called(module: nn.Module, x: Given) -> Tensor:
    """The logits of samples by name."""
    answers = module(**{name: torch.from_numpy(array) for name, array in x.items()})
    logits: Tensor = getattr(answers, "logits", answers)
    return logits


def outputs(module: nn.Module, x: Given) -> NDArray:
    """The logits of samples, without gradients."""
    with torch.no_grad():
        return called(module, x).numpy()


def at(x: Given, some: NDArray) -> Given:
    """Some samples."""
    return {name: array[some] for name, array in x.items()}


def drawn(x: Given, count: int) -> NDArray:
    """Places of so many samples, at random and in order."""
    n = len(next(iter(x.values())))
    return np.sort(np.random.default_rng(0).permutation(n)[:count])


@dataclass(frozen=True)
class Plan:
    """A row: a network after some steps, and the share of them that thresholds count on."""

    network: str
    steps: int
    share: float = 0.8


PLANS: Mapping[str, Plan] = {
    "bert_64": Plan("bert", 64),
    "bert_16": Plan("bert", 16),
    "ncf_64": Plan("ncf", 64),
    "ncf_16": Plan("ncf", 16),
}


def converted(plan: Plan, found: Trained) -> sw.Conversion:
    """The network of a plan: one spike a step at most, calibrated on some training samples."""
    seen = at(found.seen, drawn(found.seen, SEEN))
    return sw.convert(
        found.module,
        spiking=True,
        max_spikes_per_step=1,
        example_input=at(seen, np.arange(2)),
        scale_firing_rates=sw.MinimumError(plan.steps, share=plan.share),
        calibration=seen,
        bias_correction=sw.StepCorrection(plan.steps),
    )


def measured(plan: Plan, found: Trained, samples: int) -> list[str]:
    """The cells of a row, all but the first."""
    conversion, some = converted(plan, found), drawn(found.given, samples)
    records = conversion.evaluate(
        at(found.given, some), found.y[some], steps=plan.steps, readouts="mean", operations=False,
        metric=found.right, progress=False,
    ).records  # fmt: skip
    score = found.right.__name__

    def value(what: str) -> Any:
        """The record of all layers after the last step."""
        (record,) = (
            r
            for r in select(records, what)
            if "layer" not in r.how and r.how.get("steps", plan.steps) == plan.steps
        )
        return record

    drop, own = value(f"{score} drop"), value(f"source {score}").value
    low, high = drop.interval
    return [
        f"{100 * own:.1f} %",
        f"{100 * drop.value:.2f} ({100 * low:.2f} to {100 * high:.2f})",
        f"{100 * (own - value(f'rounded {score}').value):.2f}",
        f"{value('spikes per sample').value:,.0f}",
    ]


HEAD = ("network", "steps", "source", "lost", "by rounding", "spikes")


def main() -> None:
    """Measure what was asked for, and write it into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--samples", type=int, help="test samples of a row, at most")
    parser.add_argument("--keep", action="store_true", help="keep the weights beside this file")
    add_document(parser, "accuracy.md")
    given = parser.parse_args()
    with_threads(1)
    lines = []
    for network, task in TASKS.items():
        plans = [PLANS[name] for name in given.rows if PLANS[name].network == network]
        if not plans:
            continue
        found = trained(network)
        if given.keep:
            arrays = {key: value.numpy() for key, value in found.module.state_dict().items()}
            print(kept.save(arrays, found.origin, found.accuracy))
        for plan in plans:
            begun = time.monotonic()
            cells = measured(plan, found, given.samples or task.tested)
            lines.append([task.title, str(plan.steps), *cells])
            print(*lines[-1], f"{time.monotonic() - begun:.0f} s", flush=True)
    write_section("texts", markdown_table(list(HEAD), lines), given.document)


if __name__ == "__main__":
    main()
