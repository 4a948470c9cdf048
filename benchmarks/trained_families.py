"""A MobileNetV3, a vision transformer and a GRU, trained here, in 16 and 64 steps of one spike.

    python -m benchmarks.trained_families --fashion-mnist fashion_mnist.npz \
        --cifar10 cifar10.npz --cache FOLDER [--rows NAME ...] [--images 1000]

Networks whose images are not given are left out. Every row is one conversion, calibrated on 128
training images drawn at random, without labels; then test images are run, drawn at random where
they are not all. Rows are kept in `docs/trained_families.csv`, and `docs/trained_families.md` is
written from all of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.conversion_quality import Lost, drawn, samples
from benchmarks.quality_rows import append_row, read_rows
from benchmarks.results import markdown_table
from benchmarks.sources import IMAGES, Source, add_arguments, source
from benchmarks.timing import with_threads
from spikewright.records import select

PAGE = Path(__file__).parents[1] / "docs" / "trained_families.md"
TABLE = PAGE.with_suffix(".csv")
SEEN, AT_ONCE = 128, 250
SHARE = 0.8  # of the steps, that thresholds count on: the others are there to catch up in
CORRECTED = 16  # steps, up to which each has biases of its own: with more there is little to gain
GOALS = {16: 3.0, 64: 0.5}
"""Points to lose at most, by the number of steps."""
HEAD = """# Other families in few steps

For those who ask what 16 or 64 steps cost networks with gates, attention or recurrence, with no
weight changed and no label used. Written by `python -m benchmarks.trained_families`; do not edit.
[Few steps](few_steps.md) says how to do it, and [families](families.md) what can be converted.

* Neurons send **one spike** of either sign a step, at most.
* **Lost** are points of accuracy beside the source, with a 95 % interval of the same images. Goals
  are what the row was to lose at most.
* **By rounding** are the points that the network loses whose values are rounded to the levels that
  its neurons can send, and that has no time.
* **Spikes** are of either sign, an image. A neuron is **active** where the source's value is not 0.
* Thresholds are those of `MinimumError(steps, share=0.8)`. In 16 steps each step has biases of its
  own, those of `StepCorrection(16)`. Both see 128 training images. ReLU neurons take spikes back.
* The GRU converts in [two forms](sequences.md#recurrent-layers): with neurons of its own for each
  row, or row by row, where the steps are those of one row. The latter takes no correction.

The networks are small, and were trained for minutes of one core: the MobileNetV3 for 5 epochs, the
transformer for 7, the GRU for 10. `benchmarks/family_networks.py` has them, `benchmarks/sources.py`
the recipes. Their accuracy is not what they are for.
"""


@dataclass(frozen=True)
class Plan:
    """A row: a network after some steps; `by_row` presents an image row by row."""

    network: str
    steps: int
    by_row: bool = False

    @property
    def goal(self) -> float:
        """Points to lose at most."""
        return GOALS[self.steps]


NAMES = {
    "mobilenet_v3": "MobileNetV3 with squeeze-and-excitation on CIFAR-10, JPEG-coded",
    "vit": "Vision transformer on Fashion-MNIST",
    "gru": "GRU over the rows of Fashion-MNIST",
}
PLANS: Mapping[str, Plan] = {
    **{f"{n}_{steps}": Plan(n, steps) for n in NAMES for steps in GOALS},
    **{f"gru_by_row_{steps}": Plan("gru", steps, by_row=True) for steps in GOALS},
}


@dataclass(frozen=True)
class Row:
    """One measurement: accuracies and points lost are fractions, spikes those of an image.

    What rounding loses, and spikes of an active neuron, are NaN where they are not measured.
    """

    name: str
    images: int
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


def converted(plan: Plan, model: Any, x: NDArray) -> sw.Conversion:
    """The network of a plan, for samples `x` as it takes them."""
    form: dict[str, Any] = {}
    if plan.by_row:
        form["sequence_step"] = plan.steps
    elif plan.steps <= CORRECTED:
        form["bias_correction"] = sw.StepCorrection(plan.steps)
    return sw.convert(
        model,
        spiking={"relu": sw.BipolarIntegrateAndFire()} if plan.network == "mobilenet_v3" else True,
        max_spikes_per_step=1,
        example_input=x[:1],
        scale_firing_rates=sw.MinimumError(plan.steps, share=SHARE),
        calibration=x,
        **form,
    )


def measured(name: str, found: Source, images: int) -> Row:
    """One row."""
    plan, start = PLANS[name], time.monotonic()
    tested = drawn(found, images)
    x, y = found.x_test[tested], found.y_test[tested]
    seen = samples(found, SEEN)
    if plan.by_row:
        x, seen = x[:, 0], seen[:, 0]
    conversion = converted(plan, found.model, seen)
    told = by_row(conversion, x, y, found.right[tested]) if plan.by_row else (
        whole(conversion, x, y, plan.steps)
    )  # fmt: skip
    return Row(
        name,
        len(y),
        sum(e.n_neurons for e in conversion.populations().values()),
        **told,
        seconds=time.monotonic() - start,
    )


def by_row(
    conversion: sw.Conversion, x: NDArray, y: NDArray, right: NDArray[np.bool_]
) -> dict[str, float]:
    """Loss and spikes of a network shown row by row; `right` are the source's right answers."""
    answers, spikes = [], 0.0
    for part in np.array_split(x, -(-len(x) // AT_ONCE)):
        run = conversion.run(part, progress=False)
        answers.append(run.predict().argmax(axis=1))
        spikes += sum(float(n.sum()) for n in run.spike_counts().values())
    lost = Lost.of(right, np.concatenate(answers) == y)
    unknown = {"rounding": np.nan, "per_active": np.nan}
    return {**asdict(lost), "spikes": spikes / len(x), **unknown}


def whole(conversion: sw.Conversion, x: NDArray, y: NDArray, steps: int) -> dict[str, float]:
    """Loss, rounding and spikes of a network shown whole images."""
    found = conversion.evaluate(x, y, steps=steps, readouts="mean", operations=False)

    def value(what: str) -> Any:
        """The record of all layers, after all steps."""
        (record,) = (
            r
            for r in select(found.records, what)
            if "layer" not in r.how and r.how.get("steps", steps) == steps
        )
        return record

    drop, own = value("accuracy drop"), value("source accuracy").value
    low, high = drop.interval
    return {
        "source": own,
        "spiking": own - drop.value,
        "drop": drop.value,
        "low": low,
        "high": high,
        "rounding": own - value("rounded accuracy").value,
        "spikes": value("spikes per sample").value,
        "per_active": value("spikes per active neuron").value,
    }


def page(rows: Mapping[str, Row]) -> str:
    """All rows, by network."""
    head = ["steps", "shown", "neurons", "images", "source", "lost", "goal", "by rounding",
            "spikes", "of an active neuron"]  # fmt: skip
    parts = [HEAD]
    for network, title in NAMES.items():
        lines = [
            _line(plan, rows[name])
            for name, plan in PLANS.items()
            if plan.network == network and name in rows
        ]
        if lines:
            parts.append(f"## {title}\n\n{markdown_table(head, lines)}\n")
    return "\n".join(parts)


def _line(plan: Plan, row: Row) -> list[str]:
    return [
        str(plan.steps),
        "row by row" if plan.by_row else "whole",
        f"{row.neurons:,}",
        f"{row.images:,}",
        f"{100 * row.source:.2f} %",
        f"{100 * row.drop:.2f} ({100 * row.low:.2f} to {100 * row.high:.2f})",
        f"{plan.goal:g}",
        "" if np.isnan(row.rounding) else f"{100 * row.rounding:.2f}",
        f"{row.spikes:,.0f}",
        "" if np.isnan(row.per_active) else f"{row.per_active:.2f}",
    ]


def rows() -> dict[str, Row]:
    """All that is measured, of the plans that there are; of several with a name the last."""
    return {row.name: row for row in read_rows(TABLE, Row) if row.name in PLANS}


def main() -> None:
    """Measure what was asked for and is not there, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--rows", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    with_threads(given.threads)
    for name in given.rows:
        network = PLANS[name].network
        path = getattr(given, IMAGES[network])
        if path is None or name in rows():
            continue
        row = measured(name, source(network, path, given.cache), given.images)
        print(row, flush=True)
        append_row(TABLE, row)
        PAGE.write_text(page(rows()), encoding="utf-8")


if __name__ == "__main__":
    main()
