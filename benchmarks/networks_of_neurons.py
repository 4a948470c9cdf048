"""Random networks of leaky neurons, side by side with NEST and Brian 2.

    python -m benchmarks.networks_of_neurons --peers PYTHON [--models brunel-10000 microcircuit]
        [--threads 1 2] [--only compare] [--document]

Each model of `neurons.models` is drawn once and written to a file; every simulator builds it from
there, in a process of its own. PYTHON is one that has nest-simulator and brian2 (NumPy below 2.4),
in an environment of their own; a peer that it lacks is left out. First all spikes of a run are
compared: how long they are the same, then rates and irregularity by population. Then the simulation
alone is timed, without recordings, in turn. Printed are tables in Markdown, which `--document` puts
into `docs/benchmarks.md` beside the others.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import document
from benchmarks.neurons import page
from benchmarks.neurons.description import Model
from benchmarks.neurons.models import MODELS
from benchmarks.neurons.statistics import Mean, Spikes, distance, populations
from benchmarks.peer.client import Client, Library, WorkerError, by_label, missing
from benchmarks.results import Results
from benchmarks.timing import MIN_ROUNDS, Timed, interleave
from benchmarks.workloads import CACHE

OWN = Library("Spikewright", "in_spikewright", ("spikewright",), ("spikewright", "numpy"))
NEST = Library("NEST", "in_nest", ("nest",), ("nest-simulator", "numpy"))
BRIAN = Library("Brian 2", "in_brian", ("brian2",), ("brian2", "cython", "numpy"))
PARTS = ("compare", "time")
CLOCKS = ("wall", "processor")
CLOCK_HELP = "of all threads: on a busy machine processor time says more, of one thread"
ONE_THREAD = (BRIAN.label,)
"""Simulators that run on one thread only: Brian 2's code for Cython does."""
WORKER = "benchmarks.neurons.worker"
SETTLING = 0.2  # of a compared run: what rates and irregularity leave out
TIMED = {"brunel-2000": 2.0, "brunel-10000": 0.5, "cuba": 1.0}
SHORT = 0.2  # seconds of a timed run of other models
COMPARED = {"microcircuit": 10.0, "microcircuit-constant": 2.0}
LONG = 5.0  # seconds of a compared run of other models


@dataclass(frozen=True)
class Settings:
    """Seconds of the model's time are None where each model's own are taken."""

    rounds: int
    wait: float
    compared: float | None
    timed: float | None
    clock: str = "wall"
    parts: Sequence[str] = PARTS


def compare(
    model: Model, path: Path, workers: Mapping[str, Client], seconds: float
) -> dict[str, Any]:
    """Run every simulator on one thread; compare its spikes and means with Spikewright's."""
    steps = model.steps(seconds)
    first = round(SETTLING * steps)
    found: dict[str, Spikes] = {}
    for label, client in workers.items():
        client.ask("build", path=str(path), threads=1, recorded=True)
        client.ask("run", steps=steps)
        kept = path.with_name("spikes.npz")
        client.ask("spikes", path=str(kept))
        with np.load(kept) as file:
            found[label] = Spikes(file["steps"], file["neurons"])
    own = found[OWN.label]
    means = {label: populations(model, s, first, steps) for label, s in found.items()}
    return {
        "seconds": seconds,
        "published": dict(model.published),
        "populations": {
            label: {name: {k: asdict(m) for k, m in p.items()} for name, p in of.items()}
            for label, of in means.items()
        },
        "agreement": {
            label: {
                "same_seconds": _seconds(model, own.same_until(spikes), seconds),
                "distance": distance(model, (own, spikes), first),
                "apart": _apart(means[OWN.label], means[label]),
            }
            for label, spikes in found.items()
            if label != OWN.label
        },
        "spikes_per_second": len(own.steps) / seconds,
    }


def _seconds(model: Model, step: int | None, whole: float) -> float:
    """Seconds before the first spike that differs; the whole run where none does."""
    return whole if step is None else (step - 1) * model.dt


def _apart(own: Mapping[str, Mapping[str, Mean]], other: Mapping[str, Any]) -> list[str]:
    """Populations, and which of their means differ by more than their errors."""
    return [
        f"{name}: {kind}"
        for name, means in own.items()
        for kind, mean in means.items()
        if not mean.agrees(other[name][kind])
    ]


def measure(
    model: Model,
    path: Path,
    workers: Mapping[str, Client],
    threads: int,
    steps: int,
    settings: Settings,
) -> dict[str, Any]:
    """Seconds of a second of the model's time, by simulator, and of building."""
    built = {}
    for label, client in workers.items():
        answer = client.ask("build", path=str(path), threads=threads, recorded=False)
        built[label] = answer["seconds"]
        client.ask("run", steps=steps)
    timers = {label: _timed(client, steps, settings.clock) for label, client in workers.items()}
    timings = interleave(timers, settings.rounds, wait=settings.wait)
    seconds = steps * model.dt
    return {
        "build_seconds": built,
        "seconds": {label: t.median / seconds for label, t in timings.items()},
        "disturbed": {label: t.disturbed for label, t in timings.items()},
        "rounds": settings.rounds,
        "clock": settings.clock,
    }


def _timed(client: Client, steps: int, clock: str) -> Timed:
    def timed() -> tuple[float, float]:
        answer = client.ask("run", steps=steps)
        took = answer["seconds" if clock == "wall" else "cpu_seconds"]
        return took, answer["cpu_seconds"]

    return timed


def row(
    name: str, threads: int, libraries: Sequence[Library], how: Settings, pythons: Mapping[str, str]
) -> dict[str, Any]:
    """Compare (on one thread) and time one model."""
    model = MODELS[name]()
    shared = [lib for lib in libraries if threads == 1 or lib.label not in ONE_THREAD]
    timed = how.timed or TIMED.get(name, SHORT)
    with (
        tempfile.TemporaryDirectory() as folder,
        by_label(shared, threads, pythons, WORKER) as workers,
    ):
        path = Path(folder) / "model.npz"
        model.save(path)
        kept: dict[str, Any] = {}
        if threads == 1 and "compare" in how.parts:
            compared = how.compared or COMPARED.get(name, LONG)
            kept["compared"] = compare(model, path, workers, compared)
        if "time" in how.parts:
            kept |= measure(model, path, workers, threads, model.steps(timed), how)
    return {
        "model": model.name,
        "neurons": model.n,
        "synapses": len(model.wiring),
        "dt": model.dt,
        "threads": threads,
        **kept,
    }


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="has NEST and Brian 2")
    p.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--rounds", type=int, default=5, help=f"at least {MIN_ROUNDS}")
    p.add_argument("--compared", type=float, help="seconds of the model's time that are compared")
    p.add_argument("--timed", type=float, help="seconds of the model's time that are timed at once")
    p.add_argument("--clock", choices=CLOCKS, default="wall", help=CLOCK_HELP)
    p.add_argument("--wait", type=float, default=0.5, help="longest wait for a quiet machine")
    p.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="the rest is kept")
    p.add_argument("--cache", type=Path, default=CACHE)
    p.add_argument(
        "--document",
        type=Path,
        nargs="?",
        const=document.PATH,
        help="write what was measured into docs/benchmarks.md, or there",
    )
    return p


def main() -> None:
    """Run from the command line."""
    how = parser().parse_args()
    pythons = {OWN.module: sys.executable, NEST.module: how.peers, BRIAN.module: how.peers}
    versions: dict[str, str] = {}
    there = []
    for library in (NEST, BRIAN, OWN):
        lacking, found = missing(library, pythons[library.module])
        if lacking:
            print(f"{library.label}: {pythons[library.module]} lacks {', '.join(lacking)}\n")
            continue
        there.append(library)
        versions |= found
    results = Results.here(how.cache)
    settings = Settings(how.rounds, how.wait, how.compared, how.timed, how.clock, how.only)
    for threads in how.threads:
        for name in how.models:
            try:
                made = row(name, threads, there, settings, pythons)
            except WorkerError as error:
                raise SystemExit(str(error)) from None
            before = results.section("networks_of_neurons").get(f"{name}, {threads}", {})
            kept = {**before, **made, "versions": versions}
            results.put("networks_of_neurons", f"{name}, {threads}", kept)
            print(page.section({name: kept}), flush=True)
    if how.document is not None:
        document.write(results, how.document)


if __name__ == "__main__":
    main()
