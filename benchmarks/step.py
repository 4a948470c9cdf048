"""One step at a time, beside Nengo: microseconds of `Simulator.step()`.

    python -m benchmarks.step [--rounds 5] [--document]

Chains of ensembles of 100 LIF neurons with a decoded probe, driven by a constant or by a function
of time; Nengo's optimiser is on. `NengoSimulator` steps Nengo's own model, so with Nengo's drawn
neurons. Needs Nengo beside Spikewright. Printed: a table in Markdown.
"""

from __future__ import annotations

import argparse
from typing import Any

import nengo
import numpy as np

import spikewright as sw
from benchmarks import edges
from benchmarks.peer.base import clocked
from benchmarks.results import markdown_table
from benchmarks.timing import MIN_ROUNDS, Timed, interleave, with_threads

STEPS, WARMING, NEURONS = 1000, 100, 100


def chain(words: Any, ensembles: int, called: bool) -> Any:
    """Ensembles that pass a value on, in the words of either library."""
    with words.Network(seed=1) as network:
        last = words.Node(np.sin if called else 0.5)
        for _ in range(ensembles):
            following = words.Ensemble(NEURONS, 1)
            words.Connection(last, following)
            last = following
        words.Probe(last, synapse=0.03)
    return network


def simulators(ensembles: int, called: bool) -> dict[str, Any]:
    """Simulators of one model, by name."""
    theirs = chain(nengo, ensembles, called)
    return {
        "Nengo": nengo.Simulator(theirs, progress_bar=False),
        "NengoSimulator": sw.NengoSimulator(theirs, progress_bar=False, threads=1),
        "Simulator": sw.Simulator(chain(sw, ensembles, called), progress=False, threads=1),
    }


def stepping(simulator: Any) -> Timed:
    """Steps, one by one."""

    def steps() -> None:
        for _ in range(STEPS):
            simulator.step()

    return lambda: clocked(steps)


def measure(ensembles: int, called: bool, rounds: int) -> dict[str, float]:
    """Microseconds of a step, by simulator."""
    made = simulators(ensembles, called)
    runs: dict[str, Timed] = {}
    for name, simulator in made.items():
        for _ in range(WARMING):
            simulator.step()
        runs[name] = stepping(simulator)
    timings = interleave(runs, rounds)
    for simulator in made.values():
        simulator.close()
    return {name: 1e6 * timing.median / STEPS for name, timing in timings.items()}


def table(rounds: int, sizes: tuple[int, ...] = (1, 5)) -> str:
    """A row for each model; in brackets how many times Nengo's speed."""
    rows = []
    for ensembles in sizes:
        for called in (False, True):
            found = measure(ensembles, called, rounds)
            model = f"{ensembles} ensemble{'s' * (ensembles > 1)} behind a "
            cells = [
                f"{us:.1f}" if name == "Nengo" else f"{us:.1f} ({found['Nengo'] / us:.1f} x)"
                for name, us in found.items()
            ]
            rows.append([model + ("function" if called else "constant"), *cells])
    return markdown_table(["us a step", "Nengo", "NengoSimulator", "Simulator"], rows)


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--rounds", type=int, default=5, help=f"at least {MIN_ROUNDS}")
    edges.add_arguments(p)
    how = p.parse_args()
    with_threads(1)
    what = "Chains of ensembles of 100 LIF neurons (`python -m benchmarks.step`)."
    edges.write_section("One step at a time", [what, table(how.rounds)], how, "nengo")


if __name__ == "__main__":
    main()
