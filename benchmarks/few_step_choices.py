"""Measures the choices of `sw.best_rule` for few steps beside the best that it compared.

Part of `few_step_accuracy.py`, which measures it with `--parts choices` and writes the page. The
choice is made on 1000 training images without labels. Then it and the other candidates that were
compared on all samples, `CONTENDERS` at most, and at least the best that left before, answer the
same test images.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import spikewright as sw
from benchmarks.conversion_quality import Lost, drawn, samples
from benchmarks.fine_tuning import answered
from benchmarks.quality_page import NAMES
from benchmarks.quality_rows import append_row, read_rows
from benchmarks.results import markdown_table
from benchmarks.sources import Source
from spikewright.choosing.compare.comparing import Compared, by_candidate
from spikewright.choosing.correction import looks_at_data

TABLE = Path(__file__).parents[1] / "docs" / "few_step_choices.csv"
STEPS = (4, 8, 16, 32)
SEEN = 1000
CONTENDERS = 6
SOME = {"cifar10": 2000}  # test images, of networks that take long
HEAD = """## The choice of the software

`sw.best_rule(model, x, steps)` on 1000 training images, one spike a step, no neurons added,
nothing fitted by gradients. Beside its choice stands the best of the other candidates that it
compared to the end, on the same test images: all 10 000, and 2000 drawn at random of CIFAR-10.
Points are lost against the source; the last column is how many more points the choice loses than
that best row, with the interval of the same images. The best of several rows is partly so by
luck.
"""


@dataclass(frozen=True)
class Row:
    """A candidate on test images: fractions; `behind` is what the choice loses more than it."""

    network: str
    steps: int
    candidate: str
    chosen: int
    loss: float
    samples: int
    images: int
    source: float
    spiking: float
    drop: float
    low: float
    high: float
    behind: float
    behind_low: float
    behind_high: float
    spikes: float
    seconds: float


def measure(network: str, found: Source, steps: Sequence[int] = STEPS) -> None:
    """Choose for every number of steps that is not there, and keep the rows."""
    base = sw.convert(found.model, example_input=found.example)
    x = samples(found, SEEN)
    some = drawn(found, SOME.get(network, len(found.y_test)))
    for count in steps:
        if any(row.network == network and row.steps == count for row in rows()):
            continue
        begun = time.monotonic()
        best = sw.best_rule(base, x, count, threads=1, progress=False)
        chose = time.monotonic() - begun
        print(network, count, f"{chose:.0f} s", best, sep="\n", flush=True)
        right: NDArray | None = None
        for item in contenders(best):
            begun = time.monotonic()
            conversion = best.conversion if item is best.best else made(base, item, x[::2])
            answers, spikes = answered(
                conversion, found.x_test[some], count, item.readout, threads=1
            )
            mine = answers == found.y_test[some]
            right = mine if right is None else right
            lost, behind = Lost.of(found.right[some], mine), Lost.of(mine, right)
            took = time.monotonic() - begun + (chose if item is best.best else 0.0)
            row = Row(
                network, count, name(item), int(item is best.best), item.loss, item.samples,
                len(some), lost.source, lost.spiking, lost.drop, lost.low, lost.high,
                behind.drop, behind.low, behind.high, spikes, took,
            )  # fmt: skip
            print(row, flush=True)
            append_row(TABLE, row)


def contenders(best: sw.BestRule) -> list[Compared]:
    """The chosen one, others that stayed, the least loss first, and the best that left."""
    others = [row for row in by_candidate(best.compared) if not row.failed]
    others = [row for row in others if row.candidate is not best.best.candidate]
    stayed = [row for row in others if row.samples == best.best.samples]
    left = [row for row in others if row.samples < best.best.samples]
    return [best.best, *stayed[: CONTENDERS - 2], *sorted(left, key=lambda row: row.loss)[:1]]


def name(item: Compared) -> str:
    """A candidate with its readout."""
    suffix = "" if item.readout == "mean" else f", readout {item.readout}"
    return f"{item.candidate.name}{suffix}"


def made(base: sw.Conversion, item: Compared, half: NDArray) -> sw.Conversion:
    """The network of a candidate, as it was compared."""
    arguments: dict[str, Any] = {"calibration": None, **item.candidate.arguments}
    if arguments["calibration"] is None and looks_at_data(arguments):
        arguments["calibration"] = half
    return base.again(**arguments)


def rows() -> list[Row]:
    """All that is measured."""
    return read_rows(TABLE, Row)


def section() -> str:
    """The part of the page; empty where nothing is measured."""
    lines = []
    for network, title in NAMES.items():
        for count in sorted({row.steps for row in rows()}):
            mine = [row for row in rows() if (row.network, row.steps) == (network, count)]
            if mine:
                lines.append(_line(title, mine))
    if not lines:
        return ""
    head = ["network", "steps", "chosen", "lost", "best of the others", "lost", "rows", "more"]
    return f"{HEAD}\n{markdown_table(head, lines)}\n"


def _line(title: str, mine: Sequence[Row]) -> list[str]:
    (chosen,) = (row for row in mine if row.chosen)
    best = min((row for row in mine if not row.chosen), key=lambda row: row.drop)
    return [
        title,
        str(chosen.steps),
        chosen.candidate,
        f"{100 * chosen.drop:.2f} ({100 * chosen.low:.2f} to {100 * chosen.high:.2f})",
        best.candidate,
        f"{100 * best.drop:.2f}",
        str(len(mine)),
        f"{100 * best.behind:.2f} ({100 * best.behind_low:.2f} to {100 * best.behind_high:.2f})",
    ]
