"""Sparse weights of spikes: a step's cost against the spikes in it, beside the same matrix dense.

    python -m benchmarks.sparse_maps [--neurons 5000] [--threads 1 2]

A population sends to another one through a random tenth of all weights. Its neurons fire at one
rate, at times of their own. All forms are timed in turn; what counts is processor time, which a
busy machine changes least.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

import spikewright as sw
from benchmarks import edges
from benchmarks.peer.base import clocked
from benchmarks.results import markdown_table
from benchmarks.timing import Timed, interleave

DT, DENSITY = 0.001, 0.1
SHARES = (0.0, 0.01, 0.1)
"""Of the neurons, those that spike in a step."""
FORMS = ("one weight for all", "a weight each", "dense")
STEPS, ROUNDS = 100, 7


def network(form: str, neurons: int, share: float) -> sw.Network:
    """Senders that fire at a rate, and receivers behind a filter."""
    rng = np.random.default_rng(0)
    each = max(1, round(DENSITY * neurons))
    rows, columns = np.repeat(np.arange(neurons), each), rng.integers(0, neurons, neurons * each)
    values = np.full(len(rows), 0.01) if form == FORMS[0] else rng.normal(0.0, 0.01, len(rows))
    weights: sw.Transform = sw.Sparse(rows, columns, values, (neurons,), neurons)
    if form == FORMS[2]:
        weights = sw.Dense(weights.weights)
    with sw.Network(seed=0) as net:
        kind, ones = sw.IntegrateAndFire(), np.ones(neurons)
        senders = sw.Ensemble(neurons, None, neuron_type=kind, gain=ones, bias=ones * share / DT)
        receivers = sw.Ensemble(neurons, None, neuron_type=sw.LIF(), gain=ones, bias=ones * 0.0)
        sw.Connection(senders.neurons, receivers.neurons, sw.Lowpass(0.002), weights, delay=DT)
    return net


def measure(neurons: int, threads: int) -> dict[tuple[str, float], float]:
    """Microseconds of processor time a step, by form and share of spiking neurons."""
    found = {}
    for share in SHARES:
        sims = {
            form: sw.Simulator(
                network(form, neurons, share), DT, engine="native", threads=threads, progress=False
            )
            for form in FORMS
        }
        runs = {form: _timed(sim) for form, sim in sims.items()}
        for form, timing in interleave(runs, ROUNDS).items():
            found[form, share] = 1e6 * timing.median / STEPS
    return found


def _timed(sim: sw.Simulator) -> Timed:
    def timed() -> tuple[float, float]:
        _, spent = clocked(lambda: sim.run_steps(STEPS))
        return spent, spent

    timed()
    return timed


def table(neurons: int, measured: Mapping[int, Mapping[tuple[str, float], float]]) -> str:
    """Forms down, spikes a step across."""
    rows = [
        [form, str(threads), *(f"{times[form, share]:.0f}" for share in SHARES)]
        for threads, times in measured.items()
        for form in FORMS
    ]
    heads = [f"{share * neurons:.0f} spikes" for share in SHARES]
    return markdown_table(["weights", "threads", *heads], rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--neurons", type=int, default=5000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    edges.add_arguments(parser)
    how = parser.parse_args(arguments)
    what = (
        f"Microseconds of processor time a step, {how.neurons} to {how.neurons} neurons "
        "(`python -m benchmarks.sparse_maps`)."
    )
    made = table(how.neurons, {n: measure(how.neurons, n) for n in how.threads})
    edges.tell("Sparse weights", [what, made], how)


if __name__ == "__main__":
    main()
