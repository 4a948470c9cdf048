"""Python functions in turn, beside Nengo: processor seconds of a chain of nodes.

    python -m benchmarks.python_steps [--nodes 100] [--steps 1000] [--rounds 5]

Every node adds a number that it holds to its input, so that all of them are called in turn at every
step. The same chain of functions marked `stateless` runs in blocks. Nengo is measured where it is
installed. Printed: a table in Markdown, medians of processor time.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import statistics
from collections.abc import Callable
from typing import Any

import spikewright as sw
from benchmarks.peer.base import clocked
from benchmarks.results import markdown_table
from spikewright import engines


def adding(number: int) -> Callable[[float, Any], Any]:
    """A function that holds a number."""
    return lambda t, x: x + number


def chain(words: Any, nodes: int, **given: bool) -> tuple[Any, Any]:
    """Nodes that pass a value on, in the words of either library, and the probe of the last."""
    with words.Network() as network:
        last = words.Node(lambda t: t + nodes, size_out=1, **given)
        for number in range(nodes - 1):
            following = words.Node(adding(number), size_in=1, size_out=1, **given)
            words.Connection(last, following, synapse=None)
            last = following
        return network, words.Probe(last)


def simulators(nodes: int) -> dict[str, Any]:
    """Simulators of the chain, by name."""
    made = {}
    if importlib.util.find_spec("nengo") is not None:
        nengo = importlib.import_module("nengo")
        made["Nengo"] = nengo.Simulator(chain(nengo, nodes)[0], progress_bar=False)
    for engine in engines.available():
        net, _ = chain(sw, nodes)
        made[f"in turn, {engine}"] = sw.Simulator(net, engine=engine, progress=False)
    net, _ = chain(sw, nodes, stateless=True)
    made["in blocks"] = sw.Simulator(net, progress=False)
    return made


def seconds(nodes: int, steps: int, rounds: int) -> dict[str, float]:
    """Median processor seconds of `steps` steps, by simulator; all of them once in a round."""
    found: dict[str, list[float]] = {}
    made = simulators(nodes)
    for _ in range(rounds):
        for name, simulator in made.items():
            spent = clocked(lambda run=simulator.run_steps: run(steps, progress_bar=False))
            found.setdefault(name, []).append(spent)
    for simulator in made.values():
        simulator.close()
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--nodes", type=int, default=100)
    p.add_argument("--steps", type=int, default=1000)
    p.add_argument("--rounds", type=int, default=5)
    how = p.parse_args()
    rows = [[n, f"{s:.2f}"] for n, s in seconds(how.nodes, how.steps, how.rounds).items()]
    title = f"{how.nodes} nodes, {how.steps} steps"
    print(markdown_table([title, "processor seconds"], rows))


if __name__ == "__main__":
    main()
