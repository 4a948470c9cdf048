"""How the cost of a run grows with spikes, steps, neurons, batch and threads, for each engine.

    python -m benchmarks.scaling [--quick] [--axes NAME ...] [--figures FOLDER]

One quantity varies, all others are fixed. Printed are the times and the slope between the last
points of a log-log plot: 1 is linear, 0 is flat. For spikes there is also the fit `time = fixed +
cost x spikes`, because the slope is 1 only where spikes are all that costs; and steps are varied
for a network that is silent as well as for one that spikes. Neurons are varied twice: with all
weights between them, and with a constant number of weights each. Beside it stands how many weights
the native engine adds up a second, and how many this machine can read.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import document, limits, scaling_figures
from benchmarks.network import Workload, load
from benchmarks.peer.client import LIBRARIES, Client, started
from benchmarks.results import Results
from benchmarks.timing import MIN_ROUNDS, interleave, repeats_for, versions
from benchmarks.workloads import CACHE, ConvSpec, DenseSpec, Flatten, Spec, populations, stored
from spikewright.records import Record, select

ENGINES = next(library for library in LIBRARIES if library.module == "engines")
LAST = 3  # points that a slope is taken from
CHANNELS = 32  # of the convolutional network


@dataclass(frozen=True)
class Setting:
    """A network of two hidden layers, and how it is run; `rate` in spikes per neuron and step.

    Fully connected layers of `width` neurons, or, with a `side`, convolutions of images with that
    side by kernels of `kernel` times `kernel`.
    """

    width: int = 512
    side: int = 0
    kernel: int = 3
    batch: int = 64
    steps: int = 100
    rate: float = 0.10
    threads: int = 1

    @property
    def spec(self) -> Spec:
        """The network; always drawn for the same samples and steps, so that it is drawn once."""
        if self.side:
            hidden = ConvSpec(CHANNELS, padding=self.kernel // 2, kernel=self.kernel)
            name, shape = f"conv{self.side}x{self.kernel}", (1, self.side, self.side)
            return Spec(name, 16, 100, shape, (hidden, hidden, Flatten(), DenseSpec(1)))
        dense = DenseSpec(self.width)
        return Spec(f"mlp{self.width}", 16, 100, (784,), (dense, dense, DenseSpec(10)))

    def described(self, varied: str) -> str:
        """What is fixed while `varied` is not."""
        parts = {
            "batch": f"batch {self.batch}",
            "steps": f"{self.steps} steps",
            "rate": f"{100 * self.rate:g} %",
            "threads": f"{self.threads} thread{'s' * (self.threads > 1)}",
        }
        shown = (text for name, text in parts.items() if name != varied)
        return ", ".join([self._network(varied), *shown])

    def _network(self, varied: str) -> str:
        if not self.side:
            width = "n" if varied == "width" else self.width
            return f"784-{width}-{width}-10"
        side = "n" if varied == "side" else self.side
        kernel = "k" if varied == "kernel" else self.kernel
        return f"{side}x{side}, two of conv {CHANNELS} by {kernel}x{kernel}, 1"


@dataclass(frozen=True)
class Axis:
    """One quantity and its values; `varies` is the setting's field that they go into.

    Times are drawn against `against`: a field of a point's record, `value` where it is empty.
    """

    name: str
    varies: str
    values: tuple[float, ...]
    fixed: Setting = Setting()
    against: str = "value"

    def __str__(self) -> str:
        return self.fixed.described(self.varies)

    @property
    def file(self) -> str:
        """The name of its figure."""
        return self.name.replace(",", "").replace(" ", "_")

    def settings(self) -> Iterator[tuple[float, Setting]]:
        """Each value with the setting that has it."""
        for value in self.values:
            changed: dict[str, Any] = {self.varies: value}
            yield value, replace(self.fixed, **changed)


def axes(quick: bool, cores: int) -> list[Axis]:
    """What is varied, over which values."""
    threads = tuple(2**k for k in range(int(math.log2(max(1, cores))) + 1))
    if quick:
        few = Setting(width=64, batch=4, steps=20)
        images = replace(few, side=8)
        return [
            Axis("spikes", "rate", (0.0, 0.02, 0.10, 0.50), few, "spikes"),
            Axis("steps, silent", "steps", (10, 20, 40), replace(few, rate=0.0)),
            Axis("steps", "steps", (10, 20, 40), few),
            Axis("neurons, all to all", "width", (32, 64, 128), few, "neurons"),
            Axis("neurons", "side", (8, 12, 16), images, "neurons"),
            Axis("synapses", "kernel", (1, 3, 5), images, "synapses"),
            Axis("batch", "batch", (1, 4, 16), few),
            Axis("threads", "threads", threads, few),
        ]
    rates = (0.0, 0.005, 0.01, 0.02, 0.05, 0.10, 0.20, 0.50)
    images = Setting(side=28, batch=4)
    return [
        Axis("spikes", "rate", rates, against="spikes"),
        Axis("steps, silent", "steps", (25, 50, 100, 200, 400, 800), Setting(rate=0.0)),
        Axis("steps", "steps", (25, 50, 100, 200, 400, 800)),
        Axis(
            "neurons, all to all",
            "width",
            (64, 128, 256, 512, 1024, 2048),
            Setting(batch=16),
            "neurons",
        ),
        Axis("neurons", "side", (8, 12, 16, 24, 32, 48, 64), images, "neurons"),
        Axis("synapses", "kernel", (1, 3, 5, 7, 9, 11), images, "synapses"),
        Axis("batch", "batch", (1, 4, 16, 64, 256)),
        Axis("threads", "threads", threads, Setting(batch=256)),
    ]


def size(work: Workload, counts: Sequence[float]) -> dict[str, float]:
    """Neurons and synapses of a network, and the weights that these spikes of its layers meet."""
    layers = populations(work)
    met = (count * m / n for count, (n, m) in zip(counts, layers, strict=True))
    return {
        "neurons": sum(n for n, _ in layers),
        "synapses": sum(m for _, m in layers),
        "additions": sum(met),
    }


def time_point(
    client: Client, axis: Axis, value: float, setting: Setting, how: argparse.Namespace
) -> list[Record]:
    """Times of every engine at one point, in seconds."""
    path = stored(setting.spec, setting.rate, how.cache)
    client.ask("open", path=str(path), batch=setting.batch, steps=setting.steps)
    names = [c.name for c in client.contestants if _is_default(c.name, c.spikes)]
    counts = client.outcome(names[0]).counts
    sizes = size(load(path), counts)
    timers, repeats = {}, {}
    for name in names:
        seconds = client.ask("prepare", name=name)["seconds"]
        repeats[name] = repeats_for(seconds)
        timers[name] = client.timer(name, repeats[name])
    timings = interleave(timers, how.rounds, repeats=repeats, budget=how.budget, wait=how.wait)
    return [
        Record(
            "time of a run",
            timing.median,
            "s",
            timing.n,
            (timing.low, timing.high),
            {
                "engine": name.removeprefix("Spikewright "),
                "axis": axis.name,
                "value": value,
                "spikes": sum(counts),
                **sizes,
                "disturbed": timing.disturbed,
            },
        )
        for name, timing in timings.items()
    ]


def _is_default(name: str, spikes: str) -> bool:
    """One way to run an engine: its default precision, any number of spikes a step."""
    return spikes == "many" and "," not in name


def measured(chosen: Sequence[Axis], how: argparse.Namespace) -> list[Record]:
    """Times of all engines along all axes; a worker process for each number of threads."""
    records = []
    points = [(axis, value, setting) for axis in chosen for value, setting in axis.settings()]
    for threads in sorted({setting.threads for _, _, setting in points}):
        with started([ENGINES], threads) as (client,):
            for axis, value, setting in points:
                if setting.threads == threads:
                    found = time_point(client, axis, value, setting, how)
                    times = (f"{r.how['engine']} {1e3 * r.value:.2f} ms" for r in found)
                    print(f"{axis.name} {value:g}: {', '.join(times)}", flush=True)
                    records += found
    return records


def line(records: Sequence[Record], axis: Axis, engine: str) -> tuple[list[float], list[float]]:
    """An engine's points along an axis: what it is drawn against, and seconds."""
    found = select(records, "time of a run", axis=axis.name, engine=engine)
    return [float(r.how[axis.against]) for r in found], [r.value for r in found]


def engines_in(records: Sequence[Record]) -> list[str]:
    """The engines that were timed."""
    return list(dict.fromkeys(r.how["engine"] for r in records))


def slope(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Slope of `log y` against `log x` over the last points above zero; None for less than two."""
    pairs = [(a, b) for a, b in zip(x, y, strict=True) if a > 0 and b > 0][-LAST:]
    if len(pairs) < 2:
        return None
    logs = np.log(np.array(pairs))
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])


def note(x: Sequence[float], y: Sequence[float], axis: Axis) -> str:
    """The setting; for spikes, also the straight line through the points."""
    if axis.varies != "rate" or len(x) < 3:
        return str(axis)
    cost, fixed = np.polyfit(x, y, 1)
    residual = np.array(y) - (cost * np.array(x) + fixed)
    r2 = 1.0 - residual.var() / np.var(y)
    return (
        f"{1e3 * y[0]:.3g} ms without a spike, then {1e9 * cost:.2g} ns a spike "
        f"(R2 {r2:.3f}); {axis}"
    )


def slopes(records: Sequence[Record], chosen: Sequence[Axis]) -> list[dict[str, str]]:
    """One row per engine and axis, for the table."""
    rows = []
    for axis in chosen:
        for engine in engines_in(records):
            x, y = line(records, axis, engine)
            found = slope(x, y)
            rows.append(
                {
                    "engine": engine,
                    "axis": axis.name,
                    "range": f"{min(x):,.0f} to {max(x):,.0f}",
                    "slope": "-" if found is None else f"{found:.2f}",
                    "note": note(x, y, axis),
                }
            )
    return rows


def additions(records: Sequence[Record], reads: float) -> list[dict[str, str]]:
    """How many weights the native engine adds up a second, beside how many the machine reads."""
    rows = []
    for r in select(records, "time of a run", axis="spikes", engine="native"):
        rate = float(r.how["additions"]) / r.value
        rows.append(
            {
                "spikes": f"{float(r.how['spikes']):,.0f}",
                "additions": f"{float(r.how['additions']) / 1e6:,.1f}",
                "milliseconds": f"{1e3 * r.value:.1f}",
                "rate": f"{rate / 1e9:.2f}",
                "share": f"{rate / reads:.2f}",
            }
        )
    return rows


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--quick", action="store_true", help="small sizes; the document stays as it is")
    p.add_argument("--axes", nargs="+", help="only these, by name")
    p.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    p.add_argument("--budget", type=float, default=30.0, help="seconds of rounds per point")
    p.add_argument("--wait", type=float, default=0.5, help="longest wait for a quiet machine")
    p.add_argument("--cache", type=Path, default=CACHE)
    p.add_argument("--figures", type=Path, help="where plots go (default: beside the document)")
    p.add_argument("--document", type=Path, default=document.PATH)
    return p


def pictures(records: Sequence[Record], axis: Axis, folder: Path) -> Path:
    """One axis as a figure: a line an engine, its slope beside its name."""
    shown = {}
    for engine in engines_in(records):
        x, y = line(records, axis, engine)
        found = slope(x, y)
        shown[engine if found is None else f"{engine}, slope {found:.2f}"] = (x, y)
    path = folder / f"{axis.file}.svg"
    scaling_figures.draw(shown, axis.name, str(axis), path)
    return path


def main() -> None:
    """Run from the command line."""
    how = parser().parse_args()
    chosen = axes(how.quick, os.cpu_count() or 1)
    if how.axes:
        unknown = set(how.axes) - {axis.name for axis in chosen}
        if unknown:
            raise SystemExit(f"no axis {unknown}; there are {[axis.name for axis in chosen]}")
        chosen = [axis for axis in chosen if axis.name in how.axes]
    folder = how.figures or (how.cache if how.quick else how.document.parent) / "scaling"
    results = Results.here(how.cache)
    for axis in chosen:
        records = measured([axis], how)
        rows = slopes(records, [axis])
        for row in rows:
            print(f"{row['engine']:10} {row['axis']:14} slope {row['slope']:>5}   {row['note']}")
        figure = pictures(records, axis, folder)
        scaling_figures.write_csv(records, figure.with_suffix(".csv"))
        print(f"drawn: {figure}\n", flush=True)
        entry: dict[str, Any] = {"slopes": rows, "versions": versions(ENGINES.distributions)}
        entry["figure"] = str(figure.relative_to(folder.parent))
        if axis.against == "spikes":
            entry["limits"] = limits.measured()
            entry["additions"] = additions(records, entry["limits"]["reading"][limits.WEIGHTS])
            print(document.additions_tables(entry))
        if not how.quick:
            results.put("scaling", axis.name, entry)
            document.write(results, how.document)


if __name__ == "__main__":
    main()
