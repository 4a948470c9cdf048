"""What conversion costs in accuracy: rules, steps, one spike a step or as many as come.

    python -m benchmarks.conversion_quality --mnist mnist.npz --fashion-mnist fashion_mnist.npz \
        --cifar10 cifar10.npz --cache FOLDER

Any of the three networks of `sources.py` may be left out; they are trained where the cache lacks
them. For each, every rule of the field and the one that `sw.best_rule` chooses are measured on all
test images, for each number of steps, with at most one spike a step and without a bound. Rules see
1000 training images, the choice among them is made on those alone, and no weight is changed.

Every finished row is kept in `docs/conversion_quality.csv`, a started one goes on where it was, and
`docs/conversion_quality.md` is written from all rows that are there. `--steps`, `--rules`,
`--networks` and `--images` take a part; rows on fewer images than all say so. A network that was
trained anew is measured anew.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks import quality_page
from benchmarks.quality_rows import Row, Setting, Table
from benchmarks.sources import LEAST, Source, add_arguments, source
from spikewright.evaluation.packing import packed
from spikewright.measure import EveryStep
from spikewright.measure.intervals import paired_interval
from spikewright.measure.scores import readout_name
from spikewright.records import select

STEPS = (4, 8, 16, 32, 64)
CAPS: Mapping[str, int | None] = {"one": 1, "any": None}
SAMPLES = 1000
TOLERANCE = 0.005
"""Uncapped, the cheapest setting that answers as the source on all but so many is chosen."""
TABLE = Table(quality_page.PATH.with_suffix(".csv"))
STARTED = "conversion_quality"
"""Of a row that is not finished; a folder in the cache."""

Converted = tuple[sw.Conversion, EveryStep, str]
Arguments = dict[str, Any]


@dataclass(frozen=True)
class Lost:
    """Accuracies of both on the same images, fractions, and the drop with its interval."""

    source: float
    spiking: float
    drop: float
    low: float
    high: float

    @classmethod
    def of(cls, source: NDArray[np.bool_], spiking: NDArray[np.bool_]) -> Lost:
        """From which images each answers rightly."""
        pairs = [source & spiking, source & ~spiking, ~source & spiking, ~source & ~spiking]
        interval = paired_interval(*(int(np.count_nonzero(pair)) for pair in pairs))
        accuracies = float(source.mean()), float(spiking.mean())
        return cls(*accuracies, accuracies[0] - accuracies[1], *interval)


def largest(steps: int, cap: int | None) -> Arguments:
    """The largest value of a layer is one spike a step (Diehl et al. 2015)."""
    return {"scale_firing_rates": sw.Percentile(100.0, per="layer")}


def percentile(steps: int, cap: int | None) -> Arguments:
    """The 99.9th percentile of a layer is one spike a step (Rueckauer et al. 2017)."""
    return {"scale_firing_rates": sw.Percentile(99.9, per="layer")}


def minimum_error(steps: int, cap: int | None) -> Arguments:
    """Least squared error of each channel (Li et al. 2021); uncapped, with room for four spikes."""
    rule = sw.MinimumError(steps, spikes_per_step=4 if cap is None else None)
    return {"scale_firing_rates": rule}


def balancing(steps: int, cap: int | None) -> Arguments:
    """Local threshold balancing (Bu et al. 2024)."""
    return {"scale_firing_rates": sw.LocalThresholdBalancing()}


def iteration(steps: int, cap: int | None) -> Arguments:
    """Threshold iteration (Huang et al. 2025); uncapped, with room for four spikes."""
    rule = sw.ThresholdIteration(steps, spikes_per_step=4 if cap is None else None)
    return {"scale_firing_rates": rule}


def taken_back(steps: int, cap: int | None) -> Arguments:
    """The same thresholds with neurons that take spikes back."""
    neurons = sw.BipolarIntegrateAndFire(max_spikes_per_step=cap)
    return {**minimum_error(steps, cap), "spiking": {"relu": neurons}, "max_spikes_per_step": None}


def spared(steps: int, cap: int | None) -> Arguments:
    """And a fifth of the steps to catch up in."""
    room = 4 if cap is None else None
    rule = sw.MinimumError(steps, spikes_per_step=room, share=0.8)
    return {**taken_back(steps, cap), "scale_firing_rates": rule}


def voltages(steps: int, cap: int | None) -> Arguments:
    """And initial voltages that make up for what is wrong on average."""
    return {**spared(steps, cap), "initial_voltage": sw.VoltageCorrection(steps)}


def timed(steps: int, cap: int | None) -> Arguments:
    """Neurons that take spikes back, no step spared, and biases of each step."""
    return {**taken_back(steps, cap), "bias_correction": sw.StepCorrection(steps)}


RULES: Mapping[str, Callable[[int, int | None], Arguments]] = {
    "largest value": largest,
    "99.9th percentile": percentile,
    "minimum error": minimum_error,
    "local threshold balancing": balancing,
    "threshold iteration": iteration,
    "minimum error, spikes taken back": taken_back,
    "minimum error, spikes taken back, steps spared": spared,
    "minimum error, spikes taken back, steps spared, voltages corrected": voltages,
    "minimum error, spikes taken back, each step corrected": timed,
}
"""Rules of the field with neurons that only send, then what is added to one of them."""
CHOSEN = "chosen by best_rule"
FEW = 8
"""Corrections run the network again for every layer: on every eighth calibration image."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What rules see of a network: samples, and what its layers do on them, looked at once."""

    base: sw.Conversion
    samples: NDArray

    @cached_property
    def statistics(self) -> sw.Statistics:
        """The layers' values."""
        return self.base.calibrate(self.samples)


def samples(found: Source, count: int = SAMPLES) -> NDArray:
    """Calibration samples: training images drawn without looking at labels."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(found.x_train))[:count]
    return found.x_train[np.sort(chosen)]


def drawn(found: Source, count: int) -> NDArray:
    """Places of so many test images, at random and in order: of all where there are fewer."""
    return np.sort(np.random.default_rng(0).permutation(len(found.x_test))[:count])


def converted(seen: Seen, setting: Setting, threads: int | None) -> Converted:
    """The network of a row, its readout, and how it came about."""
    cap = CAPS[setting.cap]
    if setting.rule != CHOSEN:
        arguments = RULES[setting.rule](setting.steps, cap)
        corrected = not {"initial_voltage", "bias_correction"}.isdisjoint(arguments)
        data = seen.samples[::FEW] if corrected else seen.statistics
        usual = {"spiking": True, "max_spikes_per_step": cap, "calibration": data}
        return seen.base.again(**{**usual, **arguments}), "mean", setting.rule
    best = sw.best_rule(
        seen.base,
        seen.samples,
        setting.steps,
        max_spikes_per_step=cap,
        tolerance=TOLERANCE if cap is None else None,
        threads=threads,
    )
    print(best)
    return best.conversion, best.readout, best.best.candidate.name


def begun(setting: Setting, conversion: sw.Conversion) -> str:
    """The name of a folder for what was begun: that of another conversion does not go on."""
    named = " ".join(map(str, setting.key)).replace(" ", "_")
    return f"{named}_{packed(conversion)[1][:12]}"


def measured(
    seen: Seen, found: Source, settings: Sequence[Setting], folder: Path,
    threads: int | None = None,
) -> list[Row]:  # fmt: skip
    """Accuracy of the source and of its spiking form on the same test images, after some steps.

    The settings differ in the number of steps alone, and the longest run has the others in it.
    """
    start = time.perf_counter()
    longest = max(settings, key=lambda setting: setting.steps)
    conversion, readout, how = converted(seen, longest, threads)
    tested = np.arange(longest.images) * len(found.y_test) // longest.images
    evaluation = conversion.evaluate(
        found.x_test[tested],
        found.y_test[tested],
        steps=longest.steps,
        at=[setting.steps for setting in settings],
        readouts=(readout,),
        operations=False,
        threads=threads,
        checkpoint=folder / begun(longest, conversion),
    )
    (output,) = conversion.outputs
    rounded, per_active = (
        {r.how["steps"]: r.value for r in select(evaluation.records, name)}
        for name in ("rounded accuracy", "spikes per active neuron")
    )
    right = evaluation.samples["correct", output, readout_name(readout)] > 0
    spikes = {
        r.how["steps"]: r.value
        for r in select(evaluation.records, "spikes per neuron")
        if "layer" not in r.how
    }
    how = how if readout == "mean" else f"{how}, readout {readout}"
    seconds = (time.perf_counter() - start) / len(settings)
    return [
        Row(
            **asdict(setting),
            **asdict(Lost.of(found.right[tested], right[:, setting.steps - 1])),
            spikes=spikes[setting.steps],
            how=how,
            seconds=seconds,
            rounded=rounded.get(setting.steps) if readout == "mean" else None,
            per_active=per_active.get(setting.steps),
        )
        for setting in settings
    ]


def settings(given: argparse.Namespace, network: str, images: int) -> Iterator[Setting]:
    """The rows that were asked for."""
    for steps in given.steps:
        for cap in given.caps:
            for rule in given.rules:
                yield Setting(network, rule, cap, steps, min(images, given.images))


def runs(asked: Iterable[Setting]) -> list[list[Setting]]:
    """Settings that one run answers each, quick ones first.

    Most rules ask how long it lasts; of those that do not a long run has the short ones in it.
    """
    found: dict[Setting, list[Setting]] = {}
    for setting in asked:
        lasting = setting.rule == CHOSEN or (
            RULES[setting.rule](1, CAPS[setting.cap]) != RULES[setting.rule](2, CAPS[setting.cap])
        )
        alike = setting if lasting else replace(setting, steps=0)
        found.setdefault(alike, []).append(setting)
    return sorted(found.values(), key=lambda some: max(setting.steps for setting in some))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(made)
    rules = (*RULES, CHOSEN)
    made.add_argument("--networks", nargs="+", choices=LEAST, default=list(LEAST))
    made.add_argument("--steps", nargs="+", type=int, default=list(STEPS))
    made.add_argument("--caps", nargs="+", choices=CAPS, default=list(CAPS))
    made.add_argument("--rules", nargs="+", choices=rules, default=list(rules))
    made.add_argument("--images", type=int, default=10_000, help="test images (default: all)")
    made.add_argument("--samples", type=int, default=SAMPLES, help="calibration images")
    made.add_argument("--threads", type=int, default=None)
    return made


def run(given: argparse.Namespace, table: Table, page: Path) -> None:
    """Measure what is asked for and not yet there; write the page after every row."""
    paths = {name: getattr(given, name) for name in given.networks}
    for name, path in paths.items():
        if path is None:
            continue
        found = source(name, path, given.cache)
        base = sw.convert(found.model, example_input=found.example)
        seen = Seen(base, samples(found, given.samples))
        done = {row.key for row in table.rows() if _about(row, found)}
        missing = (s for s in settings(given, name, len(found.y_test)) if s.key not in done)
        for some in runs(missing):
            for row in measured(seen, found, some, given.cache / STARTED, given.threads):
                print(quality_page.line(row), flush=True)
                table.add(row)
            quality_page.write(table.rows(), page)
    quality_page.write(table.rows(), page)


def _about(row: Row, found: Source) -> bool:
    """Whether a row is about this training of a network."""
    tested = np.arange(row.images) * len(found.y_test) // row.images
    return row.source == float(found.right[tested].mean())


def main() -> None:
    """Measure, and write the page."""
    run(parser().parse_args(), TABLE, quality_page.PATH)


if __name__ == "__main__":
    main()
