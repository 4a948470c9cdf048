"""How far populations are from what they compute: Nengo's and Spikewright's, drawn independently.

    python -m benchmarks.nengo_errors [--seeds 20] [--document]

Needs `nengo>=4.1,<4.2` beside Spikewright. Both libraries make the same models with the same words
and draw their own parameters. Errors are root mean squares over one second, less the first tenth,
against the same signals behind the same filters without neurons. Printed are means and standard
errors over seeds for four models of a hundred neurons a population, and the error of one population
of 50 to 1600 neurons, once of rates and once of spikes behind a 20 ms alpha filter, with the slopes
of both in the logarithms.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import nengo
import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table

LIBRARIES: dict[str, Any] = {"Nengo": nengo, "Spikewright": sw}
SIZES = (50, 100, 200, 400, 800, 1600)
NEURONS, SETTLED = 100, 100  # neurons of a population; steps that are left out
TAU, LOOP = 0.02, 0.1  # seconds
Task = Callable[[Any], tuple[Any, Any]]


def _moving(lib: Any) -> Any:
    return lib.Node(lambda t: 0.9 * np.sin(2 * np.pi * t))


def _chain(lib: Any, value: Any, steps: int) -> Any:
    """The value behind as many filters as populations delay it by."""
    for _ in range(steps):
        junction = lib.Node(size_in=1)
        lib.Connection(value, junction)
        value = junction
    return value


def channel(lib: Any) -> tuple[Any, Any]:
    """A value through two populations."""
    stimulus = _moving(lib)
    a, b = (lib.Ensemble(NEURONS, 1) for _ in range(2))
    lib.Connection(stimulus, a)
    lib.Connection(a, b)
    return b, _chain(lib, stimulus, 2)


def square(lib: Any) -> tuple[Any, Any]:
    """The square of a value, between two populations."""
    stimulus = _moving(lib)
    a, b = (lib.Ensemble(NEURONS, 1) for _ in range(2))
    lib.Connection(stimulus, a)
    lib.Connection(a, b, function=np.square)
    squared = lib.Node(lambda t, x: x**2, size_in=1)
    lib.Connection(stimulus, squared)
    return b, _chain(lib, squared, 1)


def product(lib: Any) -> tuple[Any, Any]:
    """The product of two values, in one population of both."""
    stimulus, other = _moving(lib), lib.Node(lambda t: 0.9 * np.cos(3 * np.pi * t))
    both, result = lib.Ensemble(2 * NEURONS, 2, radius=1.5), lib.Ensemble(NEURONS, 1)
    times = lib.Node(lambda t, x: x[0] * x[1], size_in=2)
    for i, value in enumerate((stimulus, other)):
        lib.Connection(value, both[i])
        lib.Connection(value, times[i])
    lib.Connection(both, result, function=lambda x: x[0] * x[1])
    return result, _chain(lib, times, 1)


def integrator(lib: Any) -> tuple[Any, Any]:
    """The integral of a value, in one population that is connected to itself."""
    stimulus = lib.Node(lambda t: 2.0 if 0.1 < t < 0.4 else -1.5 if 0.6 < t < 0.9 else 0.0)
    store, ideal = lib.Ensemble(2 * NEURONS, 1), lib.Node(size_in=1)
    for target in (store, ideal):
        lib.Connection(stimulus, target, transform=LOOP, synapse=LOOP)
        lib.Connection(target, target, synapse=LOOP)
    return store, ideal


TASKS: dict[str, Task] = {
    "communication channel": channel,
    "square": square,
    "product": product,
    "integrator": integrator,
}


def error(lib: Any, seed: int, fill: Task, synapse: Any, constant: bool = False) -> float:
    """Root mean square of what a model's population is off by, or of how much that varies."""
    with lib.Network(seed=seed) as network:
        decoded, ideal = (lib.Probe(item, synapse=synapse) for item in fill(lib))
    quiet = {"progress_bar": False} if lib is nengo else {"progress": False}
    with lib.Simulator(network, **quiet) as simulator:
        simulator.run(1.0)
    gap = (simulator.data[decoded] - simulator.data[ideal])[SETTLED:]
    if constant:
        gap = gap - gap.mean()
    return float(np.sqrt(np.mean(gap**2)))


def population(size: int, spiking: bool) -> Task:
    """One population: rates represent a value that sweeps its range, spikes one that stays."""

    def fill(lib: Any) -> tuple[Any, Any]:
        ramp = lib.Node(0.5 if spiking else lambda t: 2.0 * t - 1.0)
        kind = lib.LIF() if spiking else lib.LIFRate()
        ensemble, ideal = lib.Ensemble(size, 1, neuron_type=kind), lib.Node(size_in=1)
        lib.Connection(ramp, ensemble, synapse=None)
        lib.Connection(ramp, ideal, synapse=None)
        return ensemble, ideal

    return fill


def tasks_table(seeds: int) -> str:
    """Errors of the four models, of both libraries."""
    rows = []
    for name, fill in TASKS.items():
        found = [
            np.array([error(lib, seed, fill, lib.Alpha(TAU)) for seed in range(seeds)])
            for lib in LIBRARIES.values()
        ]
        means = [v.mean() for v in found]
        errors = [v.std(ddof=1) / np.sqrt(seeds) for v in found]
        apart = (means[1] - means[0]) / np.hypot(*errors)
        cells = [f"{m:.5f} ± {e:.5f}" for m, e in zip(means, errors, strict=True)]
        rows.append([name, *cells, f"{apart:+.1f}"])
    head = ["model", *LIBRARIES, "difference in standard errors"]
    return markdown_table(head, rows)


def slope(errors: NDArray) -> float:
    """Slope of errors over sizes, both in logarithms."""
    return float(np.polyfit(np.log(SIZES), np.log(errors), 1)[0])


def sizes_table(seeds: int) -> str:
    """Errors of one population by its size, of both libraries."""
    rows = []
    for spiking in (False, True):
        for name, lib in LIBRARIES.items():
            synapse = lib.Alpha(TAU) if spiking else None
            fills = [population(n, spiking) for n in SIZES]
            found = [
                [error(lib, seed, fill, synapse, spiking) for seed in range(seeds)]
                for fill in fills
            ]
            errors = np.mean(found, axis=1)
            what = f"{'noise of spikes' if spiking else 'rates'}, {name}"
            rows.append([what, *(f"{e:.4f}" for e in errors), f"{slope(errors):.2f}"])
    return markdown_table(["", *map(str, SIZES), "slope"], rows)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    add_document(parser, "nengo.md")
    options = parser.parse_args()
    text = (
        f"Root mean square errors, mean ± standard error of {options.seeds} seeds:\n\n"
        f"{tasks_table(options.seeds)}\n\nOne population, by its number of neurons:\n\n"
        f"{sizes_table(options.seeds)}"
    )
    write_section("errors", text, options.document)


if __name__ == "__main__":
    main()
