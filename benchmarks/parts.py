"""Every registered neuron type, learning rule, synapse and process, beside Nengo's.

    python -m benchmarks.parts [--kinds rule synapse] [--names RLS Triangle] [--rounds 5]

A small network around each: microseconds of a step in runs of many steps, on one thread, Nengo
with its optimiser; whether the native engine has a kernel for it, and the reason if not. Parts that
Nengo lacks are timed alone. Needs Nengo beside Spikewright. Printed: tables in Markdown.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

import nengo
import numpy as np

import spikewright as sw
from benchmarks import edges
from benchmarks.peer.base import clocked
from benchmarks.results import markdown_table
from benchmarks.timing import MIN_ROUNDS, Timed, interleave, with_threads
from spikewright.errors import SpikewrightError
from spikewright.network.learning import LEARNING_RULES
from spikewright.network.neurons import NEURON_TYPES
from spikewright.network.processes import PROCESSES
from spikewright.network.synapses import SYNAPSES
from spikewright.testing.modelling import neuron_type_examples, synapse_examples

Words = Any
STEPS, SIZES = 2000, {"neurons": 500, "rule": 200, "wide": 500}
DT = 0.001


class Part(NamedTuple):
    """A part, and its network in the words of either library."""

    name: str
    build: Callable[[Words], Any]


def around(part: Callable[[Words, Any], None]) -> Callable[[Words], Any]:
    """A network with a wave as its source."""

    def build(words: Words) -> Any:
        with words.Network(seed=1) as network:
            part(words, words.Node(lambda t: np.sin(6 * t)))
        return network

    return build


_WRAPPED = {
    "RegularSpiking": "LIFRate",
    "StochasticSpiking": "LIFRate",
    "PoissonSpiking": "LIFRate",
}
"""Spiking types of both libraries that are made of a rate type."""


def neuron(name: str, words: Words) -> Any:
    """A neuron type by name: its defaults, or the first example of one that has none."""
    if name in _WRAPPED:
        return getattr(words, name)(getattr(words, _WRAPPED[name])())
    if words is sw and not hasattr(nengo, name):
        kind = NEURON_TYPES[name]
        return next(e.neuron_type for e in neuron_type_examples() if type(e.neuron_type) is kind)
    return getattr(words, name)()


def neurons() -> Iterator[Part]:
    """A population of each type, and what is decoded from it."""
    for name in NEURON_TYPES:

        def part(words: Words, wave: Any, name: str = name) -> None:
            n = SIZES["neurons"]
            rng = np.random.default_rng(0)
            how = {"gain": rng.uniform(1, 3, n), "bias": rng.uniform(0, 2, n)}
            kind = neuron(name, words)
            integrates = words is sw and kind.spiking and not hasattr(nengo, name)
            if integrates:  # currents in Hz
                how = {key: 50.0 * value for key, value in how.items()}
            cells = words.Ensemble(n, 1, neuron_type=kind, **how)
            words.Connection(wave, cells)
            words.Probe(cells, synapse=0.03)

        yield Part(name, around(part))


def rules() -> Iterator[Part]:
    """Each rule on a connection that it fits."""
    for name in LEARNING_RULES:

        def part(words: Words, wave: Any, name: str = name) -> None:
            n = SIZES["rule"]
            pre, post = words.Ensemble(n, 1), words.Ensemble(n, 1)
            rule = getattr(words, name)()
            modifies = LEARNING_RULES[name].modifies
            words.Connection(wave, pre)
            if modifies == "encoders":
                words.Connection(pre, post, learning_rule_type=rule)
            elif modifies == "weights":
                weights = np.random.default_rng(0).normal(0, 1e-3, (n, n))
                words.Connection(
                    pre.neurons, post.neurons, transform=weights, learning_rule_type=rule
                )
            else:
                made = words.Connection(pre, post, learning_rule_type=rule)
                error = words.Node(size_in=1)
                words.Connection(post, error)
                words.Connection(wave, error, transform=-1)
                words.Connection(error, made.learning_rule)
            words.Probe(post, synapse=0.03)

        yield Part(name, around(part))


_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "Lowpass": (0.01,),
    "Alpha": (0.01,),
    "Triangle": (0.03,),
    "LinearFilter": ([1.0], [1e-4, 4e-3, 1.0]),
    "WhiteSignal": (1.0, 20.0),
    "PresentInput": (np.eye(4), 0.05),
    "EachStep": (np.eye(4),),
    "Piecewise": ({0.1: 1.0, 0.2: -1.0},),
}


def synapses() -> Iterator[Part]:
    """Each synapse on a population's spikes, and on what is decoded from it."""
    for name, kind in SYNAPSES.items():

        def part(words: Words, wave: Any, name: str = name, kind: Any = kind) -> None:
            cells = words.Ensemble(SIZES["wide"], 1)
            words.Connection(wave, cells)
            if name in _ARGUMENTS or words is nengo:
                synapse = getattr(words, name)(*_ARGUMENTS[name])
            else:
                synapse = next(e.synapse for e in synapse_examples() if type(e.synapse) is kind)
            words.Probe(cells.neurons, synapse=synapse, sample_every=0.1)
            words.Probe(cells, synapse=synapse)

        yield Part(name, around(part))


def processes() -> Iterator[Part]:
    """Each process as a node of some values."""
    for name in (*PROCESSES, "Piecewise"):

        def part(words: Words, wave: Any, name: str = name) -> None:
            kind = getattr(words.processes, name, None) or getattr(words, name)
            arguments = ([20.0, 50.0],) if name == "PoissonSpikes" else _ARGUMENTS.get(name, ())
            fixed = name in ("PresentInput", "Piecewise", "PoissonSpikes", "EachStep")
            node = words.Node(kind(*arguments), size_out=None if fixed else 4)
            words.Probe(node, synapse=0.03)

        yield Part(name, around(part))


KINDS: dict[str, Callable[[], Iterator[Part]]] = {
    "neurons": neurons,
    "rule": rules,
    "synapse": synapses,
    "process": processes,
}


def measure(part: Part, rounds: int) -> list[str]:
    """A row: microseconds of a step in either library, their ratio, and the kernel."""
    ours = sw.Simulator(part.build(sw), dt=DT, progress=False, decoder_cache=False)
    made: dict[str, Any] = {"ours": ours}
    with suppress(AttributeError):  # Nengo has no such part
        made["theirs"] = nengo.Simulator(part.build(nengo), dt=DT, progress_bar=False)
    runs: dict[str, Timed] = {}
    for name, simulator in made.items():
        simulator.run_steps(STEPS, progress_bar=False)
        runs[name] = lambda sim=simulator: clocked(  # type: ignore[misc]
            lambda: sim.run_steps(STEPS, progress_bar=False)
        )
    found = {name: 1e6 * t.median / STEPS for name, t in interleave(runs, rounds).items()}
    left = [row for row in ours.plan.rows if row.kernel == "reference" and "once" not in row.why]
    reason = "native" if not left else "; ".join(dict.fromkeys(row.why for row in left))
    theirs = found.get("theirs")
    for simulator in made.values():
        simulator.close()
    return [
        part.name,
        "-" if theirs is None else f"{theirs:.1f}",
        f"{found['ours']:.1f}",
        "-" if theirs is None else f"{theirs / found['ours']:.1f} x",
        reason,
    ]


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    p.add_argument("--names", nargs="+", help="parts by name (default: all)")
    p.add_argument("--rounds", type=int, default=MIN_ROUNDS, help=f"at least {MIN_ROUNDS}")
    edges.add_arguments(p)
    how = p.parse_args()
    with_threads(1)
    warnings.simplefilter("ignore")
    tables = (table(kind, how.names, how.rounds) for kind in how.kinds)
    what = "Every part in a small model, beside Nengo (`python -m benchmarks.parts`)."
    edges.write_section("Part by part", chain([what], tables), how, "nengo")


def table(kind: str, names: list[str] | None, rounds: int) -> str:
    """A row for each part of a kind, or for those that are named."""
    rows = []
    for part in KINDS[kind]():
        if names and part.name not in names:
            continue
        try:
            rows.append(measure(part, rounds))
        except SpikewrightError as error:
            rows.append([part.name, "-", "-", "-", str(error)])
    return markdown_table([kind, "Nengo, us a step", "ours", "faster", "kernel"], rows)


if __name__ == "__main__":
    main()
