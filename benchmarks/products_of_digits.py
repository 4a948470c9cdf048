"""Products of signed digits: the operations of the ways to compute them, on the vision transformer.

    python -m benchmarks.products_of_digits --fashion-mnist fashion_mnist.npz [--images 1000] \
        [--document]

Products are computed anew for each digit that the layer behind them uses, so once where it waits
for all but the last, or by differences, dA B + A dB + dA dB: each spike adds values of the other
operand. The shares of a softmax are numbers, so that changes of theirs stay multiplications.
Distances are root mean squares over the outputs, energies those of the default table.
"""

from __future__ import annotations

import argparse

import numpy as np

import spikewright as sw
from benchmarks.answers import drawn, samples
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table
from benchmarks.signed_digits import SEEN, answers
from benchmarks.sources import Source, add_arguments, source
from benchmarks.timing import with_threads
from spikewright.graph.layers import MatMul
from spikewright.measure.energy import DEFAULT_TABLE, TABLES

STEPS = 4


def _converted(found: Source, silent: object) -> sw.Conversion:
    coding = sw.SignedDigits(STEPS, silent)  # type: ignore[arg-type]
    return sw.convert(
        found.model, example_input=found.example, spiking=True, coding=coding,
        calibration=samples(found, SEEN),
    )  # fmt: skip


def by_differences(conversion: sw.Conversion, found: Source, images: int) -> tuple[float, float]:
    """Accumulates of an image, one for each spike and value it meets; products of shares.

    A population of which parts are operands is taken to spike alike in all of them.
    """
    graph, layers = conversion.canonical, conversion.populations()
    run = conversion.run(found.x_test[drawn(found, images)], progress=False)
    spikes = {name: float(np.mean(n)) for name, n in run.spike_counts().items()}
    sums, products = 0.0, 0.0
    for node in graph:
        if not isinstance(node.layer, MatMul):
            continue
        each = node.layer.multiply_accumulates(*(graph.shapes[name] for name in node.inputs))
        for name in node.inputs:
            while name not in layers and graph[name].layer.linear:
                (name,) = graph[name].inputs
            if name in layers:
                sums += each * spikes[name] / layers[name].n_neurons
            else:
                products += each
    return sums, products


def main() -> None:
    """Measure each way on so many images, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--images", type=int, default=1000, help="test images")
    add_document(parser, "accuracy.md")
    how = parser.parse_args()
    with_threads(1)
    found, cost = source("vit", how.fashion_mnist, how.cache), TABLES[DEFAULT_TABLE]
    plain = _converted(found, 1)
    graph = plain.canonical
    products = {node.name: node.layer for node in graph if isinstance(node.layer, MatMul)}
    behind = [name for name in products if name in plain.populations()]
    once = sum(
        layer.multiply_accumulates(*(graph.shapes[read] for read in graph[name].inputs))
        for name, layer in products.items()
    )
    lines = []
    for silent in range(1, STEPS):
        conversion = _converted(found, {**dict.fromkeys(behind, silent), "default": 1})
        seen, times = answers(conversion, found, how.images), conversion.lowered.times
        assert times is not None
        apart = float(np.sqrt(np.square(seen.spiking - seen.source).mean()))
        sums, shares = by_differences(conversion, found, how.images)
        used = STEPS - silent
        for way, macs, added in (("anew", once * used, 0.0), ("differences", shares * used, sums)):
            energy = macs * cost.multiply_accumulate + added * cost.accumulate
            lines.append(
                [
                    way, str(silent), str(times.network_steps), f"{apart:.3f}", f"{macs:,.0f}",
                    f"{added:,.0f}", f"{1e6 * energy:.2f} uJ",
                ]
            )  # fmt: skip
            print(*lines[-1], flush=True)
    head = ("way", "silent steps", "steps of the network", "distance",
            "multiply-accumulates", "accumulates", "energy")  # fmt: skip
    write_section("products", markdown_table(head, lines), how.document)


if __name__ == "__main__":
    main()
