"""How the cost of a run grows with spikes, steps, neurons, batch and threads, for each engine.

    python -m benchmarks.scaling [--quick] [--figure PATH]

One quantity varies, all others are fixed. Printed are the times and the slope between the last
points of a log-log plot: 1 is linear, 0 is flat. For spikes there is also the fit `time = fixed +
cost x spikes`, because the slope is 1 only where spikes are all that costs; and steps are varied
for a network that is silent as well as for one that spikes. The figure and its CSV are written
outside the repository unless told otherwise.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import document
from benchmarks.peer.client import LIBRARIES, Client, started
from benchmarks.results import Results
from benchmarks.timing import MIN_ROUNDS, interleave, repeats_for, versions
from benchmarks.workloads import CACHE, DenseSpec, Spec, stored
from spikewright.records import Record, select

ENGINES = next(library for library in LIBRARIES if library.module == "engines")
LAST = 3  # points that a slope is taken from


@dataclass(frozen=True)
class Setting:
    """A network of two hidden layers, and how it is run; `rate` in spikes per neuron and step."""

    width: int = 512
    batch: int = 64
    steps: int = 100
    rate: float = 0.10
    threads: int = 1

    @property
    def spec(self) -> Spec:
        """The network; always drawn for the same samples and steps, so that it is drawn once."""
        hidden = DenseSpec(self.width)
        return Spec(f"mlp{self.width}", 16, 100, (784,), (hidden, hidden, DenseSpec(10)))

    def described(self, varied: str) -> str:
        """What is fixed while `varied` is not."""
        width = "n" if varied == "width" else self.width
        parts = {
            "batch": f"batch {self.batch}",
            "steps": f"{self.steps} steps",
            "rate": f"{100 * self.rate:g} %",
            "threads": f"{self.threads} thread{'s' * (self.threads > 1)}",
        }
        shown = (text for name, text in parts.items() if name != varied)
        return ", ".join([f"784-{width}-{width}-10", *shown])


@dataclass(frozen=True)
class Axis:
    """One quantity and its values; `varies` is the setting's field that they go into."""

    name: str
    varies: str
    values: tuple[float, ...]
    fixed: Setting = Setting()

    def __str__(self) -> str:
        return self.fixed.described(self.varies)

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
        return [
            Axis("spikes", "rate", (0.0, 0.02, 0.10, 0.50), few),
            Axis("steps, silent", "steps", (10, 20, 40), replace(few, rate=0.0)),
            Axis("steps", "steps", (10, 20, 40), few),
            Axis("neurons", "width", (32, 64, 128), few),
            Axis("batch", "batch", (1, 4, 16), few),
            Axis("threads", "threads", threads, few),
        ]
    rates = (0.0, 0.005, 0.01, 0.02, 0.05, 0.10, 0.20, 0.50)
    return [
        Axis("spikes", "rate", rates),
        Axis("steps, silent", "steps", (25, 50, 100, 200, 400, 800), Setting(rate=0.0)),
        Axis("steps", "steps", (25, 50, 100, 200, 400, 800)),
        Axis("neurons", "width", (64, 128, 256, 512, 1024, 2048), Setting(batch=16)),
        Axis("batch", "batch", (1, 4, 16, 64, 256)),
        Axis("threads", "threads", threads, Setting(batch=256)),
    ]


def time_point(
    client: Client, axis: Axis, value: float, setting: Setting, how: argparse.Namespace
) -> list[Record]:
    """Times of every engine at one point, in seconds."""
    path = stored(setting.spec, setting.rate, how.cache)
    client.ask("open", path=str(path), batch=setting.batch, steps=setting.steps)
    names = [c.name for c in client.contestants if _is_default(c.name, c.spikes)]
    spikes = sum(client.outcome(names[0]).counts)
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
                "spikes": spikes,
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
    key = "spikes" if axis.varies == "rate" else "value"
    found = select(records, "time of a run", axis=axis.name, engine=engine)
    return [float(r.how[key]) for r in found], [r.value for r in found]


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
        for engine in dict.fromkeys(r.how["engine"] for r in records):
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


def draw(records: Sequence[Record], chosen: Sequence[Axis], path: Path) -> None:
    """One log-log plot per axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    columns = 3
    rows = math.ceil(len(chosen) / columns)
    figure, grid = pyplot.subplots(rows, columns, figsize=(12, 3.6 * rows), squeeze=False)
    for plot, axis in zip(grid.flat, chosen, strict=False):
        for engine in dict.fromkeys(r.how["engine"] for r in records):
            x, y = line(records, axis, engine)
            points = [(a, 1e3 * b) for a, b in zip(x, y, strict=True) if a > 0]
            plot.loglog(*zip(*points, strict=True), marker="o", label=engine)
        plot.set(xlabel=axis.name, ylabel="ms", title=str(axis))
        plot.title.set_fontsize(7)
        plot.grid(True, alpha=0.3)
        for side in (plot.xaxis, plot.yaxis):
            side.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
            side.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.4g}"))
            side.set_minor_formatter(ticker.NullFormatter())
    for plot in grid.flat[len(chosen) :]:
        plot.set_visible(False)
    grid.flat[0].legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def write_csv(records: Sequence[Record], path: Path) -> None:
    """All points: what the figure shows, as numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["axis", "value", "spikes", "engine", "seconds", "low", "high", "n"])
        for r in records:
            low, high = r.interval or ("", "")
            how = r.how
            writer.writerow(
                [how["axis"], how["value"], how["spikes"], how["engine"], r.value, low, high, r.n]
            )


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--quick", action="store_true", help="small sizes; the document stays as it is")
    p.add_argument("--axes", nargs="+", help="only these, by name")
    p.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    p.add_argument("--budget", type=float, default=30.0, help="seconds of rounds per point")
    p.add_argument("--wait", type=float, default=0.5, help="longest wait for a quiet machine")
    p.add_argument("--cache", type=Path, default=CACHE)
    p.add_argument("--figure", type=Path, help="where the plots go (default: in the cache)")
    p.add_argument("--document", type=Path, default=document.PATH)
    return p


def main() -> None:
    """Run from the command line."""
    how = parser().parse_args()
    chosen = axes(how.quick, os.cpu_count() or 1)
    if how.axes:
        unknown = set(how.axes) - {axis.name for axis in chosen}
        if unknown:
            raise SystemExit(f"no axis {unknown}; there are {[axis.name for axis in chosen]}")
        chosen = [axis for axis in chosen if axis.name in how.axes]
    records = measured(chosen, how)
    rows = slopes(records, chosen)
    print()
    for row in rows:
        print(f"{row['engine']:10} {row['axis']:14} slope {row['slope']:>5}   {row['note']}")
    figure = how.figure or how.cache / "benchmarks" / "scaling.png"
    draw(records, chosen, figure)
    write_csv(records, figure.with_suffix(".csv"))
    print(f"\ndrawn: {figure} and {figure.with_suffix('.csv').name}")
    if not how.quick:
        results = Results.here(how.cache)
        used = versions(ENGINES.distributions)
        for axis in chosen:
            of_axis = [row for row in rows if row["axis"] == axis.name]
            results.put("scaling", axis.name, {"slopes": of_axis, "versions": used})
        document.write(results, how.document)


if __name__ == "__main__":
    main()
