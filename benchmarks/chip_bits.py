"""Accuracy under weights of few bits, and under the bits of chips: a section of docs/bits.md.

    python -m benchmarks.chip_bits --mnist mnist.npz --fashion-mnist fashion_mnist.npz \
        [--cache FOLDER] [--images 10000] [--steps 32] [--engine native] [--batch-size 10]
        [--kept ROWS.csv] [--document docs/bits.md]

The networks and their images are those of `sources.py`. Every row is one conversion: scales by
`MinimumError` for one spike a step, chosen on 200 training images behind the rounded weights. It is
run on the first `--images` test images, beside the source and the network with weights as they are.
The network for Fashion-MNIST has max pooling, of which no chip here has any: under a chip's bits
it is the simulation's gate. Rows that are in the file `--kept` are not measured again. No engine
and no batch changes a count; the native engine in batches of 10 is fast.
"""

from __future__ import annotations

import argparse
import csv
import re
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.results import markdown_table
from benchmarks.sources import Source, source
from spikewright import chips
from spikewright.measure.intervals import drop_interval
from spikewright.quantising import bits_of

CALIBRATED = 200
AT_ONCE = 500
CHIPS = ("speck", "loihi1", "truenorth")
START, END = "<!-- written by benchmarks/chip_bits.py -->", "<!-- end -->"


@dataclass(frozen=True)
class Row:
    """A network under some bits: accuracies as percentages, spikes an image.

    `low` and `high` are the 95 % interval of the points beside the source; None where the single
    answers were not kept.
    """

    network: str
    weights: str
    images: int
    steps: int
    source: float
    accuracy: float
    low: float | None
    high: float | None
    agreement: float
    spikes: float


def settings() -> Iterator[tuple[str, sw.Quantised | None]]:
    """Weights as they are; of few bits, a step each channel or layer; chips."""
    yield "as they are", None
    for bits in (8, 4, 2):
        yield f"{bits} bits, a step each channel", sw.Quantised(bits)
    for name in CHIPS:
        yield f"the bits of {name}", bits_of(chips.profile(name))
    for bits in (8, 4, 2):
        yield f"{bits} bits, a step each layer", sw.Quantised(bits, "layer")


def measured(
    found: Source, name: str, bits: sw.Quantised | None, images: int, steps: int, **how: Any
) -> Row:
    """One row; `how` are an engine and a size of batches."""
    example: dict[str, Any] = {} if found.example is None else {"example_input": found.example}
    conversion = sw.convert(
        found.model,
        spiking=True,
        scale_firing_rates=sw.MinimumError(steps=steps, spikes_per_step=1),
        calibration=found.x_train[:CALIBRATED],
        weights=bits,
        **example,
    )
    answers, spikes = [], 0.0
    for start in range(0, images, AT_ONCE):
        some = found.x_test[start : min(start + AT_ONCE, images)]
        run = conversion.run(some, steps=steps, progress=False, **how)
        answers.append(np.asarray(run.predict()).argmax(axis=1))
        spikes += sum(float(p.totals.sum()) for p in run.populations.values())
    return row(found, name, np.concatenate(answers), steps, spikes / images)


def row(found: Source, name: str, answers: NDArray, steps: int, spikes: float) -> Row:
    """The row of a network's answers to the first test images, beside the source's."""
    n = len(answers)
    before, after = found.right[:n].astype(float), (answers == found.y_test[:n]).astype(float)
    agreeing = answers == found.outputs(found.x_test[:n]).argmax(axis=1)
    low, high = drop_interval(after, before) or (0.0, 0.0)
    shares = (before.mean(), after.mean(), low, high, agreeing.mean())
    percent = [round(100 * float(share), 2) for share in shares]
    return Row(found.name, name, n, steps, *percent, spikes=round(spikes))


def kept_rows(path: Path | None) -> list[Row]:
    """The rows in a file."""
    if path is None or not path.exists():
        return []
    kinds = [f.type for f in fields(Row)]
    make = {"str": str, "int": int, "float": float, "float | None": _maybe}
    with path.open(encoding="utf-8") as file:
        lines = list(csv.reader(file))[1:]
    return [Row(*(make[str(k)](v) for k, v in zip(kinds, line, strict=True))) for line in lines]


def _maybe(text: str) -> float | None:
    return float(text) if text else None


def keep(path: Path, rows: list[Row]) -> None:
    """Write the rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[f.name for f in fields(Row)], *map(astuple, rows)])


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    cells = [
        [
            row.network, row.weights, f"{row.images}", f"{row.source:.2f} %",
            f"{row.accuracy:.2f} %",
            points(row),
            f"{row.agreement:.2f} %", f"{row.spikes:.0f}",
        ]
        for row in rows
    ]  # fmt: skip
    head = ["network", "weights", "images", "source", "accuracy", "points", "agree", "spikes"]
    return markdown_table(head, cells)


def points(row: Row) -> str:
    """The points won beside the source, with their interval where there is one."""
    won = f"{row.accuracy - row.source:+.2f}"
    return won if row.low is None else f"{won} ({row.low:+.2f} to {row.high:+.2f})"


def write(path: Path, rows: list[Row]) -> None:
    """Put the table in its place in a page."""
    page = path.read_text(encoding="utf-8")
    place = re.compile(f"{re.escape(START)}.*{re.escape(END)}", re.DOTALL)
    if not place.search(page):
        raise SystemExit(f"{path} has no place for the table, {START} ... {END}")
    made = f"{START}\n{table(rows)}\n{END}"
    path.write_text(place.sub(lambda match: made, page), encoding="utf-8")


def main() -> None:
    """Measure what is not kept, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, help="its images, .npz")
    parser.add_argument("--fashion-mnist", type=Path, help="its images, .npz")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "spikewright")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--kept", type=Path, help="measured rows, .csv")
    parser.add_argument("--document", type=Path, help="the page to write the table into")
    given = parser.parse_args()
    rows = kept_rows(given.kept)
    for network in ("mnist", "fashion_mnist"):
        if getattr(given, network) is None:
            continue
        found = source(network, getattr(given, network), given.cache)
        for name, bits in settings():
            if any((row.network, row.weights) == (network, name) for row in rows):
                continue
            start = time.perf_counter()
            how = {"engine": given.engine, "batch_size": given.batch_size}
            rows.append(measured(found, name, bits, given.images, given.steps, **how))
            print(rows[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
            if given.kept is not None:
                keep(given.kept, rows)
    print(table(rows))
    if given.document is not None:
        write(given.document, rows)


if __name__ == "__main__":
    main()
