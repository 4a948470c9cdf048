"""What few steps cost, by code and network: points lost, spikes, steps, neurons, images seen.

    python -m benchmarks.front --fashion-mnist fashion_mnist.npz --cifar10 cifar10.npz \
        [--networks vit gru] [--images 2000] [--picture docs/few_steps.png] [--document]

Five networks, each in firing rates with a bias for every step, in graded spikes, in spikes of
falling heights where all its neurons are ReLU, and in signed digits. Scales, biases and silent
steps are found on 512 training images without labels; nothing is trained, and no weight changes.
With `--picture` points against spikes are drawn; `--document` writes the tables.
Networks whose images are not given are left out; their weights are kept in `weights/`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spikewright as sw
from benchmarks import trained_families
from benchmarks.answers import IMAGES, SHORT, AccuracyLoss, answered, samples
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table
from benchmarks.sources import IMAGES as IMAGES_OF
from benchmarks.sources import Source, add_arguments, source
from benchmarks.timing import with_threads

SEEN = 512
NETWORKS = {
    "cifar10": SHORT["cifar10"],
    "fashion_mnist": "CNN on Fashion-MNIST",
    "vit": "Vision transformer",
    "gru": "GRU",
    "mobilenet_v3": "MobileNetV3",
}
RATES, GRADED, FALLING, DIGITS = "firing rates", "graded spikes", "falling heights", "signed digits"
COLOURS = {RATES: "tab:blue", GRADED: "tab:green", FALLING: "tab:orange", DIGITS: "tab:red"}
ONLY_RELU = ("cifar10", "fashion_mnist")
LEVELS = 7
"""Of a graded spike."""


@dataclass(frozen=True)
class Plan:
    """A row: a network under a code, in so many steps of a layer."""

    network: str
    code: str
    steps: int

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `sw.convert` beside the model and its samples."""
        if self.code == DIGITS:
            return {"spiking": True, "coding": sw.SignedDigits(self.steps)}
        relu = sw.BipolarIntegrateAndFire()
        if self.code == FALLING:
            relu = sw.BipolarIntegrateAndFire.in_steps(self.steps)
        share = 1.0 if self.network in ONLY_RELU or self.steps == 1 else trained_families.SHARE
        mixed = self.network in (*ONLY_RELU, "mobilenet_v3")
        return {
            "spiking": {"relu": relu} if mixed else True,
            "max_spikes_per_step": LEVELS if self.code == GRADED else 1,
            "scale_firing_rates": sw.MinimumError(self.steps, share=share),
            "bias_correction": sw.StepCorrection(self.steps),
        }


def plans(network: str) -> Iterator[Plan]:
    """The rows of a network."""
    relu = network in ONLY_RELU
    for steps in (4, 8, 16) if relu else (8, 16, 32):
        yield Plan(network, RATES, steps)
    yield Plan(network, GRADED, 1)
    if relu:
        yield Plan(network, FALLING, 8)
    for steps in (3, 4, 5, 6) if relu else (4, 5, 6):
        yield Plan(network, DIGITS, steps)


@dataclass(frozen=True)
class Found:
    """A row's figures; `hops` are the layers with neurons on the longest path, less one."""

    plan: Plan
    network_steps: int
    hops: int
    neurons: int
    loss: AccuracyLoss

    @property
    def line(self) -> list[str]:
        """The row of the table."""
        steps = self.network_steps
        return [
            self.plan.code,
            str(self.plan.steps),
            f"{steps} / {steps + self.hops}",
            f"{self.neurons:,}",
            f"{self.loss.spikes:,.0f}",
            self.loss.lost,
        ]


HEAD = (
    "code", "steps of a layer", "of the network, at 0 / 1 a hop", "neurons", "spikes", "lost"
)  # fmt: skip


def hops(found: Source, seen: Any) -> int:
    """Layers behind the first one on the longest path: with one silent step each waits one."""
    made = sw.convert(
        found.model, example_input=found.example, spiking=True, calibration=seen,
        coding=sw.SignedDigits(4, 1),
    )  # fmt: skip
    times = made.lowered.times
    assert times is not None
    return times.network_steps - times.steps


def measured(plan: Plan, found: Source, seen: Any, longest: int, images: int) -> Found:
    """The figures of a row."""
    made = sw.convert(found.model, example_input=found.example, calibration=seen, **plan.arguments)
    times = made.lowered.times
    steps = None if plan.code == DIGITS else plan.steps
    return Found(
        plan,
        plan.steps if times is None else times.network_steps,
        longest,
        sum(ensemble.n_neurons for ensemble in made.populations().values()),
        answered(made, found, steps, images),
    )


def draw(rows: Mapping[str, list[Found]], to: Path) -> None:
    """Points lost against spikes, one panel a network, a mark for each code and number of steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    across = min(3, len(rows))
    figure, panels = pyplot.subplots(
        -(-len(rows) // across), across, figsize=(9.6, 5.6), squeeze=False, layout="constrained"
    )
    for empty in panels.flat[len(rows) :]:
        empty.set_axis_off()
    for axes, (network, several) in zip(panels.flat, rows.items(), strict=False):
        for code, colour in COLOURS.items():
            one = [found for found in several if found.plan.code == code]
            if not one:
                continue
            x, y = [f.loss.spikes for f in one], [100 * f.loss.drop for f in one]
            axes.plot(x, y, "o-", color=colour, label=code, markersize=4, linewidth=1)
            for found, *place in zip(one, x, y, strict=True):
                axes.annotate(
                    str(found.plan.steps), place, xytext=(3, 3), textcoords="offset points",
                    fontsize=7, color=colour,
                )  # fmt: skip
        axes.set(title=NETWORKS[network], xlabel="thousand spikes an image", xscale="log")
        axes.set_yscale("symlog", linthresh=1.0)
        axes.margins(0.12, 0.1)
        axes.axhline(0.0, color="grey", linewidth=0.5)
        axes.xaxis.set_major_locator(FixedLocator([25_000 * 2**i for i in range(7)]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda spikes, _: f"{spikes / 1000:g}"))
        axes.yaxis.set_major_locator(FixedLocator([0, 0.5, 1, 2, 4, 6]))
        axes.yaxis.set_major_formatter("{x:g}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3)
    for first in panels[:, 0]:
        first.set_ylabel("points lost")
    handles = {line.get_label(): line for axes in panels.flat for line in axes.get_lines()[::-1]}
    known = [code for code in COLOURS if code in handles]
    figure.legend([handles[code] for code in known], known, loc="outside lower center", ncols=4)
    figure.savefig(to, dpi=100)


def main() -> None:
    """Measure what was asked for, and draw it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--images", type=int, default=IMAGES, help="test images of a row")
    parser.add_argument("--picture", type=Path, help="draw points against spikes here")
    add_document(parser, "accuracy.md")
    how = parser.parse_args()
    with_threads(1)
    rows: dict[str, list[Found]] = {}
    for network in how.networks:
        path = getattr(how, IMAGES_OF.get(network, network))
        if path is None:
            continue
        found = source(network, path, how.cache)
        seen = samples(found, SEEN)
        longest = hops(found, seen)
        for plan in plans(network):
            begun = time.monotonic()
            one = measured(plan, found, seen, longest, how.images)
            rows.setdefault(network, []).append(one)
            print(network, *one.line, f"{time.monotonic() - begun:.0f} s", flush=True)
    parts = [
        f"**{NETWORKS[network]}**, {100 * several[0].loss.source:.2f} %\n\n"
        + markdown_table(HEAD, [found.line for found in several])
        for network, several in rows.items()
    ]
    write_section("front", "\n\n".join(parts), how.document)
    if how.picture is not None:
        draw(rows, how.picture)


if __name__ == "__main__":
    main()
