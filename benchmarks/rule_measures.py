"""The measure that orders candidates as test accuracy does, in few steps and on few samples.

    python -m benchmarks.rule_measures --mnist mnist.npz --fashion-mnist fashion_mnist.npz \
        --cifar10 cifar10.npz --cache FOLDER [--steps 4 8 16 32] [--images 2000] [--samples 1000]

Any of the three networks of `sources.py` may be left out. The candidates are those of
`sw.best_rule` for one spike a step, and corrections of the rules in `--corrected`, each under every
readout. As there they are calibrated on one half of some training images, and the outputs on the
other half are compared with the source's, without labels. Beside that stands their accuracy on test
images drawn at random. Outputs are kept in the cache, so that a started measurement goes on.

Printed is the rank correlation (Spearman) of each measure with the accuracy lost, over all rows and
over those that lose at most `NEAR` more than the best. Then the points that its choice loses more
than the best row does, and the same where it sees `FEW` random samples alone (mean of `DRAWS`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

import spikewright as sw
from benchmarks.conversion_quality import samples
from benchmarks.results import markdown_table
from benchmarks.sources import LEAST, Source, add_arguments, source
from spikewright.choosing.compare.candidates import (
    Candidate,
    candidates_of,
    compared_rules,
    corrected,
)
from spikewright.choosing.compare.comparing import Comparison
from spikewright.choosing.compare.loss import loss
from spikewright.measure.readout import read_out
from spikewright.measure.truth import Output

STEPS = (4, 8, 16, 32)
DT = 0.001
CORRECTED = ("MinimumError, 90% of the steps, takes spikes back",)
NEAR = 0.10
FEW, DRAWS = 128, 50

Measure = Callable[[NDArray, NDArray], float]


def logs(values: NDArray) -> NDArray:
    """Logarithms of the softmax."""
    shifted = values.astype(np.float64) - values.max(axis=-1, keepdims=True)
    found: NDArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def divergence(source: NDArray, found: NDArray) -> float:
    """Mean Kullback-Leibler divergence of the softmax from the source's, nats."""
    p = logs(source)
    return float(np.mean(np.sum(np.exp(p) * (p - logs(found)), axis=-1)))


def scaled(source: NDArray, found: NDArray) -> float:
    """The divergence under the best common factor of the outputs: no answer depends on it."""
    return min(divergence(source, found * factor) for factor in np.geomspace(0.25, 8, 41))


def disagreement(source: NDArray, found: NDArray) -> float:
    """The share of samples whose answer is not the source's."""
    return float(np.mean(source.argmax(-1) != found.argmax(-1)))


def regret(source: NDArray, found: NDArray) -> float:
    """The loss of the answers by the source's own probabilities: unsure ones count less."""
    p = np.exp(logs(source))
    chosen = np.take_along_axis(p, found.argmax(-1)[:, None], -1)[:, 0]
    return float(np.mean(p.max(-1) - chosen))


def squared(source: NDArray, found: NDArray) -> float:
    """The squared difference over the source's variance."""
    return float(np.mean((found - source) ** 2) / np.var(source))


def unexplained(source: NDArray, found: NDArray) -> float:
    """The loss of `sw.best_rule`: squared differences between classes, at the best factor."""
    return loss(Output("y", source.shape[1:]), source, found)


def leads(source: NDArray, found: NDArray) -> float:
    """The same, of the source's first class over its second alone."""
    first = np.argsort(source, axis=-1)[:, -2:]
    return unexplained(*(np.take_along_axis(values, first, -1) for values in (source, found)))


def soft(source: NDArray, found: NDArray) -> float:
    """A count of other answers with a soft edge, an eighth of the median lead wide."""
    answers = source.argmax(-1)[:, None]
    others = np.array(found, np.float64)
    mine = np.take_along_axis(others, answers, -1)[:, 0].copy()
    np.put_along_axis(others, answers, -np.inf, -1)
    lead = mine - others.max(-1)
    width = max(float(np.median(np.abs(lead))), 1e-30) / 8
    return float(np.mean(1 / (1 + np.exp(np.clip(lead / width, -50, 50)))))


MEASURES: Mapping[str, Measure] = {
    "divergence of the softmax": divergence,
    "the same, outputs scaled": scaled,
    "other answers": disagreement,
    "the same, by the source's probability": regret,
    "the same, with a soft edge": soft,
    "squared error": squared,
    "squared error between classes, outputs scaled": unexplained,
    "the same, of the first two classes": leads,
}


@dataclass(frozen=True, eq=False)
class Rowed:
    """A candidate under a readout: outputs on samples to compare, and which tests it answers."""

    name: str
    found: NDArray
    right: NDArray[np.bool_]


def candidates(comparison: Comparison, steps: int, wanted: Sequence[str]) -> Iterator[Candidate]:
    """Those of `best_rule` for one spike a step, and the wanted ones with corrections."""
    for candidate in candidates_of(compared_rules(steps, DT, 1), steps, DT, 1):
        yield candidate
        if candidate.name in wanted:
            comparison.conversion(candidate)
            numbers = comparison.numbers(candidate)
            yield from corrected(candidate, numbers, comparison.few, steps, DT)


def outputs(
    comparison: Comparison, candidate: Candidate, x: NDArray, steps: int, path: Path
) -> NDArray:
    """Outputs `(samples, steps, classes)` of a candidate, from the cache where they are kept."""
    if path.exists():
        kept: NDArray = np.load(path)
        return kept
    conversion = comparison.conversion(candidate)
    run = conversion.run(x, steps=steps, dt=DT, threads=1, progress=False)
    (raw,) = run.raw.values()
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, raw)
    return raw


@dataclass(frozen=True)
class Setting:
    """The size of a measurement: so many steps, samples and test images."""

    steps: int
    samples: int
    images: int
    corrected: tuple[str, ...]


def measured(found: Source, setting: Setting, folder: Path) -> tuple[NDArray, list[Rowed]]:
    """The source's outputs on the compared samples, and all rows."""
    base = sw.convert(found.model, example_input=found.example)
    (entry,) = base.canonical.inputs
    seen = samples(found, setting.samples)
    drawn = np.random.default_rng(1).permutation(len(found.x_test))[: setting.images]
    steps, x, y = setting.steps, found.x_test[np.sort(drawn)], found.y_test[np.sort(drawn)]
    comparison = Comparison(base, {entry: seen}, steps, dt=DT, engine="auto", threads=1)
    rows = []
    for candidate in candidates(comparison, steps, setting.corrected):
        both = [
            outputs(comparison, candidate, data, steps, folder / f"{candidate.name} {what}.npy")
            for what, data in (("seen", seen[1::2]), ("test", x))
        ]
        for readout in candidate.readouts:
            read, tested = (read_out(values, readout, DT) for values in both)
            name = f"{candidate.name}, readout {readout}"
            rows.append(Rowed(name, read, tested.argmax(-1) == y))
            print(f"{rows[-1].right.mean():.2%} {name}", flush=True)
    return found.outputs(seen[1::2]), rows


@dataclass(frozen=True)
class Ordered:
    """The order of rows by a measure: rank correlations, and points that its choice loses."""

    over_all: float
    near: float
    lost: float
    lost_of_few: float


def ordered(measure: Measure, source: NDArray, rows: Sequence[Rowed]) -> Ordered:
    """See the module."""
    accuracy = np.array([row.right.mean() for row in rows])
    values = np.array([measure(source, row.found) for row in rows])
    near = accuracy >= accuracy.max() - NEAR
    rng, few = np.random.default_rng(2), []
    for _ in range(DRAWS):
        some = rng.permutation(len(source))[:FEW]
        few.append(accuracy[np.argmin([measure(source[some], row.found[some]) for row in rows])])
    return Ordered(
        float(spearmanr(values, -accuracy).statistic),
        float(spearmanr(values[near], -accuracy[near]).statistic),
        100 * float(accuracy.max() - accuracy[values.argmin()]),
        100 * float(accuracy.max() - np.mean(few)),
    )


def main() -> None:
    """Measure, and print a table for each network and number of steps."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--networks", nargs="+", choices=LEAST, default=list(LEAST))
    parser.add_argument("--steps", nargs="+", type=int, default=list(STEPS))
    parser.add_argument("--images", type=int, default=2000, help="test images")
    parser.add_argument("--samples", type=int, default=1000, help="training images, both halves")
    parser.add_argument("--corrected", nargs="*", default=list(CORRECTED), help="candidates")
    given = parser.parse_args()
    for name in given.networks:
        if getattr(given, name) is None:
            continue
        found = source(name, getattr(given, name), given.cache)
        for steps in given.steps:
            setting = Setting(steps, given.samples, given.images, tuple(given.corrected))
            folder = given.cache / f"rule_measures {name} {steps} {given.samples} {given.images}"
            answers, rows = measured(found, setting, folder)
            lines = []
            for label, measure in MEASURES.items():
                how = ordered(measure, answers, rows)
                lines.append([label, *(f"{v:.2f}" for v in vars(how).values())])
            print(f"\n{name}, {steps} steps, {len(rows)} rows, {given.images} test images\n")
            head = ["measure", "all", "near", "lost", f"lost on {FEW}"]
            print(markdown_table(head, lines), flush=True)


if __name__ == "__main__":
    main()
