"""`docs/conversion_quality.md`, from the rows that `conversion_quality.py` measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality_rows import Row
from benchmarks.results import markdown_table

PATH = Path(__file__).parents[1] / "docs" / "conversion_quality.md"


@dataclass(frozen=True)
class Goal:
    """The most points that the chosen setting is to lose."""

    network: str
    cap: str
    steps: int
    points: float


GOALS = (
    Goal("mnist", "one", 8, 0.2),
    Goal("mnist", "one", 4, 0.5),
    Goal("fashion_mnist", "one", 16, 1.0),
    Goal("fashion_mnist", "one", 8, 2.0),
    Goal("cifar10", "one", 16, 1.3),
    Goal("cifar10", "one", 64, 1.0),
    Goal("mnist", "any", 4, 0.5),
    Goal("fashion_mnist", "any", 4, 1.0),
    Goal("cifar10", "any", 4, 1.5),
)
NAMES = {
    "mnist": "Published MNIST network",
    "fashion_mnist": "Convolutions, batch normalisation and max pooling on Fashion-MNIST",
    "cifar10": "ResNet-20 on CIFAR-10, JPEG-coded",
}
CAPS = {"one": "At most one spike a step", "any": "Any number of spikes a step"}


@dataclass(frozen=True)
class Published:
    """Points lost in a published table, and where: method, network, whether it retrains."""

    steps: int
    points: float
    text: str


_LI = "Li et al. 2021 (arXiv 2106.06984), ResNet-20 of 95.68 %"
_QCFS = "QCFS, retrained, Bu et al. 2022 (arXiv 2303.04347), ResNet-20 of 91.77 %"
PUBLISHED: Mapping[str, Sequence[Published]] = {
    "cifar10": (
        Published(4, 8.02, _QCFS),
        Published(8, 2.22, _QCFS),
        Published(16, 27.80, f"thresholds alone, {_LI}"),
        Published(16, 1.79, f"with bias correction, {_LI}"),
        Published(16, 1.35, f"with weights calibrated, {_LI}"),
        Published(32, 2.01, "SNNC-AP, VGG-16 of 95.72 %, as tabulated by Bu et al. 2022"),
        Published(64, 0.58, "SNNC-AP, VGG-16 of 95.72 %, as tabulated by Bu et al. 2022"),
        Published(64, 3.28, "RMP, VGG-16 of 93.63 %, as tabulated by Bu et al. 2022"),
    ),
}

HEAD = """# What conversion costs in accuracy

For those who ask how much accuracy conversion costs, by network, rule and number of steps.

Written by `python -m benchmarks.conversion_quality`; do not edit. Networks are trained by
`benchmarks/sources.py`; no weight is changed afterwards.

* **Drop** is source accuracy less spiking accuracy on the same test images, in points, with its
  95 % interval for paired answers. Images are held constant for all steps; nothing runs before the
  first step or after the last, and every step counts.
* **Spikes** are spikes of a neuron and image, over the whole run, spikes that are taken back
  included.
* **By rounding** are the points that the network's [rounded twin](evaluation.md) loses: the same
  network if no spike came early or late. What a row loses beyond them is lost to timing. A neuron
  is **active** where its value in the source is not 0. Rows that were measured before these columns
  have none: the weights of those trainings were not kept, and other weights have another twin.
  [Few steps](few_step_accuracy.md) has both columns, for the weights that are kept.
* Rules see 1000 training images. Neurons start at half a spike, and the mean over all steps is the
  answer. Rules of the field are measured with integrate-and-fire neurons; then one of them with
  neurons that also **take spikes back** (`sw.BipolarIntegrateAndFire`: a spike that was sent before
  negative current arrived is undone), with a fifth of the steps **spared** to catch up in
  (`MinimumError(steps, share=0.8)`), and with initial **voltages corrected**
  (`sw.VoltageCorrection`).
* In the rows in bold `sw.best_rule` has chosen rule, neurons, correction and readout. It calibrates
  every candidate on one half of those 1000 images. On the other half it takes the candidate whose
  outputs are closest to the source's. In these rows that is the mean divergence of their softmax,
  which orders candidates in few steps worse than the measure that
  [it has now](calibration.md#let-the-software-choose). Labels and test images play no part in the
  choice. Without a bound on spikes it takes the cheapest that gives another answer than the source
  on at most 0.5 %.
* What the source computes in analog values stays analog at the input: the first layer's currents
  are constant.
* `conversion_quality.csv` beside this page holds the rows as data.
* Biases of each step, levels and added neurons, in one to eight steps, are on
  [a page of their own](few_step_accuracy.md). Its ResNet-20 was trained anew.
"""


def write(rows: Sequence[Row], path: Path = PATH) -> None:
    """Write the page from rows, of one training of each network."""
    parts = [HEAD, goals(rows)]
    parts += [network(name, [row for row in rows if row.network == name]) for name in NAMES]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(part for part in parts if part), encoding="utf-8")


def goals(rows: Sequence[Row]) -> str:
    """What the chosen settings are to lose at most, and what they do."""
    chosen = {(r.network, r.cap, r.steps): r for r in rows if r.rule.startswith("chosen")}
    lines = [
        [
            NAMES[goal.network],
            CAPS[goal.cap].lower(),
            str(goal.steps),
            f"{goal.points:g}",
            *_against(goal, chosen[goal.network, goal.cap, goal.steps]),
        ]
        for goal in GOALS
        if (goal.network, goal.cap, goal.steps) in chosen
    ]
    if not lines:
        return ""
    head = ["network", "spikes", "steps", "to lose at most", "lost (interval)", ""]
    return f"## What was to be reached\n\nIn points.\n\n{markdown_table(head, lines)}\n"


def _against(goal: Goal, row: Row) -> list[str]:
    return [_points(row), "reached" if 100 * row.drop <= goal.points else "**not reached**"]


def network(name: str, rows: Sequence[Row]) -> str:
    """All tables of one network."""
    if not rows:
        return ""
    parts = [f"## {NAMES[name]}\n"]
    for cap, title in CAPS.items():
        mine = [row for row in rows if row.cap == cap]
        if mine:
            parts += [f"### {title}\n", "Points lost after so many steps:\n", overview(mine), ""]
            parts += [*_chosen(mine), "All rows:\n", table(mine), ""]
    if PUBLISHED.get(name):
        parts += ["### Published\n", published(PUBLISHED[name]), ""]
    return "\n".join(parts)


def overview(rows: Sequence[Row]) -> str:
    """Points lost: one line a rule, one column a number of steps, the chosen rule last."""
    lost = {(row.rule, row.steps): row.drop for row in rows}
    steps = sorted({row.steps for row in rows})
    rules = sorted({row.rule for row in rows}, key=lambda rule: (rule.startswith("chosen"), rule))
    return markdown_table(
        ["rule", *map(str, steps)],
        [[_named(rule), *(_lost(lost.get((rule, n))) for n in steps)] for rule in rules],
    )


def _named(rule: str) -> str:
    return f"**{rule}**" if rule.startswith("chosen") else rule


def _lost(drop: float | None) -> str:
    return "" if drop is None else f"{100 * drop:.2f}"


def table(rows: Iterable[Row]) -> str:
    """One line a rule and number of steps; columns in which nothing stands are left out."""
    head = ["rule", "steps", "images", "source %", "spiking %", "drop (interval)", "spikes",
            "by rounding", "of an active neuron"]  # fmt: skip
    ordered = sorted(rows, key=lambda r: (r.steps, r.rule.startswith("chosen"), -r.drop))
    lines = [
        [
            _named(row.rule),
            str(row.steps),
            str(row.images),
            f"{100 * row.source:.2f}",
            f"{100 * row.spiking:.2f}",
            _points(row),
            f"{row.spikes:.2f}",
            _lost(None if row.rounded is None else row.source - row.rounded),
            "" if row.per_active is None else f"{row.per_active:.2f}",
        ]
        for row in ordered
    ]
    kept = [i for i in range(len(head)) if any(line[i] for line in lines)]
    return markdown_table([head[i] for i in kept], [[line[i] for i in kept] for line in lines])


def _chosen(rows: Sequence[Row]) -> list[str]:
    found = sorted((r for r in rows if r.rule.startswith("chosen")), key=lambda r: r.steps)
    return (
        ["Chosen were:\n", *(f"* {row.steps} steps: {row.how}" for row in found), ""]
        if found
        else []
    )


def published(figures: Sequence[Published]) -> str:
    """Published drops, by steps; networks, images and neurons differ from those here."""
    return markdown_table(
        ["method and network", "steps", "drop"],
        [[item.text, str(item.steps), f"{item.points:.2f}"] for item in figures],
    )


def line(row: Row) -> str:
    """A row for the terminal."""
    return (
        f"{row.network:14s} {row.cap:4s} {row.steps:3d} steps  {row.rule:26s} "
        f"{row.source:7.2%} -> {row.spiking:7.2%}  drop {_points(row)}  "
        f"{row.spikes:6.2f} spikes  {row.images} images  {row.seconds:.0f} s  ({row.how})"
    )


def _points(row: Row) -> str:
    return f"{100 * row.drop:.2f} ({100 * row.low:.2f} to {100 * row.high:.2f})"
