"""Networks made by hand, side by side with Nengo's own simulator: time of a step, and of building.

    python -m benchmarks.nef --nengo PYTHON [--models chain array] [--document]

Both libraries build the same networks from the same lines (`nef_models`), each in a process of its
own; PYTHON is one that has Nengo 4 and SciPy. Nengo runs with its optimiser, no library may keep
decoders from an earlier time, and both are timed in turn, so that a slow minute strikes both. Nengo
computes in float64; Spikewright holds weights of 24 bits unless it is told `--precision float64`.
What both decode is compared. Printed is a table in Markdown, which `--document` puts into
`docs/benchmarks.md` beside the others.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks import document
from benchmarks.nef_models import DT, MODELS
from benchmarks.peer.client import Client, Library, WorkerError, by_label, missing
from benchmarks.results import Results
from benchmarks.timing import MIN_ROUNDS, Timed, interleave
from spikewright.engines.grid import PRECISIONS

OWN = Library("Spikewright", "spikewright", ("spikewright",), ("spikewright", "numpy"))
NENGO = Library("Nengo", "nengo", ("nengo", "scipy"), ("nengo", "numpy", "scipy"))
WORKER = "benchmarks.nef_worker"
STEPS = 1000
COMPARED = 300  # last steps of the first run in which decoded values are compared
WARMING = 100


def measure(
    model: str,
    workers: Mapping[str, Client],
    rounds: int,
    builds: int,
    steps: int,
    precision: str = "float32",
) -> dict[str, Any]:
    """One model: seconds of building, microseconds of a step, and how far decoded values differ."""
    built: dict[str, list[float]] = {name: [] for name in workers}
    neurons = 0
    for _ in range(builds):
        for name, client in workers.items():
            answer = client.ask("build", model=model, precision=precision)
            built[name].append(answer["seconds"])
            neurons = answer["neurons"]
    values = []
    for client in workers.values():
        client.ask("run", model=model, steps=max(WARMING, steps))
        last = min(COMPARED, steps)
        values.append(np.array(client.ask("values", model=model, last=last)["values"]))
    runs: dict[str, Timed] = {
        name: lambda client=client: client.ask("run", model=model, steps=steps)["seconds"]  # type: ignore[misc]
        for name, client in workers.items()
    }
    timings = interleave(runs, rounds)
    return {
        "model": model + ", float64" * (precision == "float64"),
        "neurons": neurons,
        "build_seconds": {name: statistics.median(seconds) for name, seconds in built.items()},
        "microseconds": {name: 1e6 * t.median / steps for name, t in timings.items()},
        "apart": _rms(values[0] - values[1]),
        "size": _rms(values[1]),
    }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--nengo", default=sys.executable, metavar="PYTHON", help="has Nengo and SciPy")
    p.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    p.add_argument("--precision", choices=PRECISIONS, default="float32", help="of Spikewright")
    p.add_argument("--rounds", type=int, default=5, help=f"at least {MIN_ROUNDS}")
    p.add_argument("--builds", type=int, default=3, help="how often each network is built")
    p.add_argument("--steps", type=int, default=STEPS)
    document.add_arguments(p)
    return p


def main() -> None:
    """Run from the command line."""
    how = parser().parse_args()
    pythons = {OWN.module: sys.executable, NENGO.module: how.nengo}
    versions: dict[str, str] = {}
    for library in (NENGO, OWN):
        lacking, found = missing(library, pythons[library.module])
        if lacking:
            raise SystemExit(f"{pythons[library.module]} lacks {', '.join(lacking)}")
        versions |= found
    results = Results.here(how.cache)
    rows = []
    with by_label((OWN, NENGO), pythons, WORKER) as workers:
        for model in how.models:
            try:
                row = measure(model, workers, how.rounds, how.builds, how.steps, how.precision)
            except WorkerError as error:
                raise SystemExit(str(error)) from None
            rows.append(row)
            results.put("nef", row["model"], {**row, "versions": versions})
    print(f"{how.steps} steps of {DT:g} s\n")
    print(document.nef_table(rows) + "\n")
    if how.document is not None:
        document.write(results, how.document)


if __name__ == "__main__":
    main()
