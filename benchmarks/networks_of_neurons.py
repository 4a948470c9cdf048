"""Random networks of leaky neurons, side by side with NEST and Brian 2.

    python -m venv peers && peers/bin/pip install 'numpy<2.4' brian2 cython nest-simulator
    python -m benchmarks.networks_of_neurons --peers peers/bin/python [--models brunel cuba]
        [--only compare] [--document]

Each model of `neurons.models` is drawn once and written to a file; every simulator builds it from
there, in a process of its own. A peer that is lacking is left out. First all spikes of a run are
compared: how long they are the same, then rates and irregularity by population. Then the simulation
alone is timed, without recordings, in turn, on one thread. Printed are tables in Markdown, which
`--document` puts into `docs/benchmarks.md` beside the others.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

OWN = Library("Spikewright", "in_spikewright", ("spikewright",), ("spikewright", "numpy"))
NEST = Library("NEST", "in_nest", ("nest",), ("nest-simulator", "numpy"))
BRIAN = Library("Brian 2", "in_brian", ("brian2",), ("brian2", "cython", "numpy"))
PARTS = ("compare", "time")
WORKER = "benchmarks.neurons.worker"
SETTLING = 0.2  # of a compared run: what rates and irregularity leave out
TIMED = {"brunel": 0.5, "brunel-fine": 0.1, "cuba": 0.5}
"""Seconds of a timed run, of the models that stand on the page."""
SHORT = 0.1  # of others
COMPARED = 1.0  # seconds of a compared run


@dataclass(frozen=True)
class Settings:
    """Seconds of the model's time; None where each model's own are taken."""

    rounds: int
    compared: float
    timed: float | None
    parts: Sequence[str] = PARTS


def compare(
    model: Model, path: Path, workers: Mapping[str, Client], seconds: float
) -> dict[str, Any]:
    """Run every simulator on one thread; compare its spikes and means with Spikewright's."""
    steps = model.steps(seconds)
    first = round(SETTLING * steps)
    found: dict[str, Spikes] = {}
    for label, client in workers.items():
        client.ask("build", path=str(path), recorded=True)
        client.ask("run", steps=steps)
        kept = path.with_name("spikes.npz")
        client.ask("spikes", path=str(kept))
        with np.load(kept) as file:
            found[label] = Spikes(file["steps"], file["neurons"])
    own = found[OWN.label]
    means = {label: populations(model, s, first, steps) for label, s in found.items()}
    return {
        "seconds": seconds,
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
    steps: int,
    settings: Settings,
) -> dict[str, Any]:
    """Seconds of a second of the model's time, by simulator."""
    for client in workers.values():
        client.ask("build", path=str(path), recorded=False)
        client.ask("run", steps=steps)
    timers: dict[str, Timed] = {
        label: lambda client=client: client.ask("run", steps=steps)["seconds"]  # type: ignore[misc]
        for label, client in workers.items()
    }
    timings = interleave(timers, settings.rounds)
    seconds = steps * model.dt
    return {"seconds": {label: t.median / seconds for label, t in timings.items()}}


def row(
    name: str, libraries: Sequence[Library], how: Settings, pythons: Mapping[str, str]
) -> dict[str, Any]:
    """Compare and time one model."""
    model = MODELS[name]()
    with (
        tempfile.TemporaryDirectory() as folder,
        by_label(libraries, pythons, WORKER) as workers,
    ):
        path = Path(folder) / "model.npz"
        model.save(path)
        kept: dict[str, Any] = {}
        if "compare" in how.parts:
            kept["compared"] = compare(model, path, workers, how.compared)
        if "time" in how.parts:
            timed = model.steps(how.timed or TIMED.get(name, SHORT))
            kept |= measure(model, path, workers, timed, how)
    delays = model.wiring.delays
    return {
        "model": model.name,
        "neurons": model.n,
        "synapses": len(model.wiring),
        "dt": model.dt,
        "delays": (float(delays.min()) * model.dt, float(delays.max()) * model.dt),
        **kept,
    }


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="has NEST and Brian 2")
    p.add_argument("--models", nargs="+", choices=list(MODELS), default=list(TIMED))
    p.add_argument("--rounds", type=int, default=5, help=f"at least {MIN_ROUNDS}")
    p.add_argument(
        "--compared", type=float, default=COMPARED, help="seconds of the model's time, compared"
    )
    p.add_argument("--timed", type=float, help="seconds of the model's time that are timed at once")
    p.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="the rest is kept")
    document.add_arguments(p)
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
    settings = Settings(how.rounds, how.compared, how.timed, how.only)
    for name in how.models:
        try:
            made = row(name, there, settings, pythons)
        except WorkerError as error:
            raise SystemExit(str(error)) from None
        kept = {**results.section("networks_of_neurons").get(name, {}), **made}
        results.put("networks_of_neurons", name, {**kept, "versions": versions})
        print(page.section({name: kept}), flush=True)
    if how.document is not None:
        document.write(results, how.document)


if __name__ == "__main__":
    main()
