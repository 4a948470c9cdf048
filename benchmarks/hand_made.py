"""A network made by hand: two populations of LIF neurons that drive each other.

    python -m benchmarks.hand_made [--threads 1] [--rounds 7]

Two ensembles of 500 LIF neurons, each connected to the other through a Lowpass synapse, both
driven by a constant; 2000 steps of 1 ms, one sample. "all to all" has a weight for each pair
of neurons, "one dimension" a decoder and an encoder for each neuron, as the Neural Engineering
Framework has it (Eliasmith & Anderson 2003). Printed: microseconds a step of each engine, for the
second and later runs of one simulator.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import spikewright as sw
from benchmarks import document
from benchmarks.peer.base import clocked
from benchmarks.results import Results, markdown_table
from benchmarks.timing import MIN_ROUNDS, interleave, versions, with_threads
from benchmarks.workloads import CACHE
from spikewright import engines

NEURONS, STEPS, DT = 500, 2000, 0.001
TAU = 0.02  # of the synapses, in seconds


def all_to_all(neurons: int, seed: int = 0) -> tuple[sw.Network, list[sw.Probe]]:
    """A weight for each pair; the mean is inhibition, so that neither population runs away."""
    rng = np.random.default_rng(seed)
    with sw.Network(seed=seed) as network:
        a, b = (sw.Ensemble(neurons, label=label) for label in "ab")
        for pre, post in ((a, b), (b, a)):
            weights = rng.normal(-0.1, 2.0, (neurons, neurons)) / (100.0 * neurons**0.5)
            sw.Connection(pre.neurons, post.neurons, TAU, sw.Dense(weights))
        for ensemble in (a, b):
            _drive(ensemble, rng)
        probes = [_readout(ensemble, rng) for ensemble in (a, b)]
    return network, probes


def one_dimension(neurons: int, seed: int = 0) -> tuple[sw.Network, list[sw.Probe]]:
    """Decoders and encoders: what passes from one population to the other is one number."""
    rng = np.random.default_rng(seed)
    with sw.Network(seed=seed) as network:
        a, b = (sw.Ensemble(neurons, label=label) for label in "ab")
        for pre, post in ((a, b), (b, a)):
            value = sw.Node(size_in=1)
            decoders = rng.normal(0.5, 1.0, (1, neurons)) / (100.0 * neurons)
            encoders = rng.choice([-1.0, 1.0], (neurons, 1))
            sw.Connection(pre.neurons, value, TAU, sw.Dense(decoders))
            sw.Connection(value, post.neurons, None, sw.Dense(encoders))
        for ensemble in (a, b):
            _drive(ensemble, rng)
        probes = [_readout(ensemble, rng) for ensemble in (a, b)]
    return network, probes


def _drive(ensemble: sw.Ensemble, rng: np.random.Generator) -> None:
    """A constant 0.5 through random signs."""
    signs = rng.choice([-1.0, 1.0], (ensemble.n_neurons, 1))
    sw.Connection(sw.Node([0.5]), ensemble.neurons, None, sw.Dense(signs))


def _readout(ensemble: sw.Ensemble, rng: np.random.Generator) -> sw.Probe:
    """The mean of the neurons' output, in Hz: what a user would look at."""
    mean = sw.Node(size_in=1)
    matrix = np.full((1, ensemble.n_neurons), 1.0 / ensemble.n_neurons)
    sw.Connection(ensemble.neurons, mean, None, sw.Dense(matrix))
    return sw.Probe(mean)


VARIANTS: dict[str, Callable[[int], tuple[sw.Network, list[sw.Probe]]]] = {
    "all to all": all_to_all,
    "one dimension": one_dimension,
}


def rates(simulator: sw.Simulator, probes: list[sw.Probe]) -> list[float]:
    """Mean firing rates of both populations so far, in Hz."""
    return [float(np.mean(simulator.data[probe])) for probe in probes]


def measure(neurons: int, steps: int, rounds: int, wait: float) -> list[dict[str, Any]]:
    """One row per engine and variant."""
    runs: dict[str, Callable[[], tuple[float, float]]] = {}
    rows: dict[str, dict[str, Any]] = {}
    for variant, build in VARIANTS.items():
        network, probes = build(neurons)
        for engine in engines.available():
            simulator = sw.Simulator(network, DT, engine=engine, progress=False)
            simulator.run_steps(steps)  # warm
            name = f"{engine}, {variant}"
            rows[name] = {"engine": engine, "variant": variant}
            rows[name]["rates_hz"] = rates(simulator, probes)
            runs[name] = lambda sim=simulator: _timed(sim, steps)  # type: ignore[misc]
    for name, timing in interleave(runs, rounds, wait=wait).items():
        rows[name]["microseconds"] = 1e6 * timing.median / steps
        rows[name]["disturbed"] = timing.disturbed
    return list(rows.values())


def _timed(simulator: sw.Simulator, steps: int) -> tuple[float, float]:
    simulator.reset()
    return clocked(lambda: simulator.run_steps(steps))


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--rounds", type=int, default=7, help=f"at least {MIN_ROUNDS}")
    p.add_argument("--wait", type=float, default=0.5, help="longest wait for a quiet machine")
    p.add_argument("--quick", action="store_true", help="few steps; the document stays as it is")
    p.add_argument("--cache", type=Path, default=CACHE)
    p.add_argument("--document", type=Path, default=document.PATH)
    return p


def main() -> None:
    """Run from the command line."""
    how = parser().parse_args()
    with_threads(how.threads)
    rows = measure(NEURONS, 100 if how.quick else STEPS, how.rounds, how.wait)
    table = [
        [
            row["engine"],
            row["variant"],
            f"{row['microseconds']:.1f}" + "*" * row["disturbed"],
            ", ".join(f"{hz:.0f}" for hz in row["rates_hz"]),
        ]
        for row in rows
    ]
    print(markdown_table(["engine", "connections", "microseconds a step", "rates (Hz)"], table))
    if not how.quick and how.threads == 1:
        results = Results.here(how.cache)
        used = versions(("spikewright", "numpy", "torch"))
        results.put("hand_made", "one thread", {"rows": rows, "versions": used})
        document.write(results, how.document)


if __name__ == "__main__":
    main()
