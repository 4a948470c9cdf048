"""Accuracy in one to eight steps, without touching a weight: corrections, levels, more neurons.

    python -m benchmarks.few_step_accuracy --mnist mnist.npz --fashion-mnist fashion_mnist.npz \
        --cifar10 cifar10.npz --cache FOLDER [--rows NAME ...] [--parts rows levels choices]

Networks whose images are not given are left out. Every row is one conversion with neurons that take
spikes back, chosen on 500 training images drawn at random, without labels. Then all test images are
run. What rounding alone loses is measured on 2000 of them, drawn at random. `--parts` measures
thresholds for levels (`few_step_levels.py`) and what `best_rule` chooses (`few_step_choices.py`)
too. Rows are kept in `docs/few_step_*.csv`, and `docs/few_step_accuracy.md` is written from all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import spikewright as sw
from benchmarks import few_step_choices, few_step_levels
from benchmarks.conversion_quality import Lost, drawn, samples
from benchmarks.fine_tuning import answered
from benchmarks.quality_page import NAMES
from benchmarks.quality_rows import append_row, read_rows
from benchmarks.results import markdown_table
from benchmarks.sources import LEAST, Source, add_arguments, source
from benchmarks.timing import with_threads
from spikewright.records import select

PAGE = Path(__file__).parents[1] / "docs" / "few_step_accuracy.md"
TABLE = PAGE.with_suffix(".csv")
SEEN, ROUNDED = 500, 2000
SHARE = 0.9  # of the steps, that thresholds count on where starts are corrected
EXTRA = 0.5  # neurons for each one
HEAD = """# Accuracy in few steps

For those who ask what one to eight steps cost, with no weight changed and no label used. Written by
`python -m benchmarks.few_step_accuracy`; do not edit. [Few steps](few_steps.md) says how to do it.

* **Lost** are points of accuracy beside the source, on all 10 000 test images, with a 95 % interval
  of the same images. Goals are what the row was to lose at most.
* **By rounding** are the points that the network loses whose activations are rounded to the levels
  that its neurons can send, and that has no time. It is measured on 2000 test images drawn at
  random, so it is sure to a point. Spikes that come early or late cost more; corrected means make
  up for a part of both. Where the last spike has a height, its multiples are these levels, in rows
  with half as many neurons again; in rows without them every whole number is one.
* **Spikes** are of either sign, an image. A neuron of the model is **active** where its value is
  not 0.
* Thresholds are those of `MinimumError(steps)`, and neurons `BipolarIntegrateAndFire`. "Starts" is
  `VoltageCorrection(steps)`, with a tenth of the steps spared; "every step" is
  `StepCorrection(steps)`. Where a quarter is spared, thresholds are those for the other steps. "And
  more neurons" is `fission(x, steps=steps, extra=0.5)` after it.
* Taken as sent are the spikes of every neuron that receivers take as sent in each of the first
  steps (`assumed_spikes`). Heights are what a spike is worth in each step (`spike_heights`); then
  all of the input comes in the first one. Without debt neurons owe nothing before they have sent
  a spike (`debt=False`).
"""


@dataclass(frozen=True)
class Plan:
    """A row: a network under a cap on spikes a step, what is done to it, and its goal in points.

    In the first steps receivers take `assumed` spikes of every neuron as sent, a number of steps
    where it is one in each, and spikes are worth `heights`. Neurons have a `debt`, or none. All is
    measured on `seen` images.
    """

    network: str
    steps: int
    cap: int
    what: str
    goal: float | None = None
    assumed: int | tuple[int, ...] = 0
    heights: tuple[int, ...] = ()
    seen: int = SEEN
    debt: bool = True

    @property
    def neurons(self) -> sw.BipolarIntegrateAndFire:
        """The type of neurons in the place of ReLU."""
        return sw.BipolarIntegrateAndFire(1.0, self.cap, self.assumed, self.heights, self.debt)

    @property
    def corrected(self) -> str:
        """The correction that the network gets, and whether its neurons have a debt."""
        return self.what if self.debt else f"{self.what}, no debt"


STARTS, EVERY, SPARED = "starts", "every step", "every step, a quarter spared"
MORE_STARTS, MORE = f"{STARTS}, and more neurons", f"{EVERY}, and more neurons"
PLANS: Mapping[str, Plan] = {
    "mnist_2": Plan("mnist", 2, 1, EVERY, 0.1),
    "mnist_4": Plan("mnist", 4, 1, EVERY),
    "fashion_4_starts": Plan("fashion_mnist", 4, 1, STARTS),
    "fashion_4": Plan("fashion_mnist", 4, 1, EVERY, 0.5),
    "fashion_4_more": Plan("fashion_mnist", 4, 1, MORE),
    "fashion_4_no_debt": Plan("fashion_mnist", 4, 1, EVERY, debt=False),
    "fashion_8": Plan("fashion_mnist", 8, 1, EVERY),
    "cifar10_2": Plan("cifar10", 2, 1, EVERY),
    "cifar10_2_more_starts": Plan("cifar10", 2, 1, MORE_STARTS, 4.0),
    "cifar10_2_more": Plan("cifar10", 2, 1, MORE, 4.0),
    "cifar10_4_starts": Plan("cifar10", 4, 1, STARTS),
    "cifar10_4": Plan("cifar10", 4, 1, EVERY, 2.0),
    "cifar10_4_more": Plan("cifar10", 4, 1, MORE, 1.0),
    "cifar10_8": Plan("cifar10", 8, 1, EVERY, 0.4),
    "cifar10_4_no_debt": Plan("cifar10", 4, 1, EVERY, debt=False),
    "cifar10_8_no_debt": Plan("cifar10", 8, 1, EVERY, debt=False),
    "cifar10_8_spared": Plan("cifar10", 8, 1, SPARED, 0.4),
    "fashion_2": Plan("fashion_mnist", 2, 1, EVERY),
    "fashion_2_assumed": Plan("fashion_mnist", 2, 1, EVERY, assumed=2),
    "fashion_4_assumed": Plan("fashion_mnist", 4, 1, EVERY, 0.5, assumed=3),
    "cifar10_2_assumed": Plan("cifar10", 2, 1, EVERY, assumed=2),
    "cifar10_4_assumed": Plan("cifar10", 4, 1, EVERY, 2.0, assumed=3),
    "cifar10_8_assumed": Plan("cifar10", 8, 1, EVERY, 0.4, assumed=4),
    "cifar10_2_more_assumed": Plan("cifar10", 2, 1, MORE, 4.0, assumed=2),
    "cifar10_4_more_assumed": Plan("cifar10", 4, 1, MORE, 1.0, assumed=3),
    "fashion_2_heights": Plan("fashion_mnist", 2, 1, EVERY, None, 1, (4, 3)),
    "fashion_4_heights": Plan("fashion_mnist", 4, 1, EVERY, 0.5, 1, (6, 4, 3, 3)),
    "cifar10_2_heights": Plan("cifar10", 2, 1, EVERY, None, 1, (4, 3)),
    "cifar10_4_heights": Plan("cifar10", 4, 1, EVERY, 2.0, 1, (6, 4, 3, 3)),
    "cifar10_4_heights_seen": Plan("cifar10", 4, 1, EVERY, 2.0, 1, (6, 4, 3, 3), 2000),
    "cifar10_4_finer_heights": Plan("cifar10", 4, 1, EVERY, 2.0, 1, (11, 8, 6, 5)),
    "cifar10_8_heights": Plan("cifar10", 8, 1, EVERY, 0.4, 1, (12, 9, 7, 6, 5, 4, 3, 3)),
    "cifar10_2_more_heights": Plan("cifar10", 2, 1, MORE, 4.0, 1, (4, 3)),
    "cifar10_4_more_heights": Plan("cifar10", 4, 1, MORE, 1.0, 1, (6, 4, 3, 3)),
    "cifar10_2_of_7": Plan("cifar10", 2, 7, EVERY, 0.6),
    "cifar10_1_of_7": Plan("cifar10", 1, 7, EVERY, 1.5),
    "cifar10_1_of_15": Plan("cifar10", 1, 15, EVERY, 0.4),
    "cifar10_1_of_3_assumed": Plan("cifar10", 1, 3, EVERY, 3.0, (3,)),
    "cifar10_2_of_3_heights": Plan("cifar10", 2, 3, EVERY, 1.0, (3,), (2, 1)),
    "cifar10_2_of_3_heights_one": Plan("cifar10", 2, 3, EVERY, 1.0, 1, (3, 2)),
    "cifar10_1_of_7_assumed": Plan("cifar10", 1, 7, EVERY, 1.5, (7,)),
    "cifar10_2_of_7_heights": Plan("cifar10", 2, 7, EVERY, 0.6, 1, (4, 1)),
}


@dataclass(frozen=True)
class Row:
    """One measurement: accuracies and points lost are fractions, spikes those of an image."""

    name: str
    neurons: int
    source: float
    spiking: float
    drop: float
    low: float
    high: float
    rounding: float
    spikes: float
    per_active: float
    seconds: float


def starts(found: Source, plan: Plan, x: Any) -> sw.Conversion:
    """Starts corrected, some steps spared."""
    rule = sw.MinimumError(plan.steps, share=SHARE)
    return converted(found, plan, x, rule, initial_voltage=sw.VoltageCorrection(plan.steps))


def every_step(found: Source, plan: Plan, x: Any, share: float = 1.0) -> sw.Conversion:
    """Biases of each step, and thresholds for a share of the steps."""
    rule = sw.MinimumError(plan.steps, share=share)
    return converted(found, plan, x, rule, bias_correction=sw.StepCorrection(plan.steps))


MADE: Mapping[str, Callable[[Source, Plan, Any], sw.Conversion]] = {
    STARTS: starts, EVERY: every_step, SPARED: partial(every_step, share=0.75),
    MORE_STARTS: starts, MORE: every_step,
}  # fmt: skip


def converted(found: Source, plan: Plan, x: Any, rule: Any, **correction: Any) -> sw.Conversion:
    """A network with neurons that take spikes back."""
    return sw.convert(
        found.model,
        spiking={"relu": plan.neurons},
        example_input=found.example,
        scale_firing_rates=rule,
        calibration=x,
        **correction,
    )


def measured(name: str, found: Source) -> Row:
    """One row."""
    plan, start = PLANS[name], time.monotonic()
    x = samples(found, plan.seen)
    conversion = MADE[plan.what](found, plan, x)
    if plan.what in (MORE_STARTS, MORE):
        conversion = conversion.fission(x, steps=plan.steps, extra=EXTRA)
    answers, spikes = answered(conversion, found.x_test, plan.steps)
    some = drawn(found, ROUNDED)
    told = conversion.evaluate(
        found.x_test[some], found.y_test[some], steps=plan.steps, operations=False
    ).records
    rounded, of_source, per_active = (
        next(r.value for r in select(told, what) if "layer" not in r.how)
        for what in ("rounded accuracy", "source accuracy", "spikes per active neuron")
    )
    return Row(
        name,
        sum(e.n_neurons for e in conversion.populations().values()),
        **asdict(Lost.of(found.right, answers == found.y_test)),
        rounding=of_source - rounded,
        spikes=spikes,
        per_active=per_active,
        seconds=time.monotonic() - start,
    )


def page(rows: Mapping[str, Row]) -> str:
    """All rows, by network."""
    head = ["steps", "levels a step", "taken as sent", "heights", "corrected", "images seen",
            "neurons", "lost", "goal", "by rounding", "spikes", "of an active neuron"]  # fmt: skip
    parts = [HEAD]
    for network, title in NAMES.items():
        mine = [(PLANS[n], rows[n]) for n in PLANS if n in rows and PLANS[n].network == network]
        if mine:
            lines = [_line(plan, row) for plan, row in mine]
            accuracy = f"{100 * mine[0][1].source:.2f} %"
            parts.append(f"## {title}, {accuracy}\n\n{markdown_table(head, lines)}\n")
    parts += [few_step_choices.section(), few_step_levels.section()]
    return "\n".join(part for part in parts if part)


def _line(plan: Plan, row: Row) -> list[str]:
    return [
        str(plan.steps),
        str(plan.cap),
        " ".join(map(str, plan.neurons.assumed)) or "-",
        " ".join(map(str, plan.heights)) or "-",
        plan.corrected,
        f"{plan.seen:,}",
        f"{row.neurons:,}",
        f"{100 * row.drop:.2f} ({100 * row.low:.2f} to {100 * row.high:.2f})",
        "" if plan.goal is None else f"{plan.goal:g}",
        f"{100 * row.rounding:.1f}",
        f"{row.spikes:,.0f}",
        f"{row.per_active:.2f}",
    ]


def rows() -> dict[str, Row]:
    """All that is measured, of the plans that there are."""
    return {row.name: row for row in read_rows(TABLE, Row) if row.name in PLANS}


PARTS = ("levels", "choices")


def main() -> None:
    """Measure what was asked for and is not there, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--rows", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--parts", nargs="+", choices=["rows", *PARTS], default=["rows"])
    parser.add_argument("--steps", nargs="+", type=int, default=list(few_step_choices.STEPS))
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    with_threads(given.threads)
    for network in LEAST:
        path = getattr(given, network)
        if path is None:
            continue
        found = source(network, path, given.cache)
        for name in given.rows if "rows" in given.parts else ():
            if PLANS[name].network == network and name not in rows():
                row = measured(name, found)
                print(row, flush=True)
                append_row(TABLE, row)
        if "levels" in given.parts:
            few_step_levels.measure(network, found)
        if "choices" in given.parts:
            few_step_choices.measure(network, found, given.steps)
        PAGE.write_text(page(rows()), encoding="utf-8")


if __name__ == "__main__":
    main()
