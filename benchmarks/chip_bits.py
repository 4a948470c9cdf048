"""Accuracy under weights of few bits, and under the bits of chips: a section of docs/chips.md.

    python -m benchmarks.chip_bits --mnist mnist.npz --fashion-mnist fashion_mnist.npz \
        [--images 2000] [--document]

The networks and their images are those of `sources.py`. Every row is one conversion: scales by
`MinimumError` for one spike a step, chosen on 200 training images behind the rounded weights. It is
run on `--images` test images, drawn at random, beside the source and the network with weights as
they are. The network for Fashion-MNIST has max pooling, of which no chip here has any: under a
chip's bits it is the simulation's gate.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spikewright as sw
from benchmarks.answers import IMAGES, answered
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table
from benchmarks.sources import Source, source
from spikewright import chips
from spikewright.quantising import bits_of

CALIBRATED = 200
STEPS = 32
CHIPS = ("speck", "loihi1", "truenorth")
HEAD = ("network", "weights", "points lost", "spikes")


def settings() -> Iterator[tuple[str, sw.Quantised | None]]:
    """Weights as they are; of few bits, a step each channel or layer; chips."""
    yield "as they are", None
    for bits in (8, 4, 2):
        yield f"{bits} bits, a step each channel", sw.Quantised(bits)
    yield "4 bits, a step each layer", sw.Quantised(4, "layer")
    for name in CHIPS:
        yield f"the bits of {name}", bits_of(chips.profile(name))


def row(found: Source, name: str, bits: sw.Quantised | None, images: int) -> list[str]:
    """A network under some bits."""
    example: dict[str, Any] = {} if found.example is None else {"example_input": found.example}
    conversion = sw.convert(
        found.model,
        spiking=True,
        scale_firing_rates=sw.MinimumError(steps=STEPS, spikes_per_step=1),
        calibration=found.x_train[:CALIBRATED],
        weights=bits,
        **example,
    )
    loss = answered(conversion, found, STEPS, images)
    return [f"{found.name}, {100 * loss.source:.2f} %", name, loss.lost, f"{loss.spikes:,.0f}"]


def main() -> None:
    """Measure, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, help="its images, .npz")
    parser.add_argument("--fashion-mnist", type=Path, help="its images, .npz")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "spikewright")
    parser.add_argument("--images", type=int, default=IMAGES)
    add_document(parser, "chips.md")
    given = parser.parse_args()
    rows = []
    for network in ("mnist", "fashion_mnist"):
        if getattr(given, network) is None:
            continue
        found = source(network, getattr(given, network), given.cache)
        for name, bits in settings():
            start = time.perf_counter()
            rows.append(row(found, name, bits, given.images))
            print(*rows[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
    write_section("bits", markdown_table(list(HEAD), rows), given.document)


if __name__ == "__main__":
    main()
