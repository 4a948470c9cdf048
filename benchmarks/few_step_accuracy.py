"""Accuracy in one to sixteen steps, without touching a weight: rules, corrections, levels, neurons.

    python -m benchmarks.few_step_accuracy --mnist mnist.npz --fashion-mnist fashion_mnist.npz \
        --cifar10 cifar10.npz [--parts ways rules levels] [--images 2000] [--document]

Networks whose images are not given are left out; their weights are kept in `weights/`. Every row is
one conversion, chosen on training images drawn at random, without labels. Then test images drawn at
random are run. `few_step_levels.py` has the thresholds for levels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import spikewright as sw
from benchmarks import few_step_levels
from benchmarks.answers import IMAGES, NAMES, SHORT, AccuracyLoss, answered, evaluated, samples
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table
from benchmarks.sources import Source, add_arguments, source
from benchmarks.timing import with_threads

SEEN = 500
SHARE = 0.9  # of the steps, that thresholds count on where starts are corrected
Arguments = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A row: a network under a cap on spikes a step, their heights, and what is done to it."""

    network: str
    steps: int
    cap: int
    what: str
    heights: tuple[int, ...] = ()

    @property
    def neurons(self) -> sw.BipolarIntegrateAndFire:
        """The type of neurons in the place of ReLU."""
        return sw.BipolarIntegrateAndFire(1.0, self.cap, self.heights)


STARTS, EVERY = "starts", "every step"
PLANS = (
    Plan("mnist", 2, 1, EVERY),
    Plan("fashion_mnist", 4, 1, STARTS),
    Plan("fashion_mnist", 4, 1, EVERY),
    Plan("fashion_mnist", 4, 1, EVERY, (6, 4, 3, 3)),
    Plan("cifar10", 4, 1, EVERY),
    Plan("cifar10", 4, 1, EVERY, (6, 4, 3, 3)),
    Plan("cifar10", 1, 7, EVERY),
)


def starts(steps: int) -> Arguments:
    """Starts corrected, a tenth of the steps spared."""
    rule = sw.MinimumError(steps, share=SHARE)
    return {"scale_firing_rates": rule, "initial_voltage": sw.VoltageCorrection(steps)}


def every_step(steps: int) -> Arguments:
    """Biases of each step."""
    return {
        "scale_firing_rates": sw.MinimumError(steps),
        "bias_correction": sw.StepCorrection(steps),
    }


MADE: Mapping[str, Callable[[int], Arguments]] = {STARTS: starts, EVERY: every_step}


def measured(plan: Plan, found: Source, images: int) -> AccuracyLoss:
    """The answers of a row."""
    conversion = sw.convert(
        found.model,
        spiking={"relu": plan.neurons},
        example_input=found.example,
        calibration=samples(found, SEEN),
        **MADE[plan.what](plan.steps),
    )
    return evaluated(conversion, found, plan.steps, images)


def ways(sources: Mapping[str, Source], how: argparse.Namespace) -> str:
    """All rows, by network."""
    head = ["steps", "levels a step", "heights", "corrected", "lost", "by rounding", "spikes",
            "of an active neuron"]  # fmt: skip
    parts = []
    for network, found in sources.items():
        lines = []
        for plan in (plan for plan in PLANS if plan.network == network):
            begun = time.monotonic()
            answers = measured(plan, found, how.images)
            lines.append(_line(plan, answers))
            print(network, *lines[-1], f"{time.monotonic() - begun:.0f} s", flush=True)
        accuracy = f"{100 * answers.source:.2f} %"
        parts.append(f"### {NAMES[network]}, {accuracy}\n\n{markdown_table(head, lines)}")
    return "\n\n".join(parts)


def _line(plan: Plan, answers: AccuracyLoss) -> list[str]:
    return [
        str(plan.steps),
        str(plan.cap),
        " ".join(map(str, plan.heights)) or "-",
        plan.what,
        answers.lost,
        answers.rounded,
        f"{answers.spikes:,.0f}",
        answers.active,
    ]


# -- rules --

AFTER = {"fashion_mnist": (4, 16), "cifar10": (4,)}
ROUGH = 1000
"""Test images of these rows, at most: they differ by more than the others."""
BIPOLAR = {"spiking": {"relu": sw.BipolarIntegrateAndFire(max_spikes_per_step=1)},
           "max_spikes_per_step": None}  # fmt: skip
RULES: Mapping[str, Callable[[int], Arguments]] = {
    "99.9th percentile": lambda steps: {
        "scale_firing_rates": sw.Percentile(99.9, per="layer")
    },
    "local threshold balancing": lambda steps: {
        "scale_firing_rates": sw.LocalThresholdBalancing()
    },
    "threshold iteration": lambda steps: {"scale_firing_rates": sw.ThresholdIteration(steps)},
    "minimum error": lambda steps: {"scale_firing_rates": sw.MinimumError(steps)},
    "minimum error, negative spikes": lambda steps: {
        "scale_firing_rates": sw.MinimumError(steps), **BIPOLAR
    },
}  # fmt: skip
"""Rules of the field without negative spikes, then one of them with these."""


def rules(sources: Mapping[str, Source], how: argparse.Namespace) -> str:
    """Points lost by rule: a line for each, a column for each network and number of steps."""
    lines = {rule: [rule] for rule in RULES}
    asked = {name: AFTER[name] for name in sources if name in AFTER}
    for name, several in asked.items():
        found = sources[name]
        base = sw.convert(found.model, example_input=found.example)
        statistics = base.calibrate(samples(found, SEEN), progress=False)
        for steps in several:
            for rule, arguments in RULES.items():
                usual = {"spiking": True, "max_spikes_per_step": 1, "calibration": statistics}
                conversion = base.replace(**{**usual, **arguments(steps)})
                lines[rule].append(answered(conversion, found, steps, min(how.images, ROUGH)).lost)
                print(found.name, steps, rule, lines[rule][-1], flush=True)
    head = [f"{SHORT[name]}, {steps} steps" for name, several in asked.items() for steps in several]
    return markdown_table(["rule", *head], list(lines.values()))


def levels(sources: Mapping[str, Source], how: argparse.Namespace) -> str:
    """Thresholds for graded spikes, of networks that take no time."""
    some = {name: found for name, found in sources.items() if name != "cifar10"}
    return few_step_levels.table(some, how.images)


PARTS: Mapping[str, Callable[[Mapping[str, Source], argparse.Namespace], str]] = {
    "ways": ways, "rules": rules, "levels": levels
}  # fmt: skip


def given_sources(how: argparse.Namespace) -> Iterator[tuple[str, Source]]:
    """The networks whose images are given."""
    for network in NAMES:
        path = getattr(how, network)
        if path is not None:
            yield network, source(network, path, how.cache)


def main() -> None:
    """Measure what was asked for, and write it into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--images", type=int, default=IMAGES, help="test images of a row")
    add_document(parser, "accuracy.md")
    how = parser.parse_args()
    with_threads(1)
    sources = dict(given_sources(how))
    for part in how.parts:
        write_section(part, PARTS[part](sources, how), how.document)


if __name__ == "__main__":
    main()
