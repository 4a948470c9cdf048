"""A GRU over the rows of images in signed digits, row by row and written out.

    python -m benchmarks.rows_of_digits --fashion-mnist fashion_mnist.npz [--images 10000] \
        [--document]

Its weights are kept in `weights/`. Units are those of the smallest error on 512 training images
without labels, silent steps are found on 128 of them, and no weight is changed. Distances are root
mean squares over the outputs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import spikewright as sw
from benchmarks.answers import AT_ONCE, drawn, samples
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table
from benchmarks.signed_digits import SEEN, Answers, silent_steps
from benchmarks.sources import Source, source
from benchmarks.timing import with_threads
from spikewright.choosing.rows import rows_of_graph
from spikewright.choosing.silent_steps import rounding
from spikewright.lower.populations import Roles

DIGITS = (4, 5, 6)
HEAD = (
    "form", "digits", "silent steps", "steps of the network", "neurons", "lost", "by rounding",
    "distance, of the twin's", "spikes",
)  # fmt: skip


def answers(conversion: sw.Conversion, found: Source, images: int) -> Answers:
    """All that the network says of so many test images, and what it is compared with."""
    twin_of, some = rounding(conversion.populations()), drawn(found, images)
    place, *_ = Roles(conversion.canonical).read_from()
    spiking, twin, spikes = [], [], 0.0
    for part in np.array_split(some, -(-len(some) // AT_ONCE)):
        x = found.x_test[part, 0]
        run = conversion.run(x, threads=1, progress=False)
        spiking.append(run.predict())
        spikes += sum(float(n.sum()) for n in run.spike_counts().values())
        rows = rows_of_graph(conversion, conversion.as_inputs(x), twin_of)
        twin.append(rows[-1][place])
    of_source = found.outputs(found.x_test[some])
    return Answers(
        np.concatenate(spiking), np.concatenate(twin), of_source, found.y_test[some],
        spikes / len(some),
    )  # fmt: skip


def row(found: Source, form: str, steps: int, images: int) -> list[str]:
    """The network in a form under so many digits."""
    x = samples(found, SEEN)[:, 0]
    given: dict[str, Any] = {} if form == "written out" else {"sequence_step": steps}
    conversion = sw.convert(
        found.model, example_input=x[:1], spiking=True, calibration=x,
        coding=sw.SignedDigits(steps, silent_steps("gru", steps)), **given,
    )  # fmt: skip
    times, seen = conversion.lowered.times, answers(conversion, found, images)
    assert times is not None
    waits = sorted(map(times.silent_steps, conversion.populations().values()))
    result = seen.loss()
    rows = 1 if times.row is None else x.shape[1]
    line = [
        form,
        str(steps),
        f"{waits[0]} to {waits[-1]}",
        f"{rows * times.network_steps}",
        f"{conversion.network.n_neurons:,}",
        result.lost,
        result.rounded,
        f"{seen.ratio:.2f}",
        f"{result.spikes:,.0f}",
    ]
    print(*line, flush=True)
    return line


def main() -> None:
    """Measure both forms, and write them into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fashion-mnist", type=Path, required=True, help="its images, .npz")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "spikewright")
    parser.add_argument("--images", type=int, default=10_000, help="test images of a row")
    add_document(parser, "sequences.md")
    how = parser.parse_args()
    with_threads(1)
    found = source("gru", how.fashion_mnist, how.cache)
    forms = ("row by row", "written out")
    lines = [row(found, form, steps, how.images) for form in forms for steps in DIGITS]
    before = 100 * float(np.mean(found.right[drawn(found, how.images)]))
    intro = (
        f"The GRU over the rows of Fashion-MNIST, {before:.2f} %, by digits: points lost with "
        "their interval, silent\nsteps of layers as found, spikes an image "
        "(`python -m benchmarks.rows_of_digits --document`)."
    )
    write_section("rows of digits", f"{intro}\n\n{markdown_table(HEAD, lines)}", how.document)


if __name__ == "__main__":
    main()
